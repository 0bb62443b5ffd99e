package ledger

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// rig makes empty books of one kind of database.
type rig struct {
	name string
	url  func(t testing.TB) string
}

// forEachDatabase runs a test against SQLite and against a real PostgreSQL.
func forEachDatabase(t *testing.T, test func(t *testing.T, r rig)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, rig{"sqlite", sqliteURL}) })
	t.Run("postgres", func(t *testing.T) { test(t, rig{"postgres", postgresURLs(testsvc.Postgres(t))}) })
}

var sqliteFiles atomic.Int64

func sqliteURL(t testing.TB) string {
	return filepath.Join(t.TempDir(), fmt.Sprintf("ledger%d.db", sqliteFiles.Add(1)))
}

// postgresURLs makes a fresh database of a server for each call.
func postgresURLs(server string) func(testing.TB) string {
	var mu sync.Mutex
	n := 0
	return func(t testing.TB) string {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		n++
		name := fmt.Sprintf("book%d", n)
		conn, err := pgx.Connect(context.Background(), server)
		if err != nil {
			t.Fatalf("connect to PostgreSQL: %v", err)
		}
		if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
			t.Fatalf("create database: %v", err)
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Fatalf("disconnect from PostgreSQL: %v", err)
		}
		u, err := url.Parse(server)
		if err != nil {
			t.Fatalf("URL of PostgreSQL: %v", err)
		}
		u.Path = "/" + name
		return u.String()
	}
}

func openBook(t testing.TB, databaseURL string, o ...Option) *Book {
	t.Helper()
	b, err := Open(context.Background(), databaseURL, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (r rig) book(t testing.TB, o ...Option) *Book {
	t.Helper()
	return openBook(t, r.url(t), o...)
}

// apply books a batch of one and returns its result.
func apply(t testing.TB, b *Book, k wire.Booking) wire.BookingResult {
	t.Helper()
	list, err := b.Apply(context.Background(), []wire.Booking{k})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].ID != k.ID {
		t.Fatalf("apply %s: results %+v", k.ID, list)
	}
	return list[0]
}

// wantResult applies a booking and compares what came out: "" for booked.
func wantResult(t testing.TB, why string, b *Book, k wire.Booking, code wire.Code, balance int64) {
	t.Helper()
	r := apply(t, b, k)
	if r.Code != code || r.Booked != (code == "") || r.Balance != balance {
		t.Errorf("%s: got %+v, want code %q and balance %d", why, r, code, balance)
	}
}

func wantSound(t testing.TB, b *Book) {
	t.Helper()
	if err := b.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

func stakeOf(id, player string, amount int64) wire.Booking {
	return wire.Booking{
		ID: id, Kind: wire.BookStake, Room: "lobby", At: 1_700_000_000_000, Player: player, Name: "Name of " + player,
		Guest: true, Amount: amount, Bet: &wire.BetRecord{RoomUUID: "uuid", Game: "crash", Round: 7, Slot: 1, Auto: 250},
	}
}

func payoutOf(id string, stake wire.Booking, amount int64) wire.Booking {
	return wire.Booking{ID: id, Kind: wire.BookPayout, Room: stake.Room, At: stake.At + 1, Player: stake.Player, Stake: stake.ID, Amount: amount, Centi: 150}
}

func cancelOf(id string, stake wire.Booking) wire.Booking {
	return wire.Booking{ID: id, Kind: wire.BookCancel, Room: stake.Room, At: stake.At + 1, Player: stake.Player, Stake: stake.ID}
}

func roundOf(id string, round uint64) wire.Booking {
	return wire.Booking{ID: id, Kind: wire.BookRound, Room: "lobby", At: 1_700_000_010_000, Round: &wire.RoundRecord{
		RoomUUID: "uuid", Game: "crash", Round: round, Started: 1_700_000_000_000, Ended: 1_700_000_010_000, Outcome: []byte(`{"centi":231}`),
	}}
}
