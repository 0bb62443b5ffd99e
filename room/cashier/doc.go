// Package cashier is the room that every partition has and nobody creates: it
// takes what concerns a player and no game. Players ask it for a refill of play
// credits (P4.10 in docs/protocol.md), operators credit, mute and kick through
// it.
//
// It stands behind the same seam as a game and is as pure: no clock, no
// goroutine, no I/O. It has no rounds, needs no timer and tells nobody anything
// but the one who asked.
//
// Ownership: a room belongs to the one goroutine that folds its partition.
//
// Guarantees: a refill and a credit have booking IDs derived from what asked for
// them, so that they are booked once whatever is repeated; a player's sanctions
// are always told whole, a mute and a kick together. Non-guarantees: whether a
// credit finds its account is the ledger's matter and stands in its archive; a
// sanction that has ended may be forgotten.
package cashier
