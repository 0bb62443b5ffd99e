package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/ledger/wallet"
)

// TestOperatorsWallet plays with the money of an operator's wallet, as processes, while
// a part of what is asked of it is damaged, and a ledger worker is killed. In the end
// everybody has there what the book says.
func TestOperatorsWallet(t *testing.T) {
	t.Parallel()
	for _, k := range boxAndCluster() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			w := startSimulator(t)
			testWallet(t, w, k.start(t, "--wallet-url", w.server.public, "--wallet-key-file", w.key))
		})
	}
}

func testWallet(t *testing.T, w *simulator, d *deployment) {
	room := d.makeRooms()[0]
	// Stakes that the wallet does not answer in time are no bets, so a bot may meet
	// them, and a run may see no bet that wins; sequences, answers and results must hold.
	for range 6 {
		s := d.startSwarm([]string{room}, "--game", "crash", "--bet", "1", "--cash-out-delay", "500ms", "--duration", "8s")
		testkit.Eventually(t, "the swarm plays", deadline, func() bool { return s.second() >= 3 })
		d.ledgers[0].kill()
		d.ledgers[0].startReady()
		s.wantPassed()
		if w.asked("withdraw") && w.asked("deposit") {
			break
		}
	}
	if !w.asked("withdraw") || !w.asked("deposit") {
		t.Error("the wallet was not asked for withdrawals and deposits")
	}
	// Bots that leave have bets on; what is owed for those is queued when their round ends.
	testkit.Eventually(t, "every bet has its end, and nothing is unknown", deadline, func() bool {
		if d.countRows(`SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`) != 0 {
			return false
		}
		// It fails while the ledger is slow, and has a heading.
		queue, err := tryCommand(t, d.secrets, "wallet", "queue", "--api", d.gateways[0].internal)
		return err == nil && strings.Count(queue, "\n") == 1
	})
	w.wantAstrayFound(d, w.wantMoney(d, "", 0))
	for _, g := range d.gateways {
		testkit.Eventually(t, "a player of the wallet logs in", deadline, func() bool { // some requests are damaged
			r, err := http.Post(g.public+"/api/login", "application/json", strings.NewReader(`{"token":"ann"}`))
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			return r.StatusCode == http.StatusOK
		})
	}
	d.wantNoDifference()
	d.stopLedgers()
	if out := d.run(d.reconcile()...); !strings.Contains(out, "as the log says") {
		t.Errorf("the log, and a book whose money is in a wallet:\n%s", out)
	}
	without := d.ledgers[0]
	without.args = slices.DeleteFunc(slices.Clone(without.args), func(arg string) bool { return slices.Contains(d.options, arg) })
	without.start()
	if code := without.wait(); code != 1 || !strings.Contains(without.log.String(), "takes a book of its own") {
		t.Errorf("without its wallet: exit code %d, %s", code, without.log)
	}
}

// simulator is the wallet simulator as a process.
type simulator struct {
	server *server
	key    string // file
	client *wallet.Client
}

func startSimulator(t testing.TB) *simulator {
	t.Helper()
	w := &simulator{server: newServer(t, nil), key: filepath.Join(t.TempDir(), "wallet.key")}
	if err := os.WriteFile(w.key, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(w.server.public, "http://")
	w.server.args = []string{"wallet", "simulator", "--wallet-key-file", w.key, "--listen", address, "--initial", strconv.Itoa(walletInitial), "--fault-rate", "0.1"}
	w.server.start()
	var err error
	if w.client, err = wallet.NewClient(w.server.public, []byte(testSecret)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// walletInitial is what everybody has at the wallet in the beginning.
const walletInitial = 100_000

// asked reports whether the wallet was asked for an operation.
func (w *simulator) asked(op string) bool { return strings.Contains(w.server.log.String(), "op="+op) }

// sums are what a player has at the wallet, and what by the transfers in the book.
type sums struct{ wallet, book int64 }

// accounts are the sums of all players with transfers.
func (w *simulator) accounts(d *deployment) map[string]sums {
	d.t.Helper()
	books := d.books()
	defer func() { _ = books.Close() }()
	rows, err := books.QueryContext(d.t.Context(), `SELECT t.player, CAST(SUM(e.amount) AS BIGINT) FROM transfers t
		JOIN entries e ON e.transfer = t.id WHERE e.account = '.wallet' GROUP BY t.player`)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]sums{}
	for rows.Next() {
		var player string
		var change int64
		if err := rows.Scan(&player, &change); err != nil {
			d.t.Fatal(err)
		}
		all[player] = sums{w.balance(d.t, player), walletInitial + change}
	}
	if rows.Err() != nil || len(all) == 0 {
		d.t.Fatalf("%d players with transfers, %v", len(all), rows.Err())
	}
	return all
}

func (w *simulator) balance(t testing.TB, player string) (has int64) {
	t.Helper()
	w.ask(t, "the wallet tells a balance", func(ctx context.Context) (bool, error) {
		var err error
		has, err = w.client.Balance(ctx, player)
		return true, err
	})
	return has
}

// ask asks the wallet until it answers, and wants that to be yes: some requests are damaged.
func (w *simulator) ask(t testing.TB, why string, ask func(context.Context) (bool, error)) {
	t.Helper()
	testkit.Eventually(t, why, deadline, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		yes, err := ask(ctx)
		return yes && err == nil
	})
}

// wantMoney wants everybody to have at the wallet what the book says, but for what one player has
// more there. It returns one who has some there.
func (w *simulator) wantMoney(d *deployment, player string, more int64) (rich string) {
	d.t.Helper()
	for p, has := range w.accounts(d) {
		if has.wallet >= 1000 {
			rich = p
		}
		want := has.book
		if p == player {
			want += more
		}
		if has.wallet != want {
			d.t.Errorf("%s has %d at the wallet, and %d by the book, want a difference of %d", p, has.wallet, has.book, want-has.book)
		}
	}
	return rich
}

// wantAstrayFound moves money at the wallet of which the book knows nothing, to and fro, and
// wants the comparison to tell of exactly that.
func (w *simulator) wantAstrayFound(d *deployment, rich string) {
	d.t.Helper()
	more := int64(0)
	for i, move := range []struct {
		do     func(context.Context, wallet.Transaction) (wallet.Answer, error)
		amount int64
		change int64
	}{{w.client.Deposit, 100, 100}, {w.client.Withdraw, 300, -300}} {
		more += move.change
		w.ask(d.t, "money is moved at the wallet", func(ctx context.Context) (bool, error) {
			a, err := move.do(ctx, wallet.Transaction{ID: fmt.Sprint("astray/", i), Player: rich, Amount: move.amount})
			return a.Done, err
		})
		w.wantMoney(d, rich, more)
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
