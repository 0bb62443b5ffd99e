package app_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/wire"
)

// bettors are many enough that their payouts are more than an owner sends at once.
const bettors = 40

// moments is a deployment with one room, in which the owner of its partition is killed
// at chosen moments.
type moments struct {
	*deployment
	t      *testing.T
	nc     *nats.Conn
	room   string
	watch  *recorder
	ann    *recorder
	crowd  []*recorder
	chains *crash.SecretChains
	curve  crash.Curve
	rounds int64 // voided by the test
}

// TestMoments: with an independent client that keeps everything, real processes and short
// phases, each case once, named by its sentence. The round goes on, ends at the crash point that it had from
// the beginning, and every bet has one end.
func TestMoments(t *testing.T) {
	t.Parallel()
	m := startMoments(t, "betting_ms=10000", "crashed_ms=500", "cap=120")
	m.play(t, []moment{ // much is done while bets are taken
		{"owner killed in betting", (*moments).killedInBetting},
		{"owner killed after the crash before settlement", (*moments).killedBeforeSettlement},
		{"owner killed mid-settlement", (*moments).killedMidSettlement},
		{"killed inside a refund loop of a void", (*moments).killedInRefunds},
	})
	m.run("rooms", "set", m.room, "betting_ms=3000", "--api", m.gateways[0].internal)
	m.play(t, []moment{
		{"owner killed at lock", (*moments).killedAtLock},
		{"owner killed at start", (*moments).killedAtStart},
		{"owner killed mid-flight", (*moments).killedMidFlight},
		{"owner killed 5 ms before the crash", (*moments).killedBeforeTheCrash},
		{"killed between stake and bet", (*moments).killedBetweenStakeAndBet},
		{"no owner at all for 5 s", (*moments).noOwner},
		{"Redis flushed mid-round", (*moments).redisFlushed},
		{"two tabs bet the whole balance", (*moments).wholeBalanceTwice},
	})
	wantSame(t, append([]*recorder{m.watch, m.ann}, m.crowd...)...)
	m.wantNoDifference()
}

// moment is a case with its sentence.
type moment struct {
	sentence string
	play     func(*moments)
}

// play plays cases, each as a test of its own.
func (m *moments) play(t *testing.T, cases []moment) {
	for _, c := range cases {
		t.Run(c.sentence, func(t *testing.T) {
			m.t, m.deployment.t = t, t
			for _, r := range append([]*recorder{m.watch, m.ann}, m.crowd...) {
				r.t = t
			}
			for _, s := range m.rooms {
				s.t = t
			}
			c.play(m)
			m.wantSettled()
		})
	}
	m.t, m.deployment.t = t, t
}

func startMoments(t *testing.T, settings ...string) *moments {
	t.Helper()
	d := startDeploymentOf(t, 3, 2)
	m := &moments{deployment: d, t: t, room: roomIn(1, d.partitions), chains: crash.NewChains([]byte(testSecret), rand.Reader)}
	create := []string{"rooms", "create", m.room, "--api", d.gateways[0].internal}
	for _, s := range settings {
		create = append(create, "--set", s)
	}
	d.run(create...)
	nc, err := bus.Connect(t.Context(), withUser(d.natsURL, bus.RoleRoom), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	m.nc = nc
	m.watch, m.ann = d.record("watch", m.room, d.gateways...), d.record("ann", m.room, d.gateways[1], d.gateways[0])
	for i := range bettors {
		m.crowd = append(m.crowd, d.record(fmt.Sprint("p", i), m.room, d.gateways[i%2], d.gateways[(i+1)%2]))
	}
	return m
}

// owner is the room server that owns the room's partition.
func (m *moments) owner() *server {
	m.t.Helper()
	var pong wire.OwnerPong
	testkit.Eventually(m.t, "somebody owns the partition", deadline, func() bool {
		reply, err := m.nc.Request(wire.PingSubject(wire.PartitionOf(m.room, m.partitions)), nil, time.Second)
		return err == nil && json.Unmarshal(reply.Data, &pong) == nil && strings.HasPrefix(pong.Node, "room-")
	})
	for i, s := range m.rooms {
		if pong.Node == fmt.Sprint("room-", i) {
			return s
		}
	}
	m.t.Fatalf("%s is no room server", pong.Node)
	return nil
}

// killing kills the owner at once when it is told to, however often that is. The function
// that is returned waits until it is dead, starts it again and waits until it follows.
func (m *moments) killing() (kill recorded, again func()) {
	m.t.Helper()
	owner, dead := m.owner(), make(chan struct{})
	var once sync.Once
	kill = func(string) {
		once.Do(func() {
			owner.kill()
			close(dead)
		})
	}
	return kill, func() {
		m.t.Helper()
		select {
		case <-dead:
		case <-time.After(deadline):
			m.t.Fatal("the moment did not come")
		}
		owner.startReady()
	}
}

// killAt kills the owner when the watching client is told of a phase of a round.
func (m *moments) killAt(phase string, round uint64) (again func()) {
	kill, again := m.killing()
	m.watch.at(phase, round, kill)
	return again
}

// killAtRecord kills the owner when a record of a kind with a text is in the log.
func (m *moments) killAtRecord(k wire.Kind, text string) (again func()) {
	m.t.Helper()
	kill, restart := m.killing()
	p := wire.PartitionOf(m.room, m.partitions)
	feed := strings.TrimSuffix(wire.FeedSubject(p), ">") + string(k) + ".>"
	sub, err := m.nc.Subscribe(feed, func(msg *nats.Msg) {
		if strings.Contains(string(msg.Data), text) {
			kill("")
		}
	})
	if err == nil {
		err = m.nc.Flush()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return func() {
		restart()
		_ = sub.Unsubscribe() // fails on a closed connection only
	}
}

// betting waits for a round that takes bets for a while and whose crash point is at least 1.10x, and
// returns it with the point.
func (m *moments) betting() (recordedRound, int64) {
	m.t.Helper()
	for last := uint64(0); ; {
		var now recordedRound
		testkit.Eventually(m.t, "another round", deadline, func() bool {
			now, _ = m.watch.now()
			return now.Phase == "betting" && now.Round > last
		})
		last = now.Round
		_, clock := m.watch.now()
		if point := m.point(now); point >= 110 && clock-now.Start < now.Settings.BettingMS*1000/3 {
			return now, point
		}
	}
}

// point is the crash point of a round, which servers alone can know beforehand.
func (m *moments) point(r recordedRound) int64 {
	m.t.Helper()
	seed, _ := m.chains.Seed(r.UUID, r.Fairness.Chain, r.Fairness.Index)
	return crash.Point(seed, r.Fairness.Salt, r.Settings.RTPBP, r.Settings.Cap)
}

type betOf struct {
	Slot   int   `json:"slot"`
	Amount int64 `json:"amount,omitempty"`
	Auto   int64 `json:"auto,omitempty"`
}

// wantCrash wants the round to have ended at its point.
func (m *moments) wantCrash(r recordedRound, point int64) {
	m.t.Helper()
	testkit.Eventually(m.t, "the round has crashed", deadline, func() bool {
		now, _ := m.watch.now()
		return now.Round > r.Round || now.Phase == "crashed"
	})
	m.watch.mu.Lock()
	defer m.watch.mu.Unlock()
	want := fmt.Sprintf(`"phase":"crashed","round":%d,`, r.Round)
	for _, u := range m.watch.updates {
		if i := strings.Index(u, want); i >= 0 {
			if !strings.Contains(u[i:], fmt.Sprintf(`"centi":%d,`, point)) {
				m.t.Errorf("want the crash point %d: %s", point, u)
			}
			return
		}
	}
	m.t.Errorf("round %d did not crash", r.Round)
}

// wantSettled wants every bet to have one end, and every sum to be right.
func (m *moments) wantSettled() {
	m.t.Helper()
	testkit.Eventually(m.t, "every bet has its end", deadline, func() bool {
		return m.countRows(`SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`) == 0
	})
	for what, query := range map[string]string{
		"sum of the entries":  `SELECT COALESCE(SUM(amount), 0)::bigint FROM entries`,
		"bets that end twice": `SELECT COUNT(*) FROM (SELECT bet FROM ends GROUP BY bet HAVING COUNT(*) > 1) AS twice`,
		"bets paid twice":     `SELECT COUNT(*) FROM (SELECT stake FROM transfers WHERE kind IN ('payout', 'cancel') GROUP BY stake HAVING COUNT(*) > 1) AS twice`,
		"balances below zero": `SELECT COUNT(*) FROM accounts WHERE kind = 'player' AND balance < 0`,
	} {
		if n := m.countRows(query); n != 0 {
			m.t.Errorf("%s: %d", what, n)
		}
	}
	testkit.Eventually(m.t, fmt.Sprintf("%d voided rounds are archived", m.rounds), deadline, func() bool {
		return m.countRows(`SELECT COUNT(*) FROM rounds WHERE voided = 1`) == m.rounds
	})
}

func (m *moments) killedInBetting() {
	r, point := m.betting()
	bet := m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 105})
	bet.wantOK(nil)
	kill, again := m.killing()
	kill("")
	m.ann.begin("bet", r.Round, betOf{Slot: 1, Amount: 2000}).wantOK(nil)
	m.wantCrash(r, point)
	again()
}

// killedAtLock has stakes be missing at the lock.
func (m *moments) killedAtLock() {
	r, point := m.betting()
	again := m.killAt("locked", r.Round)
	m.ledgers[0].signal(syscall.SIGSTOP)
	bet := m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 105})
	again()
	m.ledgers[0].signal(syscall.SIGCONT)
	if a := bet.answer(); !strings.Contains(a, `"ok":true`) && !strings.Contains(a, string(wire.CodeTemporarilyUnavailable)) {
		m.t.Errorf("a bet whose stake was late: %s", a)
	}
	m.wantCrash(r, point)
}

func (m *moments) killedAtStart() {
	r, point := m.betting()
	again := m.killAt("flying", r.Round)
	m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 105}).wantOK(nil)
	m.wantCrash(r, point)
	again()
}

func (m *moments) killedMidFlight() {
	r, point := m.betting()
	m.ann.begin("bet", r.Round, betOf{Amount: 1000}).wantOK(nil)
	kill, again := m.killing()
	m.reading(r, 104)
	kill("")
	var out struct{ Centi int64 }
	m.ann.begin("cashout", r.Round, betOf{}).wantOK(&out)
	if out.Centi < 104 || out.Centi > point {
		m.t.Errorf("paid at %d in a flight that crashes at %d", out.Centi, point)
	}
	m.wantCrash(r, point)
	again()
}

// reading waits until a tick of the round's flight reads centi.
func (m *moments) reading(r recordedRound, centi int64) {
	m.t.Helper()
	testkit.Eventually(m.t, fmt.Sprint("the curve reads ", centi), deadline, func() bool {
		now, clock := m.watch.now()
		if now.Round != r.Round {
			m.t.Fatalf("round %d is over", r.Round)
		}
		return now.Phase == "flying" && game.Time(clock-now.Start)*1000 >= m.curve.At(centi)
	})
}

func (m *moments) killedBeforeTheCrash() {
	r, point := m.betting()
	m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: point}).wantOK(nil)
	kill, again := m.killing()
	m.watch.at("flying", r.Round, func(string) {
		time.AfterFunc(time.Duration(m.curve.At(point+1))-5*time.Millisecond, func() { kill("") })
	})
	m.wantCrash(r, point)
	again()
}

// killedBeforeSettlement: the ledger stands still from before the crash until another owns.
func (m *moments) killedBeforeSettlement() {
	r, point := m.betting()
	m.everybodyBets(r, point)
	again := m.killAt("crashed", r.Round)
	m.reading(r, 101)
	m.ledgers[0].signal(syscall.SIGSTOP)
	again()
	m.wantCrash(r, point)
	m.ledgers[0].signal(syscall.SIGCONT)
}

// everybodyBets places two bets for each of the crowd, which are won at the crash point.
func (m *moments) everybodyBets(r recordedRound, auto int64) {
	m.t.Helper()
	var sent []*sentCommand
	for _, p := range m.crowd {
		for slot := range 2 {
			sent = append(sent, p.begin("bet", r.Round, betOf{Slot: slot, Amount: 100, Auto: auto}))
		}
	}
	for _, c := range sent {
		c.wantOK(nil)
	}
}

// killedMidSettlement kills the owner when the first payout is booked.
func (m *moments) killedMidSettlement() {
	r, point := m.betting()
	m.everybodyBets(r, 105)
	again := m.killAtRecord(wire.KindResult, `"payout/`)
	m.wantCrash(r, point)
	again()
	m.wantSettled()
	m.wantRows("bets were paid", 2*bettors, fmt.Sprintf(`SELECT COUNT(*) FROM bets b JOIN transfers t ON t.stake = b.id WHERE b.round = %d AND t.kind = 'payout'`, r.Round))
}

// killedBetweenStakeAndBet: the owner has asked for the stake; when it is booked nobody
// owns the partition.
func (m *moments) killedBetweenStakeAndBet() {
	r, point := m.betting()
	kill, again := m.killing()
	m.ledgers[0].signal(syscall.SIGSTOP)
	bet := m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 105})
	js, _ := m.logOf(m.room)
	testkit.Eventually(m.t, "the stake waits for the ledger", deadline, func() bool {
		queue, err := js.Stream(m.t.Context(), wire.StreamLedger)
		return err == nil && queue.CachedInfo().State.Msgs > 0
	})
	kill("")
	m.ledgers[0].signal(syscall.SIGCONT)
	bet.wantOK(nil)
	m.wantCrash(r, point)
	again()
	m.wantSettled()
	m.wantRows("the bet was booked once and paid", 1, fmt.Sprintf(`SELECT COUNT(*) FROM bets b JOIN ends e ON e.bet = b.id JOIN transfers t ON t.id = e.transfer
		WHERE b.round = %d AND b.player = 'ann' AND b.stake = 1000 AND e.kind = 'payout' AND t.amount = 1050`, r.Round))
}

// wantRows wants a query of the ledger's database to count something.
func (m *moments) wantRows(why string, want int64, query string) {
	m.t.Helper()
	if n := m.countRows(query); n != want {
		m.t.Errorf("%s: %d, want %d", why, n, want)
	}
}

// killedInRefunds kills the owner when the first bet of a voided round has gone back.
func (m *moments) killedInRefunds() {
	r, _ := m.betting()
	m.everybodyBets(r, 0)
	again := m.killAtRecord(wire.KindResult, `"cancel/`)
	m.void()
	again()
	m.wantSettled()
	m.wantRows("bets went back", 2*bettors, fmt.Sprintf(`SELECT COUNT(*) FROM bets b JOIN transfers t ON t.stake = b.id WHERE b.round = %d AND t.kind = 'cancel'`, r.Round))
}

// noOwner: game time stands still. The flight would be over long before somebody owns
// again; what is cashed out meanwhile is paid at the frozen time.
func (m *moments) noOwner() {
	r, point := m.betting()
	m.ann.begin("bet", r.Round, betOf{Amount: 1000}).wantOK(nil)
	owner := m.owner()
	m.reading(r, 103)
	for _, s := range m.rooms { // so that none of them claims the room while others are killed
		if s != owner {
			s.signal(syscall.SIGSTOP)
		}
	}
	owner.kill()
	for _, s := range m.rooms {
		s.kill()
	}
	nobody := time.NewTimer(5 * time.Second)
	defer nobody.Stop()
	out := m.ann.begin("cashout", r.Round, betOf{})
	<-nobody.C
	now, clock := m.watch.now()
	for _, s := range m.rooms {
		s.start()
	}
	var paid struct{ Centi int64 }
	out.wantOK(&paid)
	// The owner's last record is up to 100 ms behind it, and 300 ms of silence count.
	frozen := game.Time(clock-now.Start)*1000 + game.Time(500*time.Millisecond)
	if most := min(m.curve.Centi(frozen), point); paid.Centi < 103 || paid.Centi > most {
		m.t.Errorf("paid at %d, the curve stood at %d at most", paid.Centi, most)
	}
	m.wantCrash(r, point)
	for _, s := range m.rooms {
		s.awaitReady()
	}
}

func (m *moments) redisFlushed() {
	r, point := m.betting()
	m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 105}).wantOK(nil)
	m.reading(r, 101)
	m.flushRedis()
	m.wantCrash(r, point)
}

// wholeBalanceTwice: both at once, through two gateways, and the ledger decides.
func (m *moments) wholeBalanceTwice() {
	one, two := m.record("eve", m.room, m.gateways[0]), m.record("eve", m.room, m.gateways[1])
	two.keys = 1000 // keys of their own
	r, _ := m.betting()
	a, b := one.begin("bet", r.Round, betOf{Slot: 0, Amount: 100_000}), two.begin("bet", r.Round, betOf{Slot: 1, Amount: 100_000})
	first, second := a.answer(), b.answer()
	if strings.Contains(first, `"ok":true`) == strings.Contains(second, `"ok":true`) || !strings.Contains(first+second, string(wire.CodeInsufficientFunds)) {
		m.t.Errorf("one is covered:\n%s\n%s", first, second)
	}
}
