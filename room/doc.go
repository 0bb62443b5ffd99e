// Package room is the authority: it folds the logs of partitions into decisions
// and speaks for the rooms in them.
//
// Nouns: a Partition is the pure fold of one log; a Replica is the state machine that
// feeds it records, notices the death of the owner and claims; the Replica whose claim
// is the newest is the owner and the only one that speaks; a Log is where it reads and
// writes, a Voice how it is heard; a Host runs the Replicas of a process on JetStream
// and core NATS, each in a loop.
//
// Ownership: a Replica, and all that is in it, belongs to the goroutine of its loop.
// What others do for it (writes, snapshots) ends in an event that the loop hands over.
//
// Guarantees: two Replicas that folded the same records have the same state and
// say the same bytes; an owner whose claim is not the newest writes nothing to the
// log (the log's server refuses it) and what it still says is what the new owner
// says too; a command that is in the log is answered, by this owner or a later one.
//
// Non-guarantees: answers and updates travel over core NATS and may be lost;
// gateways notice and ask again. While nobody owns a partition its game time
// stands still.
package room
