// Package serve holds the servers that Tickcast is compared with, and the processes that our gateway needs
// around it: each is one process of the comparison.
//
// Nouns: a Broadcast brings one payload to every client. A Control is the pace that the harness gives by
// lines of standard input, the same for every server in every language: "publish RATE SIZE" and "stop",
// answered "stopped SEQ". A server says "listening PORT" when it can be connected to, and ends with its
// standard input, so that none outlives its harness.
//
// Guarantees: whoever says publish gets at least one update, however soon he says stop. Updates are due at fixed
// times from the first on, none is left out when the server is late, and each carries the time at which it was due:
// latencies have no coordinated omission.
//
// Non-guarantees: these are servers of a benchmark. They trust their clients and do not limit anything. Linux only.
package serve
