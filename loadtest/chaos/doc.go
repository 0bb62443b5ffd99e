// Package chaos runs a whole cluster as processes of this machine, lets bots play, does
// to it what a plan says, and judges whether anything that was acknowledged was lost or
// happened twice.
//
// Like package loadtest it is a black box test: it knows the wire, the program's
// command line, and the tables of the ledger; nothing of what the servers are made of.
//
// # Nouns
//
// A plan is a list of steps, drawn from a seed; a step is a fault of a kind, done to a
// target at a time. The cluster has members, which are processes of this program, and
// services. A relay carries a room server's connections to the log, and can be cut. The
// schedule inflicts the steps. The log watch looks at the streams meanwhile. The journal
// keeps what the bots' players experienced, the book is what the ledger says in the end, and
// the records are what the log says.
//
// # What is never done
//
// More than the cluster is made to bear: a majority of the log's nodes, a gateway, a
// ledger worker and a room server live at any time (see groups). A fault waits until
// what went wrong before in its group is whole again, so that on a slow machine a run takes
// longer, and does not do less.
//
// # What a verdict says
//
// All checks of the swarm (see package loadtest), and: every acknowledged command is in the
// log, and its effect, once, in the ledger; sums, balances and ends hold in the database;
// the audit finds no difference between log and ledger; logs were trimmed all the time,
// stayed short, and are whole with the archive. Pauses that players saw are told as a
// distribution by kind of fault, and are no part of the verdict.
//
// # What it does not say
//
// Processes are killed, not machines: nothing is said about what a power cut loses
// (docs/operations.md), and PostgreSQL does not synchronise. Clocks do not step.
package chaos
