// Package service runs programs as processes on the loopback interface: the real
// Redis, PostgreSQL and NATS, or any other that says when it is ready.
//
// NATS is built from the version in go.mod and kept in the user's cache directory;
// the other programs come from the machine.
//
// NATSCluster and SentinelRedis are several processes that stand in for one another.
//
// Ownership: a Service belongs to who started it and is used by one goroutine at a
// time. It is stopped by its process ID. Processes are in groups of their own, so
// that an interrupt at a terminal is for their owner to pass on; on Linux they die
// with the process that started them, however that ends.
//
// Non-guarantees: nothing here is secured, and PostgreSQL does not synchronise to
// the disk; the services take what helps tests to be fast.
package service
