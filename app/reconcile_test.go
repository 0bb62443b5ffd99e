package app_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/internal/testkit"
)

// TestReconcile plays, puts an older copy of the ledger in its place, and has the
// command book again what the log knows.
func TestReconcile(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(data, "ledger.db")
	s := newServer(t, nil, "serve", "--data", data)
	once := func() {
		s.startReady()
		testkit.Eventually(t, "the room can be joined", deadline, func() bool {
			_, list := s.get(s.public + "/api/rooms")
			return strings.Contains(list, "running")
		})
		// Its verdict is other tests' affair: here it makes bookings.
		out, err := tryCommand(t, nil, "swarm", "--url", s.socket(), "--bots", "8", "--duration", "14s", "--settle", deadline.String(), "--room", "lobby", "--bet", "1")
		if err != nil {
			t.Logf("swarm: %v\n%s", err, out)
		}
		if code := s.stop(); code != 0 {
			t.Fatalf("exit code %d after SIGTERM", code)
		}
	}
	// play goes on until bets are booked, which on a busy machine may take more than one swarm.
	play := func() {
		t.Helper()
		before := stakesIn(t, file)
		for range 5 {
			if once(); stakesIn(t, file) > before {
				return
			}
		}
		t.Fatal("no bet was booked")
	}
	play()
	older, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	play()
	if out := runCommand(t, nil, "ledger", "reconcile", "--data", data); !strings.Contains(out, "as the log says") {
		t.Errorf("before anything was lost:\n%s", out)
	}
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, rest := range []string{"-wal", "-shm"} {
		_ = os.Remove(file + rest) // they may not be there
	}
	if out, err := tryCommand(t, nil, "ledger", "reconcile", "--data", data); err == nil || !strings.Contains(out, "  missing ") {
		t.Errorf("with an older ledger: %v\n%s", err, out)
	}
	if out := runCommand(t, nil, "ledger", "reconcile", "--repair", "--data", data); !strings.Contains(out, "as the log says") {
		t.Errorf("repair:\n%s", out)
	}
	if out := runCommand(t, nil, "ledger", "reconcile", "--data", data); !strings.Contains(out, "\n0 of them are missing") {
		t.Errorf("afterwards:\n%s", out)
	}
}

// stakesIn is how many stakes a ledger has booked, 0 if there is none yet.
func stakesIn(t *testing.T, file string) (n int) {
	t.Helper()
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return 0
	}
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(`SELECT COUNT(*) FROM transfers WHERE kind = 'stake'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
