// Package server is the edge: it holds players' connections and brings rooms to
// them.
//
// Nouns: a Gateway is all connections of a process; a session is one client; a
// member is a session in a room; a feed follows one room, keeps the gateway's copy
// of it, and gives it to members. The authority over rooms is elsewhere: the edge meets it
// as bytes on NATS subjects (package wire), and never imports it.
//
// Goroutines: one reads each connection; one runs each followed room, beside the two of its
// subscriptions; a player with
// commands or chat lines on their way has one for each; one wheel keeps the timers of all
// connections; and one each looks after commands without an answer, stored sessions,
// session events, the heartbeat, the directory, the sanctions and the NATS connection. Questions to
// owners and ledger workers run beside them, each bounded in time. Run waits for all of them.
//
// Locks are taken in the order commands, session, then connections and topics of package
// fanout; players behind a session, feeds alone.
//
// Guarantees: what section 1 to 6 and 9 of docs/protocol.md say. In short: updates
// of a room reach a client in order and without gap, or the client is told; a
// command is answered once per connection that waits for it; a recovery is whole or none.
// Nobody's mistakes or slowness concern anybody else.
//
// Non-guarantees: ticks, presence, chat lines and notices may be left out for a
// slow client. A gateway that dies forgets its sessions' last positions of up to one ping interval.
// Redis and the ledger are asked, never waited for by a connection that plays.
//
// Limits: Config, package wire, and the constants beside what they bound.
package server
