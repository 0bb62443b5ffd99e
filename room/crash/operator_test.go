package crash

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

func TestVoid(t *testing.T) {
	for _, p := range []phase{phaseBetting, phaseLocked, phaseFlying} {
		t.Run(string(p), func(t *testing.T) {
			tb := newTable(t, crashingAt(300, 400, 100_000), "")
			tb.untilPhase(phaseBetting)
			won, open := tb.bet("alice", 0, 1000, 150), tb.bet("bob", 0, 2000, 0)
			pending := tb.betOnly("carol", 0, 500, 0)
			tb.untilPhase(p)
			if p == phaseFlying {
				tb.reading(200)
				early := tb.bet("dora", 0, 700, 0)
				defer tb.wantState("bets for the next round stay", early, betOpen)
			}
			if e := tb.action("void", ""); e != nil {
				t.Fatal(e)
			}
			tb.wantPhase("voided", phaseCrashed)
			tb.wantState("without an end", open, betRefunded)
			tb.wantBookings("refunded", open, wire.BookStake, wire.BookCancel)
			if p == phaseFlying {
				tb.wantWon("won stays won", won, 150)
				tb.wantCode("late before", pending, wire.CodeTemporarilyUnavailable)
			} else {
				tb.wantState("not flown", won, betRefunded)
				tb.wantCode("pending", pending, wire.CodeBetVoided)
			}
			seed, _ := tb.kind.chains.Seed(testUUID, 0, 1)
			if !tb.hasEvent(`"e":"void","round":1`, fmt.Sprintf(`"seed":"%x","index":1,"chain":0`, seed)) {
				t.Fatalf("events: %v", tb.events)
			}
			if !tb.hasEvent(`"e":"unbet","player":"bob"`) {
				t.Fatal("bob's bet is still listed at the clients")
			}
			if h := tb.room.History[0]; !h.Voided || h.Centi != 0 {
				t.Fatalf("history: %+v", h)
			}
			if e := tb.action("void", ""); e == nil || e.Code != wire.CodeNotRunning {
				t.Fatalf("a second void: %v", e)
			}
			tb.untilPhase(phaseBetting)
			if rd := tb.room.Current; rd.Number != 2 || rd.Index != 2 {
				t.Fatalf("round %d has index %d: the seed was not burnt", rd.Number, rd.Index)
			}
		})
	}
}

// TestVoidMovesWonBetsUp: where the largest are refunded, smaller bets that were
// won take their place in the list.
func TestVoidMovesWonBetsUp(t *testing.T) {
	tb := newTable(t, crashingAt(300, 400, 100_000), "")
	tb.untilPhase(phaseBetting)
	for i := range topBets {
		tb.bet(fmt.Sprintf("big%d", i), 0, 1000, 0)
	}
	tb.bet("target", 0, 100, 150)
	tb.bet("hand", 0, 200, 0)
	tb.untilPhase(phaseFlying)
	tb.reading(160)
	tb.wantOK("by hand", tb.command("hand", "cashout", 1, `{"slot":0}`))
	tb.events = nil
	if e := tb.action("void", ""); e != nil {
		t.Fatal(e)
	}
	told := strings.Join(tb.events[topBets:topBets+4], "\n")
	want := `{"e":"bet","player":"hand","name":"HAND","slot":0,"round":1,"stake":200}
{"e":"out","player":"hand","name":"HAND","slot":0,"centi":160,"payout":320,"auto":false}
{"e":"bet","player":"target","name":"TARGET","slot":0,"round":1,"stake":100,"auto":150}
{"e":"out","player":"target","name":"TARGET","slot":0,"centi":150,"payout":150,"auto":true}`
	if told != want {
		t.Fatalf("told\n%s\nwant\n%s", told, want)
	}
}

func TestVoidOfACrashedRound(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseCrashed)
	if e := tb.action("void", ""); e == nil || e.Code != wire.CodeNotRunning {
		t.Fatalf("void: %v", e)
	}
}

func TestPauseAndResume(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	if e := tb.action("resume", ""); e == nil || e.Code != wire.CodeAlreadyRunning {
		t.Fatalf("resume of a running room: %v", e)
	}
	tb.untilPhase(phaseFlying)
	open := tb.bet("alice", 0, 1000, 0)
	pending := tb.betOnly("bob", 0, 1000, 0)
	if e := tb.action("pause", ""); e != nil || tb.room.State() != statePausing {
		t.Fatalf("pause: %v, %s", e, tb.room.State())
	}
	if e := tb.action("pause", ""); e == nil || e.Code != wire.CodeNotRunning {
		t.Fatalf("a second pause: %v", e)
	}
	tb.wantCode("there is no next round", tb.betOnly("carol", 0, 100, 0), wire.CodeWrongPhase)
	tb.notices = nil
	tb.untilPhase(phaseIdle)
	tb.wantState("refunded", open, betRefunded)
	tb.wantCode("pending", pending, wire.CodeBetVoided)
	if len(tb.notices) != 1 || string(tb.notices[0].Event) != `{"e":"refund","slot":0,"round":2,"amount":1000}` {
		t.Fatalf("notices: %v", tb.notices)
	}
	if tb.room.State() != statePaused || tb.room.TickInterval() != 0 || !tb.hasEvent(`{"e":"phase","phase":"idle","round":1}`) {
		t.Fatalf("%s, events: %v", tb.room.State(), tb.events)
	}
	tb.pass(60_000_000_000)
	tb.wantPhase("paused", phaseIdle)
	if tb.room.Due() != game.Never {
		t.Fatal("a paused room is due")
	}
	tb.settle()
	if !tb.room.Settled() {
		t.Fatal("everything is booked")
	}
	if e := tb.action("start", ""); e != nil {
		t.Fatal(e)
	}
	tb.untilPhase(phaseBetting)
	if tb.room.Current.Number != 2 {
		t.Fatalf("round %d", tb.room.Current.Number)
	}
}

func TestPauseBetweenRounds(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseCrashed)
	tb.manual = true
	tb.until(tb.room.End)
	open := wantDuties(t, "between rounds", tb, factOpen)[0]
	if e := tb.action("pause", ""); e != nil || tb.room.Phase != phaseIdle {
		t.Fatalf("pause: %v, %s", e, tb.room.Phase)
	}
	tb.fact(open) // it crossed the pause in the log
	tb.wantPhase("not owed any more", phaseIdle)
}

func TestPausedFromTheStart(t *testing.T) {
	kind := New(newTestChains(20))
	room, e := kind.New(game.At{}, game.Config{ID: "a", UUID: testUUID, Paused: true}, &game.Effects{})
	if e != nil || room.State() != statePaused {
		t.Fatal(e, room.State())
	}
	for _, d := range room.Duties(1) {
		if d.Kind == factOpen {
			t.Fatal("a paused room wants to open a round")
		}
	}
}

func TestBadSettings(t *testing.T) {
	tests := []struct{ why, args, words string }{
		{"out of range", `{"rtp_bp":10001}`, "rtp_bp must be from 8000 to 10000"},
		{"too short", `{"betting_ms":99}`, "betting_ms must be from 100 to"},
		{"no multiple", `{"min_stake":150}`, "min_stake must be a multiple of 100"},
		{"below another", `{"min_stake":1000,"max_stake":900}`, "max_stake must be a multiple of 100 from 1000"},
		{"no room for a bet", `{"max_win":100}`, "max_win must be from 200"},
		{"a cap of 1.00x", `{"cap":100}`, "cap must be from 101 to 1000000"},
		{"a fraction", `{"tick_ms":100.5}`, "tick_ms must be an integer from 50 to 1000"},
		{"unknown", `{"speed":3}`, "there is no setting speed; there are rtp_bp"},
		{"the version", `{"version":9}`, "there is no setting version"},
		{"an odd name", `{"\u202e":3}`, "there is no setting of that name"},
		{"nothing", `{}`, "nothing to set"},
		{"no object", `[]`, "must be a JSON object"},
		{"no JSON", `{`, "must be a JSON object"},
		{"no args", ``, "must be a JSON object"},
		{"short salt", `{"salt":"abc"}`, "salt must be 16 to 128"},
		{"salt with space", `{"salt":"0123456789 abcdef"}`, "salt must be 16 to 128"},
		{"salt as number", `{"salt":5}`, "salt must be a string"},
		{"source alone", `{"salt_source":"beacon"}`, "salt_source needs a salt"},
		{"false source", `{"salt":"0123456789abcdef","salt_source":"server"}`, "salt_source must be text"},
		{"no chain to salt", `{"salt":"0123456789abcdef","cap":500}`, "there is none now"},
	}
	tb := newTable(t, newTestChains(1000), "")
	tb.untilPhase(phaseBetting)
	before := string(tb.room.Snapshot())
	for _, tt := range tests {
		e := tb.action("set", tt.args)
		if e == nil || e.Code != wire.CodeBadSettings || !strings.Contains(e.Message, tt.words) {
			t.Errorf("%s: %v, want %q", tt.why, e, tt.words)
		}
	}
	if string(tb.room.Snapshot()) != before {
		t.Fatal("a refused change changed something")
	}
	if _, e := tb.kind.New(tb.at(), game.Config{Settings: json.RawMessage(`{"cap":1}`)}, &tb.fx); e == nil {
		t.Fatal("a room with bad settings was made")
	}
	if e := tb.action("explode", ""); e == nil || e.Code != wire.CodeUnknownOp {
		t.Fatalf("an unknown action: %v", e)
	}
}

func TestOperatorGivesASalt(t *testing.T) {
	tb := newTable(t, newTestChains(1000), "")
	tb.manual = true
	if e := tb.action("set", `{"salt":"0123456789abcdef"}`); e == nil {
		t.Fatal("a salt before the commitment")
	}
	duties := tb.room.Duties(1)
	if len(duties) != 1 || duties[0].Kind != factCommit {
		t.Fatalf("duties: %v", duties)
	}
	tb.fact(duties[0])
	server := tb.room.Duties(1)[0]
	if e := tb.action("set", `{"salt":"00000000000000000004d6ec","salt_source":"block 900,000"}`); e != nil {
		t.Fatal(e)
	}
	tb.fact(server) // it crossed the operator's in the log
	if e := tb.action("set", `{"salt":"another-0123456789"}`); e == nil {
		t.Fatal("an operator's salt was replaced")
	}
	tb.manual = false
	tb.untilPhase(phaseBetting)
	if f := tb.room.fairnessView(); f.Salt != "00000000000000000004d6ec" || f.Source != "block 900,000" || f.Index != 1 {
		t.Fatalf("fairness: %+v", f)
	}
	if e := tb.action("set", `{"salt":"0123456789abcdef"}`); e == nil {
		t.Fatal("a salt after the first round of the chain")
	}
}

func TestOperatorReplacesTheServersSalt(t *testing.T) {
	tb := newTable(t, newTestChains(1000), "")
	tb.manual = true
	tb.fact(tb.room.Duties(1)[0])
	tb.fact(tb.room.Duties(1)[0])
	if e := tb.action("set", `{"salt":"fedcba9876543210"}`); e != nil {
		t.Fatal(e)
	}
	if c := tb.room.Fair.Next; c.Salt != "fedcba9876543210" || c.Source != sourceOperator {
		t.Fatalf("chain: %+v", c)
	}
}
