package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/wire"
)

// evening is a book and the log that asked for it, of which a tail is lost.
type evening struct {
	t    *testing.T
	book *Book
	log  Log
}

// lost books what the log does not ask for any more.
func (e *evening) lost(list ...wire.Booking) {
	e.t.Helper()
	for _, k := range list {
		if r := apply(e.t, e.book, k); !r.Booked {
			e.t.Fatalf("%s: %+v", k.ID, r)
		}
	}
}

// asked books what the log has a result of.
func (e *evening) asked(list ...wire.Booking) {
	e.t.Helper()
	for _, k := range list {
		e.log.Recorded = append(e.log.Recorded, Recorded{Booking: k, Result: apply(e.t, e.book, k), Time: int64(len(e.log.Recorded))})
	}
}

func (e *evening) reconcile(repair bool) Reconciliation {
	e.t.Helper()
	r, err := e.book.Reconcile(context.Background(), e.log, repair)
	if err != nil || len(r.Differs)+len(r.Missing) > 0 {
		e.t.Fatalf("missing %v, differs %q, %v", r.Missing, r.Differs, err)
	}
	return r
}

// wantTold wants all mends to be for the log until it has them, with what players keep.
func (e *evening) wantTold(r Reconciliation, mends int) {
	e.t.Helper()
	if len(r.Untold) != mends {
		e.t.Errorf("%d mends are untold, want %d", len(r.Untold), mends)
	}
	e.log.Mends = map[string]bool{}
	for _, u := range r.Untold {
		e.log.Mends[u.Result.ID] = true
		want := int64(0)
		if u.Result.ID == wire.MendPrefix+"credit/lost" {
			want = 700
		}
		if strings.Contains(u.Result.ID, "credit/") && u.Result.Kept != want || !u.Result.Booked {
			e.t.Errorf("told: %+v", u.Result)
		}
	}
	if r = e.reconcile(false); len(r.Untold) > 0 {
		e.t.Errorf("untold once more: %+v", r.Untold)
	}
}

// later is the same booking, asked for by a record behind the loss.
func later(k wire.Booking) wire.Booking {
	k.At += 1000
	return k
}

// lossCase is a bet of 1000 of which the log lost something.
type lossCase struct {
	why        string
	play       func(e *evening, stake wire.Booking)
	mend       Mend // "" where book and log agree
	paid, owed int64
	balance    int64 // afterwards, beside the grant
}

// lostEnds are bets of rounds that are over, whose end was lost.
func lostEnds() []lossCase {
	return []lossCase{
		{"a bet that is settled as the log asks", func(e *evening, s wire.Booking) {
			e.asked(s, payoutOf("payout/"+s.Player, s, 1500))
		}, "", 0, 0, 500},
		{"a bet that the log lets lose", func(e *evening, s wire.Booking) { e.asked(s) }, "", 0, 0, -1000},
		{"a payout that the log voids", func(e *evening, s wire.Booking) {
			e.asked(s)
			e.lost(payoutOf("payout/"+s.Player, s, 1500))
			e.asked(cancelOf("cancel/"+s.Player, s))
		}, MendKeep, 1500, 1000, 500},
		{"a payout of a bet that then loses", func(e *evening, s wire.Booking) {
			e.asked(s)
			e.lost(payoutOf("payout/"+s.Player, s, 1500))
		}, MendKeep, 1500, 0, 500},
		{"a payout that is larger the second time", func(e *evening, s wire.Booking) {
			e.asked(s)
			p := payoutOf("payout/"+s.Player, s, 1500)
			e.lost(p)
			p.Amount, p.Centi = 2500, 250
			e.asked(later(p))
		}, MendCredit, 1500, 2500, 1500},
		{"a payout that is the same the second time", func(e *evening, s wire.Booking) {
			e.asked(s)
			p := payoutOf("payout/"+s.Player, s, 1500)
			e.lost(p)
			e.asked(later(p))
		}, MendKeep, 1500, 1500, 500},
		{"a cancel of a bet that then wins", func(e *evening, s wire.Booking) {
			e.asked(s)
			e.lost(cancelOf("cancel/"+s.Player, s))
			e.asked(payoutOf("payout/"+s.Player, s, 1500))
		}, MendCredit, 1000, 1500, 500},
		{"a cancel that is asked for again", func(e *evening, s wire.Booking) {
			e.asked(s)
			e.lost(cancelOf("cancel/"+s.Player, s))
			e.asked(later(cancelOf("cancel/"+s.Player, s)))
		}, MendKeep, 1000, 1000, 0},
	}
}

// lostStakes are bets that were lost as a whole.
func lostStakes() []lossCase {
	return []lossCase{
		{"a bet that the log does not know", func(e *evening, s wire.Booking) { e.lost(s) }, MendCancel, 0, 1000, 0},
		{"one that it has cancelled itself", func(e *evening, s wire.Booking) {
			e.lost(s)
			e.asked(cancelOf("lost/"+s.ID, s))
		}, "", 0, 0, 0},
		{"one that was won", func(e *evening, s wire.Booking) {
			e.lost(s, payoutOf("payout/"+s.Player, s, 1500))
		}, MendKeep, 1500, 1000, 500},
		{"one that was sent again and refused", func(e *evening, s wire.Booking) {
			e.lost(s)
			e.asked(later(s))
		}, MendCancel, 0, 1000, 0},
		{"one that is being settled", func(e *evening, s wire.Booking) {
			e.lost(s)
			e.log.Outstanding = append(e.log.Outstanding, cancelOf("lost/"+s.ID, s))
		}, "", 0, 0, -1000},
	}
}

// lostRounds are bets of rounds that the log or the ledger thinks are not over.
func lostRounds() []lossCase {
	return []lossCase{
		{"one of a round that is not over", func(e *evening, s wire.Booking) {
			s.Bet = &wire.BetRecord{RoomUUID: "open", Game: "crash", Round: 9}
			e.lost(s)
		}, MendWait, 0, 1000, -1000},
		{"a payout in a round that is not over", func(e *evening, s wire.Booking) {
			s.Bet = &wire.BetRecord{RoomUUID: "open", Game: "crash", Round: 8}
			e.asked(s)
			e.lost(payoutOf("payout/"+s.Player, s, 1500))
		}, MendWait, 1500, 0, 500},
		{"a bet that is still open", func(e *evening, s wire.Booking) {
			s.Bet = &wire.BetRecord{RoomUUID: "open", Game: "crash", Round: 8}
			e.asked(s)
		}, "", 0, 0, -1000},
		{"a void of a round that the ledger has archived", func(e *evening, s wire.Booking) {
			s.Bet = &wire.BetRecord{RoomUUID: "archived", Game: "crash", Round: 3}
			e.asked(s)
			k := roundOf("round/archived/3", 3)
			k.Round.RoomUUID = "archived"
			e.lost(k)
			e.asked(cancelOf("cancel/"+s.Player, s))
		}, MendCredit, 0, 1000, 0},
		{"one that was lost with its round", func(e *evening, s wire.Booking) {
			s.Bet = &wire.BetRecord{RoomUUID: "replayed", Game: "crash", Round: 3}
			e.lost(s)
			k := roundOf("round/replayed/3", 3)
			k.Round.RoomUUID = "replayed"
			e.asked(k, cancelOf("lost/"+s.ID, s))
		}, MendCredit, 0, 1000, 0},
	}
}

// TestALostTailIsReconciled has a log lose requests that the ledger has booked. What moved
// otherwise than the log asks for is told, mended once in the player's favour, and then
// both agree.
func TestALostTailIsReconciled(t *testing.T) {
	cases := slices.Concat(lostEnds(), lostStakes(), lostRounds())
	forEachDatabase(t, func(t *testing.T, r rig) {
		e := &evening{t: t, book: r.book(t), log: Log{Rounds: map[string]uint64{"uuid": 8, "open": 8, "archived": 4}}}
		want := map[string]Discrepancy{}
		kept := 0
		for i, c := range cases {
			s := stakeOf(fmt.Sprintf("stake/%d", i), fmt.Sprintf("player-%d", i), 1000)
			c.play(e, s)
			if c.mend != "" {
				want[s.ID] = Discrepancy{ID: s.ID, Room: s.Room, Player: s.Player, Paid: c.paid, Owed: c.owed, Mend: c.mend}
			}
			if c.mend == MendKeep {
				kept++
			}
		}
		credit := wire.Booking{ID: "credit/lost", Kind: wire.BookCredit, Room: "_cashier", At: 1, Player: "ann", Amount: 700, Operator: "op"}
		e.lost(credit)
		want[credit.ID] = Discrepancy{ID: credit.ID, Room: credit.Room, Player: "ann", Paid: 700, Mend: MendKeep}
		credit.ID = "credit/asked"
		e.asked(credit)
		again := roundOf("round/again", 5)
		e.lost(again)
		e.asked(later(again))
		want[again.ID] = Discrepancy{ID: again.ID, Room: again.Room, Mend: MendKeep}

		report := e.reconcile(false)
		if report.Mended != 0 || len(report.Discrepancies) != len(want) {
			t.Errorf("%d discrepancies, want %d; %d mended", len(report.Discrepancies), len(want), report.Mended)
		}
		for _, d := range report.Discrepancies {
			if d.Round = 0; d != want[d.ID] {
				t.Errorf("got %+v, want %+v", d, want[d.ID])
			}
		}
		waiting := len(report.Discrepancies) - report.Mendable()
		if report = e.reconcile(true); report.Mended != report.Mendable() || waiting != 2 {
			t.Errorf("%d of %d mended, %d wait", report.Mended, report.Mendable(), waiting)
		}
		for range 2 {
			report = e.reconcile(true)
			if len(report.Discrepancies) != waiting || slices.ContainsFunc(report.Discrepancies, func(d Discrepancy) bool { return d.Mend != MendWait }) {
				t.Errorf("once more: %+v", report.Discrepancies)
			}
		}
		e.wantTold(report, len(want)-waiting)
		wantSound(t, e.book)
		for i, c := range cases {
			got, err := e.book.Balance(context.Background(), fmt.Sprintf("player-%d", i))
			if err != nil || got.Amount != DefaultInitialCredit+c.balance {
				t.Errorf("%s: balance %d, %v; want %d", c.why, got.Amount-DefaultInitialCredit, err, c.balance)
			}
		}
		notes, err := e.book.Audit(context.Background(), "", Page{Limit: 100})
		if err != nil || len(notes.Entries) != kept+2 {
			t.Errorf("%d notes of what was kept, want %d: %v", len(notes.Entries), kept+2, err)
		}
	})
}
