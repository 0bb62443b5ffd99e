package loadtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestRamp(t *testing.T) {
	for _, c := range []struct {
		i, n int
		over time.Duration
		want time.Duration
	}{
		{0, 4, time.Second, 0},
		{1, 4, time.Second, 250 * time.Millisecond},
		{3, 4, time.Second, 750 * time.Millisecond},
		{3, 4, 0, 0},
		{3, 4, -1, 0},
		{0, 0, time.Second, 0},
	} {
		if got := rampAt(c.i, c.n, c.over); got != c.want {
			t.Errorf("bot %d of %d within %s starts at %s, not %s", c.i, c.n, c.over, got, c.want)
		}
	}
}

// TestPaceCountsWhatIsDue checks due against at, its definition.
func TestPaceCountsWhatIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pace{
			perSecond: rapid.Float64Range(0.001, 5000).Draw(t, "rate"),
			offset:    time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "offset")),
		}
		elapsed := time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "elapsed"))
		k := p.due(elapsed)
		if k > 0 && p.at(k-1) > elapsed {
			t.Fatalf("hit %d is due at %s, not within %s", k-1, p.at(k-1), elapsed)
		}
		if p.at(k) <= elapsed {
			t.Fatalf("hit %d is due at %s, within %s", k, p.at(k), elapsed)
		}
	})
	if (pace{}).due(time.Hour) != 0 || (pace{}).at(0) < time.Hour {
		t.Error("a pace of zero has hits")
	}
	if got := (pace{perSecond: 1e-9}).at(1 << 62); got < time.Hour {
		t.Errorf("far hits overflow to %s", got)
	}
}

func TestBackoff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for failures, bound := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 20 * time.Second, 20 * time.Second} {
		var most time.Duration
		for range 1000 {
			d := backoff(r, failures)
			if d < backoffLeast || d >= bound {
				t.Fatalf("after %d failures: %s", failures, d)
			}
			most = max(most, d)
		}
		if most < bound*9/10 {
			t.Errorf("after %d failures the longest of 1000 waits is %s, far from %s", failures, most, bound)
		}
	}
	if d := backoff(r, 1<<40); d > backoffMost {
		t.Errorf("after very many failures: %s", d)
	}
}

func TestSchedulerRunsInOrderAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(time.Now())
		s.workers = 1 // so that the order can be seen
		var mu sync.Mutex
		var got []time.Duration
		note := func(at time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Since(s.start); now != at {
				t.Errorf("what was meant for %s ran at %s", at, now)
			}
			got = append(got, at)
		}
		for _, at := range []time.Duration{3 * time.Second, time.Second, 2 * time.Hour, time.Second, 0} {
			s.add(at, note)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		time.Sleep(2 * time.Second)
		s.add(2500*time.Millisecond, note) // earlier than what it waits for
		s.add(2500*time.Millisecond, func(at time.Duration) { s.add(at+time.Second, note) })
		time.Sleep(time.Hour)
		cancel()
		<-done
		want := []time.Duration{0, time.Second, time.Second, 2500 * time.Millisecond, 3 * time.Second, 3500 * time.Millisecond}
		if !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// TestSchedulerWithAStuckTask shows that one write that blocks does not hold up
// the others.
func TestSchedulerWithAStuckTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(time.Now())
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		stuck := make(chan struct{})
		ran := make(chan time.Duration, 1)
		s.add(0, func(time.Duration) { <-stuck })
		s.add(time.Second, func(time.Duration) { ran <- time.Since(s.start) })
		go func() { s.Run(ctx); close(done) }()
		if at := <-ran; at != time.Second {
			t.Errorf("the task behind a stuck one ran at %s", at)
		}
		close(stuck)
		cancel()
		<-done
	})
}
