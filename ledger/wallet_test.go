package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/ledger/wallet"
	"tickcast/wire"
)

const walletKey = "a key that nobody else has, of 40 bytes."

// operatorWallet is an operator's wallet behind real HTTP, and what damages the way to it.
type operatorWallet struct {
	*wallet.Memory
	faults *wallet.Faults
	url    string

	mu   sync.Mutex      // guards deaf once requests come
	deaf map[string]bool // IDs of transactions that are never answered
}

var errDeaf = errors.New("no answer")

func (o *operatorWallet) hears(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.deaf[id]
}

func (o *operatorWallet) hear(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.deaf, id)
}

// Withdraw implements wallet.Wallet.
func (o *operatorWallet) Withdraw(ctx context.Context, t wallet.Transaction) (wallet.Answer, error) {
	if !o.hears(t.ID) {
		return wallet.Answer{}, errDeaf
	}
	return o.Memory.Withdraw(ctx, t)
}

// Deposit implements wallet.Wallet.
func (o *operatorWallet) Deposit(ctx context.Context, t wallet.Transaction) (wallet.Answer, error) {
	if !o.hears(t.ID) {
		return wallet.Answer{}, errDeaf
	}
	return o.Memory.Deposit(ctx, t)
}

func newOperatorWallet(t testing.TB, initial int64, kinds ...wallet.Fault) *operatorWallet {
	t.Helper()
	o := &operatorWallet{Memory: wallet.NewMemory(initial)}
	o.faults = wallet.NewFaults(wallet.NewHandler(o, []byte(walletKey), nil), 1, 0, kinds)
	server := httptest.NewServer(http.Handler(o.faults))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *operatorWallet) client(t testing.TB) *wallet.Client {
	t.Helper()
	c, err := wallet.NewClient(o.url, []byte(walletKey))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// workAtWallet starts a worker whose patience with the wallet is short.
func (q *queue) workAtWallet(b *Book, o *operatorWallet) *runner {
	q.t.Helper()
	return q.start(Config{Book: b, Conn: q.connect(bus.RoleLedger), Wallet: o.client(q.t), AckWait: shortAckWait})
}

func custodyBook(t testing.TB, databaseURL string) *Book {
	t.Helper()
	b := openBook(t, databaseURL, Custody())
	b.waits = waits{10 * time.Millisecond, 40 * time.Millisecond}
	return b
}

// wantBalance: the wallet's word counts.
func (o *operatorWallet) wantBalance(t testing.TB, player string, want int64) {
	t.Helper()
	if got, err := o.Balance(context.Background(), player); err != nil || got != want {
		t.Errorf("%s has %d at the wallet, %v; want %d", player, got, err, want)
	}
}

// wantAgreement compares what the book says that the wallet did with what it did.
func (o *operatorWallet) wantAgreement(t testing.TB, b *Book, players []string) {
	t.Helper()
	o.wantAgreementFrom(t, b, players, walletInitial)
}

func (o *operatorWallet) wantAgreementFrom(t testing.TB, b *Book, players []string, initial int64) {
	t.Helper()
	for _, p := range players {
		var net int64
		query := b.dialect.rebind(`SELECT CAST(COALESCE(SUM(CASE WHEN kind = 'stake' THEN -amount ELSE amount END), 0) AS BIGINT) FROM transfers WHERE player = ?`)
		if err := b.read.QueryRowContext(context.Background(), query, p).Scan(&net); err != nil {
			t.Fatal(err)
		}
		o.wantBalance(t, p, initial+net)
	}
	for id, n := range o.Moves() {
		if n != 1 {
			t.Errorf("%s moved money %d times", id, n)
		}
	}
	wantSound(t, b)
}

const walletInitial = 10_000_000

// settled waits until nothing is asked of the wallet any more.
func settled(t testing.TB, b *Book) {
	t.Helper()
	testkit.Eventually(t, "no call of the wallet is open", patience, func() bool {
		var open int
		err := b.read.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM calls WHERE state = 'open'`).Scan(&open)
		return err == nil && open == 0
	})
}

func TestMoneyAtTheWallet(t *testing.T) {
	t.Parallel()
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b, o := newQueue(t), custodyBook(t, r.url(t)), newOperatorWallet(t, walletInitial)
		q.workAtWallet(b, o)
		won, poor, void := stakeOf("won", "ann", 1000), stakeOf("poor", "ann", walletInitial+1), stakeOf("void", "bob", 700)
		q.send(won, poor, void, wire.Booking{ID: "refill", Kind: wire.BookRefill, Player: "cid"})
		q.wantResults("answered by the wallet", "won", "poor", "void", "refill")
		q.send(payoutOf("p", won, 2500), cancelOf("c", void), wire.Booking{ID: "credit", Kind: wire.BookCredit, Player: "cid", Amount: 50})
		q.wantResults("answered by the wallet", "p", "c", "credit")
		q.send(payoutOf("p2", won, 2500), cancelOf("c2", won), won, poor)
		q.wantResults("answered", "p2", "c2")
		q.wantEmpty()
		for id, want := range map[string]wire.BookingResult{
			"won":    {ID: "won", Booked: true, Player: "ann", Balance: walletInitial - 1000},
			"poor":   {ID: "poor", Code: wire.CodeInsufficientFunds, Player: "ann"},
			"p":      {ID: "p", Booked: true, Player: "ann", Balance: walletInitial + 1500},
			"c":      {ID: "c", Booked: true, Player: "bob", Balance: walletInitial},
			"credit": {ID: "credit", Booked: true, Player: "cid", Balance: walletInitial + 50},
			"refill": {ID: "refill", Code: wire.CodeWalletRefused, Player: "cid"},
			"p2":     {ID: "p2", Code: wire.CodeNoBet, Player: "ann"},
			"c2":     {ID: "c2", Code: wire.CodeNoBet, Player: "ann"},
		} {
			got := q.of(id)[0]
			got.Version = 0
			if !want.Booked {
				got.Balance = 0
			}
			if got != want {
				t.Errorf("result %+v, want %+v", got, want)
			}
			q.wantSame(id)
		}
		o.wantAgreement(t, b, []string{"ann", "bob", "cid"})
		wantBets(t, b, "ann", "won won 2500")
		wantBets(t, b, "bob", "void refunded 0")
	})
}

// TestWalletExactlyOnce plays random histories against a wallet that times out, answers
// twice, answers for others, loses requests and replies, and lets requests arrive behind
// later ones, so that a rollback may come before its withdrawal. Whatever happened, in
// the end each transaction has moved money once, and the book says what the wallet did.
func TestWalletExactlyOnce(t *testing.T) {
	t.Parallel()
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b, o := newQueue(t), custodyBook(t, r.url(t)), newOperatorWallet(t, walletInitial, wallet.AllFaults()...)
		q.calls = callTimes{40 * time.Millisecond, 15 * time.Millisecond, 500 * time.Millisecond}
		q.workAtWallet(b, o)
		q.workAtWallet(b, o)
		history, players := 0, []string{"ann", "bob", "guest-1"}
		rapid.Check(t, func(rt *rapid.T) {
			history++
			o.faults.SetRate(rapid.SampledFrom([]float64{0.2, 0.5, 0.8}).Draw(rt, "damaged"))
			ids := playAtWallet(rt, q, history, players)
			q.wantResults("all are answered", ids...)
			for _, id := range ids {
				q.wantSame(id)
			}
		})
		o.faults.SetRate(0)
		settled(t, b)
		o.faults.Flush()
		q.wantEmpty()
		o.wantAgreement(t, b, players)
		for _, f := range wallet.AllFaults() {
			if o.faults.Counts()[f] == 0 {
				t.Errorf("fault %s has not happened", f)
			}
		}
	})
}

// TestWalletWorkersAreKilled cuts workers off at random moments of a run against a
// damaged wallet.
func TestWalletWorkersAreKilled(t *testing.T) {
	t.Parallel()
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b := newQueue(t), custodyBook(t, r.url(t))
		o := newOperatorWallet(t, 1_000_000, wallet.FaultReplyLost, wallet.FaultRefused, wallet.FaultTwice, wallet.FaultLate)
		o.faults.SetRate(0.3)
		var players, ids []string
		for i := range 150 {
			s := stakeOf(fmt.Sprintf("s%d", i), fmt.Sprintf("player-%d", i%13), 100)
			q.send(s)
			ids = append(ids, s.ID)
			if i%3 == 0 {
				c := cancelOf(fmt.Sprintf("c%d", i), s)
				q.send(c)
				ids = append(ids, c.ID)
			}
			if i < 13 {
				players = append(players, s.Player)
			}
		}
		q.calls = callTimes{callBound, callTimeout, 300 * time.Millisecond}
		for i := range 5 {
			w := q.workAtWallet(b, o)
			testkit.Eventually(t, "some are answered", patience, func() bool { return q.answered() >= 20*(i+1) || q.left() == 0 })
			w.kill()
		}
		q.workAtWallet(b, o)
		settled(t, b)
		// What a worker had booked and could not say any more, rooms ask for again.
		for _, id := range ids {
			if len(q.of(id)) == 0 {
				q.send(q.sent[id])
			}
		}
		q.wantResults("all are answered", ids...)
		settled(t, b)
		for _, id := range ids {
			q.wantSame(id)
		}
		o.faults.SetRate(0)
		o.faults.Flush()
		q.wantEmpty()
		o.wantAgreementFrom(t, b, players, 1_000_000)
	})
}

// TestWalletQueue: what a wallet does not answer stands in a queue that operators see,
// holds up nobody else, and ends by the wallet's answer or by a person's word.
func TestWalletQueue(t *testing.T) {
	t.Parallel()
	q, b, o := newQueue(t), custodyBook(t, sqliteURL(t)), newOperatorWallet(t, walletInitial)
	o.deaf = map[string]bool{"stuck": true, "paid by hand": true, "not taken": true, "taken": true}
	q.calls = callTimes{80 * time.Millisecond, 25 * time.Millisecond, time.Second}
	q.workAtWallet(b, o)
	won := stakeOf("won", "bob", 1000)
	q.send(stakeOf("stuck", "ann", 100), stakeOf("not taken", "ann", 100), stakeOf("taken", "ann", 300), won)
	q.wantResults("others are answered", "won")
	q.send(payoutOf("paid by hand", won, 1500))
	q.wantResults("a payout is booked, and owed", "paid by hand")
	if got := q.of("paid by hand")[0]; !got.Booked || got.Version != 0 {
		t.Errorf("a payout that is owed: %+v, want it booked and no balance", got)
	}
	api := q.connect(bus.RoleOperator)
	testkit.Eventually(t, "the queue shows them", patience, func() bool { return len(walletQueue(t, api)) == 4 })
	for _, c := range walletQueue(t, api) {
		if !o.deaf[c.ID] || c.Tries == 0 || c.Error == "" || c.Amount == 0 {
			t.Errorf("in the queue: %+v", c)
		}
	}
	order := func(op, id string) wire.Code {
		return walletOrder(t, api, wire.WalletOrder{Op: op, ID: id, Operator: "olga", Reason: "seen"})
	}
	for why, got := range map[string]wire.Code{
		"no_bet": order(wire.WalletDone, "won"), "bad_args": order(wire.WalletDenied, "paid by hand"), "": order(wire.WalletDone, "paid by hand"),
	} {
		if string(got) != why {
			t.Errorf("an order was answered %q, want %q", got, why)
		}
	}
	if a, b := order(wire.WalletDenied, "not taken"), order(wire.WalletDone, "taken"); a != "" || b != "" {
		t.Errorf("orders were answered %q, %q", a, b)
	}
	q.wantResults("what was resolved is answered", "not taken", "taken")
	if a, b := q.of("not taken")[0], q.of("taken")[0]; a.Code != wire.CodeWalletRefused || !b.Booked {
		t.Errorf("results %+v, %+v", a, b)
	}
	o.hear("stuck")
	if got := order(wire.WalletRetry, "stuck"); got != "" && got != wire.CodeNoBet { // it may have been tried meanwhile
		t.Errorf("retry was answered %q", got)
	}
	q.wantResults("the wallet hears again", "stuck")
	settled(t, b)
	wantSound(t, b)
	page, err := b.Audit(context.Background(), "", Page{})
	if err != nil || len(page.Entries) != 3 {
		t.Errorf("%d orders in the audit list, %v; want the 3 that resolved something", len(page.Entries), err)
	}
}

// TestWalletBalanceFromElsewhere: what operators give is seen, under a version of its own.
func TestWalletBalanceFromElsewhere(t *testing.T) {
	q, b, o := newQueue(t), custodyBook(t, sqliteURL(t)), newOperatorWallet(t, walletInitial)
	w := q.workAtWallet(b, o)
	ctx := context.Background()
	if got, err := w.balance(ctx, "ann"); err != nil || got != (Balance{"ann", walletInitial, 0}) {
		t.Errorf("before the first bet: %+v, %v", got, err)
	}
	q.send(stakeOf("s", "ann", 1000))
	q.wantResults("booked", "s")
	before := q.of("s")[0]
	o.Give("ann", 5000)
	got, err := w.balance(ctx, "ann")
	if err != nil || got.Amount != walletInitial-1000+5000 || got.Version <= before.Version {
		t.Errorf("behind %+v: %+v, %v", before, got, err)
	}
	if again, err := w.balance(ctx, "ann"); err != nil || again != got {
		t.Errorf("%+v became %+v, %v", got, again, err)
	}
	if p, err := w.login(ctx, "ann"); err != nil || p.ID != "ann" {
		t.Errorf("login: %+v, %v", p, err)
	}
}

func walletQueue(t *testing.T, nc *nats.Conn) []wire.WalletCall {
	t.Helper()
	var page wire.WalletPage
	askLedger(t, nc, wire.LedgerQuerySubject, wire.LedgerQuery{Op: wire.QueryWallet}, &page)
	return page.Calls
}

func walletOrder(t *testing.T, nc *nats.Conn, o wire.WalletOrder) wire.Code {
	t.Helper()
	if e := askLedger(t, nc, wire.LedgerOrderSubject, o, nil); e != nil {
		return e.Code
	}
	return ""
}

func askLedger(t *testing.T, nc *nats.Conn, subject string, request, data any) *wire.Error {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	m, err := nc.Request(subject, body, patience)
	if err != nil {
		t.Fatal(err)
	}
	var reply wire.LedgerReply
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		t.Fatal(err)
	}
	if data != nil && reply.Error == nil {
		if err := json.Unmarshal(reply.Data, data); err != nil {
			t.Fatal(err)
		}
	}
	return reply.Error
}

// playAtWallet sends a history, whose bookings come several times and in any order, and
// returns their IDs.
func playAtWallet(rt *rapid.T, q *queue, history int, players []string) []string {
	prefix := fmt.Sprintf("h%d/", history)
	var all []wire.Booking
	var ids []string
	for i := range rapid.IntRange(1, 6).Draw(rt, "stakes") {
		s := stakeOf(fmt.Sprintf("%ss%d", prefix, i), rapid.SampledFrom(players).Draw(rt, "player"), rapid.Int64Range(1, 40).Draw(rt, "amount")*100)
		s.Partition, s.Bet.Round = i%2, uint64(history)
		all, ids = append(all, s), append(ids, s.ID)
		switch rapid.IntRange(0, 2).Draw(rt, "end") {
		case 0:
			p := payoutOf(fmt.Sprintf("%sp%d", prefix, i), s, 300)
			all, ids = append(all, p), append(ids, p.ID)
		case 1:
			c := cancelOf(fmt.Sprintf("%sc%d", prefix, i), s)
			all, ids = append(all, c), append(ids, c.ID)
		}
	}
	if rapid.Bool().Draw(rt, "ends") { // stakes that come behind it are refused
		end := roundOf(prefix+"round", uint64(history))
		all, ids = append(all, end), append(ids, end.ID)
	}
	for range rapid.IntRange(0, 4).Draw(rt, "repeats") {
		all = append(all, rapid.SampledFrom(all).Draw(rt, "repeated"))
	}
	q.send(rapid.Permutation(all).Draw(rt, "order")...)
	return ids
}
