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
		calm := p.calmGap(time.Second)
		from, epochs := time.Now(), p.clients[0].newest()
		for _, s := range p.rooms {
			if code := s.stop(); code != 0 {
				t.Fatalf("exit code %d after SIGTERM", code)
			}
			s.startReady()
		}
		testkit.Eventually(t, "all rooms have moved", deadline, func() bool {
			for room, epoch := range p.clients[0].newest() {
				if epoch == epochs[room] {
					return false
				}
			}
			return true
		})
		moved := p.longest(from)
		t.Logf("longest gap between ticks: %v while room servers restart in turn, %v while a ledger worker does", moved, calm)
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

// calmGap is the longest that a client had to wait for a tick while no partition moved,
// but a server that no room waits for restarted: to start processes is work for the
// machine in any case.
func (p *pauses) calmGap(d time.Duration) (gap time.Duration) {
	p.t.Helper()
	testkit.Eventually(p.t, "no partition moves", deadline, func() bool {
		from, epochs := time.Now(), p.clients[0].newest()
		for time.Since(from) < d {
			if code := p.ledgers[0].stop(); code != 0 {
				p.t.Fatalf("exit code %d after SIGTERM", code)
			}
			p.ledgers[0].startReady()
		}
		gap = p.longest(from)
		return maps.Equal(epochs, p.clients[0].newest())
	})
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
