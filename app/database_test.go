package app_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// TestDatabaseDownDuringSettlement stops PostgreSQL while bots play: flights go on, bets are
// refused in time, payouts wait and are booked once.
func TestDatabaseDownDuringSettlement(t *testing.T) {
	t.Parallel()
	database := testsvc.StartPostgres(t)
	secrets := []string{"TICKCAST_ROOM_SECRET=" + testSecret, "TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret}
	s := newServer(t, secrets, "serve", "--data", t.TempDir(), "--database-url", database.URL)
	s.startReady()
	// Rounds are so short that some end before the database goes, while it is away, and afterwards.
	runCommand(t, secrets, "rooms", "create", "quick", "--api", s.internal, "--set", "betting_ms=1000", "--set", "lock_ms=500", "--set", "crashed_ms=500", "--set", "cap=150")
	testkit.Eventually(t, "the room can be joined", deadline, func() bool {
		_, list := s.get(s.public + "/api/rooms")
		return strings.Contains(list, "quick")
	})
	// Some bets have targets, so that payouts are owed while the database is away.
	w := startSwarm(t, s, "--room", "quick", "--game", "crash", "--bet", "1", "--duration", "32s")
	books, err := sql.Open("pgx", database.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = books.Close() })
	count := func(query string) (n int64) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if books.QueryRowContext(ctx, query).Scan(&n) != nil {
			return -1
		}
		return n
	}
	const openBets = `SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`
	const payouts = `SELECT COUNT(*) FROM transfers WHERE kind = 'payout'`
	testkit.Eventually(t, "bets are on, and others were paid", deadline, func() bool { return count(payouts) > 0 && count(openBets) > 0 })
	killed := w.second()
	database.Kill()
	testkit.Eventually(t, "the swarm plays on for some rounds without a database", deadline, func() bool { return w.second() >= killed+12 })
	database.Start()
	w.wantPassed()
	testkit.Eventually(t, "every bet has its end", deadline, func() bool { return count(openBets) == 0 })
	for what, query := range map[string]string{
		"sum of the entries":      `SELECT COALESCE(SUM(amount), 0)::bigint FROM entries`,
		"bets paid twice":         `SELECT COUNT(*) FROM (SELECT stake FROM transfers WHERE kind IN ('payout', 'cancel') GROUP BY stake HAVING COUNT(*) > 1) AS twice`,
		"balances below zero":     `SELECT COUNT(*) FROM accounts WHERE balance < 0`,
		"balances beside entries": `SELECT COUNT(*) FROM (SELECT a.id FROM accounts a JOIN entries e ON e.account = a.id WHERE a.kind = 'player' GROUP BY a.id, a.balance HAVING a.balance <> SUM(e.amount)) AS wrong`,
	} {
		if n := count(query); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if want := "temporarily_unavailable"; !strings.Contains(w.out.String(), want) {
		t.Errorf("nobody was told %s:\n%s", want, &w.out)
	}
}
