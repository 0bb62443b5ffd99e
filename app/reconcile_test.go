package app_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/internal/testkit"
)

// TestReconcile plays, puts an older copy of the ledger in its place, and has the
// command book again what the log knows. Then the ledger goes on.
func TestReconcile(t *testing.T) { onEach(t, boxAndCluster(), testReconcile) }

func testReconcile(t *testing.T, d *deployment) {
	rooms := d.makeRooms()
	// play goes on until stakes are booked, which on a busy machine may take more than one swarm.
	play := func() {
		t.Helper()
		stakes := func() int64 { return d.countRows(`SELECT COUNT(*) FROM transfers WHERE kind = 'stake'`) }
		before := stakes()
		for range 5 {
			// Its verdict is other tests' affair: here it makes bookings.
			out, err := tryCommand(t, nil, "swarm", "--url", d.gateways[0].socket(), "--room", strings.Join(rooms, ","), "--bots", "8", "--duration", "6s", "--settle", deadline.String(), "--bet", "1")
			if err != nil {
				t.Logf("swarm: %v\n%s", err, out)
			}
			if stakes() > before {
				return
			}
		}
		t.Fatal("no stake was booked")
	}
	play()
	d.stopLedgers()
	restoreOlder := d.copyDatabase()
	for _, l := range d.ledgers {
		l.startReady()
	}
	play()
	d.stopLedgers()
	if out := d.run(d.reconcile()...); !strings.Contains(out, "as the log says") {
		t.Errorf("before anything was lost:\n%s", out)
	}
	restoreOlder()
	if out, err := tryCommand(t, d.secrets, d.reconcile()...); err == nil || !strings.Contains(out, "  missing ") {
		t.Errorf("with an older ledger: %v\n%s", err, out)
	}
	if out := d.run(d.reconcile("--repair")...); !strings.Contains(out, "as the log says") {
		t.Errorf("repair:\n%s", out)
	}
	if out := d.run(d.reconcile()...); !strings.Contains(out, "\n0 of them are missing") {
		t.Errorf("afterwards:\n%s", out)
	}
	for _, l := range d.ledgers {
		l.startReady()
	}
	testkit.Eventually(t, "every bet has its end", deadline, func() bool {
		return d.countRows(`SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`) == 0
	})
	d.wantNoDifference()
}

// reconcile is the command that compares the ledger with the log.
func (d *deployment) reconcile(args ...string) []string {
	args = append(append([]string{"ledger", "reconcile"}, d.options...), args...)
	if d.natsURL == "" {
		return append(args, "--data", filepath.Dir(d.database))
	}
	return append(append(args, d.services...), "--database-url", d.database)
}

// stopLedgers stops who writes the ledger, if they are not stopped already.
func (d *deployment) stopLedgers() {
	d.t.Helper()
	for _, l := range d.ledgers {
		if code := l.stop(); code != 0 {
			d.t.Fatalf("%v: exit code %d after SIGTERM", l.args, code)
		}
	}
}

// copyDatabase copies the ledger's database, which nobody has open. The function that is
// returned, which wants that too, puts the copy in its place.
func (d *deployment) copyDatabase() (restore func()) {
	d.t.Helper()
	if d.natsURL != "" {
		d.alterDatabases(`CREATE DATABASE older TEMPLATE postgres`)
		return func() {
			d.t.Helper()
			d.alterDatabases(`ALTER DATABASE postgres RENAME TO newer`, `ALTER DATABASE older RENAME TO postgres`)
		}
	}
	older, err := os.ReadFile(d.database)
	if err != nil {
		d.t.Fatal(err)
	}
	return func() {
		d.t.Helper()
		if err := os.WriteFile(d.database, older, 0o600); err != nil {
			d.t.Fatal(err)
		}
		for _, rest := range []string{"-wal", "-shm"} {
			_ = os.Remove(d.database + rest) // they may not be there
		}
	}
}

// alterDatabases has PostgreSQL do what nobody can who uses the database.
func (d *deployment) alterDatabases(statements ...string) {
	d.t.Helper()
	server, err := sql.Open("pgx", strings.Replace(d.database, "/postgres?", "/template1?", 1))
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	for _, s := range statements {
		if _, err := server.ExecContext(d.t.Context(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}
