package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tickcast/internal/testkit"
)

// TestPlay plays in rooms of every partition through every gateway, until all processes
// are stopped in good order.
func TestPlay(t *testing.T) {
	onEach(t, kinds(), func(t *testing.T, d *deployment) {
		rooms := d.makeRooms()
		if len(d.rooms) > 1 {
			testkit.Eventually(t, "each room server owns partitions with rooms", deadline, func() bool { return len(d.roomOwners()) == len(d.rooms) })
		}
		report := filepath.Join(t.TempDir(), "report.json")
		d.startSwarm(rooms, "--workers", "2", "--bots", "60", "--duration", "12s", "--reconnect-every", "8s", "--json", report).wantPassed()
		if b, err := os.ReadFile(report); err != nil || !strings.Contains(string(b), `"verdict": "passed"`) {
			t.Errorf("report: %v\n%s", err, b)
		}
		d.wantNoDifference()
		for _, s := range d.processes() {
			if code := s.stop(); code != 0 {
				t.Errorf("%v: exit code %d after SIGTERM", s.args, code)
			}
		}
	})
}

// TestKillEverythingWhilePlayed kills every process in the middle of rounds, NATS and
// Redis among them, and starts all again, twice. Bots judge that nothing was lost:
// sequences, answers, results, balances.
func TestKillEverythingWhilePlayed(t *testing.T) {
	onEach(t, kinds(), func(t *testing.T, d *deployment) {
		w := d.startSwarm(d.makeRooms())
		for _, second := range []int{6, 14} {
			testkit.Eventually(t, "the swarm plays for a while", deadline, func() bool { return w.second() >= second })
			d.killAll()
			d.startServices()
			d.startAll()
		}
		w.wantPassed()
		d.wantNoDifference()
	})
}

// killAll kills every process but the database, in no order that means anything.
func (d *deployment) killAll() {
	for _, s := range d.processes() {
		s.kill()
	}
	for _, s := range slices.Concat(d.nats, d.redis) {
		s.Kill()
	}
}

func (d *deployment) startServices() {
	d.t.Helper()
	for _, s := range slices.Concat(d.nats, d.redis) {
		if err := s.Start(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// startSwarm lets bots play in rooms through every gateway.
func (d *deployment) startSwarm(rooms []string, args ...string) *swarm {
	d.t.Helper()
	all := []string{"--room", strings.Join(rooms, ",")}
	for _, g := range d.gateways[1:] {
		all = append(all, "--url", g.socket())
	}
	return startSwarm(d.t, d.gateways[0], append(all, args...)...)
}
