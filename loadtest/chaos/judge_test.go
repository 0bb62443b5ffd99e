package chaos

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/internal/linear"
	"tickcast/loadtest"
	"tickcast/wire"
)

// evening is what one player did, as three tell it who agree: the player, the log and
// the ledger. Tests falsify one of them.
type evening struct {
	answers []answer
	log     *records
	book    *book
}

const aRoom, aUUID, aPlayer = "table-1", "0190-uuid", "ann"

// newEvening has a bet that was cashed out, one that was lost, one that was cancelled, one that was
// refused while SQL was away and taken back, a tap and a refill.
func newEvening() *evening {
	e := &evening{
		log:  &records{commands: map[commandKey]int{}},
		book: &book{bets: map[string]bookedBet{}, refills: map[string]int64{}, rooms: map[string]string{aRoom: aUUID}},
	}
	e.bets(1, "k1", 200, "payout", 300, 150)
	e.answer(loadtest.Answered{Op: opCashOut, Key: "k2", Round: 1, OK: true}, result{Centi: 150, Payout: 300})
	e.bets(2, "k3", 100, "lost", 0, 0)
	e.bets(3, "k4", 500, "cancel", 500, 0)
	e.answer(loadtest.Answered{Op: opCancel, Key: "k5", Round: 3, OK: true}, result{})
	e.bets(4, "k6", 100, "cancel", 100, 0)
	last := &e.answers[len(e.answers)-1]
	last.OK, last.Code, last.result = false, wire.CodeTemporarilyUnavailable, result{}
	e.answer(loadtest.Answered{Op: "tap", Key: "k7", Round: 5, OK: true}, result{Points: 3})
	e.answer(loadtest.Answered{Op: opRefill, Key: "k8", OK: true}, result{Amount: 1000})
	e.book.refills[refillID(&e.answers[len(e.answers)-1])] = 1000
	return e
}

func (e *evening) answer(a loadtest.Answered, r result) {
	a.Player, a.Definite = aPlayer, true
	if a.Room = aRoom; a.Op == opRefill {
		a.Room = wire.CashierRoom
	}
	e.answers = append(e.answers, answer{Answered: a, result: r})
	e.log.commands[commandKey{a.Player, a.Room, a.Key}]++
}

// bets places a bet with an end.
func (e *evening) bets(round uint64, key string, stake int64, end string, amount, centi int64) {
	e.answer(loadtest.Answered{Op: opBet, Key: key, Round: round, OK: true, Stake: stake}, result{Stake: stake})
	a := &e.answers[len(e.answers)-1]
	e.book.bets[betID(aUUID, a)] = bookedBet{place: a.place(), stake: stake, end: end, amount: amount, centi: centi}
}

// change alters the bet of a round.
func (e *evening) change(round uint64, f func(*bookedBet)) {
	for id, t := range e.book.bets {
		if t.round == round {
			f(&t)
			e.book.bets[id] = t
		}
	}
}

func TestAcknowledged(t *testing.T) {
	for _, c := range []struct {
		why     string
		falsify func(*evening)
		want    string // in the only example, "" for none
	}{
		{"all agree", func(*evening) {}, ""},
		{"a tap is not in the log", func(e *evening) { delete(e.log.commands, commandKey{aPlayer, aRoom, "k7"}) }, "tap of ann (key k7) in room table-1, round 5: not in the log"},
		{"a bet is not in the ledger", func(e *evening) {
			for id, b := range e.book.bets {
				if b.round == 2 {
					delete(e.book.bets, id)
				}
			}
		}, "bet of ann (key k3)"},
		{"another stake", func(e *evening) { e.change(2, func(b *bookedBet) { b.stake++ }) }, "bet of ann (key k3)"},
		{"another target", func(e *evening) { e.change(2, func(b *bookedBet) { b.auto = 120 }) }, "bet of ann (key k3)"},
		{"another payout", func(e *evening) { e.change(1, func(b *bookedBet) { b.amount-- }) }, "cashout of ann (key k2)"},
		{"cashed out and lost", func(e *evening) { e.change(1, func(b *bookedBet) { b.end, b.amount, b.centi = "lost", 0, 0 }) }, "cashout of ann (key k2)"},
		{"cancelled and lost", func(e *evening) { e.change(3, func(b *bookedBet) { b.end = "lost" }) }, "cancel of ann (key k5)"},
		{"refused and taken", func(e *evening) { e.change(4, func(b *bookedBet) { b.end = "lost" }) }, "its player was not told of it"},
		{"refilled with something else", func(e *evening) { e.book.refills = map[string]int64{} }, "refill of ann (key k8)"},
		{"a bet that nobody placed", func(e *evening) { e.book.bets["stake/x"] = bookedBet{end: "lost"} }, "its player was not told of it"},
		{"a bet without a definite answer", func(e *evening) {
			e.change(4, func(b *bookedBet) { b.end = "lost" })
			for i := range e.answers {
				e.answers[i].Definite = e.answers[i].OK
			}
		}, ""},
	} {
		e := newEvening()
		c.falsify(e)
		got := judgeAcknowledged(e.answers, e.log, e.book)
		switch {
		case got.Passed != (c.want == ""):
			t.Errorf("%s: passed=%t: %+v", c.why, got.Passed, got.Examples)
		case c.want != "" && (len(got.Examples) != 1 || !strings.Contains(got.Examples[0].Detail, c.want)):
			t.Errorf("%s: %+v, want one that says %q", c.why, got.Examples, c.want)
		}
	}
}

// TestHistory shows that the history of an evening can have happened, and that it could
// not if a balance were another one.
func TestHistory(t *testing.T) {
	e := newEvening()
	j := &journal{answers: e.answers}
	version, balance := int64(openingVersion), int64(openingBalance)
	for i := range j.answers {
		a := &j.answers[i]
		a.Asked, a.At = time.Duration(10*i+1), time.Duration(10*i+2)
		bet, booked := e.book.bets[betID(aUUID, a)]
		switch {
		case a.Op == opBet && booked:
			version, balance = version+1, balance-bet.stake
			if a.OK {
				a.result.Balance, a.result.Version = balance, version
			}
			if bet.end != "lost" {
				version, balance = version+1, balance+bet.amount
			}
		case a.Op == opRefill:
			version, balance = version+1, balance+a.result.Amount
			a.result.Balance, a.result.Version = balance, version
		}
	}
	j.balances = []loadtest.Balance{{Player: aPlayer, Amount: balance, Version: version, At: time.Second}, {Player: aPlayer, Amount: openingBalance, At: 1}}
	ok := func() bool {
		t.Helper()
		report, err := linear.Check(historyOf(j, e.book), linear.Opening{Balance: openingBalance, Version: openingVersion}, linearLimit)
		if err != nil {
			t.Fatal(err)
		}
		if report.Operations != 4+3+1+1 { // stakes, ends with money, the refill, the balance
			t.Errorf("%d operations", report.Operations)
		}
		return report.OK()
	}
	if !ok() {
		t.Error("what happened cannot have happened")
	}
	j.balances[0].Amount++
	if ok() {
		t.Error("a balance of one more can have happened")
	}
}

func TestRecords(t *testing.T) {
	c := wire.Command{Player: "ann", Gateway: "g", Key: "k", Op: "tap", Round: 1}
	data, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for _, l := range []map[string]any{
		{"stream": "P0", "seq": 1, "subject": "own.0", "data": []byte(`{}`)},
		{"stream": "P0", "seq": 2, "subject": "cmd.0.lobby", "data": data},
		{"stream": "P0", "seq": 3, "subject": "cmd.0.lobby", "data": data},
	} {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(b, '\n'))
	}
	path := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readRecords(path)
	if err != nil || r.total != 3 || len(r.commands) != 1 || r.commands[commandKey{"ann", "lobby", "k"}] != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.WriteFile(path, []byte(`{"subject":"cmd.0.lobby","data":"AAAA"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRecords(path); err == nil {
		t.Error("a command that is none was read")
	}
}

func TestFaultsAndExtent(t *testing.T) {
	p := NewPlan(1, defaultDuration)
	all := func() (list []loadtest.Fault) {
		for _, s := range p.Steps {
			list = append(list, loadtest.Fault{Kind: string(s.Kind), Began: s.At})
		}
		return list
	}
	if c := judgeFaults(&p, all()); !c.Passed {
		t.Errorf("all faults: %+v", c)
	}
	broken := all()
	broken[3].Error = "did not come back"
	if c := judgeFaults(&p, broken); c.Passed || c.Failures != 1 {
		t.Errorf("one that did not come back: %+v", c)
	}
	if c := judgeFaults(&p, all()[:minFaults-1]); c.Passed {
		t.Errorf("too few: %+v", c)
	}
	if judgeExtent(leastGranted-1).Passed || !judgeExtent(leastGranted).Passed {
		t.Error("the extent is not what it says")
	}
}
