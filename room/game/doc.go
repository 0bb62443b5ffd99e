// Package game is the seam between the authority and the rules of a game.
//
// A game is a pure state machine: it sees the records of its room in log order,
// each with its game time, and answers with effects. It has no clock, no
// goroutine, no randomness and no I/O; the same records give the same effects on
// every node. For that it gets durability, failover, fan-out and resume from the
// room package for free.
//
// Ownership: a Room and the Effects it is given belong to the one goroutine that
// folds the partition. Bytes handed to an Effects are not modified afterwards by
// either side.
//
// Non-guarantees: effects of a record may be performed more than once (by an
// owner and its successor), never in another order within a room; answers and
// notices may be lost on the way and are then asked for or stand in the views.
package game
