// Package wire is where the edge and the authority meet: the subjects, records
// and messages that cross a process boundary, and the limits on them.
//
// Role: a leaf. It imports nothing of this module, starts no goroutine and does
// no I/O. Gateways, room servers, ledger workers and the load tester import it;
// it is the only package that all of them share.
//
// Two protocols live here. The client protocol (client.go, gateway.go, codes.go)
// is JSON text over WebSocket and is specified in docs/protocol.md. The log
// protocol (subjects.go, records.go, command.go, out.go, ask.go, book.go) is
// spoken over NATS between the processes of one deployment.
//
// Guarantees: decoding never panics on any input, and every decoder refuses what
// its encoder cannot produce. Non-guarantees: a value that decodes is well formed,
// not permitted; rules are judged by the fold of the room's log.
package wire
