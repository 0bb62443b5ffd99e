package ledger

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

func openCache(t testing.TB, at string) *cache.Client {
	t.Helper()
	c, err := cache.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// flush empties a Redis as an operator may.
func flush(t testing.TB, at string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("FLUSHALL\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("flush: %q, %v", line, err)
	}
}

// wantCopy waits until Redis has a player's balance and the boards as the book has.
func wantCopy(t testing.TB, why string, b *Book, c *cache.Client, players, boardNames []string) {
	t.Helper()
	ctx := context.Background()
	testkit.Eventually(t, why, patience, func() bool {
		for _, p := range players {
			want, err := b.Balance(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Balance(ctx, p)
			if err != nil || got.Amount != want.Amount || got.Version != want.Version {
				return false
			}
		}
		for _, name := range boardNames {
			want, err := b.Leaderboard(ctx, name, 100)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Top(ctx, name, 100)
			if err != nil || fmt.Sprint(byPlayer(got)) != fmt.Sprint(byPlayer(want)) {
				return false
			}
		}
		return true
	})
}

// byPlayer: players of the same points stand in another order in Redis.
func byPlayer(list []wire.Score) map[string]wire.Score {
	m := map[string]wire.Score{}
	for _, s := range list {
		m[s.Player] = s
	}
	return m
}

// TestRedisIsACopy books with a real Redis that is flushed, killed and started
// again, and expects the copy to be whole after each.
func TestRedisIsACopy(t *testing.T) {
	redis := testsvc.StartRedis(t)
	c := openCache(t, redis.URL)
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w := q.work(b, c)
	var players []string
	for i := range 40 {
		p := fmt.Sprintf("player-%d", i)
		players = append(players, p)
		q.send(stakeOf("s"+p, p, int64(100*(i+1))))
	}
	q.send(roundOf("r", 7))
	all := []string{"crash:all"} // the day of the round is long past
	q.wantResults("booked", "r")
	wantCopy(t, "changes are copied", b, c, players, all)

	repairs := testutil.ToFloat64(w.metrics.repairs)
	flush(t, redis.URL)
	wantCopy(t, "a flush is repaired", b, c, players, all)
	testkit.Eventually(t, "the repair ends with the marker", patience, func() bool {
		mark, err := c.Marker(context.Background(), mirrorName)
		return err == nil && mark == b.id
	})
	if n := testutil.ToFloat64(w.metrics.repairs); n <= repairs {
		t.Errorf("%v repairs after a flush, %v before", n, repairs)
	}

	redis.Kill()
	again := stakeOf("again", "player-0", 500)
	again.Bet.Round = 8
	q.send(again)
	q.wantResults("booked without Redis", "again")
	redis.Start()
	wantCopy(t, "what was booked meanwhile is copied", b, c, players, all)
	w.stop()
	wantSound(t, b)
}

// TestWorkerBeginsWithAWholeCopy: Redis says that its copy is whole, and it lacks what
// a worker booked that died before it copied it.
func TestWorkerBeginsWithAWholeCopy(t *testing.T) {
	c := openCache(t, testsvc.Redis(t))
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	wantResult(t, "booked and not copied", b, stakeOf("s", "ann", 1000), "", 99_000)
	if err := c.SetMarker(context.Background(), mirrorName, b.id); err != nil {
		t.Fatal(err)
	}
	q.work(b, c)
	wantCopy(t, "the next worker copies it", b, c, []string{"ann"}, nil)
}

// TestWorkerEndsWithACopy: what was booked last is copied before Run returns.
func TestWorkerEndsWithACopy(t *testing.T) {
	c := openCache(t, testsvc.Redis(t))
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w, err := NewWorker(Config{Book: b, Conn: q.connect(bus.RoleLedger), Cache: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	want := Balance{"ann", 500, 3}
	w.mirror.put(applied{balances: []Balance{want}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	got, err := c.Balance(context.Background(), "ann")
	if err != nil || got != (cache.Balance{Player: "ann", Amount: 500, Version: 3}) {
		t.Errorf("the copy is %+v, %v; want %+v", got, err, want)
	}
}

// TestRepetitionIsCopied: whoever booked it first may have died before he copied it.
func TestRepetitionIsCopied(t *testing.T) {
	b := openBook(t, sqliteURL(t))
	for _, why := range []string{"booked", "repeated"} {
		done, err := b.apply(context.Background(), []wire.Booking{stakeOf("s", "ann", 1000)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := []Balance{{"ann", 99_000, 2}}; !slices.Equal(done.balances, want) {
			t.Errorf("%s: %+v is copied, want %+v", why, done.balances, want)
		}
	}
}

// TestRepairsOfTwoWorkers: both notice the flush, one repairs, and a repair that
// was abandoned is taken over.
func TestRepairsOfTwoWorkers(t *testing.T) {
	at := testsvc.Redis(t)
	c := openCache(t, at)
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	q.send(stakeOf("s", "ann", 100))
	if err := c.SetMarker(context.Background(), mirrorName, repairMark(b.id, "gone", 3)); err != nil {
		t.Fatal(err)
	}
	first, second := q.work(b, c), q.work(b, c)
	q.wantResults("booked", "s")
	testkit.Eventually(t, "the abandoned repair is taken over", 2*patience, func() bool {
		mark, err := c.Marker(context.Background(), mirrorName)
		return err == nil && mark == b.id
	})
	wantCopy(t, "the copy is whole", b, c, []string{"ann"}, nil)
	flush(t, at)
	wantCopy(t, "the copy is whole again", b, c, []string{"ann"}, nil)
	first.stop()
	second.stop()
}

func TestMirrorOverflows(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	x := newMirror(nil, nil, nil, m)
	x.stale = false
	var list []Balance
	for i := range mirrorLimit + 1 {
		list = append(list, Balance{Player: fmt.Sprint(i), Version: 1})
	}
	x.put(applied{balances: list[:mirrorLimit]})
	x.put(applied{balances: []Balance{{Player: "0", Amount: 5, Version: 2}, {Player: "1", Amount: 7, Version: 0}}})
	if len(x.balances) != mirrorLimit || x.balances["0"].Amount != 5 || x.balances["1"].Amount != 0 || x.stale {
		t.Fatalf("%d wait, %+v %+v", len(x.balances), x.balances["0"], x.balances["1"])
	}
	x.put(applied{balances: list})
	if len(x.balances) != 0 || !x.stale {
		t.Errorf("%d wait after an overflow", len(x.balances))
	}
	if n := testutil.ToFloat64(m.dropped); n != mirrorLimit+1 {
		t.Errorf("%v counted as dropped", n)
	}
}
