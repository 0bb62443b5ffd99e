package crash

import (
	"encoding/json"

	"tickcast/room/game"
	"tickcast/wire"
)

// Room implements what the fold asks for, and what it asks for if it is there.
var (
	_ game.Kind     = (*Kind)(nil)
	_ game.Room     = (*Room)(nil)
	_ game.Informed = (*Room)(nil)
	_ game.Settled  = (*Room)(nil)
	_ game.Freezing = (*Room)(nil)
)

// phase is where the current round stands.
type phase string

const (
	phaseIdle    phase = "idle"    // no round: the room is paused, or waits for its first
	phaseBetting phase = "betting" // bets are taken
	phaseLocked  phase = "locked"  // the last stakes are being confirmed
	phaseFlying  phase = "flying"  // the curve rises
	phaseCrashed phase = "crashed" // the round is over: crashed or voided
)

// States of a room, as operators see them.
const (
	stateRunning = "running"
	statePausing = "pausing" // paused when the current round is over
	statePaused  = "paused"
)

// Room is one room of the game. It implements game.Room; see there for who may
// call it.
type Room struct {
	kind *Kind
	state

	flight  flight          // what is secret; zero unless flying
	awaited map[string]*bet // bookings without a result, by ID
}

// state is the public state, and all that a snapshot holds.
type state struct {
	ID        string `json:"id"`
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	Partition int    `json:"partition"`

	Mode  string    `json:"state"`
	Phase phase     `json:"phase"`
	Start game.Time `json:"start"` // of the phase
	End   game.Time `json:"end"`   // of the phase; 0 while idle or flying
	// Ready: the crashed phase has been shown for long enough, and the next round
	// waits for its opening record.
	Ready bool `json:"ready"`
	// TotalsAt is when the totals, which have changed, are told; 0 if they have not.
	TotalsAt game.Time `json:"totals_at"`

	Wanted  Settings `json:"wanted"`            // the newest settings
	Current *round   `json:"current"`           // the round of the phase; the last one while idle
	Next    *round   `json:"next"`              // takes bets while the current one flies
	Closing []*round `json:"closing,omitempty"` // finished rounds with bookings on their way, oldest first
	Fair    fairness `json:"fair"`
	History []past   `json:"history,omitempty"` // newest first
}

// past is a line of the history.
type past struct {
	Round  uint64 `json:"round"`
	Centi  int64  `json:"centi"` // 0 if voided
	Seed   string `json:"seed"`
	Chain  uint32 `json:"chain"`
	Index  uint64 `json:"index"`
	Voided bool   `json:"voided"`
}

// keptHistory is how many past rounds a room shows.
const keptHistory = 50

// Command implements game.Room.
func (r *Room) Command(at game.At, c game.Command, fx *game.Effects) {
	var e *wire.Error
	switch c.Op {
	case "bet":
		e = r.placeBet(at, c, fx)
	case "cancel":
		e = r.cancelBet(at, c, fx)
	case "cashout":
		e = r.takeOut(at, c, fx)
	default:
		e = wire.Errorf(wire.CodeUnknownOp, "operation %s is not one of bet, cancel, cashout", c.Op)
	}
	if e != nil {
		fx.Refuse(c.Ref, e)
	}
}

// Action implements game.Room.
func (r *Room) Action(at game.At, a wire.Action, fx *game.Effects) *wire.Error {
	switch a.Op {
	case wire.ActionStart, wire.ActionResume:
		return r.run(fx)
	case wire.ActionPause:
		return r.pause(at, fx)
	case wire.ActionVoid:
		return r.void(at, fx)
	case wire.ActionSet:
		return r.set(a.Args, fx)
	}
	return wire.Errorf(wire.CodeUnknownOp, "there are the actions start, pause, resume, void and set")
}

// Due implements game.Room. While a round flies it depends on the crash point.
func (r *Room) Due() game.Time {
	due := game.Never
	switch r.Phase {
	case phaseBetting, phaseLocked:
		due = r.End
	case phaseFlying:
		due = r.flightDue()
	case phaseCrashed:
		if !r.Ready {
			due = r.End
		}
	}
	if r.TotalsAt > 0 {
		due = min(due, r.TotalsAt)
	}
	return due
}

// Advance implements game.Room.
func (r *Room) Advance(at game.At, fx *game.Effects) {
	switch r.Phase {
	case phaseBetting:
		if at.Now >= r.End {
			r.lock(at, fx)
		}
	case phaseLocked:
		if at.Now >= r.End {
			r.takeOff(at, fx)
		}
	case phaseFlying:
		r.fly(at, fx)
	case phaseCrashed:
		if at.Now >= r.End && !r.Ready {
			r.finish(at, fx)
		}
	}
	if r.TotalsAt > 0 && at.Now >= r.TotalsAt {
		r.tellTotals(fx)
	}
}

// State implements game.Room.
func (r *Room) State() string { return r.Mode }

// TickInterval implements game.Room: players draw countdowns and the curve with
// the clock of the ticks, so only an idle room needs none.
func (r *Room) TickInterval() game.Time {
	if r.Phase == phaseIdle {
		return 0
	}
	return millis(r.Current.Settings.TickMS)
}

// Round implements game.Room. It never decreases.
func (r *Room) Round() uint64 {
	if r.Phase == phaseBetting || r.Phase == phaseLocked {
		return r.Current.Number
	}
	return r.Current.Number + 1
}

// Settled reports whether nothing is on its way to the ledger or the archive: a
// room that is paused and settled can be forgotten.
func (r *Room) Settled() bool {
	return len(r.awaited) == 0 && r.Current.Archived && len(r.Closing) == 0 && !r.Fair.Owed
}

// run starts or resumes the room.
func (r *Room) run(fx *game.Effects) *wire.Error {
	if r.Mode == stateRunning {
		return wire.Errorf(wire.CodeAlreadyRunning, "the room is running")
	}
	r.setMode(stateRunning, fx)
	return nil
}

// pause pauses the room after its current round, at once if there is none.
func (r *Room) pause(at game.At, fx *game.Effects) *wire.Error {
	switch {
	case r.Mode != stateRunning:
		return wire.Errorf(wire.CodeNotRunning, "the room is %s", r.Mode)
	case r.Phase == phaseIdle:
		r.setMode(statePaused, fx)
	case r.Ready:
		r.rest(at, fx)
	default:
		r.setMode(statePausing, fx)
	}
	return nil
}

func (r *Room) setMode(mode string, fx *game.Effects) {
	r.Mode = mode
	fx.Event(stateEvent{E: "state", State: mode})
}

// set takes new settings, a salt for a chain that has not begun, or both; all of
// it or nothing.
func (r *Room) set(args json.RawMessage, fx *game.Effects) *wire.Error {
	c, e := parseChange(r.Wanted, args, true)
	if e != nil {
		return e
	}
	if c.salt != "" {
		if e := r.Fair.saltRefusal(); e != nil {
			return e
		}
	}
	if !c.changed && c.salt == "" {
		return wire.Errorf(wire.CodeBadSettings, "there is nothing to set")
	}
	if c.salt != "" {
		source := c.saltSource
		if source == "" {
			source = sourceOperator
		}
		r.setSalt(c.salt, source, fx)
	}
	if c.changed {
		r.Wanted = c.settings
		r.Wanted.Version++
		fx.Event(settingsEvent{E: "settings", NextSettings: r.Wanted})
	}
	return nil
}
