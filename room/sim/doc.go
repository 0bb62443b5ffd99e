// Package sim plays a whole partition in one goroutine on one simulated clock: the log,
// the room servers that fold it, core messaging, gateways, players and the ledger, and
// everything that can happen to them. It is a test: all of it stands in test files.
//
// Real are the Replica with its fold, games, detector, snapshots and checkpoints, the
// Trimmer, the archive's writer and reader, and the auditor. Models are the log with its leader's clock, its windows,
// silences and lost tails; core messaging;
// the gateway, by the rules of docs/protocol.md and of commands; the ledger, by the rules
// of its package; Redis, and where checkpoints and segments are.
//
// Nouns: a world is one run, made from a seed; its queue of events is the only thing that
// makes anything happen; the truth is a fold that reads each record when it is stored and
// never dies, against which everybody is held; a nemesis draws what goes wrong.
//
// Guarantees: the same seed gives the same run, event by event; each check is shown to
// fail by a world in which one rule is broken (see TestEveryCheckCanFail). Non-guarantees:
// no event happens between two lines of code, but between two calls of a storage: what the race detector and the tests on
// real NATS find, this does not.
package sim
