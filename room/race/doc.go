// Package race is the rules of a tapping race: players gather, tap as fast as
// they can until the countdown ends, and the best are shown live and archived.
//
// It is the quite different second game behind the seam of package game: no
// stakes, no secret, tens of thousands of small commands a second and a ranking
// instead of a curve. Its rules are pure: time comes in as an argument, nothing
// here starts a goroutine or does I/O. The rules a player sees are section 8 of
// docs/protocol.md; tests cite its numbers.
//
// Nouns: a room runs one round after the other; a round goes through the phases
// gathering, running and finished; a racer is a player who has tapped in this
// round; the board is the racers of a round with their ranking.
//
// Ownership: a room belongs to the one goroutine that folds its partition.
//
// Guarantees: the same inputs give the same effects and the same snapshot bytes
// on every node, also when a snapshot and a restore lie between them; a tap costs
// the same with ten racers and with a hundred thousand; a repeated or overtaken
// tap changes nothing. Non-guarantees: bookings of a finished round are asked for
// once and never waited for; their repetition is the fold's business.
package race
