package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

// TestScenarios: what happens at the edges of a round, each case named by its sentence.
func TestScenarios(t *testing.T) {
	for _, s := range []struct {
		sentence string
		show     func(*testing.T)
	}{
		{"a cash-out at the last nanosecond before T(c+1) pays c, at T(c+1) it is too late", lastNanosecond},
		{"auto target between the last tick and the crash", targetBehindTheLastTick},
		{"target equal to the crash", targetEqualToTheCrash},
		{"manual after own target", manualAfterTarget},
		{"10,000 targets at once", tenThousandTargets},
		{"instant crash", instantCrash},
		{"bet on the edge of the lock", betOnTheEdge},
		{"cancel, lock and bet racing", cancelLockAndBet},
		{"another player's bet id", anothersBet},
		{"a void after a 5x cash-out leaves that win", voidAfterACashOut},
		{"a setting changed while bets for the next round are in", settingWhileBetsAreIn},
	} {
		t.Run(s.sentence, s.show)
	}
}

func lastNanosecond(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	a, b := tb.bet("alice", 0, 1000, 0), tb.bet("bob", 0, 1000, 0)
	tb.untilPhase(phaseFlying)
	end := tb.room.Start + tb.kind.curve.At(232)
	tb.until(end - 1)
	tb.wantOK("while it reads the crash point", tb.command("alice", "cashout", 1, `{"slot":0}`))
	tb.wantWon("the last nanosecond", a, 231)
	tb.until(end)
	tb.wantCode("at the crash", tb.command("bob", "cashout", 1, `{"slot":0}`), wire.CodeTooLate)
	tb.wantState("too late", b, betLost)
}

// targetBehindTheLastTick has no input between the last tick and the crash: what
// lies between them was passed all the same.
func targetBehindTheLastTick(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), `{"betting_ms":5800,"tick_ms":1000}`) // it crashes after 19.826 s
	tb.untilPhase(phaseBetting)
	start := tb.room.End // all stakes are booked by then
	end := start + tb.kind.curve.At(232)
	lastTick := (end - 1) / millis(1000) * millis(1000)
	target := tb.kind.curve.Centi(lastTick-start) + 1
	if target > 231 {
		t.Fatalf("the last tick reads %d", target-1)
	}
	a := tb.bet("alice", 0, 1000, target)
	tb.untilPhase(phaseFlying)
	if tb.room.Start != start || tb.room.TickInterval() != millis(1000) {
		t.Fatalf("took off at %d, want %d", tb.room.Start, start)
	}
	tb.until(lastTick)
	tb.wantState("at the last tick", a, betOpen)
	tb.until(end + millis(100))
	tb.wantPhase("behind the crash", phaseCrashed)
	tb.wantWon("between them", a, target)
}

func targetEqualToTheCrash(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	a, b := tb.bet("alice", 0, 1000, 231), tb.bet("bob", 0, 1000, 232)
	tb.untilPhase(phaseCrashed)
	tb.wantWon("a target that the curve reaches", a, 231)
	tb.wantBookings("paid once", a, wire.BookStake, wire.BookPayout)
	tb.wantState("one step above", b, betLost)
}

func manualAfterTarget(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	b := tb.bet("alice", 1, 500, 180)
	tb.untilPhase(phaseFlying)
	tb.reading(187)
	got := tb.wantOK("it pays the target", tb.command("alice", "cashout", 1, `{"slot":1}`))
	if want := `{"slot":1,"round":1,"centi":180,"payout":900}`; string(got) != want {
		t.Fatalf("result %s, want %s", got, want)
	}
	tb.wantCode("once", tb.command("alice", "cashout", 1, `{"slot":1}`), wire.CodeNoBet)
	tb.wantBookings("paid once", b, wire.BookStake, wire.BookPayout)
}

// tenThousandTargets fire in one Advance, in log order.
func tenThousandTargets(t *testing.T) {
	const players = 10_000
	tb := newTable(t, crashingAt(231, 231, 100_000), `{"max_round_win":100000000000}`)
	tb.twin = nil // 10,000 snapshots of 10,000 bets
	tb.untilPhase(phaseBetting)
	for i := range players {
		tb.betOnly(fmt.Sprintf("p%05d", i), 0, 1000, 200)
	}
	tb.settle()
	tb.untilPhase(phaseFlying)
	tb.twin = tb.restored(tb.room)
	tb.reading(200)
	if n := len(tb.queue); n != players {
		t.Fatalf("%d payouts, want %d", n, players)
	}
	for i, b := range tb.queue {
		if b.Kind != wire.BookPayout || b.Player != fmt.Sprintf("p%05d", i) || b.Amount != 2000 || b.Centi != 200 {
			t.Fatalf("payout %d is %+v", i, b)
		}
	}
}

func instantCrash(t *testing.T) {
	tb := newTable(t, crashingAt(100, 100, 100_000), "")
	tb.untilPhase(phaseBetting)
	b := tb.bet("alice", 0, 1000, 101)
	tb.untilPhase(phaseFlying)
	tb.pass(tb.kind.curve.At(101) - 1)
	tb.wantCode("165.8 ms in which nobody can", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeTooEarly)
	tb.pass(1)
	tb.wantCode("it crashed", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeTooLate)
	tb.wantState("an instant crash", b, betLost)
}

func betOnTheEdge(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseBetting)
	end := tb.room.End
	tb.until(end - 1)
	ref := tb.betOnly("alice", 0, 1000, 0)
	b := tb.room.Current.find("alice", 0)
	tb.until(end)
	tb.wantCode("at the lock", tb.command("bob", "bet", 1, `{"slot":0,"amount":1000}`), wire.CodeWrongPhase)
	tb.wantPhase("the stake is awaited", phaseLocked)
	tb.settle()
	tb.wantOK("a nanosecond before the lock", ref)
	tb.wantPhase("nothing is awaited", phaseFlying)
	tb.wantState("it flies", b, betOpen)
}

// cancelLockAndBet has a bet in the round; its cancel, another bet of the slot and the lock come in
// every order. Every stake that was booked is on or went back, once.
func cancelLockAndBet(t *testing.T) {
	steps := []string{"cancel", "lock", "bet"}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for _, booked := range []bool{false, true} {
			tb := newTable(t, crashingAt(200, 300, 100_000), "")
			tb.untilPhase(phaseBetting)
			tb.betOnly("alice", 0, 1000, 0)
			if booked {
				tb.settle()
			}
			var cancelled, again game.Ref
			var name []string
			for _, i := range order {
				name = append(name, steps[i])
				switch steps[i] {
				case "cancel":
					cancelled = tb.command("alice", "cancel", 1, `{"slot":0}`)
				case "lock":
					tb.until(tb.room.End)
				case "bet":
					again = tb.command("alice", "bet", 1, `{"slot":0,"amount":500}`)
				}
			}
			tb.settle()
			why := fmt.Sprintf("%v, the stake booked before: %t", name, booked)
			locked := slices.Index(name, "lock")
			went := slices.Index(name, "cancel") < locked
			took := went && slices.Index(name, "cancel") < slices.Index(name, "bet") && slices.Index(name, "bet") < locked
			if ok := tb.code(why, cancelled) == ""; ok != went {
				t.Fatalf("%s: the cancel counted: %t", why, ok)
			}
			if ok := tb.code(why, again) == ""; ok != took {
				t.Fatalf("%s: the other bet counted: %t", why, ok)
			}
			wantStakesAccountedFor(t, why, tb)
		}
	}
}

// wantStakesAccountedFor wants each stake to fly or to have one end.
func wantStakesAccountedFor(t *testing.T, why string, tb *table) {
	t.Helper()
	tb.untilPhase(phaseFlying)
	flying := map[string]bool{}
	for _, b := range tb.room.Current.Bets {
		flying["stake/"+b.ID] = b.State == betOpen
	}
	ends := map[string]int{}
	for _, b := range tb.booked {
		if b.Stake != "" {
			ends[b.Stake]++
		}
	}
	for _, b := range tb.booked {
		if on := flying[b.ID]; b.Kind == wire.BookStake && (on && ends[b.ID] != 0 || !on && ends[b.ID] != 1) {
			t.Fatalf("%s: stake %s flies: %t, and has %d ends", why, b.ID, on, ends[b.ID])
		}
	}
}

// anothersBet: a bet is named by round and slot of who commands. Nothing that a
// player says reaches another's.
func anothersBet(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseBetting)
	b := tb.bet("alice", 0, 1000, 0)
	tb.wantCode("a cancel of the slot", tb.command("bob", "cancel", 1, `{"slot":0}`), wire.CodeNoBet)
	tb.wantCode("a cancel by id", tb.command("bob", "cancel", 1, fmt.Sprintf(`{"slot":0,"bet":%q}`, b.ID)), wire.CodeBadArgs)
	tb.untilPhase(phaseFlying)
	tb.reading(150)
	tb.wantCode("a cash-out of the slot", tb.command("bob", "cashout", 1, `{"slot":0}`), wire.CodeNoBet)
	tb.wantCode("a cash-out by id", tb.command("bob", "cashout", 1, fmt.Sprintf(`{"slot":0,"bet":%q}`, b.ID)), wire.CodeBadArgs)
	tb.wantState("untouched", b, betOpen)
	tb.wantOK("its own player's", tb.command("alice", "cashout", 1, `{"slot":0}`))
	tb.wantWon("once", b, 150)
}

func voidAfterACashOut(t *testing.T) {
	tb := newTable(t, crashingAt(600, 10_000, 100_000), "")
	tb.untilPhase(phaseBetting)
	won, open := tb.bet("alice", 0, 1000, 0), tb.bet("bob", 0, 1000, 0)
	tb.untilPhase(phaseFlying)
	tb.reading(500)
	tb.wantOK("at 5x", tb.command("alice", "cashout", 1, `{"slot":0}`))
	if e := tb.action("void", ""); e != nil {
		t.Fatal(e)
	}
	tb.settle()
	tb.wantWon("the win stays", won, 500)
	tb.wantBookings("paid, and nothing else", won, wire.BookStake, wire.BookPayout)
	tb.wantState("the other's stake goes back", open, betRefunded)
	tb.wantBookings("once", open, wire.BookStake, wire.BookCancel)
}

func settingWhileBetsAreIn(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseFlying)
	tb.bet("alice", 0, 1000, 0)
	if e := tb.action("set", `{"rtp_bp":9700,"max_stake":500}`); e != nil {
		t.Fatal(e)
	}
	if !tb.hasEvent(`"e":"settings"`, `"version":2,"rtp_bp":9700`) {
		t.Fatalf("events: %v", tb.events)
	}
	tb.wantPending("round 2 has bets under the old settings", tb.betOnly("bob", 0, 600, 0))
	tb.settle()
	tb.untilPhase(phaseBetting)
	if s := tb.room.Current.Settings; s.Version != 1 || tb.room.Current.Number != 2 {
		t.Fatalf("round %d has version %d", tb.room.Current.Number, s.Version)
	}
	if v := string(tb.room.View(tb.at())); !strings.Contains(v, `"next_settings":{"version":2`) {
		t.Fatal(v)
	}
	tb.untilPhase(phaseFlying)
	tb.wantCode("round 3 has the new ones", tb.betOnly("bob", 0, 600, 0), wire.CodeAboveMaximum)
	tb.bet("bob", 0, 500, 0)
	if e := tb.action("set", `{"max_stake":300}`); e != nil {
		t.Fatal(e)
	}
	tb.untilPhase(phaseBetting)
	if s := tb.room.Current.Settings; s.Version != 2 || s.RTPBP != 9700 {
		t.Fatalf("round 3 has version %d", s.Version)
	}
	tb.untilPhase(phaseCrashed)
	tb.untilPhase(phaseBetting)
	if s := tb.room.Current.Settings; s.Version != 3 || s.MaxStake != 300 || s.RTPBP != 9700 {
		t.Fatalf("round 4 has %+v", s)
	}
	if v := string(tb.room.View(tb.at())); !strings.Contains(v, `"next_settings":null`) {
		t.Fatal(v)
	}
}
