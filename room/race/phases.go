package race

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// factOpen opens a round. It is a record of the owner and no effect of the clock,
// because it fixes the version of the rules that the round is played by.
const factOpen = "open"

// openFact is the payload of factOpen.
type openFact struct {
	Round uint64 `json:"round"`
	Rules int    `json:"rules"`
}

// scoresInterval is how often scores go out at most: 5 Hz are lively for people
// and cost a room of 20,000 players no more than one of ten.
const scoresInterval = 200 * game.Time(time.Millisecond)

// phaseEvent is P8.1.
type phaseEvent struct {
	E        string        `json:"e"` // "phase"
	Phase    string        `json:"phase"`
	Round    uint64        `json:"round"`
	Start    int64         `json:"start"`
	End      *int64        `json:"end"`
	Settings *settings     `json:"settings,omitempty"` // gathering
	Players  *int          `json:"players,omitempty"`  // finished
	Top      *[]wire.Score `json:"top,omitempty"`      // finished
}

// scoresEvent is P8.2.
type scoresEvent struct {
	E       string       `json:"e"` // "scores"
	Players int          `json:"players"`
	Top     []wire.Score `json:"top"`
}

// Duties implements game.Room.
func (r *room) Duties(rules int) []game.Duty {
	if !r.Owes {
		return nil
	}
	return []game.Duty{{Kind: factOpen, Data: game.Encode(openFact{Round: r.state.Round + 1, Rules: rules})}}
}

// Fact implements game.Room. The one fact of a race is factOpen.
func (r *room) Fact(at game.At, kind string, data []byte, fx *game.Effects) error {
	if kind != factOpen {
		return fmt.Errorf("race: fact %q: %w", kind, game.ErrUnknown)
	}
	var f openFact
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("race: fact %q: %w", kind, err)
	}
	if !r.Owes || f.Round != r.state.Round+1 {
		return nil
	}
	if f.Rules < 1 || f.Rules > rulesVersion {
		return fmt.Errorf("race: round %d by rules version %d: %w", f.Round, f.Rules, game.ErrUnknown)
	}
	r.open(at, f, fx)
	return nil
}

func (r *room) open(at game.At, f openFact, fx *game.Effects) {
	r.Owes = false
	r.state.Round, r.Rules, r.Began = f.Round, f.Rules, at.Wall
	r.board = newBoard(nil)
	if r.Next != nil {
		r.Settings, r.Next = *r.Next, nil
	}
	r.enter(phaseGathering, at, r.Settings.gathering())
	e := r.phaseEvent()
	e.Settings = &r.Settings
	fx.Event(e)
}

// Due implements game.Room.
func (r *room) Due() game.Time {
	switch {
	case r.Phase == phaseIdle, r.Owes:
		return game.Never
	case r.Flush > 0:
		return min(r.Flush, r.End)
	}
	return r.End
}

// Advance implements game.Room.
func (r *room) Advance(at game.At, fx *game.Effects) {
	switch {
	case at.Now < r.Due():
	case at.Now < r.End:
		r.flush(fx)
	case r.Phase == phaseGathering:
		r.enter(phaseRunning, at, r.Settings.running())
		fx.Event(r.phaseEvent())
	case r.Phase == phaseRunning:
		r.finish(at, fx)
	case r.Phase == phaseFinished:
		r.rest(at, fx)
	}
}

func (r *room) enter(phase string, at game.At, length game.Time) {
	r.Phase, r.Start, r.End, r.Flush = phase, at.Now, at.Now+length, 0
}

func (r *room) phaseEvent() phaseEvent {
	return phaseEvent{E: "phase", Phase: r.Phase, Round: r.state.Round, Start: r.Start.Micros(), End: r.endMicros()}
}

// news makes the scores go out at the next multiple of scoresInterval.
func (r *room) news(now game.Time) {
	if r.Flush == 0 {
		r.Flush = now - now%scoresInterval + scoresInterval
	}
}

func (r *room) flush(fx *game.Effects) {
	r.Flush = 0
	fx.Latest("scores", scoresEvent{E: "scores", Players: len(r.board.racers), Top: r.board.best()})
}

// finish ends the race with a result.
func (r *room) finish(at game.At, fx *game.Effects) {
	r.enter(phaseFinished, at, r.Settings.finished())
	players, top := len(r.board.racers), r.board.best()
	e := r.phaseEvent()
	e.Players, e.Top = &players, &top
	fx.Event(e)
	past := pastRound{Round: r.state.Round, Players: players, Winner: r.board.winner()}
	r.History = slices.Insert(r.History, 0, past)
	r.History = r.History[:min(len(r.History), keptHistory)]
	r.bookRound(at, false, fx)
	r.bookScores(at, fx)
}

// rest is the end of a finished round: on to the next, or idle.
func (r *room) rest(at game.At, fx *game.Effects) {
	if r.Mode == stateRunning {
		r.Owes = true
		return
	}
	r.Mode = statePaused
	fx.Event(stateEvent{E: "state", State: r.Mode})
	r.idle(at, fx)
}

func (r *room) idle(at game.At, fx *game.Effects) {
	if r.Phase == phaseIdle {
		return
	}
	r.enter(phaseIdle, at, 0)
	r.End = 0
	fx.Event(r.phaseEvent())
}
