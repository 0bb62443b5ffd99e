// Package crash is the flagship game: rounds of a multiplier that rises for
// everybody at once until it crashes.
//
// Role: the rules, and nothing else. A Kind makes Rooms; a Room is a pure state
// machine (see package game): no clock, no goroutine, no randomness, no I/O. The
// one input that is not in the log, the seed chains, is injected as Chains, which
// behaves like a function. Money is in minor units (100 = 1.00), multipliers in
// hundredths ("centi": 187 = 1.87x), game time in nanoseconds.
//
// Nouns: a round has a phase (betting, locked, flying, crashed; idle between the
// rounds of a paused room) and a book of bets; a bet has exactly one end (won,
// lost, refunded, or refused before it began); a flight is what is known of the
// curve and the crash point while a round flies; a chain is a sequence of seeds
// that was committed to before anybody could choose the salt.
//
// Secrets: the crash point and the seed of a round live in Room.flight from the
// takeoff to the crash. They are never marshalled: View, You, Snapshot, effects
// and the Settings contain public state only, and Restore derives them again.
// Due does depend on the crash point and must not be shown to anybody.
//
// Guarantees: the same inputs and the same Chains give the same effects and the
// same Snapshot bytes on every machine; a restored room goes on exactly as the
// one that made the snapshot; no input from outside panics.
//
// Non-guarantees: a process whose Chains do not know a room's seed (Seed answers
// ok = false, or a seed that does not fit the commitment) cannot fold a flight.
// Such a room is blind: Due is Never while it flies, cash-outs are left alone and
// the reveal of the round is an error, because what was folded meanwhile cannot be
// right. An auditor therefore reads ahead, collects the seeds of the reveal
// records, and folds a round only with Chains that answer from them.
package crash
