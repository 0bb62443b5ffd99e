package ledger

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"tickcast/cache"
	"tickcast/wire"
)

// copyOf makes a copy of a database that nobody has open, as a backup or a replica that
// is behind holds it.
func (r rig) copyOf(t *testing.T, at string) string {
	t.Helper()
	to := r.url(t)
	if r.name == "sqlite" {
		content, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}
	from, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(target.Path, "/")
	target.Path = "/postgres"
	conn, err := pgx.Connect(context.Background(), target.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, query := range []string{"DROP DATABASE " + name, "CREATE DATABASE " + name + " TEMPLATE " + strings.TrimPrefix(from.Path, "/")} {
		if _, err := conn.Exec(context.Background(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return to
}

// state is what a book holds of everybody.
func state(t *testing.T, b *Book) []string {
	t.Helper()
	var out []string
	for _, query := range []string{
		`SELECT id || ' ' || balance || ' ' || version FROM accounts WHERE kind = 'player' ORDER BY 1`,
		`SELECT id || ' ' || kind || ' ' || player || ' ' || amount FROM transfers ORDER BY 1`,
		`SELECT id || ' ' || code || ' ' || balance || ' ' || version FROM bookings ORDER BY 1`,
		`SELECT bet || ' ' || kind || ' ' || amount FROM ends ORDER BY 1`,
		`SELECT board || ' ' || player || ' ' || points || ' ' || version FROM scores ORDER BY 1`,
	} {
		rows, err := b.read.QueryContext(context.Background(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestReconcile restores an older copy of a database, as a failover to a replica that is
// behind does, and books again what the log has of it.
func TestReconcile(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		ctx := context.Background()
		at := r.url(t)
		b := openBook(t, at)
		all := crowd(7)
		void := stakeOf("void", "player-3", 500)
		all = slices.Insert(all, len(all)-1, cancelOf("tombstone", void), void, stakeOf("poor", "player-4", MaxAmount))
		random := rand.New(rand.NewPCG(1, 1))
		var recorded []Recorded
		older := ""
		for i, k := range all {
			if i == len(all)/3 {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				older = r.copyOf(t, at)
				b = openBook(t, at)
			}
			// Logs of partitions are not in step.
			recorded = append(recorded, Recorded{Booking: k, Result: apply(t, b, k), Time: int64(i)*1000 + random.Int64N(2500)})
		}
		want := state(t, b)
		fresh := cacheOf(t)
		if err := b.CopyTo(ctx, fresh, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}

		behind := openBook(t, older)
		report, err := behind.Reconcile(ctx, Log{Recorded: recorded}, false)
		if missing := len(all) - len(all)/3; err != nil || len(report.Missing) != missing || report.Repaired != 0 || len(report.Differs) != 0 {
			t.Fatalf("%d missing, %d repaired, differs %q, %v; want %d missing", len(report.Missing), report.Repaired, report.Differs, err, missing)
		}
		if report, err = behind.Reconcile(ctx, Log{Recorded: recorded}, true); err != nil || report.Repaired != len(report.Missing) || len(report.Differs) != 0 {
			t.Fatalf("%d of %d repaired, differs %q, %v", report.Repaired, len(report.Missing), report.Differs, err)
		}
		wantSound(t, behind)
		if got := state(t, behind); !slices.Equal(got, want) {
			t.Errorf("the repaired book has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if err := behind.CopyTo(ctx, fresh, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		have, err := fresh.Balance(ctx, "player-3")
		now, err2 := behind.Balance(ctx, "player-3")
		if err != nil || err2 != nil || have.Amount != now.Amount || have.Version != now.Version {
			t.Errorf("Redis has %+v, the book %+v, %v, %v", have, now, err, err2)
		}
		if report, err = behind.Reconcile(ctx, Log{Recorded: recorded}, true); err != nil || len(report.Missing)+len(report.Differs)+len(report.Discrepancies) > 0 {
			t.Errorf("once more: %+v, %v", report, err)
		}

		// What the book knows differently is told, and not touched.
		recorded[0].Result.Balance++
		if report, err = behind.Reconcile(ctx, Log{Recorded: recorded}, true); err != nil || len(report.Differs) != 1 || report.Repaired != 0 {
			t.Errorf("a result that differs: %+v, %v", report, err)
		}
	})
}

func cacheOf(t *testing.T) *cache.Client {
	t.Helper()
	e, err := cache.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	c, err := cache.Open(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestVoidedStakesAreNeverCredited shows a stake and its cancel to two workers in every
// order, also at the same time: whatever they see first, in the end the bet is over, the
// stake back where it was, and nothing more can come of it.
func TestVoidedStakesAreNeverCredited(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		at := r.url(t)
		one := openBook(t, at)
		two := one // a SQLite file belongs to one process
		if r.name != "sqlite" {
			two = openBook(t, at)
		}
		for i := range 40 {
			player := "player-" + itoa(int64(i))
			s := stakeOf("s"+itoa(int64(i)), player, 1000)
			c := cancelOf("c"+itoa(int64(i)), s)
			p := payoutOf("p"+itoa(int64(i)), s, 5000)
			p.Stake = s.ID
			orders := [][]wire.Booking{{s, c}, {c, s}, {s, c, s}, {c, s, c}}
			first, second := orders[i%4], orders[(i/4)%4]
			done := make(chan error, 2)
			for book, list := range map[int][]wire.Booking{0: first, 1: second} {
				go func() {
					on := []*Book{one, two}[book]
					for _, k := range list {
						if _, err := on.Apply(context.Background(), []wire.Booking{k}); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range 2 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			wantCode(t, "a payout of a voided bet", one, p, wire.CodeNoBet)
			if got, err := one.Balance(context.Background(), player); err != nil || got.Amount != DefaultInitialCredit && got.Version != 0 {
				t.Errorf("%s has %+v, %v after %v beside %v", player, got, err, kinds(first), kinds(second))
			}
		}
		wantSound(t, one)
	})
}

func wantCode(t *testing.T, why string, b *Book, k wire.Booking, code wire.Code) {
	t.Helper()
	if r := apply(t, b, k); r.Code != code {
		t.Errorf("%s: %+v, want %s", why, r, code)
	}
}

func kinds(list []wire.Booking) (out []wire.BookingKind) {
	for _, k := range list {
		out = append(out, k.Kind)
	}
	return out
}
