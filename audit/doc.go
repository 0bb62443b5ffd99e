// Package audit is the independent checker: it reads the logs of a deployment, has
// package judge recompute what they say, and compares that with the ledger.
//
// Nouns: a Source gives the records of the logs (Streams: the streams themselves, Export: a
// file); a Book is the ledger's database, opened for reading; a Statement is the signed
// digest of one judged round; a Report is what a whole audit found.
//
// It shares with the servers the formats of package wire and the way to NATS of package
// bus, and nothing that decides or computes: not the fold, not the games, not the ledger.
//
// Guarantees: it writes nothing, neither to the log nor to the ledger. What is in the
// ledger is compared with what the log had before and has after the moment at which the
// ledger was read, so that a deployment may go on meanwhile: a transfer whose result was
// in the log before must be there, and one that is there must be explained by the log
// after. The first difference ends an audit.
//
// Non-guarantees: leaderboards, names, session events and the list of operators' actions
// are not compared. What an audit of some rooms finds of other rooms' money is nothing.
//
// Limits: memory grows by some hundred bytes per player and eight per transfer.
package audit
