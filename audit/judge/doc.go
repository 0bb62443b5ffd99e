// Package judge recomputes what the log of a partition says: the game clock, rounds,
// crash points, seeds, bets and their ends, and the balances that follow.
//
// It is an implementation of its own, written from docs/audit.md, docs/protocol.md and
// the formats of package wire, so that an error of the room servers is not repeated
// here: it shares no code with package room, the games or the ledger, and a test of the
// import graph holds it to that. Like the rules of games it is pure: no clock, no
// goroutine, no I/O.
//
// Nouns: a Log judges the records of one partition; a Round is what became of one round
// and of its bets; a Booking is what the log asks of the ledger, with the ledger's answer
// if the log has it; Accounts follow the balances that these answers tell; a Difference
// is the first thing that is not as it must be.
//
// The judge does not know the secret. A round that flies is judged once the record that
// reveals its seed has been read, so a Log holds back the records behind a takeoff until
// then.
//
// Ownership: a Log and the Accounts it shares with others belong to one goroutine.
//
// Guarantees: the same records give the same rounds, digests and differences. Input that
// no server wrote gives a Difference or a note, never a panic. Non-guarantees: the
// snapshots whose digests stand in the log are not recomputed, as they are of the room
// servers' own format; an operator's identity is what his record says. Between two rooms
// that follow each other under one ID the judge does not know about updates that were
// not cut yet; the second may begin up to 20 ms earlier than it could.
//
// Limits: records that wait for a seed are kept in memory, at most Config.Ahead.
package judge
