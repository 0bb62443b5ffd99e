package crash

import (
	"fmt"
	"testing"

	"tickcast/wire"
)

// flightBet is a bet of a limit test and where it must end; centi 0 means lost.
type flightBet struct {
	player string
	slot   int
	stake  int64
	auto   int64
	centi  int64
}

// forcedCase is a flight with limits. Its crash point is exactly point, or far
// beyond everything if that is 0.
type forcedCase struct {
	name     string
	settings string
	point    int64
	bets     []flightBet
}

func TestPlayersLimitAndCap(t *testing.T) {
	checkForced(t, []forcedCase{
		{
			"a player's only bet, exactly at the limit", `{"max_win":3000}`, 0,
			[]flightBet{{"alice", 0, 1000, 0, 300}, {"bob", 0, 100, 500, 500}},
		}, {
			"a limit between two readings rounds down", `{"max_win":1999}`, 0,
			[]flightBet{{"alice", 0, 700, 0, 285}}, // 285 pays 1995, 286 would pay 2002
		}, {
			"a target below the limit comes first", `{"max_win":3000}`, 0,
			[]flightBet{{"alice", 0, 1000, 299, 299}},
		}, {
			"a target above the limit never comes", `{"max_win":3000}`, 0,
			[]flightBet{{"alice", 0, 1000, 301, 300}},
		}, {
			"both bets of a player count together", `{"max_win":3000}`, 0,
			[]flightBet{{"alice", 0, 1000, 0, 200}, {"alice", 1, 500, 0, 200}},
		}, {
			// 1000 at 1.50x leaves 1500 for the other 500.
			"a cash-out of one bet raises the limit of the other", `{"max_win":3000}`, 0,
			[]flightBet{{"alice", 0, 1000, 150, 150}, {"alice", 1, 500, 0, 300}},
		}, {
			// At 2.00x the target pays 2000; 1050 are left for 500, which is 2.10x.
			"a target at the limit comes before the limit", `{"max_win":3050}`, 0,
			[]flightBet{{"alice", 1, 500, 0, 210}, {"alice", 0, 1000, 200, 200}},
		}, {
			"a limit at the crash point is paid", `{"max_win":2000}`, 200,
			[]flightBet{{"alice", 0, 1000, 0, 200}},
		}, {
			"a limit above the crash point is not", `{"max_win":2010}`, 200,
			[]flightBet{{"alice", 0, 1000, 0, 0}},
		}, {
			"the cap pays everything that still flies", `{"cap":500}`, 0,
			[]flightBet{{"alice", 0, 1000, 0, 500}, {"bob", 1, 300, 500, 500}, {"carol", 0, 100, 499, 499}},
		},
	})
}

func TestRoundLimit(t *testing.T) {
	checkForced(t, []forcedCase{
		{
			"the round's limit forces the largest stake first", `{"max_round_win":6000}`, 0,
			// At 2.00x all three make 6000: 1500 goes for 3000, the rest can make 3000: 2.00x again,
			// so 1000 goes for 2000 and 500 flies on until it makes the last 1000: 2.00x too.
			[]flightBet{{"alice", 0, 500, 0, 200}, {"bob", 0, 1500, 0, 200}, {"carol", 0, 1000, 0, 200}},
		}, {
			// 3000 at stake: the limit is 2.03x (6090). There 1000 goes for 2030; 4069 are left for
			// 2000, still 2.03x. Another 1000 goes for 2030; 2039 are left for 1000: still 2.03x.
			"a limit that does not move takes the next", `{"max_round_win":6099}`, 0,
			[]flightBet{{"alice", 0, 1000, 0, 203}, {"bob", 0, 1000, 0, 203}, {"carol", 0, 1000, 0, 203}},
		}, {
			// 20,100 at stake and 40,399: the limit is 2.00x. The 20,000 go for 40,000; 399 are left
			// for 100: it flies on to 3.99x.
			"the others fly on", `{"max_round_win":40399}`, 0,
			[]flightBet{{"alice", 0, 100, 0, 399}, {"bob", 0, 20_000, 0, 200}},
		}, {
			// 30,200 at stake, limit 60,500: 2.00x. The first 10,000 goes for 20,000: 40,500 for
			// 20,200 is 2.00x; the second: 20,500 for 10,200 is 2.00x; the third: 500 for 200 is 2.50x.
			"ties are forced in log order, the rest flies on", `{"max_round_win":60500}`, 0,
			[]flightBet{
				{"dora", 0, 200, 0, 250},
				{"alice", 0, 10_000, 0, 200},
				{"bob", 0, 10_000, 0, 200},
				{"carol", 0, 10_000, 0, 200},
			},
		}, {
			// 20,100 at stake, limit 40,350: 2.00x. alice goes for 20,000; 20,350 for 10,100 is 2.01x.
			// There bob goes for 20,100; 250 for 100 is 2.50x.
			"of equal stakes the first in the log is forced", `{"max_round_win":40350}`, 0,
			[]flightBet{{"dora", 0, 100, 0, 250}, {"alice", 0, 10_000, 0, 200}, {"bob", 0, 10_000, 0, 201}},
		},
	})
}

func checkForced(t *testing.T, tests []forcedCase) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chains := crashingAt(1000, 100_000, 100_000)
			if tt.point != 0 {
				chains = crashingAt(tt.point, tt.point, 100_000)
			}
			tb := newTable(t, chains, tt.settings)
			tb.untilPhase(phaseBetting)
			placed := make([]*bet, len(tt.bets))
			for i, b := range tt.bets {
				placed[i] = tb.bet(b.player, b.slot, b.stake, b.auto)
			}
			tb.untilPhase(phaseCrashed)
			for i, b := range tt.bets {
				name := fmt.Sprintf("%s/%d", b.player, b.slot)
				if b.centi == 0 {
					tb.wantState(name, placed[i], betLost)
				} else {
					tb.wantWon(name, placed[i], b.centi)
				}
			}
			if s := tb.room.Current.Settings; tb.room.Current.Paid > s.MaxRoundWin {
				t.Errorf("the round paid %d, its limit is %d", tb.room.Current.Paid, s.MaxRoundWin)
			}
		})
	}
}

func TestForcedCashOutHappensOnTime(t *testing.T) {
	tb := newTable(t, crashingAt(1000, 100_000, 100_000), `{"max_win":3000}`)
	tb.untilPhase(phaseBetting)
	b := tb.bet("alice", 0, 1000, 0)
	tb.untilPhase(phaseFlying)
	tb.until(tb.room.Start + tb.kind.curve.At(300) - 1)
	tb.wantState("a nanosecond before", b, betOpen)
	tb.pass(1)
	tb.wantWon("at the limit", b, 300)
	if len(tb.notices) != 1 || string(tb.notices[0].Event) != `{"e":"out","slot":0,"round":1,"centi":300,"payout":3000,"auto":true}` {
		t.Fatalf("notices: %s", tb.notices)
	}
}

func TestManualCashOutRaisesLimits(t *testing.T) {
	tb := newTable(t, crashingAt(1000, 100_000, 100_000), `{"max_win":3000}`)
	tb.untilPhase(phaseBetting)
	a, b := tb.bet("alice", 0, 1000, 0), tb.bet("alice", 1, 500, 0)
	tb.untilPhase(phaseFlying)
	tb.reading(120)
	tb.wantOK("by hand", tb.command("alice", "cashout", 1, `{"slot":0}`))
	tb.untilPhase(phaseCrashed)
	tb.wantWon("by hand", a, 120)
	tb.wantWon("1800 are left for 500", b, 360)
}

func TestStakesMustFitTheLimits(t *testing.T) {
	tb := newTable(t, newTestChains(20), `{"max_win":2020,"max_round_win":3030,"max_stake":2000}`)
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 0)
	tb.wantCode("2,100 at 1.01x is more than 2,020", tb.betOnly("alice", 1, 1100, 0), wire.CodeAboveMaximum)
	tb.bet("alice", 1, 1000, 0) // 2,000 at 1.01x is 2,020 exactly
	tb.wantCode("the round has 1,000 left", tb.betOnly("bob", 0, 1100, 0), wire.CodeAboveMaximum)
	pending := tb.betOnly("bob", 0, 1000, 0)
	tb.wantCode("a pending bet counts", tb.betOnly("carol", 0, 100, 0), wire.CodeAboveMaximum)
	tb.result(wire.BookingResult{ID: tb.queue[0].ID, Code: wire.CodeInsufficientFunds})
	tb.wantCode("refused", pending, wire.CodeInsufficientFunds)
	tb.betOnly("carol", 0, 100, 0)
	tb.queue = tb.queue[1:]
	tb.settle()
	tb.untilPhase(phaseCrashed)
	if paid := tb.room.Current.Paid; paid > 3030 {
		t.Fatalf("the round paid %d", paid)
	}
}

func TestCapIsReached(t *testing.T) {
	for _, limit := range []int64{100_000, maxCenti} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			tb := newTable(t, crashingAt(limit, limit, limit), fmt.Sprintf(`{"cap":%d,"max_win":1000000000,"max_round_win":10000000000}`, limit))
			tb.untilPhase(phaseBetting)
			a, b := tb.bet("alice", 0, 1000, 0), tb.bet("bob", 0, 100, limit)
			tb.untilPhase(phaseFlying)
			start := tb.room.Start
			tb.until(start + tb.kind.curve.At(limit))
			tb.wantWon("at T(cap)", a, limit)
			tb.wantWon("at T(cap)", b, limit)
			tb.wantPhase("it flies until T(cap+1)", phaseFlying)
			tb.untilPhase(phaseCrashed)
			if tb.now != start+tb.kind.curve.At(limit+1) {
				t.Fatalf("crashed after %d", tb.now-start)
			}
		})
	}
}
