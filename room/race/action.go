package race

import (
	"tickcast/room/game"
	"tickcast/wire"
)

type stateEvent struct {
	E     string `json:"e"` // "state"
	State string `json:"state"`
}

type settingsEvent struct {
	E    string   `json:"e"` // "settings"
	Next settings `json:"next_settings"`
}

type voidEvent struct {
	E     string `json:"e"` // "void"
	Round uint64 `json:"round"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
}

// Action implements game.Room (P8.5).
func (r *room) Action(at game.At, a wire.Action, fx *game.Effects) *wire.Error {
	switch a.Op {
	case wire.ActionStart, wire.ActionResume:
		return r.resume(fx)
	case wire.ActionPause:
		return r.pause(at, fx)
	case wire.ActionVoid:
		return r.void(at, fx)
	case wire.ActionSet:
		return r.set(a.Args, fx)
	}
	return wire.Errorf(wire.CodeUnknownOp, "a race has the actions start, pause, resume, void and set")
}

// resume lets rounds follow each other. A room that was to pause after its round
// just goes on.
func (r *room) resume(fx *game.Effects) *wire.Error {
	if r.Mode == stateRunning {
		return wire.Errorf(wire.CodeAlreadyRunning, "the room is running")
	}
	r.Mode = stateRunning
	r.Owes = r.Phase == phaseIdle
	fx.Event(stateEvent{E: "state", State: r.Mode})
	return nil
}

// pause stops after the round, or at once when none is on.
func (r *room) pause(at game.At, fx *game.Effects) *wire.Error {
	if r.Mode != stateRunning {
		return wire.Errorf(wire.CodeNotRunning, "the room is %s", r.Mode)
	}
	between := r.Owes
	r.Mode, r.Owes = statePausing, false
	if between {
		r.Mode = statePaused
	}
	fx.Event(stateEvent{E: "state", State: r.Mode})
	if between {
		r.idle(at, fx)
	}
	return nil
}

// void ends the round without a result. It does not join the history; the archive
// has it as voided.
func (r *room) void(at game.At, fx *game.Effects) *wire.Error {
	if r.Phase != phaseGathering && r.Phase != phaseRunning {
		return wire.Errorf(wire.CodeNotRunning, "no round is on that could be voided, the phase is %s", r.Phase)
	}
	r.enter(phaseFinished, at, r.Settings.finished())
	r.board = newBoard(nil)
	fx.Event(voidEvent{E: "void", Round: r.state.Round, Start: r.Start.Micros(), End: r.End.Micros()})
	r.bookRound(at, true, fx)
	return nil
}

// set changes settings for the next round, on top of earlier changes that wait
// for it too.
func (r *room) set(args []byte, fx *game.Effects) *wire.Error {
	base := r.Settings
	if r.Next != nil {
		base = *r.Next
	}
	next, refusal := base.with(args)
	if refusal != nil {
		return refusal
	}
	next.Version++
	r.Next = &next
	fx.Event(settingsEvent{E: "settings", Next: next})
	return nil
}
