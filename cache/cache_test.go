package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/cache"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

const (
	deadline = 20 * time.Second
	// patience is for Sentinels, which do nothing for 30 s when the machine has stood still.
	patience = 2 * time.Minute
)

func TestMain(m *testing.M) {
	cache.BePatient()
	m.Run()
}

// onBoth runs a test on the embedded Redis and on a real one.
func onBoth(t *testing.T, test func(t *testing.T, c *cache.Client)) {
	open := func(t *testing.T, url string) *cache.Client {
		t.Helper()
		c, err := cache.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("embedded", func(t *testing.T) {
		e, err := cache.StartEmbedded()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		test(t, open(t, e.URL()))
	})
	t.Run("real", func(t *testing.T) { test(t, open(t, testsvc.Redis(t))) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSession(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		ctx := t.Context()
		_, err := c.GetSession(ctx, "s1")
		if !errors.Is(err, cache.ErrNotFound) {
			t.Fatalf("unknown session: %v", err)
		}
		s := cache.Session{ID: "s1", Player: "p", Name: "P", Gateway: "g1", Version: 1, Positions: map[string]wire.Position{"lobby": {Log: "l", Seq: 7}}}
		must(t, c.PutSession(ctx, s, time.Hour))
		resumed := s
		resumed.Gateway, resumed.Version = "g2", 2
		must(t, c.PutSession(ctx, resumed, time.Hour))
		must(t, c.PutSession(ctx, s, time.Hour)) // the gateway before is late
		must(t, c.DeleteSession(ctx, "s1", 1))
		got, err := c.GetSession(ctx, "s1")
		must(t, err)
		if got.Gateway != "g2" || got.Version != 2 || !maps.Equal(got.Positions, s.Positions) {
			t.Fatalf("resumed session: %+v", got)
		}
		must(t, c.DeleteSession(ctx, "s1", 2))
		must(t, c.DeleteSession(ctx, "s1", 2))
		if _, err = c.GetSession(ctx, "s1"); !errors.Is(err, cache.ErrNotFound) {
			t.Fatalf("deleted session: %v", err)
		}
	})
}

func TestManySessionsInOneStep(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		must(t, c.PutSessions(t.Context(), nil, time.Hour))
		var list []cache.Session
		for i := range 100 {
			list = append(list, cache.Session{ID: fmt.Sprint("many-", i), Player: fmt.Sprint("p", i), Version: int64(i % 3)})
		}
		must(t, c.PutSessions(t.Context(), list, time.Hour))
		for i := range list {
			list[i].Name, list[i].Version = "again", 1
		}
		must(t, c.PutSessions(t.Context(), list, time.Hour))
		for i, s := range list {
			if i%3 == 2 {
				s.Name, s.Version = "", 2 // a newer one was there
			}
			got, err := c.GetSession(t.Context(), s.ID)
			must(t, err)
			if got.Name != s.Name || got.Version != s.Version || got.Player != s.Player {
				t.Fatalf("session %d: %+v, want %+v", i, got, s)
			}
		}
	})
}

func TestSessionExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		must(t, c.PutSession(t.Context(), cache.Session{ID: "short"}, 150*time.Millisecond))
		must(t, c.PutSession(t.Context(), cache.Session{ID: "long"}, time.Hour))
		testkit.Eventually(t, "the session expires", deadline, func() bool {
			_, err := c.GetSession(t.Context(), "short")
			return errors.Is(err, cache.ErrNotFound)
		})
		_, err := c.GetSession(t.Context(), "long")
		must(t, err)
	})
}

func TestSnapshot(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		ctx := t.Context()
		if got, err := c.GetSnapshot(ctx, 3); got != nil || err != nil {
			t.Fatalf("no snapshot: %q, %v", got, err)
		}
		data := []byte{0, 1, 0xff, '\n'}
		must(t, c.PutSnapshot(ctx, 3, 1<<53-1, data))
		must(t, c.PutSnapshot(ctx, 3, 1<<53-2, []byte("older")))
		must(t, c.PutSnapshot(ctx, 4, 1, []byte("other")))
		got, err := c.GetSnapshot(ctx, 3)
		if string(got) != string(data) || err != nil {
			t.Fatalf("snapshot: %q, %v", got, err)
		}
		must(t, c.DeleteSnapshot(ctx, 3))
		must(t, c.PutSnapshot(ctx, 3, 5, []byte("again")))
		if got, err = c.GetSnapshot(ctx, 3); string(got) != "again" || err != nil {
			t.Fatalf("snapshot after deletion: %q, %v", got, err)
		}
	})
}

// TestNewestWins writes versions in any order, any number of times, and reads
// the newest.
func TestNewestWins(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			player, board := fmt.Sprintf("p%d", run), fmt.Sprintf("crash%d:2026-01-02", run)
			versions := rapid.SliceOfN(rapid.Int64Range(1, 9), 1, 12).Draw(rt, "versions")
			newest := int64(0)
			for _, v := range versions {
				newest = max(newest, v)
				must(t, c.PutBalance(t.Context(), player, v*100-500, v))
				must(t, c.PutScore(t.Context(), board, cache.Score{Score: wire.Score{Player: player, Name: fmt.Sprint("n", v), Points: -v}, Version: v}))
			}
			b, err := c.Balance(t.Context(), player)
			if err != nil || b != (cache.Balance{Player: player, Amount: newest*100 - 500, Version: newest}) {
				rt.Fatalf("balance %+v, %v; want version %d", b, err, newest)
			}
			top, err := c.Top(t.Context(), board, 10)
			if err != nil || len(top) != 1 || top[0] != (wire.Score{Player: player, Name: fmt.Sprint("n", newest), Points: -newest}) {
				rt.Fatalf("leaderboard %+v, %v; want version %d", top, err, newest)
			}
		})
	})
}

// Of many that are written in one step each counts for itself.
func TestManyValuesInOneStep(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		const many, board = 500, "steps:2026-01-02"
		ctx := t.Context()
		stored := func(i int) int64 { return int64(1 + i%3) } // the version before the last step
		var first, second []cache.Balance
		var scores, later []cache.Score
		score := func(i int, version int64) cache.Score {
			return cache.Score{Score: wire.Score{Player: fmt.Sprintf("p%03d", i), Name: fmt.Sprint("v", version), Points: version}, Version: version}
		}
		for i := range many {
			player := fmt.Sprintf("p%03d", i)
			first, second = append(first, cache.Balance{Player: player, Amount: stored(i), Version: stored(i)}), append(second, cache.Balance{Player: player, Amount: 2, Version: 2})
			scores, later = append(scores, score(i, stored(i))), append(later, score(i, 2))
		}
		for _, list := range [][]cache.Balance{nil, first, second} {
			must(t, c.PutBalances(ctx, list))
		}
		for _, list := range [][]cache.Score{nil, scores, later} {
			must(t, c.PutScores(ctx, board, list))
		}
		top, err := c.Top(ctx, board, many)
		if err != nil || len(top) != many {
			t.Fatalf("%d scores, %v", len(top), err)
		}
		for i := range many {
			want := max(2, stored(i))
			b, err := c.Balance(ctx, first[i].Player)
			if err != nil || b != (cache.Balance{Player: first[i].Player, Amount: want, Version: want}) {
				t.Fatalf("balance %+v, %v; want version %d", b, err, want)
			}
			if n := slices.Index(top, score(i, want).Score); n < 0 {
				t.Fatalf("no score of version %d for player %d", want, i)
			}
		}
	})
}

func TestTop(t *testing.T) {
	onBoth(t, func(t *testing.T, c *cache.Client) {
		ctx := t.Context()
		var list []cache.Score
		for i := range 50 {
			list = append(list, cache.Score{Score: wire.Score{Player: fmt.Sprintf("p%02d", i), Name: fmt.Sprintf("Player %d", i), Points: int64(i)}, Version: 1})
		}
		must(t, c.PutScores(ctx, "race:all", list))
		top, err := c.Top(ctx, "race:all", 3)
		must(t, err)
		if len(top) != 3 || top[0] != list[49].Score || top[2] != list[47].Score {
			t.Fatalf("top 3: %+v", top)
		}
		if top, err = c.Top(ctx, "race:2026-01-01", 3); len(top) != 0 || err != nil {
			t.Fatalf("a board that is not there: %+v, %v", top, err)
		}
		if top, err = c.Top(ctx, "race:all", 0); len(top) != 0 || err != nil {
			t.Fatalf("top 0: %+v, %v", top, err)
		}
		if _, err = c.Balance(ctx, "nobody"); !errors.Is(err, cache.ErrNotFound) {
			t.Fatalf("balance of nobody: %v", err)
		}
	})
}

func TestFlushIsNoticedAndRepaired(t *testing.T) {
	e, err := cache.StartEmbedded()
	must(t, err)
	t.Cleanup(e.Close)
	c, err := cache.Open(e.URL())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx := t.Context()
	must(t, c.SetMarker(ctx, "ledger", "v1"))
	must(t, c.PutBalance(ctx, "p", 100, 9))
	if v, err := c.Marker(ctx, "ledger"); v != "v1" || err != nil {
		t.Fatalf("marker: %q, %v", v, err)
	}
	e.Flush()
	if _, err := c.Marker(ctx, "ledger"); !errors.Is(err, cache.ErrNotFound) {
		t.Fatalf("marker after a flush: %v", err)
	}
	must(t, c.PutBalance(ctx, "p", 100, 9))
	if b, err := c.Balance(ctx, "p"); b.Version != 9 || err != nil {
		t.Fatalf("balance after the repair: %+v, %v", b, err)
	}
}

// TestRestart kills a real Redis, which forgets data and scripts.
func TestRestart(t *testing.T) {
	s := testsvc.StartRedis(t)
	c, err := cache.Open(s.URL)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.PutBalance(t.Context(), "p", 1, 1))
	s.Kill()
	if err := c.PutBalance(t.Context(), "p", 2, 2); err == nil {
		t.Fatal("a write to a dead Redis succeeded")
	}
	s.Start()
	testkit.Eventually(t, "the cache works again", deadline, func() bool {
		return c.PutBalance(t.Context(), "p", 3, 3) == nil
	})
	if b, err := c.Balance(t.Context(), "p"); b.Amount != 3 || err != nil {
		t.Fatalf("balance: %+v, %v", b, err)
	}
}

// TestHungServer wants an error, not a wait, from a server that accepts and
// says nothing.
func TestHungServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := cache.Open("redis://" + l.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.GetSession(ctx, "s"); err == nil || errors.Is(err, cache.ErrNotFound) {
		t.Fatalf("hung server: %v", err)
	}
}

func TestEmbeddedAsksForThePassword(t *testing.T) {
	e, err := cache.StartEmbedded()
	must(t, err)
	t.Cleanup(e.Close)
	c, err := cache.Open("redis://" + e.URL()[len(e.URL())-len("127.0.0.1:00000"):])
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	if c.Ping(t.Context()) == nil {
		t.Fatal("a stranger was let in")
	}
	if _, err := cache.Open("http://x"); err == nil {
		t.Fatal("a URL of another kind was accepted")
	}
}

// TestFailover kills the master: after a while the client writes to the one that took
// its place and has what was written before.
func TestFailover(t *testing.T) {
	r := testsvc.StartSentinelRedis(t)
	c, err := cache.Open(r.URL())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx := t.Context()
	for attempts := 1; !failOver(t, r, c); attempts++ {
		if attempts == 3 {
			t.Fatal("no other one has answered")
		}
	}
	testkit.Eventually(t, "the other one takes writes", patience, func() bool { return c.PutBalance(ctx, "p", 2, 2) == nil })
	must(t, c.PutBalance(ctx, "p", 1, 1))
	if b, err := c.Balance(ctx, "p"); err != nil || b.Amount != 2 {
		t.Fatalf("balance after the failover: %+v, %v", b, err)
	}
}

// failOver kills the master of a group that has a balance, and reports whether the other one
// answers with it. When the machine stands still just then, the Sentinels do nothing for 30 s,
// and find the replica too old ever after: the master is started again.
func failOver(t *testing.T, r *service.SentinelRedis, c *cache.Client) bool {
	t.Helper()
	has := func(c *cache.Client) bool {
		b, err := c.Balance(t.Context(), "p")
		return err == nil && b.Amount == 1
	}
	hasToo := func(n *service.Service) bool {
		c, err := cache.Open(n.URL())
		must(t, err)
		defer func() { _ = c.Close() }()
		return has(c)
	}
	testkit.Eventually(t, "both have it", patience, func() bool {
		return c.PutBalance(t.Context(), "p", 1, 1) == nil && hasToo(r.Nodes[0]) && hasToo(r.Nodes[1]) && r.Whole() == nil
	})
	master, err := r.Master() // the second one, if the first stood still for a second
	must(t, err)
	master.Kill()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-again.C {
		if has(c) {
			return true
		}
	}
	must(t, master.Start())
	return false
}

// TestALostReplyDoesNothingTwice cuts connections when a request has reached Redis and
// the answer has not left: the library sends nothing again, whatever the URL says, and
// who repeats the call changes nothing.
func TestALostReplyDoesNothingTwice(t *testing.T) {
	s := testsvc.StartRedis(t)
	direct, err := cache.Open(s.URL)
	must(t, err)
	t.Cleanup(func() { _ = direct.Close() })
	ctx := t.Context()
	must(t, direct.PutBalance(ctx, "p", 1, 1)) // Redis knows the script from now on
	must(t, direct.SetMarker(ctx, "m", "before"))

	lossy := lossyProxy(t, service.Address(s.Port))
	c, err := cache.Open("redis://" + lossy + "?max_retries=5")
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	for i, write := range []func() error{
		func() error { return c.PutBalance(ctx, "p", 2, 2) },
		func() error { return c.SetMarker(ctx, "m", "after") },
	} {
		before := requests(t, s)
		if write() == nil {
			t.Fatalf("write %d succeeded without an answer", i)
		}
		if n := requests(t, s) - before; n != 1 {
			t.Errorf("write %d reached Redis %d times", i, n)
		}
	}
	must(t, direct.PutBalance(ctx, "p", 2, 2)) // who repeats does not know that it was done
	must(t, direct.PutBalance(ctx, "p", 1, 1))
	if b, err := direct.Balance(ctx, "p"); err != nil || b != (cache.Balance{Player: "p", Amount: 2, Version: 2}) {
		t.Errorf("balance: %+v, %v", b, err)
	}
	if m, err := direct.Marker(ctx, "m"); err != nil || m != "after" {
		t.Errorf("marker: %q, %v", m, err)
	}
}

// lossyProxy passes what comes on to an address, and closes the connection when there
// is something to answer but greetings.
func lossyProxy(t *testing.T, to string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	serve := func(client net.Conn) {
		defer func() { _ = client.Close() }()
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		request, answer := make([]byte, 64<<10), make([]byte, 64<<10)
		for {
			n, err := client.Read(request)
			if err != nil {
				return
			}
			greeting := bytes.Contains(request[:n], []byte("hello"))
			if _, err := server.Write(request[:n]); err != nil {
				return
			}
			if n, err = server.Read(answer); err != nil || !greeting {
				return
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	return l.Addr().String()
}

// requests counts the writes that Redis was asked for.
func requests(t *testing.T, s *testsvc.Service) (n int) {
	t.Helper()
	c, err := net.Dial("tcp", service.Address(s.Port))
	must(t, err)
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprint(c, "INFO commandstats\r\nQUIT\r\n")
	must(t, err)
	text, err := io.ReadAll(c)
	must(t, err)
	for _, m := range regexp.MustCompile(`cmdstat_(?:evalsha|set):calls=(\d+)`).FindAllSubmatch(text, -1) {
		calls, err := strconv.Atoi(string(m[1]))
		must(t, err)
		n += calls
	}
	return n
}
