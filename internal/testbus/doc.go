// Package testbus starts the deployment's NATS for tests: a process with the users and
// the permissions of the roles.
//
// The embedded server of package bus would be a part of the test's binary, and with the
// race detector take several times the processor time of everything that is tested.
//
// Ownership, guarantees and concurrency are those of package testsvc. Non-guarantees:
// nothing is synchronised to the disk within a test.
package testbus
