package race

import (
	"encoding/json"

	"tickcast/room/game"
	"tickcast/wire"
)

// Name is the name of this kind of game in create actions and in the directory.
const Name = "race"

// rulesVersion is the newest version of the rules that this package can fold. The
// opening record of a round tells by which one it is played.
const rulesVersion = 1

// keptHistory is how many past rounds the view shows.
const keptHistory = 50

// Phases of a round. A room is idle before its first round and while paused.
const (
	phaseIdle      = "idle"
	phaseGathering = "gathering"
	phaseRunning   = "running"
	phaseFinished  = "finished"
)

// States of a room.
const (
	stateRunning = "running"
	statePausing = "pausing"
	statePaused  = "paused"
)

// Kind makes race rooms. The zero value is ready.
type Kind struct{}

var _ game.Kind = Kind{}

// Name implements game.Kind.
func (Kind) Name() string { return Name }

// Rules implements game.Kind.
func (Kind) Rules() int { return rulesVersion }

// New implements game.Kind: a room without a round. Unless it is paused, it owes
// the fact that opens the first one.
func (Kind) New(at game.At, c game.Config, _ *game.Effects) (game.Room, *wire.Error) {
	s := defaultSettings()
	if len(c.Settings) > 0 {
		var refusal *wire.Error
		if s, refusal = s.with(c.Settings); refusal != nil {
			return nil, refusal
		}
	}
	r := &room{
		state: state{
			ID: c.ID, UUID: c.UUID, Name: c.Name, Partition: c.Partition,
			Mode: stateRunning, Owes: !c.Paused,
			Phase: phaseIdle, Start: at.Now, Settings: s, History: []pastRound{},
		},
		board: newBoard(nil),
	}
	if c.Paused {
		r.Mode = statePaused
	}
	return r, nil
}

// room implements game.Room and game.Keyless.
type room struct {
	state
	board *board
}

var (
	_ game.Room     = (*room)(nil)
	_ game.Keyless  = (*room)(nil)
	_ game.Freezing = (*room)(nil)
)

// state is what a room is besides its board. Times are game times.
type state struct {
	// Static after New.
	ID        string `json:"id"`
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	Partition int    `json:"partition"`

	Mode string `json:"state"`          // one of the states
	Owes bool   `json:"owes,omitempty"` // no round is on, and the next may open

	Round uint64    `json:"round"` // the current or last one; rounds count from 1
	Rules int       `json:"rules"` // version that Round is played by
	Phase string    `json:"phase"`
	Start game.Time `json:"start"`           // of the phase
	End   game.Time `json:"end"`             // of the phase; 0 when idle
	Flush game.Time `json:"flush,omitempty"` // when the scores go out next; 0 while nobody has news
	Began int64     `json:"began,omitempty"` // of the round, Unix ms, for the archive

	Settings settings    `json:"settings"`
	Next     *settings   `json:"next,omitempty"` // for the next round
	History  []pastRound `json:"history"`        // newest first, at most keptHistory
}

// pastRound is a finished round of the history.
type pastRound struct {
	Round   uint64      `json:"round"`
	Players int         `json:"players"`
	Winner  *wire.Score `json:"winner"`
}

// Keyless implements game.Keyless: a tap carries the number of taps so far, so
// that it can be repeated and overtaken without harm (P8.3).
func (r *room) Keyless(op string) bool { return op == opTap }

// State implements game.Room.
func (r *room) State() string { return r.Mode }

// Round implements game.Room.
func (r *room) Round() uint64 { return r.state.Round }

// TickInterval implements game.Room: countdowns are drawn on the game clock, so
// it ticks whenever one is on.
func (r *room) TickInterval() game.Time {
	if r.Phase == phaseIdle {
		return 0
	}
	return r.Settings.tick()
}

// Result implements game.Room. Nothing here waits for the archive.
func (r *room) Result(game.At, wire.BookingResult, *game.Effects) {}

// You implements game.Room (P8.4).
func (r *room) You(player string) json.RawMessage {
	racer := r.board.byPlayer[player]
	if racer == nil {
		return nil
	}
	return game.Encode(you{Points: racer.Points, Round: r.state.Round})
}

type you struct {
	Points int64  `json:"points"`
	Round  uint64 `json:"round"`
}

// View implements game.Room.
func (r *room) View(game.At) json.RawMessage {
	return game.Encode(view{
		Game: Name, UUID: r.UUID, Name: r.Name, State: r.Mode,
		Phase: r.Phase, Round: r.state.Round, Start: r.Start.Micros(), End: r.endMicros(),
		Settings: r.Settings, NextSettings: r.Next,
		Players: len(r.board.racers), Top: r.board.best(), History: r.History,
	})
}

type view struct {
	Game         string       `json:"game"`
	UUID         string       `json:"uuid"`
	Name         string       `json:"name"`
	State        string       `json:"state"`
	Phase        string       `json:"phase"`
	Round        uint64       `json:"round"`
	Start        int64        `json:"start"`
	End          *int64       `json:"end"`
	Settings     settings     `json:"settings"`
	NextSettings *settings    `json:"next_settings"`
	Players      int          `json:"players"`
	Top          []wire.Score `json:"top"`
	History      []pastRound  `json:"history"`
}

// endMicros is the end of the phase for messages; nil when it has none.
func (r *room) endMicros() *int64 {
	if r.Phase == phaseIdle {
		return nil
	}
	t := r.End.Micros()
	return &t
}
