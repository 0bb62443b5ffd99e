package race

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const ms = game.Time(time.Millisecond)

// fold drives a room the way a partition does: due times first, then the input,
// and duties are fulfilled by the owner when the test says so.
type fold struct {
	t    testing.TB
	room game.Room
	now  game.Time
	keys int
	fx   game.Effects
}

// newFold makes a room at game time 0 with the given settings, which may be
// empty.
func newFold(t testing.TB, settings string) *fold {
	t.Helper()
	f := &fold{t: t}
	room, refusal := Kind{}.New(f.at(0), game.Config{
		ID: "track", UUID: "0190a000-0000-7000-8000-000000000001", Name: "Track",
		Partition: 3, Settings: json.RawMessage(settings),
	}, &f.fx)
	if refusal != nil {
		t.Fatalf("new room: %v", refusal)
	}
	f.room = room
	return f
}

func (f *fold) at(t game.Time) game.At {
	return game.At{Now: t, Wall: 1_700_000_000_000 + int64(t/ms)}
}

// advance lets the clock pass to t.
func (f *fold) advance(t game.Time) {
	f.t.Helper()
	if t < f.now {
		f.t.Fatalf("time goes from %d back to %d", f.now, t)
	}
	for steps := 0; f.room.Due() <= t; steps++ {
		due := f.room.Due()
		if due < f.now || steps > 1_000_000 {
			f.t.Fatalf("due at %d, game time is %d, step %d", due, f.now, steps)
		}
		f.now = due
		f.room.Advance(f.at(due), &f.fx)
	}
	f.now = t
}

// open fulfils the duty to open a round, which must be there.
func (f *fold) open() {
	f.t.Helper()
	duties := f.room.Duties(1)
	if len(duties) != 1 {
		f.t.Fatalf("the room owes %d facts, want the one that opens a round", len(duties))
	}
	f.fact(duties[0].Kind, string(duties[0].Data))
}

func (f *fold) fact(kind, data string) {
	f.t.Helper()
	if err := f.room.Fact(f.at(f.now), kind, []byte(data), &f.fx); err != nil {
		f.t.Fatalf("fact %s %s: %v", kind, data, err)
	}
}

func (f *fold) action(op, args string) *wire.Error {
	a := wire.Action{ID: "a", Operator: "ops", Op: op, Args: json.RawMessage(args)}
	return f.room.Action(f.at(f.now), a, &f.fx)
}

// command sends a command and returns its answer, of which there must be one.
func (f *fold) command(player, op string, round uint64, args string) game.Answered {
	f.t.Helper()
	f.keys++
	ref := game.Ref{Player: player, Key: fmt.Sprint("k", f.keys)}
	before := len(f.fx.Answers)
	f.room.Command(f.at(f.now), game.Command{
		Command: wire.Command{
			Player: player, Name: "the " + player, Gateway: "g",
			Key: ref.Key, Op: op, Round: round, Args: []byte(args),
		},
		Ref: ref,
	}, &f.fx)
	answers := f.fx.Answers[before:]
	if len(answers) != 1 || answers[0].Ref != ref {
		f.t.Fatalf("answers to %v: %v, want one", ref, answers)
	}
	return answers[0]
}

// tap taps in the current round and returns the points and the refusal's code.
func (f *fold) tap(player string, n int64) (int64, wire.Code) {
	f.t.Helper()
	a := f.command(player, opTap, f.room.Round(), fmt.Sprintf(`{"n":%d}`, n))
	if a.Error != nil {
		return 0, a.Error.Code
	}
	var result tapResult
	if err := json.Unmarshal(a.Result, &result); err != nil {
		f.t.Fatalf("result %s: %v", a.Result, err)
	}
	return result.Points, ""
}

// view is the public state, decoded.
func (f *fold) view() view {
	f.t.Helper()
	var v view
	if err := json.Unmarshal(f.room.View(f.at(f.now)), &v); err != nil {
		f.t.Fatalf("view: %v", err)
	}
	return v
}

// events takes the events so far, as JSON.
func (f *fold) events() []string {
	var out []string
	for _, e := range f.fx.Events {
		out = append(out, string(e.Body))
	}
	f.fx.Events = f.fx.Events[:0]
	return out
}

func (f *fold) wantPhase(why, phase string) {
	f.t.Helper()
	if v := f.view(); v.Phase != phase {
		f.t.Fatalf("%s: phase %q, want %q", why, v.Phase, phase)
	}
}
