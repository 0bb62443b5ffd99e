package app_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/room/crash"
	"tickcast/wire"
)

// lostTail is a deployment that loses the tail of its log, with a room that takes bets for
// a minute.
type lostTail struct{ *deployment }

func (d *deployment) beforeALoss() *lostTail {
	d.t.Helper()
	d.run(d.withSecrets("rooms", "create", "slow", "--set", "betting_ms=60000", "--api", d.gateways[0].internal)...)
	for _, g := range d.gateways {
		testkit.Eventually(d.t, "the room is known", deadline, func() bool {
			code, _ := g.get(g.public + "/api/rooms/slow")
			return code == 200
		})
	}
	return &lostTail{d}
}

// withSecrets adds where a box keeps its secrets.
func (d *deployment) withSecrets(args ...string) []string {
	if d.natsURL == "" {
		args = append(args, "--data", filepath.Dir(d.database))
	}
	return args
}

// guest is somebody in the room.
func (l *lostTail) guest(g *server) *listener {
	l.t.Helper()
	guest := newListener(l.t, g.public, newCapture())
	guest.send(map[string]any{"type": "hello", "protocol": 1, "token": guest.token})
	guest.send(map[string]any{"type": "join", "id": 1, "room": "slow"})
	return guest
}

// bet has a guest bet in the current round, whose number he finds by trying.
func (l *lostTail) bet(why string, guest *listener) {
	l.t.Helper()
	accepted, try := guest.accepted(), 0
	testkit.Eventually(l.t, why, 2*deadline, func() bool {
		if guest.accepted() > accepted {
			return true
		}
		try++
		guest.send(map[string]any{
			"type": "cmd", "room": "slow", "op": "bet", "key": fmt.Sprintf("key-%d-%d", accepted, try), "round": 1 + try%3, "args": map[string]any{"slot": 0, "amount": 1000},
		})
		<-time.After(100 * time.Millisecond)
		return false
	})
}

// wantNoticed wants the log to tell of the loss, and the one stake that it lost to come
// back.
func (l *lostTail) wantNoticed() {
	l.t.Helper()
	l.wantTold()
	testkit.Eventually(l.t, "the stake comes back", deadline, func() bool {
		return l.countRows(`SELECT COUNT(*) FROM ends WHERE kind = 'cancel' AND booking LIKE 'lost/%'`) == 1
	})
}

// wantTold wants the log to tell that it lost its tail.
func (d *deployment) wantTold() {
	d.t.Helper()
	testkit.Eventually(d.t, "the log tells that it lost its tail", deadline, func() bool {
		for _, s := range d.rooms {
			if _, metrics := s.get(s.internal + "/metrics"); !strings.Contains(metrics, "\ntickcast_room_lost_tails_total ") || strings.Contains(metrics, "\ntickcast_room_lost_tails_total 0") {
				return false
			}
		}
		return true
	})
}

// wantWhole wants two bets, of which the first came back, and an audit without a
// difference.
func (l *lostTail) wantWhole() {
	l.t.Helper()
	for query, want := range map[string]int64{
		`SELECT COUNT(*) FROM bets`:                                                           2,
		`SELECT COUNT(*) FROM ends`:                                                           1,
		`SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM entries`:                        0,
		`SELECT COUNT(*) FROM transfers WHERE kind IN ('stake', 'cancel') AND amount <> 1000`: 0,
		`SELECT COUNT(*) FROM transfers WHERE kind IN ('payout', 'refill', 'credit')`:         0,
	} {
		if got := l.countRows(query); got != want {
			l.t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	l.wantNoDifference()
}

// TestALostTailOfTheLog cuts the power of a box: only the ledger knows of a bet. The round
// is void, the stake comes back, and the game goes on.
func TestALostTailOfTheLog(t *testing.T) {
	t.Parallel()
	l := startBox(t).beforeALoss()
	box := l.gateways[0]
	guest, before := l.guest(box), time.Now()
	l.bet("a bet is accepted", guest)
	box.kill()
	testsvc.CutPower(t, filepath.Join(filepath.Dir(l.database), "nats"), before)
	box.startReady()
	l.wantNoticed()
	l.bet("players play on", l.guest(box))
	l.wantWhole()
}

// TestALostTailUnderLivingServers cuts the power of a NATS server under room servers that
// have folded what is lost, a ledger, and clients who stay connected.
func TestALostTailUnderLivingServers(t *testing.T) {
	t.Parallel()
	l := startDeployment(t).beforeALoss()
	guests := []*listener{l.guest(l.gateways[0]), l.guest(l.gateways[1])}
	for _, guest := range guests {
		testkit.Eventually(t, "both are in the room", deadline, func() bool { return guest.joins() >= 1 })
	}
	before := time.Now()
	l.bet("a bet is accepted", guests[0])
	l.nats[0].Kill()
	testsvc.CutPower(t, filepath.Join(l.nats[0].Dir(), "store"), before)
	l.mustStart(l.nats[0])
	l.wantNoticed()
	for _, guest := range guests {
		testkit.Eventually(t, "clients that stayed get a snapshot", deadline, func() bool { return guest.joins() >= 2 })
	}
	l.bet("and play on", guests[1])
	l.wantWhole()
}

// TestALostStakeThatIsBookedLate cuts the power when a stake waits for the ledger, which has
// a worker again when the next round would have opened without it. No round opens before the
// stake is back. A credit of the lost tail stays, and is noted.
func TestALostStakeThatIsBookedLate(t *testing.T) {
	t.Parallel()
	l := startDeployment(t).beforeALoss()
	guest, before := l.guest(l.gateways[0]), time.Now()
	l.run(l.withSecrets("players", "credit", "ann", "5", "--reason", "a gift", "--api", l.gateways[0].internal)...)
	testkit.Eventually(t, "the credit is booked", deadline, func() bool { return l.countRows(`SELECT COUNT(*) FROM transfers WHERE kind = 'credit'`) == 1 })
	l.stopLedgers()
	js, stream := l.logOf("slow")
	queue, err := js.Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	try := 0
	testkit.Eventually(t, "a stake waits for the ledger", deadline, func() bool {
		try++
		guest.send(map[string]any{"type": "cmd", "room": "slow", "op": "bet", "key": fmt.Sprint("late-", try), "round": 1, "args": map[string]any{"slot": 0, "amount": 1000}})
		<-time.After(100 * time.Millisecond)
		return count(t, queue, `"kind":"stake"`) == 1
	})
	l.nats[0].Kill()
	testsvc.CutPower(t, filepath.Join(l.nats[0].Dir(), "store"), before, wire.StreamLedger)
	l.mustStart(l.nats[0])
	l.wantTold()
	<-time.After(2 * crashedFor)
	if n := count(t, stream, `"k":"open"`); n > 1 {
		t.Errorf("%d rounds have opened, want the one that is void, before the ledger has booked what waits", n)
	}
	for _, s := range l.ledgers {
		s.startReady()
	}
	l.wantNoticed()
	l.bet("players play on", l.guest(l.gateways[0]))
	l.stopLedgers()
	if out, err := tryCommand(t, l.secrets, l.reconcile("--repair")...); err != nil || !strings.Contains(out, "ann in room "+wire.CashierRoom+", round 0: paid 500, owed 0: stays") || !strings.Contains(out, "told of 1 mends") {
		t.Errorf("the credit: %v\n%s", err, out)
	}
	l.wantNoDifference()
}

// crashedFor is how long a room shows the end of a round before it opens the next.
const crashedFor = 3 * time.Second

// count counts the messages of a stream that have a text.
func count(t *testing.T, stream jetstream.Stream, text string) (n int) {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err == nil && strings.Contains(string(m.Data), text) { // of a queue some are gone
			n++
		}
	}
	return n
}

// TestALostPayout cuts the power of a box behind a cash-out: only the ledger knows of the
// payout. The round is void, the player keeps what he was told, and the game goes on; the
// reconciliation tells of it, takes note, and has nothing more to say. The audit passes once
// that is in the log, and no sooner.
func TestALostPayout(t *testing.T) {
	t.Parallel()
	d := startBox(t)
	m := &moments{deployment: d, t: t, room: "void", chains: crash.NewChains([]byte(testSecret), rand.Reader)}
	box, data := d.gateways[0], filepath.Dir(d.database)
	d.run(d.withSecrets("rooms", "create", m.room, "--set", "betting_ms=3000", "--set", "crashed_ms=500", "--set", "cap=300", "--api", box.internal)...)
	m.ann = d.record("ann", m.room, box)
	m.watch = m.ann
	r, point := m.betting()
	for ; point < 150; r, point = m.betting() { // it must fly until the payout is booked
	}
	m.ann.begin("bet", r.Round, betOf{Amount: 1000}).wantOK(nil)
	m.reading(r, 102)
	before := time.Now()
	var out struct{ Payout int64 }
	m.ann.begin("cashout", r.Round, betOf{}).wantOK(&out)
	paid := func() int64 {
		return d.countRows(`SELECT COALESCE(SUM(amount), 0) FROM transfers WHERE kind = 'payout'`)
	}
	testkit.Eventually(t, "the payout is booked", deadline, func() bool { return paid() == out.Payout })
	box.kill()
	testsvc.CutPower(t, filepath.Join(data, "nats"), before)

	reconcile := func(why, want string, whole bool, args ...string) {
		t.Helper()
		text, err := tryCommand(t, d.secrets, append([]string{"ledger", "reconcile", "--data", data}, args...)...)
		if !strings.Contains(text, want) || (err == nil) != whole {
			t.Errorf("%s: %v, want %q in\n%s", why, err, want, text)
		}
	}
	reconcile("before the room's owner has seen it", fmt.Sprintf("paid %d, owed 0: the round is not over", out.Payout), false, "--repair")
	box.startReady()
	m.wantTold()
	testkit.Eventually(t, "the round is void", deadline, func() bool {
		return d.countRows(fmt.Sprintf(`SELECT COUNT(*) FROM rounds WHERE room = 'void' AND voided = 1 AND round = %d`, r.Round)) == 1
	})
	next, point := m.betting()
	for ; point < 106; next, point = m.betting() { // the bet is to win
	}
	m.ann.begin("bet", next.Round, betOf{Amount: 1000, Auto: 105}).wantOK(nil)
	m.wantCrash(next, point)
	testkit.Eventually(t, "the next round is archived", deadline, func() bool {
		return d.countRows(fmt.Sprintf(`SELECT COUNT(*) FROM rounds WHERE room = 'void' AND voided = 0 AND round = %d`, next.Round)) == 1
	})
	if code := box.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	unmended := d.exportLog("unmended")
	wantDifference(t, "refused with no_bet", "--export", unmended)
	wantDifference(t, "end of the bet: expected cancel, found payout", "--data", data)
	reconcile("a payout that the log lost", fmt.Sprintf("paid %d, owed 1000: stays", out.Payout), false)
	reconcile("taking note", "1 mended\nthe log was told of 1 mends\nthe ledger is as the log says", true, "--repair")
	reconcile("afterwards", "\n0 bets, credits and rounds of the ledger were settled otherwise", true)
	d.wantMended(t, r.Round, unmended)
	for query, want := range map[string]int64{
		`SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM entries`:                                                       0,
		`SELECT COUNT(*) FROM audit WHERE operator = 'reconcile'`:                                                            1,
		`SELECT balance FROM accounts WHERE id = 'ann'`:                                                                      100_000 - 2000 + out.Payout + 1050,
		`SELECT COUNT(*) FROM transfers WHERE kind NOT IN ('grant', 'stake', 'payout')`:                                      0,
		fmt.Sprintf(`SELECT COUNT(*) FROM bets b JOIN ends e ON e.bet = b.id WHERE round = %d AND kind = 'payout'`, r.Round): 1,
	} {
		if got := d.countRows(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}
