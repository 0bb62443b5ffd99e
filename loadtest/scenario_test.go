package loadtest

import (
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/wire"
)

// TestOutagesLoseNothing shows bots that lose the network again and again.
func TestOutagesLoseNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	c.Behaviour.ReconnectEvery, c.Behaviour.OutageEvery, c.Behaviour.Outage = -1, time.Second, 200*time.Millisecond
	r := runUntil(t, c, func(s *swarm) bool {
		return s.check.get(countOutages) > 20 && s.check.get(countRecovered) > 10 && s.allCompared()
	})
	wantPassed(t, r)
	if r.Counts[countMoves]+r.Counts["connections that broke"] > 0 || r.latency(latencyReconnect).Count == 0 || r.latency(latencyReplay).Count == 0 {
		t.Errorf("outages: %v", r.Counts)
	}
}

// TestSlowBotsAreJudgedApart shows that bots that read slowly on purpose have it
// all in the end, and that their lateness is not mixed with that of the others: it
// is as long as they are known to read nothing. On this stage nobody is degraded.
func TestSlowBotsAreJudgedApart(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"lean": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 1, map[string]string{"lobby": gameCrash})
			c := quick(st, 8)
			c.Behaviour.ReconnectEvery, c.Behaviour.Stuck, c.Behaviour.Crawl, c.plain = -1, 0.25, 0.25, plain
			c.Thresholds.Degraded = -1
			const least = 100 * time.Millisecond
			var before uint64      // newest update when all had joined: slow bots read none behind it
			var seen time.Duration // when another bot had the next one
			r := runUntil(t, c, func(s *swarm) bool {
				switch {
				case s.joined.Load() < int64(c.Bots):
				case before == 0:
					before = st.newest("lobby")
				case seen == 0 && s.check.all()[0].getNewest() > before:
					seen = s.now()
				}
				return seen > 0 && s.now() > seen+least && st.played(c.Bots, 40)
			})
			wantPassed(t, r)
			if slow := r.check(checkSlow); slow.Name == "" || r.Counts[countUnnoticed] != 4 {
				t.Errorf("slow bots: %+v, %v", slow, r.Counts)
			}
			late, others := r.latency(latencySlow), r.latency(latencySpread)
			if late.Count == 0 || others.Count == 0 || late.Max < least {
				t.Errorf("slow bots were not slow: %+v; others %+v", late, others)
			}
		})
	}
}

func TestSlowBotThatLacksSomething(t *testing.T) {
	check := newChecker(time.Now())
	a, b := newWatcher(t, check, 0), newWatcher(t, check, 1)
	b.c.slow = true
	a.joins(0, 4, false).gets(5, 6, 7)
	b.joins(0, 4, false).gets(5)
	a.c.stream.setMark(7)
	b.c.finish(0)
	wantFindings(t, "slow bot stands before the mark", check.findings, "slow 1")
	b.c.onSkip(&wire.Skip{From: 6, To: 6})
	b.c.onJoined(&wire.Joined{Room: "lobby", Position: wire.Position{Log: "l", Seq: 6}, Source: wire.SourceSnapshot, Snapshot: aView})
	b.gets(7)
	b.c.finish(0)
	wantFindings(t, "told what it missed", check.findings, "slow 1")
	if check.get(countDegraded) != 0 || check.get(countDegraded+slowSuffix) != 1 {
		t.Errorf("counted %v", check.counts)
	}
}

func TestChosenBots(t *testing.T) {
	for _, c := range []struct {
		of    int
		share float64
		want  int
	}{{5000, 0.01, 50}, {100, 0.01, 1}, {10, 0.01, 1}, {7, 1, 7}, {10, 0, 0}, {10, 0.3, 3}} {
		n := 0
		for i := range c.of {
			if chosen(i, c.of, c.share) {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%v of %d are %d, want %d", c.share, c.of, n, c.want)
		}
	}
	c := Config{Bots: 5000, Behaviour: Behaviour{Stuck: 0.01, Crawl: 0.01}}
	kinds := map[slowness]int{}
	for n := range c.Bots {
		kinds[c.slownessOf(n)]++
	}
	if kinds[readsNone] != 50 || kinds[readsTenth] != 50 {
		t.Errorf("%v", kinds)
	}
}

// TestGatewayIsKilled shows that bots come back through the gateway that is left,
// and that a run in which none was lost fails.
func TestGatewayIsKilled(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	c.Behaviour.ReconnectEvery, c.Kill.Expected = -1, true
	killed := atomic.Bool{}
	r := runUntil(t, c, func(s *swarm) bool {
		if st.played(c.Bots, 10) && killed.CompareAndSwap(false, true) {
			st.kill(0)
		}
		return killed.Load() && s.check.get("connections that broke") >= 4 && s.connected.Load() == int64(c.Bots) && s.check.get(countRecovered) >= 4
	})
	wantPassed(t, r)
	if a := r.check(checkAvalanche); a.Name == "" || !a.Passed || r.latency(latencyReconnect).Count < 4 {
		t.Errorf("a gateway was killed: %+v", a)
	}
	whole := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c.URLs = whole.urls
	r = runUntil(t, c, func(*swarm) bool { return whole.played(c.Bots, 5) })
	if r.Passed() || r.check(checkAvalanche).Passed {
		t.Error("passed though no gateway was lost")
	}
}

func TestKill(t *testing.T) {
	victim := exec.Command("sleep", "600")
	if err := victim.Start(); err != nil {
		t.Skip("SKIPPED: there is no sleep here: ", err)
	}
	ended := make(chan struct{})
	go func() { _ = victim.Wait(); close(ended) }()
	p := (&Kill{PID: victim.Process.Pid, Command: "exit 0"}).plan(0)
	<-ended
	p.work.Wait()
	if err := p.end(); err != nil {
		t.Error(err)
	}
	p = (&Kill{Command: "echo no; exit 3"}).plan(0)
	p.work.Wait()
	if err := p.end(); err == nil {
		t.Error("a command that fails")
	}
	if err := (&Kill{Command: "exit 0"}).plan(time.Hour).end(); err == nil {
		t.Error("a kill that was not due")
	}
	if p := (&Kill{}).plan(0); p != nil || p.end() != nil {
		t.Error("no kill")
	}
}

// TestIdleConnectionsAnswer shows that idle bots need no updates, but connections
// that last.
func TestIdleConnectionsAnswer(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": "quiet"})
	c := quick(st, 4)
	c.Behaviour.ReconnectEvery, c.Behaviour.Idle = -1, true
	r := runUntil(t, c, func(s *swarm) bool { return s.joined.Load() == int64(c.Bots) })
	wantPassed(t, r)
	if r.latency(latencyPing).Count != int64(c.Bots) || r.check(checkIdle).Name == "" {
		t.Errorf("pings: %+v", r.latency(latencyPing))
	}
	p := newProxy(t, st, c.Bots, onNth(wire.TypeJoined, 1, func(b []byte) [][]byte { return [][]byte{b, []byte("close 3001")} }))
	c.URLs = []string{p.url}
	r = runUntil(t, c, func(s *swarm) bool {
		return s.check.get("connections closed with 3001") > 0 && s.connected.Load() == int64(c.Bots)
	})
	if r.Passed() || r.check(checkIdle).Passed {
		t.Error("passed though a connection did not last")
	}
}
