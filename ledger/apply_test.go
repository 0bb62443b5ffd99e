package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"tickcast/wire"
)

// TestBatchesMatchTheModel delivers random bookings repeatedly, in any order and
// in any batches, as a queue does whose workers die between the commit and the
// acknowledgement. Every result and the whole book must be the model's.
func TestBatchesMatchTheModel(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		b := r.book(t) // one for all checks: a fresh database takes longer than a check
		rapid.Check(t, func(rt *rapid.T) {
			empty(t, b)
			m := newModel()
			versions := map[string]int64{}
			for _, batch := range batches(rt, deliveries(rt)) {
				want := make([]wire.BookingResult, len(batch))
				for i, k := range batch {
					want[i] = m.book(k)
				}
				deliver(rt, b, batch, want)
				for player, a := range m.accounts {
					if a.version < versions[player] {
						rt.Fatalf("version of %s went back", player)
					}
					versions[player] = a.version
				}
			}
			compare(rt, b, m)
		})
	})
}

// empty makes a book as it was when it was first opened.
func empty(t *testing.T, b *Book) {
	t.Helper()
	tx, err := b.write.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{
		"ends", "bets", "entries", "transfers", "bookings", "rounds", "round_scores", "scores", "audit", "sessions",
		"accounts WHERE kind = 'player'",
	} {
		if _, err := tx.ExecContext(context.Background(), "DELETE FROM "+of); err != nil {
			t.Fatalf("empty %s: %v", of, errors.Join(err, tx.Rollback()))
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// deliver applies a batch, perhaps again after its results were lost.
func deliver(t *rapid.T, b *Book, batch []wire.Booking, want []wire.BookingResult) {
	for range rapid.IntRange(1, 2).Draw(t, "deliveries") {
		got, err := b.Apply(context.Background(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("results:\n%+v\nwant\n%+v\nof %+v", got, want, batch)
		}
	}
}

func compare(t *rapid.T, b *Book, m *model) {
	ctx := context.Background()
	if err := b.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for player, a := range m.accounts {
		got, err := b.Balance(ctx, player)
		if want := (Balance{player, a.balance, a.version}); err != nil || got != want {
			t.Fatalf("balance %+v, %v; want %+v", got, err, want)
		}
		page, err := b.Bets(ctx, player, Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, p := range page.Bets {
			states[p.ID] = fmt.Sprint(p.State, p.Payout)
		}
		want := map[string]string{}
		for id, k := range m.bets {
			if k.player == player {
				want[id] = fmt.Sprint(k.state, k.payout)
			}
		}
		if !maps.Equal(states, want) {
			t.Fatalf("bets of %s: %v, want %v", player, states, want)
		}
	}
	for board, want := range m.boards {
		list, err := b.Leaderboard(ctx, board, 100)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for i, s := range list {
			got[s.Player] = s.Points
			if i > 0 && list[i-1].Points < s.Points {
				t.Fatalf("%s is not sorted: %+v", board, list)
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", board, got, want)
		}
	}
}

// TestWorkersSideBySide lets several workers, with books of their own, apply the
// same bookings in different orders and batches at the same time.
func TestWorkersSideBySide(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		const workers = 4
		databaseURL := r.url(t)
		books := make([]*Book, workers)
		for i := range books {
			if r.name == "sqlite" && i > 0 {
				books[i] = books[0] // a SQLite file belongs to one process
				continue
			}
			books[i] = openBook(t, databaseURL)
		}
		for seed := range uint64(5) {
			sideBySide(t, books, seed)
			wantSound(t, books[0])
		}
	})
}

// sideBySide books stakes, ends and a round of many players through all books and
// checks that all saw the same first outcomes.
func sideBySide(t *testing.T, books []*Book, seed uint64) {
	t.Helper()
	all := crowd(seed)
	var mu sync.Mutex // guards outcomes
	outcomes := map[string]wire.BookingResult{}
	var wg sync.WaitGroup
	for w, b := range books {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			list := slices.Clone(all)
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for len(list) > 0 {
				n := min(len(list), 1+random.IntN(40))
				got, err := b.Apply(context.Background(), list[:n])
				if err != nil {
					t.Errorf("worker %d: %v", w, err)
					return
				}
				list = list[n:]
				mu.Lock()
				for _, r := range got {
					if had, ok := outcomes[r.ID]; ok && had != r {
						t.Errorf("two outcomes of %s: %+v and %+v", r.ID, had, r)
					}
					outcomes[r.ID] = r
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func crowd(seed uint64) []wire.Booking {
	var all []wire.Booking
	uuid := fmt.Sprintf("room-%d", seed)
	for i := range 120 {
		s := stakeOf(fmt.Sprintf("%d/s%d", seed, i), fmt.Sprintf("player-%d", i%17), 1000)
		s.Bet.RoomUUID = uuid
		all = append(all, s)
		switch i % 4 {
		case 0:
			all = append(all, payoutOf(fmt.Sprintf("%d/p%d", seed, i), s, 1500))
		case 1:
			all = append(all, cancelOf(fmt.Sprintf("%d/c%d", seed, i), s))
		case 2:
			all = append(all, payoutOf(fmt.Sprintf("%d/p%d", seed, i), s, 1500), cancelOf(fmt.Sprintf("%d/c%d", seed, i), s))
		}
	}
	round := roundOf(fmt.Sprintf("%d/round", seed), 7)
	round.Round.RoomUUID = uuid
	return append(all, round)
}
