// Package room is the authority: it folds the logs of partitions into decisions
// and speaks for the rooms in them.
//
// Nouns: a Partition is the pure fold of one JetStream stream; a Replica is the
// goroutine that feeds a Partition from the live log; the Replica whose claim is
// the newest is the owner and the only one that speaks; a Host is the set of
// Replicas of a process, with the failure detector that lets them claim.
//
// Ownership: a Partition belongs to its Replica's goroutine. Everything else that
// a Replica talks to (detector, appender, store) meets it through channels.
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
