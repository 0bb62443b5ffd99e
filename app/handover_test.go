package app_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"tickcast/internal/testkit"
)

const (
	// shortTick is the shortest tick interval that a room may have: a pause is many of them.
	shortTick = 50 * time.Millisecond
	// rollTries is how often room servers are restarted in turn: a busy test machine stands
	// still itself, so the best try counts.
	rollTries = 4
)

// TestRollingRestart ends room servers in turn (SIGTERM), each of which hands over what
// it owns, and starts them again, while bots play: no client waits for a tick more than
// a tick longer than he does when no partition moves, and no round is voided.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	p := startPauses(t, shortTick)
	swarm := p.startSwarm(p.names, "--bots", "30", "--duration", "30s")
	testkit.Eventually(t, "the swarm plays", deadline, func() bool { return swarm.second() >= 4 })
	for try := 1; ; try++ {
		from, epochs := time.Now(), p.clients[0].newest()
		for _, s := range p.rooms {
			if code := s.stop(); code != 0 {
				t.Fatalf("exit code %d after SIGTERM", code)
			}
			s.startReady()
		}
		testkit.Eventually(t, "all rooms have moved", deadline, func() bool {
			for _, c := range p.clients {
				for room, epoch := range c.newest() {
					if epoch <= epochs[room] {
						return false
					}
				}
			}
			return true
		})
		rolled, moved := time.Since(from), p.longestMove(from)
		calm := p.calmGap(rolled)
		t.Logf("longest gap between ticks: %v when rooms move, %v while a ledger worker restarts, of %v each", moved, calm, rolled)
		if moved <= calm+shortTick {
			break
		}
		if try == rollTries {
			t.Fatal("rooms stand still while room servers restart in turn")
		}
	}
	swarm.wantPassed()
	p.wantNoDifference()
	p.wantNoVoids()
}

// calmGap is the longest that a client had to wait for a tick in some time while no
// partition moved, but a server that no room waits for restarted: to start processes is
// work for the machine in any case. In a longer time the longest gap is longer as well.
func (p *pauses) calmGap(d time.Duration) (gap time.Duration) {
	p.t.Helper()
	calm := time.Duration(0)
	testkit.Eventually(p.t, "no partition moves", deadline, func() bool {
		from, epochs := time.Now(), p.clients[0].newest()
		for time.Since(from) < time.Second {
			if code := p.ledgers[0].stop(); code != 0 {
				p.t.Fatalf("exit code %d after SIGTERM", code)
			}
			p.ledgers[0].startReady()
		}
		if maps.Equal(epochs, p.clients[0].newest()) {
			gap, calm = max(gap, p.longest(from)), calm+time.Since(from)
		}
		return calm >= d
	})
	return gap
}

// longestMove is the longest that a client had to wait for the first tick of another owner.
func (p *pauses) longestMove(from time.Time) (gap time.Duration) {
	for _, c := range p.clients {
		gap = max(gap, c.longestMove(from))
	}
	return gap
}

// longestMove is the longest time between the last tick of one owner of a room and the first
// of the next, of those that have come since a time.
func (w *tickWatch) longestMove(from time.Time) (gap time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.rooms {
		for i := len(seen) - 1; i > 0 && seen[i].at.After(from); i-- {
			if seen[i].epoch != seen[i-1].epoch {
				gap = max(gap, seen[i].at.Sub(seen[i-1].at))
			}
		}
	}
	return gap
}

// longest is the longest that a client had to wait for a tick of a room.
func (p *pauses) longest(from time.Time) (gap time.Duration) {
	for _, c := range p.clients {
		gap = max(gap, c.longest(from))
	}
	return gap
}

// wantNoVoids looks at the archived rounds.
func (p *pauses) wantNoVoids() {
	p.t.Helper()
	archived := 0
	for _, room := range p.names {
		_, body := p.gateways[0].get(p.gateways[0].public + "/api/rooms/" + room + "/rounds")
		archived += strings.Count(body, `"round":`)
		if strings.Contains(body, `"voided":true`) {
			p.t.Errorf("a round of %s was voided:\n%s", room, body)
		}
	}
	if archived == 0 {
		p.t.Error("no round was archived")
	}
}
