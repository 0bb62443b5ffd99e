// Package cache is the home of Redis: what must be read fast, shared by all
// processes, and may be lost.
//
// Nouns: a Session (a player's connection, with which a reconnect to any gateway
// goes on), a snapshot of a partition, a balance, a leaderboard, and a marker by
// which a flush is noticed. Embedded is a Redis inside this process.
//
// Ownership: gateways write sessions, owners of partitions write snapshots,
// ledger workers write balances and leaderboards. Everybody may read.
//
// Guarantees. Every value is absolute and carries a version; a write with an
// older version than the stored one is ignored by the server, in one step. So
// writes may be repeated, overtake one another, or come twice, and the newest
// wins. Nothing waits longer than a second or the caller's context.
//
// Non-guarantees. Redis may be flushed or die at any time: whatever is here is a
// copy of what the log or the ledger knows. A value that is there may be old; a
// leaderboard may lack players between a flush and its repair, which is what the
// marker is for. Ties on a leaderboard are in no particular order.
//
// Limits: versions, points and log sequences are exact up to 2^53.
package cache
