// Package testsvc starts the real services that tests need: Redis, PostgreSQL,
// NATS and HAProxy, each as a process of its own on a free port of the loopback
// interface, with its data in a temporary directory; alone, or as a NATS cluster and
// as Redis with Sentinels.
//
// How they are run is in package service; make test installs them on Debian.
//
// Ownership: a service belongs to the test that started it. It is stopped by its
// process ID and its directory removed when the test ends; on Linux it also dies
// with the test process, however that ends.
//
// Guarantees: a service that was returned answers. A test that needs a missing
// program is skipped with the reason, and fails when CI=true, so that no skip
// hides in a green run. Non-guarantees: nothing here is durable or secured; the
// services take what helps tests to be fast (no fsync, trust everybody).
//
// Services may be started from parallel tests; a Service itself is used by one
// goroutine at a time.
package testsvc
