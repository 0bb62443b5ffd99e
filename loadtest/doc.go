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
// A swarm has all bots of a run, or one process's part of them. A coordinator leads
// several processes, the workers; a collector puts together what all of them tell,
// also when there is only one.
//
// # Ownership and goroutines
//
// Connections are read by package socket, by a few loops or with a goroutine each.
// Dialling takes a goroutine for as long as it lasts. One scheduler with a heap of
// timers and 32 workers runs everything that happens at a time. A bot's state is
// guarded by its mutex, which is never held while something is written to a socket.
// Locks are taken in the order bot, stream, findings or meter. New frames are read
// without a lock: they are immutable. The collector and the coordinator are owned by
// the goroutine that runs the swarm; each worker's line has one goroutine that reads.
//
// # What a verdict says
//
// It covers what the bots received: identical, gap-free, numbered updates; honest
// resumes; monotone game time; one answer for each command; payouts, targets and
// balances that agree with the rounds; seeds that fit their chain. A run that
// compared nothing does not pass. Connections that were degraded for slowness and
// told so (skip) are counted, and are no failure unless Thresholds says so. Bots that are
// slow on purpose are judged apart. Contents are compared between processes by sums of
// what each saw first, and a process that does not report fails the verdict.
//
// # What it does not say
//
// Notices can be lost, so a bot that never heard of a win assumes what the rules
// say and lets the balance prove it. Balances of players with several bots, with
// bets that have no end when the run stops, or with wins that a room's limits may
// have cut, are not followed; the report counts them. Given tokens of one player that
// different processes use are not noticed as such. Ticks may be left out (only the
// newest counts), and are counted.
//
// # Time and load
//
// What is meant to happen when follows from pure functions (pace.go), and
// latencies count from the intended time, so that a server that stalls does not
// slow its own test down. Times of several processes are on one clock: the machine's,
// or clocks compared over the coordinator's connections, with a bound of the error.
// Memory is bounded: about 6 KB for each bot that watches, a megabyte for each room,
// and the bytes of its newest 256 updates. What another bot got before costs a
// comparison of memory; nearly all of the CPU is the kernel's.
package loadtest
