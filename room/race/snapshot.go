package race

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tickcast/room/game"
)

// stored is a room as it is snapshotted. Everything in it has one order: racers
// stand in the order of their first taps.
type stored struct {
	state
	Racers []*racer `json:"racers"`
}

var errSnapshot = errors.New("not a snapshot of a race")

// Snapshot implements game.Room.
func (r *room) Snapshot() []byte {
	return game.Encode(stored{state: r.state, Racers: r.board.racers})
}

// Freeze implements game.Freezing.
func (r *room) Freeze() func() []byte {
	s := stored{state: r.state, Racers: slices.Clone(r.board.racers)}
	s.History = slices.Clone(r.History)
	racers := make([]racer, len(s.Racers))
	for i, x := range s.Racers {
		racers[i] = *x
		s.Racers[i] = &racers[i]
	}
	return func() []byte { return game.Encode(s) }
}

// Restore implements game.Kind. What it accepts, Snapshot gives back byte for
// byte.
func (Kind) Restore(snapshot []byte) (game.Room, error) {
	var s stored
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return nil, fmt.Errorf("restore race: %w", err)
	}
	if s.Rules > rulesVersion {
		return nil, fmt.Errorf("restore race %q: round %d by rules version %d: %w", s.ID, s.Round, s.Rules, game.ErrUnknown)
	}
	r := &room{state: s.state, board: newBoard(s.Racers)}
	if !s.consistent() || r.board == nil || !bytes.Equal(r.Snapshot(), snapshot) {
		return nil, fmt.Errorf("restore race %q: %w", s.ID, errSnapshot)
	}
	return r, nil
}

// consistent reports whether the parts of a state fit each other.
func (s *state) consistent() bool {
	if !s.Settings.valid() || s.Next != nil && !s.Next.valid() || len(s.History) > keptHistory || s.History == nil {
		return false
	}
	switch s.Mode {
	case stateRunning:
	case statePausing, statePaused:
		if s.Owes {
			return false
		}
	default:
		return false
	}
	switch s.Phase {
	case phaseIdle:
		return s.End == 0 && s.Flush == 0 && s.Owes == (s.Mode == stateRunning) && s.Mode != statePausing
	case phaseGathering:
		return s.End > s.Start && s.Flush == 0 && !s.Owes
	case phaseRunning:
		return s.End > s.Start && s.Flush >= 0 && !s.Owes
	case phaseFinished:
		return s.End > s.Start && s.Flush == 0
	}
	return false
}
