package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/wire"
)

func TestMoney(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		for name, test := range map[string]func(*testing.T, *Book){
			"stake and payout": testPayout, "stake and cancel": testCancel, "cancel before stake": testTombstone,
			"repeated and forged": testConflict, "refusals change nothing": testRefusals, "credit and refill": testCredit,
			"amounts at the limits": testLimits, "loss": testLoss, "scores": testScores, "audit": testAudit,
		} {
			t.Run(name, func(t *testing.T) {
				b := r.book(t)
				test(t, b)
				wantSound(t, b)
			})
		}
	})
}

func testPayout(t *testing.T, b *Book) {
	s := stakeOf("s", "ann", 1000)
	wantResult(t, "a first stake opens the account with the grant", b, s, "", 99_000)
	wantResult(t, "a win", b, payoutOf("p", s, 2500), "", 101_500)
	wantResult(t, "a second win of the bet", b, payoutOf("p2", s, 2500), wire.CodeNoBet, 101_500)
	wantResult(t, "a cancel of a won bet", b, cancelOf("c", s), wire.CodeNoBet, 101_500)
	wantBets(t, b, "ann", "s won 2500")
	house, err := b.HouseBalance(context.Background())
	if err != nil || house != -101_500 {
		t.Errorf("house has %d, %v; want -101500", house, err)
	}
}

func testCancel(t *testing.T, b *Book) {
	s := stakeOf("s", "ann", 1000)
	wantResult(t, "a stake", b, s, "", 99_000)
	wantResult(t, "its cancel", b, cancelOf("c", s), "", 100_000)
	wantResult(t, "a second cancel finds it void", b, cancelOf("c2", s), "", 100_000)
	wantResult(t, "a payout of a cancelled bet", b, payoutOf("p", s, 2000), wire.CodeNoBet, 100_000)
	wantResult(t, "the stake again is the first answer", b, s, "", 99_000)
	wantBets(t, b, "ann", "s refunded 0")
}

func testTombstone(t *testing.T, b *Book) {
	s := stakeOf("s", "ann", 1000)
	wantResult(t, "a cancel of what has not come", b, cancelOf("c", s), "", 0)
	wantResult(t, "the stake comes late", b, s, wire.CodeBetVoided, 0)
	wantResult(t, "and again", b, s, wire.CodeBetVoided, 0)
	wantResult(t, "a payout of it", b, payoutOf("p", s, 2000), wire.CodeNoBet, 0)
	wantResult(t, "another cancel finds it void", b, cancelOf("c2", s), "", 0)
	wantBets(t, b, "ann")
}

func testConflict(t *testing.T, b *Book) {
	s := stakeOf("s", "ann", 1000)
	wantResult(t, "a stake", b, s, "", 99_000)
	wantResult(t, "the same", b, s, "", 99_000)
	other := stakeOf("s", "ann", 2000)
	wantResult(t, "another amount under the same ID", b, other, wire.CodeConflict, 0)
	wantResult(t, "a payout under the stake's ID", b, payoutOf("s", s, 2000), wire.CodeConflict, 0)
	eve := payoutOf("p", s, 2000)
	eve.Player = "eve"
	wantResult(t, "a payout to somebody else", b, eve, wire.CodeNoBet, 0)
	eve = cancelOf("c", s)
	eve.Player = "eve"
	wantResult(t, "a cancel by somebody else", b, eve, wire.CodeNoBet, 0)
	wantResult(t, "the bet is still open", b, payoutOf("p2", s, 2000), "", 101_000)
}

func testRefusals(t *testing.T, b *Book) {
	bad := func(id string, change func(*wire.Booking)) wire.Booking {
		s := stakeOf(id, "ann", 1000)
		change(&s)
		return s
	}
	for _, c := range []struct {
		why  string
		k    wire.Booking
		code wire.Code
	}{
		{"amount 0", bad("1", func(k *wire.Booking) { k.Amount = 0 }), wire.CodeBadAmount},
		{"amount below 0", bad("2", func(k *wire.Booking) { k.Amount = -1 }), wire.CodeBadAmount},
		{"amount above the limit", bad("3", func(k *wire.Booking) { k.Amount = MaxAmount + 1 }), wire.CodeBadAmount},
		{"largest amount of all", bad("4", func(k *wire.Booking) { k.Amount = 1<<63 - 1 }), wire.CodeBadAmount},
		{"no player", bad("5", func(k *wire.Booking) { k.Player = "" }), wire.CodeBadArgs},
		{"the house as a player", bad("6", func(k *wire.Booking) { k.Player = houseAccount }), wire.CodeBadArgs},
		{"no bet", bad("7", func(k *wire.Booking) { k.Bet = nil }), wire.CodeBadArgs},
		{"a round that no column holds", bad("8", func(k *wire.Booking) { k.Bet.Round = 1 << 63 }), wire.CodeBadArgs},
		{"a NUL", bad("9", func(k *wire.Booking) { k.Name = "a\x00b" }), wire.CodeBadArgs},
		{"broken UTF-8", bad("10", func(k *wire.Booking) { k.Reason = "\xff" }), wire.CodeBadArgs},
		{"a long room", bad("11", func(k *wire.Booking) { k.Room = strings.Repeat("r", 10_000) }), wire.CodeBadArgs},
		{"an unknown kind", bad("12", func(k *wire.Booking) { k.Kind = "x\x00y" }), wire.CodeBadArgs},
		{"an ID of a grant", bad(grantPrefix+"ann", func(*wire.Booking) {}), wire.CodeBadArgs},
		{"no ID", bad("", func(*wire.Booking) {}), wire.CodeBadArgs},
		{"a cancel of itself", wire.Booking{ID: "13", Kind: wire.BookCancel, Player: "ann", Stake: "13"}, wire.CodeBadArgs},
		{"a payout without a stake", wire.Booking{ID: "14", Kind: wire.BookPayout, Player: "ann", Amount: 1}, wire.CodeBadArgs},
		{"a round without a record", wire.Booking{ID: "15", Kind: wire.BookRound}, wire.CodeBadArgs},
		{"an audit without an action", wire.Booking{ID: "16", Kind: wire.BookAudit}, wire.CodeBadArgs},
	} {
		good := stakeOf("good "+c.why, "bob", 100)
		list, err := b.Apply(context.Background(), []wire.Booking{c.k, good})
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		if list[0].Booked || list[0].Code != c.code || !list[1].Booked {
			t.Errorf("%s: got %+v, want %s and the other booked", c.why, list, c.code)
		}
	}
	if got, err := b.Balance(context.Background(), "ann"); err != nil || got.Version != 0 {
		t.Errorf("refused bookings opened an account: %+v, %v", got, err)
	}
	poor := stakeOf("poor", "ann", 100_001)
	wantResult(t, "a stake that is not covered", b, poor, wire.CodeInsufficientFunds, 100_000)
	wantResult(t, "credit", b, wire.Booking{ID: "credit", Kind: wire.BookCredit, Player: "ann", Amount: 100_000}, "", 200_000)
	wantResult(t, "a refused stake stays refused", b, poor, wire.CodeInsufficientFunds, 100_000)
}

func testCredit(t *testing.T, b *Book) {
	refill := func(id string) wire.Booking {
		return wire.Booking{ID: id, Kind: wire.BookRefill, Room: "_", Player: "ann", Guest: true}
	}
	wantResult(t, "a refill of a fresh account", b, refill("r1"), wire.CodeBalanceNotZero, 100_000)
	wantResult(t, "all in but the smallest stake", b, stakeOf("s1", "ann", 99_900), "", 100)
	wantResult(t, "a refill at the smallest stake", b, refill("r2"), wire.CodeBalanceNotZero, 100)
	wantResult(t, "all in", b, stakeOf("s2", "ann", 100), "", 0)
	wantResult(t, "a refill while stakes are out", b, refill("r3"), "", 100_000)
	wantResult(t, "a credit opens an account with the grant", b,
		wire.Booking{ID: "c", Kind: wire.BookCredit, Player: "bob", Amount: 500, Operator: "op", Reason: "why not"}, "", 100_500)
}

func testLimits(t *testing.T, b *Book) {
	credit := func(id string, n int64) wire.Booking {
		return wire.Booking{ID: id, Kind: wire.BookCredit, Player: "ann", Amount: n}
	}
	var balance int64 = DefaultInitialCredit
	for i := range MaxBalance / MaxAmount {
		balance += MaxAmount
		wantResult(t, "a credit within the limit", b, credit(string(rune('a'+i)), MaxAmount), "", balance)
	}
	wantResult(t, "a credit above what browsers hold exactly", b, credit("above", MaxAmount), wire.CodeBadAmount, balance)
	wantResult(t, "a credit up to it", b, credit("up to", MaxBalance-balance), "", MaxBalance)
}

func testLoss(t *testing.T, b *Book) {
	won, lost, void := stakeOf("won", "ann", 1000), stakeOf("lost", "ann", 300), stakeOf("void", "ann", 400)
	alone, other := stakeOf("alone", "bob", 700), stakeOf("other", "bob", 100)
	other.Bet.Round = 8
	batch := []wire.Booking{won, lost, void, alone, other, payoutOf("p", won, 2500), cancelOf("c", void), roundOf("round", 7), payoutOf("late", lost, 900)}
	list, err := b.Apply(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if late := list[len(list)-1]; late.Code != wire.CodeNoBet {
		t.Errorf("a payout after the bet was lost: %+v", late)
	}
	wantBets(t, b, "ann", "void refunded 0", "won won 2500", "lost lost 0")
	wantBets(t, b, "bob", "alone lost 0", "other open 0")
	for _, board := range []string{"crash:all", "crash:2023-11-14"} {
		wantBoard(t, b, board, wire.Score{Player: "ann", Name: "Name of ann", Points: 1200}, wire.Score{Player: "bob", Name: "Name of bob", Points: -700})
	}
	wantResult(t, "the round again", b, roundOf("round", 7), "", 0)
	wantResult(t, "the round under another ID", b, roundOf("round2", 7), wire.CodeConflict, 0)
	wantResult(t, "a stake that comes after its round", b, stakeOf("late stake", "bob", 100), wire.CodeStaleRound, 99_200)
	voided := roundOf("round8", 8)
	voided.Round.Voided = true
	wantResult(t, "a voided round", b, voided, "", 0)
	wantBets(t, b, "bob", "alone lost 0", "other open 0")
	wantResult(t, "a refund of a voided round", b, cancelOf("c8", other), "", 99_300)
	wantBoard(t, b, "crash:all", wire.Score{Player: "ann", Name: "Name of ann", Points: 1200}, wire.Score{Player: "bob", Name: "Name of bob", Points: -700})
}

func testScores(t *testing.T, b *Book) {
	scores := func(id string, points int64) wire.Booking {
		return wire.Booking{
			ID: id, Kind: wire.BookScores, Room: "track", Round: &wire.RoundRecord{RoomUUID: "u", Game: "race", Round: 1, Ended: 1_700_000_000_000},
			Scores: []wire.Score{{Player: "ann", Name: "Ann", Points: points}, {Player: "bob", Name: "Bob", Points: 5}},
		}
	}
	wantResult(t, "scores", b, scores("a", 10), "", 0)
	wantResult(t, "the same scores", b, scores("a", 10), "", 0)
	wantResult(t, "more scores", b, scores("b", -7), "", 0)
	wantResult(t, "scores out of range", b, scores("c", MaxAmount+1), wire.CodeBadArgs, 0)
	wantBoard(t, b, "race:all", wire.Score{Player: "bob", Name: "Bob", Points: 10}, wire.Score{Player: "ann", Name: "Ann", Points: 3})
	wantBoard(t, b, "race:2023-11-14", wire.Score{Player: "bob", Name: "Bob", Points: 10}, wire.Score{Player: "ann", Name: "Ann", Points: 3})
	wantBoard(t, b, "race:2023-11-15")
}

func testAudit(t *testing.T, b *Book) {
	action := wire.Action{ID: "a1", Operator: "op", Op: wire.ActionPause, At: 5, Args: []byte(`{"x":"\u0000"}`)}
	wantResult(t, "an action", b, wire.Booking{ID: "1", Kind: wire.BookAudit, Room: "lobby", At: 5, Audit: &action}, "", 0)
	refused := wire.Booking{ID: "2", Kind: wire.BookAudit, Room: "hall", At: 6, Audit: &action, Outcome: wire.Errorf(wire.CodeNotRunning, "it is paused")}
	wantResult(t, "a refused action", b, refused, "", 0)
	page, err := b.Audit(context.Background(), "", Page{})
	if err != nil || len(page.Entries) != 2 || page.Entries[0].Outcome.Code != wire.CodeNotRunning || page.Entries[1].Outcome != nil {
		t.Fatalf("audit: %+v, %v", page, err)
	}
	if got := page.Entries[1].Action; got.Operator != "op" || string(got.Args) != string(action.Args) {
		t.Errorf("action %+v", got)
	}
	if page, err = b.Audit(context.Background(), "hall", Page{}); err != nil || len(page.Entries) != 1 {
		t.Errorf("audit of a room: %+v, %v", page, err)
	}
}

func wantBets(t testing.TB, b *Book, player string, want ...string) {
	t.Helper()
	page, err := b.Bets(context.Background(), player, Page{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, k := range page.Bets {
		got[k.ID+" "+k.State+" "+itoa(k.Payout)] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("bets of %s: no %q in %v", player, w, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("bets of %s: %v, want %q", player, got, want)
	}
}

func wantBoard(t testing.TB, b *Book, board string, want ...wire.Score) {
	t.Helper()
	got, err := b.Leaderboard(context.Background(), board, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %+v, want %+v", board, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %+v, want %+v", board, got, want)
		}
	}
}

func TestInitialCredit(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		b := r.book(t, InitialCredit(0))
		if got, err := b.Balance(context.Background(), "ann"); err != nil || got.Amount != 0 {
			t.Errorf("balance without an account: %+v, %v", got, err)
		}
		wantResult(t, "a stake without credit", b, stakeOf("s", "ann", 100), wire.CodeInsufficientFunds, 0)
		wantResult(t, "a refill", b, wire.Booking{ID: "r", Kind: wire.BookRefill, Player: "ann", Amount: 700}, "", 700)
		wantSound(t, b)
	})
}

// TestCheckFinds damages the book and expects Check to say so.
func TestCheckFinds(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		for damage, want := range map[string]string{
			`UPDATE entries SET amount = amount + 1 WHERE account = 'ann' AND transfer = 's'`: "entries sum to zero",
			`UPDATE accounts SET balance = balance + 1 WHERE id = 'ann'`:                      "balances are the sums",
			`DELETE FROM ends WHERE bet = 's'`:                                                "payouts and cancels are the end",
			`UPDATE accounts SET version = version + 2 WHERE id = 'ann'`:                      "versions count the transfers",
		} {
			b := r.book(t)
			s := stakeOf("s", "ann", 1000)
			wantResult(t, "a stake", b, s, "", 99_000)
			wantResult(t, "a payout", b, payoutOf("p", s, 500), "", 99_500)
			wantSound(t, b)
			if _, err := b.write.ExecContext(context.Background(), damage); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("after %s: %v, want %q", damage, err, want)
			}
		}
	})
}

func TestOpenAgain(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		at := r.url(t)
		b := openBook(t, at)
		wantResult(t, "a stake", b, stakeOf("s", "ann", 1000), "", 99_000)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		again := openBook(t, at)
		if again.id != b.id || again.id == "" {
			t.Errorf("identity %q became %q", b.id, again.id)
		}
		wantResult(t, "the stake after a restart", again, stakeOf("s", "ann", 1000), "", 99_000)
		h, err := again.Health(context.Background())
		if want := (wire.LedgerHealth{Database: r.name, Transfers: 2, Accounts: 2}); err != nil || h != want {
			t.Errorf("health %+v, %v; want %+v", h, err, want)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"":                                 "is not the path of a file",
		":memory:":                         "is not the path of a file",
		"mysql://host/db":                  "begins with postgres://",
		filepath.Join(dir, "no", "db"):     "is not a directory",
		garbage:                            "not a database",
		"postgres://u:hush@[::1]:1/x":      "reach postgres",
		"postgres://u:hush@host:port/x":    "postgres",
		filepath.Join(dir, "fine?_x#%.db"): "",
	} {
		b, err := Open(context.Background(), url)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want == "":
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		case err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush"):
			t.Errorf("%s: %v, want %q and no password", url, err, want)
		}
	}
	if _, err := Open(context.Background(), filepath.Join(dir, "x.db"), InitialCredit(-1)); err == nil {
		t.Error("a negative initial credit was accepted")
	}
	if info, err := os.Stat(filepath.Join(dir, "fine?_x#%.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v; want mode 0600", info, err)
	}
}

func TestApplyAfterTheEnd(t *testing.T) {
	b := openBook(t, sqliteURL(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Apply(ctx, []wire.Booking{stakeOf("s", "ann", 100)}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if list, err := b.Apply(context.Background(), nil); err != nil || len(list) != 0 {
		t.Errorf("an empty batch: %v, %v", list, err)
	}
	wantResult(t, "the same batch later", b, stakeOf("s", "ann", 100), "", 99_900)
}
