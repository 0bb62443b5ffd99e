package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/internal/testbus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// patience bounds waits for what other goroutines and processes do.
const patience = time.Minute

const (
	// shortAckWait brings the bookings of a killed worker back soon. On a busy
	// machine it also brings back those that a living worker is about to
	// acknowledge, so who uses it must expect every booking several times.
	shortAckWait = 300 * time.Millisecond
	// longAckWait brings nothing back within a test that passes.
	longAckWait = 2 * patience
)

// queue is a deployment's log and work queue with two partitions.
type queue struct {
	t      testing.TB
	server *testbus.Bus
	room   *nats.Conn
	js     jetstream.JetStream
	calls  callTimes // of workers that start; zero for what is usual

	mu      sync.Mutex // guards the following
	results map[string][]wire.BookingResult
	sent    map[string]wire.Booking // the last of each ID
}

func newQueueWithoutStreams(t testing.TB) *queue {
	t.Helper()
	q := &queue{t: t, server: testbus.Start(t), results: map[string][]wire.BookingResult{}, sent: map[string]wire.Booking{}}
	q.room = q.connect(bus.RoleRoom)
	var err error
	if q.js, err = jetstream.New(q.room); err != nil {
		t.Fatal(err)
	}
	return q
}

func newQueue(t testing.TB) *queue {
	t.Helper()
	q := newQueueWithoutStreams(t)
	if err := bus.EnsureStreams(context.Background(), q.room, bus.Layout{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	for p := range 2 {
		if _, err := q.room.Subscribe(wire.FeedSubject(p), q.heard); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

func (q *queue) connect(role bus.Role) *nats.Conn {
	q.t.Helper()
	nc, err := q.server.Connect(role, "test")
	if err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(nc.Close)
	return nc
}

func (q *queue) heard(m *nats.Msg) {
	var r wire.BookingResult
	if err := json.Unmarshal(m.Data, &r); err != nil {
		q.t.Errorf("a result is not JSON: %v", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.results[r.ID] = append(q.results[r.ID], r)
}

// send queues bookings as the owner of their partition does.
func (q *queue) send(list ...wire.Booking) {
	q.t.Helper()
	for _, b := range list {
		body, err := json.Marshal(b)
		if err != nil {
			q.t.Fatal(err)
		}
		q.mu.Lock()
		q.sent[b.ID] = b
		q.mu.Unlock()
		q.sendRaw(wire.LedgerSubject(b.Partition), body)
	}
}

func (q *queue) sendRaw(subject string, body []byte) {
	q.t.Helper()
	publish(q.t, q.js, subject, body)
}

func publish(t testing.TB, js jetstream.JetStream, subject string, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := js.Publish(ctx, subject, body); err != nil {
		t.Fatal(err)
	}
}

// of returns the results of a booking so far.
func (q *queue) of(id string) []wire.BookingResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]wire.BookingResult{}, q.results[id]...)
}

func (q *queue) wantResults(why string, ids ...string) {
	q.t.Helper()
	testkit.Eventually(q.t, why, patience, func() bool {
		for _, id := range ids {
			if len(q.of(id)) == 0 {
				return false
			}
		}
		return true
	})
}

// wantSame: however often a booking was answered, it was the same answer.
func (q *queue) wantSame(id string) {
	q.t.Helper()
	l := q.of(id)
	for _, r := range l {
		if r != l[0] {
			q.t.Errorf("answers of %s differ: %+v", id, l)
			return
		}
	}
}

// left is the number of messages in the work queue.
func (q *queue) left() uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := q.js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		q.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func (q *queue) wantEmpty() {
	q.t.Helper()
	testkit.Eventually(q.t, "the work queue is empty", patience, func() bool { return q.left() == 0 })
}

// runner is a running worker.
type runner struct {
	*Worker
	conn *nats.Conn
	stop func() // in good order
	kill func() // the connection is cut in the middle of whatever it does
}

// work starts a worker that is not killed.
func (q *queue) work(b *Book, c *cache.Client) *runner {
	q.t.Helper()
	return q.start(Config{Book: b, Conn: q.connect(bus.RoleLedger), Cache: c, AckWait: longAckWait})
}

// workShortly starts a worker whose bookings come back soon when it is killed.
func (q *queue) workShortly(b *Book) *runner {
	q.t.Helper()
	return q.start(Config{Book: b, Conn: q.connect(bus.RoleLedger), AckWait: shortAckWait})
}

func (q *queue) start(c Config) *runner {
	q.t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	w, err := NewWorker(c)
	if err != nil {
		q.t.Fatal(err)
	}
	if w.mirror != nil {
		w.mirror.every = 50 * time.Millisecond
	}
	if w.caller != nil && q.calls != (callTimes{}) {
		w.caller.times = q.calls
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	killed := false
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil && !killed {
				q.t.Errorf("worker: %v", err)
			}
		case <-time.After(patience):
			q.t.Error("the worker does not stop")
		}
	})
	kill := func() {
		killed = true
		c.Conn.Close()
		stop()
	}
	q.t.Cleanup(stop)
	return &runner{w, c.Conn, stop, kill}
}

func TestWorkerBooksAndAnswers(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b := newQueue(t), r.book(t)
		w := q.work(b, nil)
		s := stakeOf("s", "ann", 1000)
		s.Partition = 1
		q.send(s, payoutOf("p", s, 2000), stakeOf("poor", "bob", 1_000_000))
		q.wantResults("all are answered", "s", "p", "poor")
		q.wantEmpty()
		if got := q.of("s")[0]; !got.Booked || got.Balance != 99_000 || got.Version != 2 {
			t.Errorf("stake: %+v", got)
		}
		if got := q.of("poor")[0]; got.Code != wire.CodeInsufficientFunds {
			t.Errorf("stake that is not covered: %+v", got)
		}
		q.send(s)
		testkit.Eventually(t, "a booking that is sent again is answered again", patience, func() bool { return len(q.of("s")) >= 2 })
		q.wantSame("s")
		q.wantEmpty()
		w.stop()
		// The queue delivers at least once: a repetition may be more than what was
		// sent again, but the stake is booked once.
		if n := testutil.ToFloat64(w.metrics.bookings.WithLabelValues("stake", "booked")); n != 1 {
			t.Errorf("%v stakes booked", n)
		}
		if n := testutil.ToFloat64(w.metrics.bookings.WithLabelValues("stake", "repeated")); n < 1 {
			t.Errorf("%v repeated stakes counted", n)
		}
		wantBets(t, b, "ann", "s won 2000")
		wantSound(t, b)
	})
}

// TestKilledBetweenCommitAndAck does what a worker does up to the commit, and dies.
func TestKilledBetweenCommitAndAck(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	warm := q.workShortly(b) // makes the consumer
	q.send(stakeOf("warm", "bob", 1000))
	q.wantResults("booked", "warm")
	q.wantEmpty()
	warm.stop()
	q.send(stakeOf("s", "ann", 1000))
	dying := q.connect(bus.RoleLedger)
	js, err := jetstream.New(dying)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(context.Background(), wire.StreamLedger, bookingsConsumer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseBooking(m)
	if err != nil {
		t.Fatal(err)
	}
	want := apply(t, b, d.booking)
	dying.Close()

	w := q.workShortly(b)
	q.wantResults("the next worker answers", "s")
	q.wantEmpty()
	w.stop()
	if got := q.of("s"); got[0] != want {
		t.Errorf("results %+v, want %+v", got, want)
	}
	q.wantSame("s")
	if n := testutil.ToFloat64(w.metrics.bookings.WithLabelValues("stake", "booked")); n != 0 {
		t.Errorf("the next worker booked %v stakes, which the killed one had", n)
	}
	wantBets(t, b, "ann", "s open 0")
	wantSound(t, b)
}

// TestWorkersAreKilled cuts workers off at random moments while others go on.
func TestWorkersAreKilled(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		q, b := newQueue(t), r.book(t)
		var ids []string
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 400 {
				s := stakeOf(fmt.Sprintf("s%d", i), fmt.Sprintf("player-%d", i%13), 100)
				s.Partition = i % 2
				q.send(s)
				switch i % 3 {
				case 0:
					q.send(payoutOf(fmt.Sprintf("p%d", i), s, 150))
				case 1:
					q.send(cancelOf(fmt.Sprintf("c%d", i), s))
				}
			}
		})
		random := rand.New(rand.NewPCG(1, 2))
		for range 6 {
			w := q.workShortly(b)
			seen := q.answered()
			goal := seen + 1 + random.IntN(60)
			testkit.Eventually(t, "some are answered", patience, func() bool { return q.answered() >= goal || q.left() == 0 })
			w.kill()
		}
		wg.Wait()
		q.workShortly(b)
		for i := range 400 {
			ids = append(ids, fmt.Sprintf("s%d", i))
			switch i % 3 {
			case 0:
				ids = append(ids, fmt.Sprintf("p%d", i))
			case 1:
				ids = append(ids, fmt.Sprintf("c%d", i))
			}
		}
		q.wantResults("all are answered", ids...)
		q.wantEmpty()
		for _, id := range ids {
			q.wantSame(id)
		}
		wantSound(t, b)
	})
}

func (q *queue) answered() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.results)
}

func TestDatabaseAway(t *testing.T) {
	server := testsvc.StartPostgres(t)
	b := openBook(t, server.URL)
	q := newQueue(t)
	w := q.work(b, nil)
	q.send(stakeOf("before", "ann", 100))
	q.wantResults("booked", "before")
	q.wantEmpty()
	server.Kill()
	q.send(stakeOf("meanwhile", "ann", 100))
	testkit.Eventually(t, "the worker tries again", patience, func() bool { return testutil.ToFloat64(w.metrics.retries) > 1 })
	if got := q.of("meanwhile"); len(got) != 0 || q.left() != 1 {
		t.Errorf("without a database: results %+v, %d in the queue", got, q.left())
	}
	if done, newest := w.known(t); done != 1 || newest != 2 {
		t.Errorf("without a database %d of %d messages are worked on; want 1 of 2", done, newest)
	}
	server.Start()
	q.wantResults("booked when the database is back", "meanwhile")
	q.wantEmpty()
	if done, newest := w.known(t); done != 2 || newest != 2 {
		t.Errorf("with a database %d of %d messages are worked on; want 2 of 2", done, newest)
	}
	wantBets(t, b, "ann", "before open 0", "meanwhile open 0")
	wantSound(t, b)
}

// TestLostRaces: a booking that loses against another transaction again and again stays
// in the queue, holds up nobody, and is booked when nothing is in its way.
func TestLostRaces(t *testing.T) {
	b := openBook(t, testsvc.Postgres(t))
	q := newQueue(t)
	w := q.work(b, nil)
	q.send(stakeOf("first", "ann", 100))
	q.wantResults("ann has an account", "first")
	q.wantEmpty()
	execute := func(query string) {
		t.Helper()
		if _, err := b.write.ExecContext(context.Background(), query); err != nil {
			t.Fatal(err)
		}
	}
	execute(`INSERT INTO transfers (id, kind, player, amount, room, stake, operator, reason, at) VALUES ('loser', 'credit', 'ann', 1, '', '', '', '', 1)`)
	q.send(stakeOf("loser", "ann", 100), stakeOf("other", "bob", 100))
	q.wantResults("the one beside it is booked", "other")
	testkit.Eventually(t, "it is given back", patience, func() bool { return testutil.ToFloat64(w.metrics.retries) > 0 })
	testkit.Eventually(t, "it alone is left in the queue", patience, func() bool { return q.left() == 1 })
	if n := testutil.ToFloat64(w.metrics.malformed.WithLabelValues(wire.StreamLedger)); n != 0 {
		t.Errorf("%v dropped; want it to stay in the queue", n)
	}
	execute(`DELETE FROM transfers WHERE id = 'loser'`)
	q.wantResults("booked", "loser")
	q.wantEmpty()
	if n := len(q.of("loser")); n != 1 {
		t.Errorf("%d results", n)
	}
	wantSound(t, b)
}

func TestMalformedMessages(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w := q.work(b, nil)
	for _, body := range []string{``, `{`, `[]`, `{"id":"","kind":"stake"}`, `{"id":"x","p":1}`, `{"id":"grant/ann"}`, `{"id":"x","amount":1e3000}`} {
		q.sendRaw(wire.LedgerSubject(0), []byte(body))
	}
	q.sendRaw("ldg.x", []byte(`{"id":"x"}`))
	q.send(stakeOf("s", "ann", 100))
	q.wantResults("the one behind them is booked", "s")
	q.wantEmpty()
	// At least once: that a message was ended may be lost, and it comes again.
	if n := testutil.ToFloat64(w.metrics.malformed.WithLabelValues(wire.StreamLedger)); n < 8 {
		t.Errorf("%v counted, want 8", n)
	}
}

// TestPartitionAway: results for a partition whose log takes none do not hold up
// the others.
func TestPartitionAway(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w := q.work(b, nil)
	lost := stakeOf("lost", "ann", 100)
	lost.Partition = 7
	q.send(lost)
	testkit.Eventually(t, "a result is not taken", patience, func() bool { return testutil.ToFloat64(w.metrics.unanswered) > 0 })
	q.send(stakeOf("s", "bob", 100))
	q.wantResults("others are answered", "s")
	if q.left() == 0 {
		t.Error("a booking without a stored result left the queue")
	}
}

func TestSessionsAreArchived(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w := q.work(b, nil)
	gateway := q.connect(bus.RoleGateway)
	js, err := jetstream.New(gateway)
	if err != nil {
		t.Fatal(err)
	}
	e := wire.SessionEvent{ID: "e1", Session: "x", Player: "ann", Name: "Ann", Guest: true, Gateway: "g1", Kind: "login", Address: "127.0.0.1", At: 5}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{body, []byte("{"), body} {
		publish(t, js, wire.SessionSubject("g1"), data)
	}
	testkit.Eventually(t, "the broken one is dropped", patience, func() bool {
		return testutil.ToFloat64(w.metrics.malformed.WithLabelValues(wire.StreamSessions)) >= 1
	})
	testkit.Eventually(t, "the event is archived", patience, func() bool {
		page, err := b.Sessions(context.Background(), "", Page{})
		return err == nil && len(page.Events) == 1 && page.Events[0] == e
	})
}

// realQueue is a queue in a nats-server of its own, with one partition.
func realQueue(t *testing.T) (*queue, *testsvc.Service) {
	t.Helper()
	server := testsvc.StartNATS(t, "")
	q := &queue{t: t, room: dial(t, server.URL), results: map[string][]wire.BookingResult{}, sent: map[string]wire.Booking{}}
	if err := bus.EnsureStreams(context.Background(), q.room, bus.Layout{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	var err error
	if q.js, err = jetstream.New(q.room); err != nil {
		t.Fatal(err)
	}
	if _, err := q.room.Subscribe(wire.FeedSubject(0), q.heard); err != nil {
		t.Fatal(err)
	}
	return q, server
}

func dial(t testing.TB, at string) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(context.Background(), at, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestQueueAway kills a real nats-server under a worker and starts it again.
func TestQueueAway(t *testing.T) {
	q, server := realQueue(t)
	q.start(Config{Book: openBook(t, sqliteURL(t)), Conn: dial(t, server.URL), AckWait: shortAckWait})
	q.send(stakeOf("before", "ann", 100))
	q.wantResults("booked", "before")
	server.Kill()
	server.Start()
	testkit.Eventually(t, "connected again", patience, q.room.IsConnected)
	q.send(stakeOf("after", "ann", 100))
	q.wantResults("booked when the queue is back", "after")
	q.wantEmpty()
}

// TestWorkerLeavesNothing: Run returns after every goroutine that it started.
func TestWorkerLeavesNothing(t *testing.T) {
	var err error
	t.Cleanup(func() {
		if err != nil {
			t.Log(err)
		}
	})
	q, server := realQueue(t)
	b := openBook(t, sqliteURL(t))
	before := goleak.IgnoreCurrent()
	w := q.start(Config{Book: b, Conn: dial(t, server.URL), AckWait: longAckWait})
	q.send(stakeOf("s", "ann", 100))
	q.wantResults("booked", "s")
	w.stop()
	w.conn.Close()
	// The connection's own goroutines may end a moment behind Close.
	testkit.Eventually(t, "nothing is left", patience, func() bool {
		err = goleak.Find(before)
		return err == nil
	})
}

func TestWorkerWaitsForStreams(t *testing.T) {
	q := newQueueWithoutStreams(t)
	q.work(openBook(t, sqliteURL(t)), nil)
	if err := bus.EnsureStreams(context.Background(), q.room, bus.Layout{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.room.Subscribe(wire.FeedSubject(0), q.heard); err != nil {
		t.Fatal(err)
	}
	q.send(stakeOf("s", "ann", 100))
	q.wantResults("booked", "s")
}

func TestQueries(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	q.work(b, nil)
	q.send(stakeOf("s", "ann", 1000), roundOf("r", 7))
	q.wantResults("booked", "s", "r")
	q.wantEmpty()
	gateway := q.connect(bus.RoleGateway)
	ask := func(query string) (r wire.LedgerReply) {
		testkit.Eventually(t, "a worker answers in time", patience, func() bool {
			m, err := gateway.Request(wire.LedgerQuerySubject, []byte(query), patience)
			if err != nil {
				return false
			}
			r = wire.LedgerReply{}
			if err := json.Unmarshal(m.Data, &r); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return r.Error == nil || r.Error.Code != wire.CodeUnavailable
		})
		return r
	}
	for query, want := range map[string]string{
		`{"op":"balance","player":"ann"}`:            `{"type":"balance","amount":99000,"version":2}`,
		`{"op":"balance","player":"new"}`:            `{"type":"balance","amount":100000,"version":0}`,
		`{"op":"leaderboard","board":"crash:all"}`:   `[{"player":"ann","name":"Name of ann","points":-1000}]`,
		`{"op":"leaderboard","board":"nobody"}`:      `[]`,
		`{"op":"bets","player":"bob"}`:               `{"bets":[]}`,
		`{"op":"audit"}`:                             `{"entries":[]}`,
		`{"op":"sessions"}`:                          `{"events":[]}`,
		`{"op":"rounds","room":"hall"}`:              `{"rounds":[]}`,
		`{"op":"health"}`:                            `{"database":"sqlite","entry_sum":0,"transfers":2,"accounts":2,"queued":0}`,
		`{"op":"rounds","room":"lobby","limit":100}`: `{"rounds":[{"room_uuid":"uuid","game":"crash","round":7,"started":1700000000000,"ended":1700000010000,"outcome":{"centi":231}}]}`,
	} {
		if r := ask(query); r.Error != nil || string(r.Data) != want {
			t.Errorf("%s: %s %v, want %s", query, r.Data, r.Error, want)
		}
	}
	for _, query := range []string{
		``, `{`, `{"op":"x"}`, `{"op":"balance"}`, `{"op":"bets","player":"a.b"}`, `{"op":"rounds","room":"*"}`, `{"op":"leaderboard"}`,
		`{"op":"bets","player":"ann","limit":101}`, `{"op":"bets","player":"ann","limit":-1}`, `{"op":"audit","before":"x"}`,
	} {
		if r := ask(query); r.Error == nil || r.Error.Code != wire.CodeBadArgs {
			t.Errorf("%s: %s %v, want bad_args", query, r.Data, r.Error)
		}
	}
}
