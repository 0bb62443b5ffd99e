package game

import (
	"encoding/json"
	"errors"
	"math"

	"tickcast/wire"
)

// Time is game time: nanoseconds since the partition's log began, by the clock
// that the fold derives from the stored timestamps. It stands still while nobody
// owns the partition.
type Time int64

// Never is a due time that does not come.
const Never Time = math.MaxInt64

// Micros is t in microseconds, rounded down: the unit in client messages, which
// stays exact in a JavaScript number for 285 years.
func (t Time) Micros() int64 { return int64(t) / 1000 }

// ErrUnknown is for what a later version of the program may know: a kind of record or
// fact, a game, a version of its rules.
var ErrUnknown = errors.New("not known to this version of the program")

// At is the place of an input in the log.
type At struct {
	Now  Time  // game time
	Wall int64 // timestamp of the record that caused it, Unix ms; for archives only, never for rules
}

// Config is what a room is made from. It comes from the log.
type Config struct {
	ID        string
	UUID      string
	Name      string
	Partition int
	Paused    bool            // do not start rounds until an operator does
	Settings  json.RawMessage // in part; what is left out has the game's default
}

// Kind makes rooms of one kind of game. Implementations are immutable and safe
// for concurrent use.
type Kind interface {
	// Name is the kind's name in create actions and in the directory: "crash".
	Name() string
	// Rules is the newest version of the rules that the kind can fold; it can fold all
	// before, from 1 on.
	Rules() int
	// New makes a room. It refuses settings out of range with CodeBadSettings.
	New(at At, c Config, fx *Effects) (Room, *wire.Error)
	// Restore makes a room from the bytes of Room.Snapshot. It refuses bytes that
	// no Snapshot made; with ErrUnknown those of a round by rules that are newer than Rules.
	Restore(snapshot []byte) (Room, error)
}

// Room is the state of one room. Before every input the fold calls Advance for
// each due time that the clock has passed, in order; so inputs never meet a timer
// that should have fired.
type Room interface {
	// Command applies a player's command. The fold has already answered repeated
	// keys. A command is answered once through fx: at once, or by a later input
	// (the room then keeps c.Ref).
	Command(at At, c Command, fx *Effects)
	// Action applies an operator's action of the game (start, pause, resume, void,
	// set) and returns its refusal, or nil.
	Action(at At, a wire.Action, fx *Effects) *wire.Error
	// Result applies the result of a booking that this room asked for.
	Result(at At, r wire.BookingResult, fx *Effects)
	// Fact applies an owner record that fulfils a duty. A fact that is not owed
	// (any more) has no effect: two owners may both have fulfilled it. A false fact,
	// such as a seed that does not fit its chain, is an error that halts the replica.
	// One that only newer rules have is ErrUnknown.
	Fact(at At, kind string, data []byte, fx *Effects) error
	// Due is the earliest time at which Advance has something to do; Never if none.
	// It may depend on secrets and must not be shown to anybody.
	Due() Time
	// Advance lets time pass. at.Now is exactly a time that Due returned.
	Advance(at At, fx *Effects)
	// Duties lists the facts that the owner should append to the log now. rules is the
	// version by which a round that opens is to be played, to its end.
	Duties(rules int) []Duty
	// State is "running", "pausing" (paused after this round) or "paused".
	State() string
	// TickInterval is how often curve ticks are cut, as a multiple of game time;
	// 0 while the room needs no ticks.
	TickInterval() Time
	// Round is the newest round that a command can be for.
	Round() uint64
	// View is the public state as JSON. It contains no secret.
	View(at At) json.RawMessage
	// You is the state that concerns one player as JSON, or nil if there is none.
	You(player string) json.RawMessage
	// Snapshot is the whole public state, from which Restore continues. The same
	// state always gives the same bytes; it contains no secret.
	Snapshot() []byte
}

// Command is a player's command to a room.
type Command struct {
	wire.Command
	Ref Ref
}

// Ref names a command for its answer. It can be kept in a snapshot.
type Ref struct {
	Player string `json:"player"`
	Key    string `json:"key"`
}

// Duty is a fact that the state of a room wants in the log and that only a server
// which knows the room's secret, or may draw randomness, can state.
type Duty struct {
	Kind string // kind of the owner record, e.g. "reveal"
	Data []byte // its JSON payload
	// Takes tells that what follows from the fact takes stakes.
	Takes bool
}

// Keyless is implemented by rooms that have operations which are idempotent by
// themselves (they carry absolute values), so that only the newest key of a
// player is kept. Without it every operation is keyed.
type Keyless interface {
	Keyless(op string) bool
}

// Informed is implemented by rooms with a secret that stands in no record. A
// replica with a room that is not informed cannot fold it and is no candidate.
type Informed interface {
	// Informed reports whether this process knows the room's secret. It may be slow
	// (milliseconds) and is not for every record.
	Informed() bool
}

// Freezing is implemented by rooms whose Snapshot may take long (milliseconds).
type Freezing interface {
	// Freeze returns the Snapshot of this moment as a function, which another goroutine
	// calls once, while the room goes on.
	Freeze() func() []byte
}

// Settled is implemented by rooms that wait for results behind their last round.
type Settled interface {
	// Settled reports that nothing is on its way: a paused room can be forgotten.
	Settled() bool
}

// Staking is implemented by rooms that take stakes.
type Staking interface {
	// Stakes is what the room knows of its stakes from its current round on.
	Stakes() Stakes
}

// Stakes are stakes of a room, by the IDs of their bookings.
type Stakes struct {
	Round uint64 // the current round, or the last one
	Over  bool   // it has ended
	// Open are booked and have no end, nor a booking of it under way; true for them, false
	// for all others that are known. Those that were refused are not.
	Open map[string]bool
}

// Sanctioning is implemented by rooms that sanction players.
type Sanctioning interface {
	// Sanctions lists what is in force, for an owner that did not say it itself.
	Sanctions() []wire.Sanction
}
