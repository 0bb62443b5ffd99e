package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// TestOperatorsWallet plays with the money of an operator's wallet, as processes, while
// a part of what is asked of it is damaged.
func TestOperatorsWallet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "wallet.key")
	if err := os.WriteFile(key, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	simulator := newServer(t, nil)
	address := strings.TrimPrefix(simulator.public, "http://")
	simulator.args = []string{"wallet", "simulator", "--wallet-key-file", key, "--listen", address, "--fault-rate", "0.1"}
	simulator.start()
	s := newServer(t, nil, "serve", "--data", filepath.Join(dir, "data"), "--wallet-url", simulator.public, "--wallet-key-file", key)
	s.startReady()
	testkit.Eventually(t, "the room can be joined", deadline, func() bool {
		_, list := s.get(s.public + "/api/rooms")
		return strings.Contains(list, "running")
	})
	// Stakes that the wallet does not answer in time are no bets, so a bot may meet
	// them, and a run may see no bet that wins; sequences, answers and results must hold.
	asked := func(op string) bool { return strings.Contains(simulator.log.String(), "op="+op) }
	for range 6 {
		startSwarm(t, s, "--room", "lobby", "--game", "crash").wantPassed()
		if asked("withdraw") && asked("deposit") {
			break
		}
	}
	command := func(args ...string) string {
		return runCommand(t, nil, append(args, "--data", filepath.Join(dir, "data"), "--api", s.internal)...)
	}
	testkit.Eventually(t, "nothing is unknown in the end", deadline, func() bool {
		return !strings.Contains(command("wallet", "queue"), "withdraw") && !strings.Contains(command("wallet", "queue"), "deposit")
	})
	if !asked("withdraw") || !asked("deposit") {
		t.Error("the wallet was not asked for withdrawals and deposits")
	}
	r, err := http.Post(s.public+"/api/login", "application/json", strings.NewReader(`{"token":"ann"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("login of a player of the wallet: status %d", r.StatusCode)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if out := runCommand(t, nil, "audit", "--data", filepath.Join(dir, "data")); !strings.Contains(out, "no difference") {
		t.Errorf("the audit of a book whose money is in a wallet:\n%s", out)
	}
	without := newServer(t, nil, "serve", "--data", filepath.Join(dir, "data"))
	without.start()
	if code := without.wait(); code != 1 || !strings.Contains(without.log.String(), "takes a book of its own") {
		t.Errorf("without its wallet: exit code %d, %s", code, without.log)
	}
}

// TestLedgerWaitsForPostgres starts a ledger worker before its database.
func TestLedgerWaitsForPostgres(t *testing.T) {
	t.Parallel()
	nats, redis, database := testsvc.NATS(t), testsvc.Redis(t), testsvc.StartPostgres(t)
	r := newServer(t, []string{"TICKCAST_ROOM_SECRET=" + testSecret}, "room", "--nats-url", nats, "--redis-url", redis)
	r.startReady()
	database.Stop()
	l := newServer(t, nil, "ledger", "--nats-url", nats, "--redis-url", redis, "--database-url", database.URL)
	l.start()
	testkit.Eventually(t, "it lives, and says why it is not ready", deadline, func() bool {
		live, _ := l.get(l.internal + "/livez")
		code, why := l.get(l.internal + "/readyz")
		return live == http.StatusOK && code == http.StatusServiceUnavailable && strings.Contains(why, "database")
	})
	testkit.Eventually(t, "it says that it waits", deadline, func() bool { return strings.Contains(l.log.String(), "still waiting for the ledger's database") })
	database.Start()
	l.awaitReady()
	if code := l.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}
