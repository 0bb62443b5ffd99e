package race

import (
	"fmt"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

func (f *fold) wantState(why, state string, owes int) {
	f.t.Helper()
	if f.room.State() != state || len(f.room.Duties(1)) != owes {
		f.t.Fatalf("%s: %s with %d duties, want %s with %d", why, f.room.State(), len(f.room.Duties(1)), state, owes)
	}
}

func (f *fold) wantAction(op, args string, want wire.Code) {
	f.t.Helper()
	var got wire.Code
	if refusal := f.action(op, args); refusal != nil {
		got = refusal.Code
	}
	if got != want {
		f.t.Fatalf("action %s %s: %q, want %q", op, args, got, want)
	}
}

func TestPauseAfterTheRound(t *testing.T) {
	f := running(t, short)
	f.wantAction(wire.ActionStart, "", wire.CodeAlreadyRunning)
	f.wantAction(wire.ActionPause, "", "")
	f.wantState("in the race", statePausing, 0)
	f.wantAction(wire.ActionPause, "", wire.CodeNotRunning)
	f.wantPhase("the race goes on", phaseRunning)
	f.advance(3500*ms - 1)
	f.wantState("before the end", statePausing, 0)
	f.events()
	f.advance(3500 * ms)
	f.wantState("at the end", statePaused, 0)
	want := []string{
		`{"e":"state","state":"paused"}`,
		`{"e":"phase","phase":"idle","round":1,"start":3500000,"end":null}`,
	}
	if got := f.events(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events: %s", got)
	}
	if f.room.Due() != game.Never {
		t.Errorf("paused and due at %d", f.room.Due())
	}
	f.wantAction(wire.ActionResume, "", "")
	f.wantState("after resume", stateRunning, 1)
	f.open()
	f.wantPhase("after resume", phaseGathering)
}

func TestResumeTakesPauseBack(t *testing.T) {
	f := running(t, short)
	f.wantAction(wire.ActionPause, "", "")
	f.wantAction(wire.ActionResume, "", "")
	f.wantState("in the race", stateRunning, 0)
	f.advance(3500 * ms)
	f.wantState("after the round", stateRunning, 1)
}

func TestPauseBetweenRounds(t *testing.T) {
	f := running(t, short)
	f.advance(3600 * ms)
	f.wantAction(wire.ActionPause, "", "")
	f.wantState("at once", statePaused, 0)
	f.wantPhase("at once", phaseIdle)
	f.fact(factOpen, `{"round":2,"rules":1}`)
	f.wantPhase("an owner's late fact", phaseIdle)
}

func TestPausedFromTheStart(t *testing.T) {
	f := &fold{t: t}
	room, refusal := Kind{}.New(f.at(0), game.Config{ID: "track", UUID: "u", Name: "n", Paused: true}, &f.fx)
	if refusal != nil {
		t.Fatal(refusal)
	}
	f.room = room
	f.wantState("new", statePaused, 0)
	f.wantAction(wire.ActionStart, "", "")
	f.wantState("started", stateRunning, 1)
}

// P8.5: a voided round has no result.
func TestVoid(t *testing.T) {
	f := running(t, short)
	f.tap("ann", 3)
	f.events()
	f.advance(1100 * ms)
	f.wantAction(wire.ActionVoid, "", "")
	if got := fmt.Sprint(f.events()); got != `[{"e":"void","round":1,"start":1100000,"end":1600000}]` {
		t.Errorf("events: %s", got)
	}
	v := f.view()
	if v.Phase != phaseFinished || v.Players != 0 || len(v.Top) != 0 || len(v.History) != 0 {
		t.Errorf("view: %+v", v)
	}
	if b := f.fx.Bookings; len(b) != 1 || !b[0].Round.Voided || b[0].Kind != wire.BookRound {
		t.Errorf("bookings: %+v", b)
	}
	f.wantAction(wire.ActionVoid, "", wire.CodeNotRunning)
	f.advance(1600 * ms)
	f.wantState("after it", stateRunning, 1)
	f.wantAction(wire.ActionVoid, "", wire.CodeNotRunning)
}

func TestSettingsTakeEffectWithTheNextRound(t *testing.T) {
	f := running(t, short)
	f.events()
	f.wantAction(wire.ActionSet, `{"running_ms":100}`, "")
	f.wantAction(wire.ActionSet, `{"max_taps_per_s":1}`, "")
	v := f.view()
	if v.Settings.Version != 1 || v.NextSettings.Version != 3 || v.NextSettings.RunningMS != 100 || v.NextSettings.GatheringMS != 1000 {
		t.Errorf("settings %+v, next %+v", v.Settings, v.NextSettings)
	}
	if e := f.events(); len(e) != 2 || !strings.HasPrefix(e[1], `{"e":"settings","next_settings":{"version":3,`) {
		t.Errorf("events: %s", e)
	}
	if _, code := f.tap("ann", 10); code != "" {
		t.Errorf("the old limit holds for this round: %s", code)
	}
	f.advance(3500 * ms)
	f.open()
	if v := f.view(); v.Settings.Version != 3 || v.NextSettings != nil {
		t.Errorf("settings %+v, next %+v", v.Settings, v.NextSettings)
	}
	if e := f.events(); !strings.Contains(e[len(e)-1], `"settings":{"version":3,`) {
		t.Errorf("the event that opens the round: %s", e)
	}
	f.advance(f.room.Due())
	if due := f.room.Due(); due != f.now+100*ms {
		t.Errorf("the race ends at %d, began at %d", due, f.now)
	}
}

func TestBadSettings(t *testing.T) {
	for _, args := range []string{
		``, `null`, `[]`, `7`, `{"running_ms":99}`, `{"running_ms":600001}`, `{"running_ms":"100"}`, `{"running_ms":1e3}`,
		`{"gathering_ms":0}`, `{"finished_ms":-1}`, `{"max_taps_per_s":0}`, `{"max_taps_per_s":1001}`, `{"tick_ms":49}`,
		`{"version":9}`, `{"speed":1}`, `{} {}`, `{}}`,
	} {
		f := running(t, short)
		f.wantAction(wire.ActionSet, args, wire.CodeBadSettings)
		if f.view().NextSettings != nil {
			t.Errorf("%s: refused and kept", args)
		}
		if args == "" {
			continue // in New this means the defaults
		}
		if _, refusal := (Kind{}).New(f.at(0), game.Config{Settings: []byte(args)}, &f.fx); refusal == nil || refusal.Code != wire.CodeBadSettings {
			t.Errorf("new room with %s: %v", args, refusal)
		}
	}
}

func TestUnknownAction(t *testing.T) {
	running(t, short).wantAction("explode", "", wire.CodeUnknownOp)
}
