package ledger

import (
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/wire"
)

// TestALostTailAtTheWallet loses bets whose money is in a wallet: one that the wallet has not
// answered yet is known and taken back, and what is mended is asked of the wallet by the
// workers, who tell the log.
func TestALostTailAtTheWallet(t *testing.T) {
	t.Parallel()
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b, o := newQueue(t), custodyBook(t, r.url(t)), newOperatorWallet(t, walletInitial)
		o.deaf = map[string]bool{"stake/slow": true}
		q.calls = callTimes{80 * time.Millisecond, 25 * time.Millisecond, time.Second}
		w := q.workAtWallet(b, o)
		e := &evening{t: t, book: b, log: Log{Rounds: map[string]uint64{"uuid": 8}, Partitions: 2}}
		slow, open, low, high := stakeOf("stake/slow", "sue", 300), stakeOf("stake/open", "ann", 400), stakeOf("stake/low", "bob", 500), stakeOf("stake/high", "cid", 600)
		q.send(slow, open, low, high)
		q.wantResults("stakes", open.ID, low.ID, high.ID)
		q.wantOpen(b, 7, slow.ID, open.ID, low.ID, high.ID)
		q.wantOpen(b, 8)

		q.send(payoutOf("payout/low", low, 750), payoutOf("payout/high", high, 900), cancelOf("lost/"+slow.ID, slow))
		q.wantResults("ends", "payout/low", "payout/high", "lost/"+slow.ID, slow.ID)
		if got := q.of(slow.ID)[0]; got.Code != wire.CodeBetVoided {
			t.Errorf("a stake that was cancelled before the wallet answered: %+v", got)
		}
		o.hear(slow.ID)
		settled(t, b)
		q.wantOpen(b, 7, open.ID)
		w.stop()

		refused := Recorded{Booking: later(payoutOf("payout/low", low, 1250)), Result: wire.BookingResult{Code: wire.CodeConflict}}
		void := Recorded{Booking: cancelOf("cancel/high", high)}
		for _, k := range []wire.Booking{low, high} {
			e.log.Recorded = append(e.log.Recorded, Recorded{Booking: k, Result: q.of(k.ID)[0]})
		}
		void.Result = apply(t, b, void.Booking)
		e.log.Recorded = append(e.log.Recorded, refused, void)
		for range 2 { // what waits for the wallet is not owed twice
			if got := e.reconcile(true); len(got.Untold) != 1 || got.Untold[0].Result.Kept != 900 {
				t.Errorf("mended %d of %+v, untold %+v", got.Mended, got.Discrepancies, got.Untold)
			}
		}
		q.calls = callTimes{}
		q.workAtWallet(b, o)
		settled(t, b)
		q.wantResults("the log is told", wire.MendPrefix+open.ID, wire.MendPrefix+low.ID)
		o.wantAgreement(t, b, []string{"ann", "bob", "cid", "sue"})
		o.wantBalance(t, "ann", walletInitial)
		o.wantBalance(t, "bob", walletInitial-500+1250)
		o.wantBalance(t, "cid", walletInitial-600+900)
		if got := e.reconcile(false); len(got.Discrepancies) > 0 || len(got.Untold) != 3 {
			t.Errorf("afterwards: %+v, untold %+v", got.Discrepancies, got.Untold)
		}
	})
}

// wantOpen wants the stakes that an owner hears of from a round on.
func (q *queue) wantOpen(b *Book, round uint64, ids ...string) {
	q.t.Helper()
	testkit.Eventually(q.t, "open stakes", patience, func() bool {
		got, err := b.Stakes(q.t.Context(), wire.StakesQuery{Rounds: map[string]uint64{"uuid": round}})
		if err != nil {
			q.t.Fatal(err)
		}
		open := map[string]bool{}
		for _, s := range got.Open {
			open[s.ID] = s.Amount > 0 && s.Round == 7 && s.Room == "lobby"
		}
		for _, id := range ids {
			if !open[id] {
				return false
			}
		}
		return len(open) == len(ids)
	})
}
