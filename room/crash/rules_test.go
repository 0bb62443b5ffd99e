package crash

import (
	"fmt"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

func TestAutoPaysExactlyItsTarget(t *testing.T) {
	tests := []struct {
		name string
		auto int64
		won  bool
	}{
		{"the smallest target", 101, true},
		{"a target on the way", 150, true},
		{"a target one step above", 232, false},
		{"no target", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb := newTable(t, crashingAt(231, 231, 100_000), "")
			tb.untilPhase(phaseBetting)
			b := tb.bet("alice", 0, 1000, tt.auto)
			tb.untilPhase(phaseCrashed)
			if !tt.won {
				tb.wantState(tt.name, b, betLost)
				tb.wantBookings("a lost bet is closed by the round", b, wire.BookStake)
				return
			}
			tb.wantWon(tt.name, b, tt.auto)
			tb.wantBookings(tt.name, b, wire.BookStake, wire.BookPayout)
		})
	}
}

func TestRoundEndsWhenTheNextStepIsReached(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseFlying)
	start := tb.room.Start
	tb.until(start + tb.kind.curve.At(232) - 1)
	tb.wantPhase("a nanosecond before T(c+1)", phaseFlying)
	if tb.hasEvent(`"phase":"crashed"`) {
		t.Fatal("the crash was told before it was decided")
	}
	tb.pass(1)
	tb.wantPhase("at T(c+1)", phaseCrashed)
	if tb.room.Start != start+tb.kind.curve.At(232) || tb.room.Current.Centi != 231 {
		t.Fatalf("crashed at %d with %d", tb.room.Start, tb.room.Current.Centi)
	}
}

func TestManualCashOut(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	a := tb.bet("alice", 0, 1000, 0)
	tb.wantCode("in phase betting", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeWrongPhase)
	tb.untilPhase(phaseFlying)
	tb.wantCode("at 1.00x", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeTooEarly)
	tb.pass(tb.kind.curve.At(101) - 1)
	tb.wantCode("still at 1.00x", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeTooEarly)
	tb.reading(187)
	tb.pass(1234)
	got := tb.wantOK("while it reads 1.87x", tb.command("alice", "cashout", 1, `{"slot":0}`))
	if want := `{"slot":0,"round":1,"centi":187,"payout":1870}`; string(got) != want {
		t.Fatalf("result %s, want %s", got, want)
	}
	tb.wantWon("manual", a, 187)
	tb.wantCode("a second time", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeNoBet)
	tb.wantBookings("paid once", a, wire.BookStake, wire.BookPayout)
}

func TestBetRefusals(t *testing.T) {
	tests := []struct {
		why, args string
		code      wire.Code
	}{
		{"zero", `{"slot":0,"amount":0}`, wire.CodeBadAmount},
		{"negative", `{"slot":0,"amount":-1}`, wire.CodeBadAmount},
		{"negative and round", `{"slot":0,"amount":-100}`, wire.CodeBadAmount},
		{"huge float", `{"slot":0,"amount":1e308}`, wire.CodeBadAmount},
		{"exponent", `{"slot":0,"amount":1e3}`, wire.CodeBadAmount},
		{"text", `{"slot":0,"amount":"1e3"}`, wire.CodeBadAmount},
		{"text of digits", `{"slot":0,"amount":"500"}`, wire.CodeBadAmount},
		{"fraction", `{"slot":0,"amount":0.1}`, wire.CodeBadAmount},
		{"fraction of nothing", `{"slot":0,"amount":100.0}`, wire.CodeBadAmount},
		{"2^63", `{"slot":0,"amount":9223372036854775808}`, wire.CodeBadAmount},
		{"2^64+100", `{"slot":0,"amount":18446744073709551716}`, wire.CodeBadAmount},
		{"null", `{"slot":0,"amount":null}`, wire.CodeBadAmount},
		{"a list", `{"slot":0,"amount":[100]}`, wire.CodeBadAmount},
		{"an object", `{"slot":0,"amount":{"a":"}"}}`, wire.CodeBadAmount},
		{"no multiple of 100", `{"slot":0,"amount":150}`, wire.CodeBadAmount},
		{"no amount", `{"slot":0}`, wire.CodeBadAmount},
		{"not JSON", `{"slot":0,"amount":NaN}`, wire.CodeBadArgs},
		{"below the minimum", `{"slot":0,"amount":200}`, wire.CodeBelowMinimum},
		{"above the maximum", `{"slot":0,"amount":100100}`, wire.CodeAboveMaximum},
		{"far above the maximum", `{"slot":0,"amount":9223372036854775800}`, wire.CodeAboveMaximum},
		{"slot 2", `{"slot":2,"amount":1000}`, wire.CodeBadSlot},
		{"slot -1", `{"slot":-1,"amount":1000}`, wire.CodeBadSlot},
		{"slot 0.0", `{"slot":0.0,"amount":1000}`, wire.CodeBadSlot},
		{"no slot", `{"amount":1000}`, wire.CodeBadSlot},
		{"target 1.00x", `{"slot":0,"amount":1000,"auto":100}`, wire.CodeBadTarget},
		{"target 0", `{"slot":0,"amount":1000,"auto":0}`, wire.CodeBadTarget},
		{"target above the cap", `{"slot":0,"amount":1000,"auto":100001}`, wire.CodeBadTarget},
		{"target 2.5", `{"slot":0,"amount":1000,"auto":2.5}`, wire.CodeBadTarget},
		{"another field", `{"slot":0,"amount":1000,"x":1}`, wire.CodeBadArgs},
		{"a field twice", `{"slot":0,"amount":1000,"amount":2000}`, wire.CodeBadArgs},
		{"an escaped name", `{"sl\u006ft":0,"amount":1000}`, wire.CodeBadArgs},
		{"a list of args", `[0,1000]`, wire.CodeBadArgs},
		{"no args", ``, wire.CodeBadArgs},
		{"two objects", `{"slot":0,"amount":1000}{}`, wire.CodeBadArgs},
	}
	tb := newTable(t, newTestChains(20), `{"min_stake":500}`)
	tb.untilPhase(phaseBetting)
	before := string(tb.room.Snapshot())
	for _, tt := range tests {
		tb.wantCode(tt.why, tb.command("alice", "bet", 1, tt.args), tt.code)
	}
	if len(tb.booked) != 0 || string(tb.room.Snapshot()) != before {
		t.Fatal("a refused bet changed something")
	}
	tb.wantPending("spaces are JSON", tb.command("alice", "bet", 1, " {\t\"auto\" : 101 ,\n\"slot\":1, \"amount\":500 } "))
	tb.wantCode("the slot is taken while the stake is pending", tb.betOnly("alice", 1, 500, 0), wire.CodeSlotTaken)
	tb.wantCode("an unknown operation", tb.command("alice", "fold", 1, `{}`), wire.CodeUnknownOp)
}

func TestRoundsAndPhasesOfBets(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	bet := func(round uint64) game.Ref { return tb.command("alice", "bet", round, `{"slot":0,"amount":1000}`) }
	tb.wantCode("before the first round", bet(1), wire.CodeWrongPhase)
	tb.wantCode("round 0", bet(0), wire.CodeStaleRound)
	tb.untilPhase(phaseBetting)
	tb.wantCode("the next round while betting", bet(2), wire.CodeWrongRound)
	tb.wantCode("no round at all", bet(0), wire.CodeStaleRound)
	tb.betOnly("bob", 0, 1000, 0) // keeps the round locked
	tb.untilPhase(phaseLocked)
	tb.wantCode("while locked", bet(1), wire.CodeWrongPhase)
	tb.wantCode("the next round while locked", bet(2), wire.CodeWrongRound)
	tb.wantCode("a cancel while locked", tb.command("bob", "cancel", 1, `{"slot":0}`), wire.CodeWrongPhase)
	tb.untilPhase(phaseFlying)
	tb.wantCode("this round while flying", bet(1), wire.CodeWrongPhase)
	tb.wantCode("two rounds ahead", bet(3), wire.CodeWrongRound)
	early := tb.bet("alice", 0, 1000, 150)
	if early.round.Number != 2 {
		t.Fatalf("an early bet is for round %d", early.round.Number)
	}
	tb.untilPhase(phaseCrashed)
	tb.wantCode("while crashed", bet(1), wire.CodeWrongPhase)
	tb.wantCode("the next round while crashed", bet(2), wire.CodeWrongPhase)
	tb.wantOK("an early bet is taken back", tb.command("alice", "cancel", 2, `{"slot":0}`))
	tb.wantCode("once", tb.command("alice", "cancel", 2, `{"slot":0}`), wire.CodeNoBet)
	tb.wantBookings("refunded", early, wire.BookStake, wire.BookCancel)
	tb.untilPhase(phaseBetting)
	tb.wantCode("the round before", bet(1), wire.CodeStaleRound)
	tb.wantCode("a cash-out in the round before", tb.command("bob", "cashout", 1, `{"slot":0}`), wire.CodeStaleRound)
}

func TestEarlyBetsJoinTheNextRound(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseFlying)
	confirmed := tb.bet("alice", 0, 1000, 150)
	pending := tb.betOnly("bob", 1, 2000, 0)
	tb.pass(250_000_000)
	if !tb.hasEvent(`"e":"totals"`, `"next_count":1`, `"next_stake":1000`) {
		t.Fatalf("next totals were not told: %v", tb.events)
	}
	tb.events = nil
	tb.untilPhase(phaseBetting)
	if !tb.hasEvent(`"e":"bet"`, `"player":"alice"`, `"round":2`) || tb.hasEvent(`"player":"bob"`) {
		t.Fatalf("events of the opening: %v", tb.events)
	}
	if !tb.hasEvent(`"e":"totals","round":2,"count":1,"stake":1000`) {
		t.Fatalf("totals of the opening: %v", tb.events)
	}
	tb.settle()
	tb.wantOK("confirmed after the opening", pending)
	if rd := tb.room.Current; rd.Number != 2 || rd.Count != 2 || len(rd.top) != 2 {
		t.Fatalf("round %d has %d bets", rd.Number, rd.Count)
	}
	tb.wantState("alice", confirmed, betOpen)
}

func TestLockWaitsForStakes(t *testing.T) {
	t.Run("until the last is confirmed", func(t *testing.T) {
		tb := newTable(t, crashingAt(200, 300, 100_000), "")
		tb.untilPhase(phaseBetting)
		a, b := tb.betOnly("alice", 0, 1000, 0), tb.betOnly("bob", 0, 1000, 0)
		tb.untilPhase(phaseLocked)
		tb.pass(400_000_000)
		tb.wantPhase("two stakes are missing", phaseLocked)
		results := tb.queue
		tb.result(wire.BookingResult{ID: results[0].ID, Booked: true})
		tb.wantPhase("one stake is missing", phaseLocked)
		tb.result(wire.BookingResult{ID: results[1].ID, Code: wire.CodeInsufficientFunds})
		tb.wantPhase("none is missing", phaseFlying)
		if tb.room.Start != tb.now {
			t.Fatalf("took off at %d, not at %d", tb.room.Start, tb.now)
		}
		tb.wantOK("booked", a)
		tb.wantCode("refused", b, wire.CodeInsufficientFunds)
	})
	t.Run("at most lock_ms", func(t *testing.T) {
		tb := newTable(t, crashingAt(200, 300, 100_000), `{"lock_ms":700}`)
		tb.untilPhase(phaseBetting)
		ref := tb.betOnly("alice", 0, 1000, 0)
		b := tb.room.Current.find("alice", 0)
		tb.untilPhase(phaseLocked)
		locked := tb.now
		tb.untilPhase(phaseFlying)
		if tb.now != locked+millis(700) {
			t.Fatalf("took off after %d ns", tb.now-locked)
		}
		tb.wantCode("not confirmed in time", ref, wire.CodeTemporarilyUnavailable)
		tb.wantBookings("cancelled", b, wire.BookStake, wire.BookCancel)
		tb.settle() // the stake was booked after all, then the cancel
		tb.wantCode("the late result is no second answer", ref, wire.CodeTemporarilyUnavailable)
		tb.wantState("nothing is owed", b, betRefunded)
		tb.wantCode("it does not fly", tb.command("alice", "cashout", 1, `{"slot":0}`), wire.CodeNoBet)
	})
	t.Run("not at all without stakes", func(t *testing.T) {
		tb := newTable(t, crashingAt(200, 300, 100_000), "")
		tb.untilPhase(phaseBetting)
		tb.bet("alice", 0, 1000, 0)
		end := tb.room.End
		tb.untilPhase(phaseFlying)
		if tb.now != end || !tb.hasEvent(`"phase":"locked"`) {
			t.Fatalf("took off at %d, betting ended at %d", tb.now, end)
		}
	})
}

func TestCancel(t *testing.T) {
	tb := newTable(t, newTestChains(20), "")
	tb.untilPhase(phaseBetting)
	open := tb.bet("alice", 0, 1000, 0)
	got := tb.wantOK("confirmed", tb.command("alice", "cancel", 1, `{"slot":0}`))
	if string(got) != `{"slot":0,"round":1}` {
		t.Fatalf("result %s", got)
	}
	tb.wantBookings("the stake goes back", open, wire.BookStake, wire.BookCancel)

	ref := tb.betOnly("alice", 0, 2000, 0)
	pending := tb.room.Current.find("alice", 0)
	tb.wantOK("pending", tb.command("alice", "cancel", 1, `{"slot":0}`))
	tb.wantCode("the bet is answered too", ref, wire.CodeBetVoided)
	tb.wantBookings("a tombstone", pending, wire.BookStake, wire.BookCancel)
	tb.settle()
	tb.wantState("the late stake opens nothing", pending, betRefunded)

	tb.wantCode("nothing left", tb.command("alice", "cancel", 1, `{"slot":0}`), wire.CodeNoBet)
	tb.wantCode("nobody else's", tb.command("bob", "cancel", 1, `{"slot":0}`), wire.CodeNoBet)
	if rd := tb.room.Current; rd.Count != 0 || rd.Stake != 0 || rd.held != 0 || len(rd.top) != 0 {
		t.Fatalf("%d bets of %d are left", rd.Count, rd.Stake)
	}
	tb.bet("alice", 0, 300, 0) // the slot is free
}

func TestListOfTheLargest(t *testing.T) {
	tb := newTable(t, newTestChains(20), "")
	tb.untilPhase(phaseBetting)
	for i := range topBets + 5 {
		tb.bet(fmt.Sprintf("p%02d", i), 0, 1000, 0)
	}
	tb.bet("whale", 0, 5000, 0)
	if n := len(tb.room.Current.top); n != topBets {
		t.Fatalf("%d bets are listed", n)
	}
	if tb.hasEvent(`"e":"bet"`, `"player":"p20"`) {
		t.Fatal("a bet that is not listed was told")
	}
	tb.events = nil
	tb.command("p24", "cancel", 1, `{"slot":0}`)
	if tb.hasEvent(`"e":"unbet"`) {
		t.Fatal("an unlisted bet was told to be gone")
	}
	tb.command("p03", "cancel", 1, `{"slot":0}`)
	if !tb.hasEvent(`"e":"unbet","player":"p03","slot":0,"round":1`) || !tb.hasEvent(`"e":"bet","player":"p19"`) {
		t.Fatalf("events: %v", tb.events)
	}
	tb.untilPhase(phaseFlying)
	tb.reading(101)
	tb.events = nil
	tb.command("p22", "cashout", 1, `{"slot":0}`)
	tb.command("whale", "cashout", 1, `{"slot":0}`)
	if tb.hasEvent(`"e":"out","player":"p22"`) || !tb.hasEvent(`"e":"out","player":"whale","name":"WHALE","slot":0,"centi":101,"payout":5050,"auto":false`) {
		t.Fatalf("events: %v", tb.events)
	}
}

func TestTotalsAreToldFiveTimesASecond(t *testing.T) {
	tb := newTable(t, newTestChains(20), "")
	tb.untilPhase(phaseBetting)
	start := tb.now
	for i := range 100 {
		tb.bet(fmt.Sprintf("p%d", i), 0, 100, 0)
		tb.pass(20_000_000)
	}
	told := 0
	for _, e := range tb.events {
		if strings.Contains(e, `"e":"totals"`) {
			told++
		}
	}
	if most := int((tb.now - start) / totalsEvery); told > most || told < most-1 {
		t.Fatalf("totals were told %d times in %v ns", told, tb.now-start)
	}
	tb.pass(totalsEvery)
	if !tb.hasEvent(`"e":"totals","round":1,"count":100,"stake":10000`) {
		t.Fatal("the last totals were not told")
	}
}

func TestYou(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	if got := tb.room.You("alice"); got != nil {
		t.Fatalf("before a bet: %s", got)
	}
	tb.betOnly("alice", 1, 500, 0)
	if got := string(tb.room.You("alice")); !strings.Contains(got, `"round":1,"slot":1,"stake":500,"state":"pending"`) {
		t.Fatal(got)
	}
	tb.settle()
	tb.bet("alice", 0, 1000, 150)
	tb.untilPhase(phaseFlying)
	tb.reading(151)
	tb.bet("alice", 0, 300, 0)
	got := string(tb.room.You("alice"))
	for _, part := range []string{
		`"round":1,"slot":0,"stake":1000,"auto":150,"state":"won","centi":150,"payout":1500`,
		`"round":1,"slot":1,"stake":500,"state":"open"`,
		`"round":2,"slot":0,"stake":300,"state":"open"`,
	} {
		if !strings.Contains(got, part) {
			t.Fatalf("%s is not in %s", part, got)
		}
	}
	if tb.room.You("bob") != nil {
		t.Fatal("bob has no bets")
	}
}
