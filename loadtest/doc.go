// Package loadtest is the swarm: many bots that play over the public protocol,
// and a checker that judges whether what they saw can be true.
//
// It is a black box test. It knows docs/protocol.md and package wire, and nothing
// of the servers. Run takes a Config and gives a Report, whose verdict is passed
// or failed.
//
// # Nouns
//
// A bot is one player. It has a link (a connection), and for a moment a second
// one while it moves; a seat in each of its rooms; and at each seat a table, which
// plays the room's game. A cursor checks the order of one room on one link. A
// stream is what all bots together saw of one room's log: the first sighting of an
// update says what it is, and every other one, at any gateway and after any
// reconnect, must have the same bytes. Commands checks that each command has one
// answer, books that the balance adds up. The findings of all go into the report.
//
// # Ownership and goroutines
//
// Each link has one goroutine, which dials and then reads. One scheduler with a
// heap of timers and 32 workers runs everything that happens at a time. A bot's
// state is guarded by its mutex, which is never held while something is written to
// a socket. Locks are taken in the order bot, stream, findings.
//
// # What a verdict says
//
// It covers what the bots received: identical, gap-free, numbered updates; honest
// resumes; monotone game time; one answer for each command; payouts, targets and
// balances that agree with the rounds; seeds that fit their chain. A run that
// compared nothing does not pass. Connections that were degraded for slowness and
// told so (skip) are counted, and are no failure unless Thresholds says so.
//
// # What it does not say
//
// Notices can be lost, so a bot that never heard of a win assumes what the rules
// say and lets the balance prove it. Balances of players with several bots, with
// bets that have no end when the run stops, or with wins that a room's limits may
// have cut, are not followed; the report counts them. Contents are compared within
// one process: two swarms of different processes do not compare what they saw.
//
// # Time and load
//
// What is meant to happen when follows from pure functions (pace.go), and
// latencies count from the intended time, so that a server that stalls does not
// slow its own test down. Memory is bounded: about 30 KB for each bot, a megabyte
// for each room. Reading a message costs some 7 µs of CPU, most of it in the
// kernel: 1,000 bots at 20 messages a second take a sixth of a core.
package loadtest
