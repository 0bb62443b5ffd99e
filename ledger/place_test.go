package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// last is the sequence of the last message of a stream.
func (q *queue) last(stream string) (seq uint64) {
	q.t.Helper()
	testkit.Eventually(q.t, "the stream is there", patience, func() bool {
		s, err := q.js.Stream(context.Background(), stream)
		if err != nil {
			return false
		}
		seq = s.CachedInfo().State.LastSeq
		return true
	})
	return seq
}

// forget leaves a consumer where it is when its stream has lost so many messages, which
// it had delivered and which were acknowledged.
func (q *queue) forget(stream, consumer string, messages uint64) {
	q.t.Helper()
	if _, err := q.js.ResetConsumerToSequence(context.Background(), stream, consumer, q.last(stream)+messages+1); err != nil {
		q.t.Fatal(err)
	}
}

func (w *runner) rewound(stream string) float64 {
	return testutil.ToFloat64(w.metrics.rewinds.WithLabelValues(stream))
}

// known is what the worker knows to be worked on, once it is told in time.
func (w *runner) known(t *testing.T) (done, newest uint64) {
	t.Helper()
	testkit.Eventually(t, "it is known what is worked on", patience, func() bool {
		var err error
		done, newest, err = w.worked(t.Context())
		return err == nil
	})
	return done, newest
}

// TestConsumerIsAhead: streams lost their tails under a worker. What comes under sequences
// that are used again is worked on, and known to nobody twice.
func TestConsumerIsAhead(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	w := q.work(b, nil)
	gateway, err := jetstream.New(q.connect(bus.RoleGateway))
	if err != nil {
		t.Fatal(err)
	}
	login := func(id string) {
		body, err := json.Marshal(wire.SessionEvent{ID: id, Session: "x", Player: "ann", Kind: "login", At: 5})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, gateway, wire.SessionSubject("g1"), body)
	}
	wantArchived := func(why string, n int) {
		testkit.Eventually(t, why, patience, func() bool {
			page, err := b.Sessions(context.Background(), "", Page{})
			return err == nil && len(page.Events) == n
		})
	}
	q.send(stakeOf("before", "ann", 100))
	login("e1")
	q.wantResults("booked", "before")
	wantArchived("archived", 1)
	q.wantEmpty()
	q.forget(wire.StreamLedger, bookingsConsumer, 5)
	q.forget(wire.StreamSessions, sessionsConsumer, 5)
	q.send(stakeOf("after", "ann", 100))
	login("e2")
	q.wantResults("what comes after is booked", "after")
	wantArchived("and archived", 2)
	q.wantEmpty()
	testkit.Eventually(t, "it is counted", patience, func() bool {
		return w.rewound(wire.StreamLedger) == 1 && w.rewound(wire.StreamSessions) == 1
	})
	wantBets(t, b, "ann", "before open 0", "after open 0")
	wantSound(t, b)
}

// TestQueueHasGrownAgain: the queue lost its tail while no worker looked, and is longer
// again than before when one does.
func TestQueueHasGrownAgain(t *testing.T) {
	q, b := newQueue(t), openBook(t, sqliteURL(t))
	first := q.work(b, nil)
	q.send(stakeOf("before", "ann", 100))
	q.wantResults("booked", "before")
	q.wantEmpty()
	first.stop()
	q.forget(wire.StreamLedger, bookingsConsumer, 3)
	var ids []string
	for i := range 6 {
		ids = append(ids, fmt.Sprint("s", i))
		q.send(stakeOf(ids[i], "bob", 100))
	}
	w := q.work(b, nil)
	q.wantResults("the others are booked", ids[3:]...)
	// On a machine that stands still all may be booked already.
	if done, newest := w.known(t); done >= newest && w.rewound(wire.StreamLedger) == 0 {
		t.Errorf("what was passed over counts as worked on: %d of %d", done, newest)
	}
	q.wantResults("all are booked", ids[:3]...)
	q.wantEmpty()
	if n := w.rewound(wire.StreamLedger); n != 1 {
		t.Errorf("the consumer was begun again %v times", n)
	}
	wantBets(t, b, "bob", "s0 open 0", "s1 open 0", "s2 open 0", "s3 open 0", "s4 open 0", "s5 open 0")
	wantSound(t, b)
}

// TestConsumerIsMade: a pump that did not hear that its consumer is gone goes on to ask for
// messages.
func TestConsumerIsMade(t *testing.T) {
	q := newQueue(t)
	w, err := NewWorker(Config{Book: openBook(t, sqliteURL(t)), Conn: q.connect(bus.RoleLedger)})
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(w, wire.StreamLedger, bookingsConsumer)
	testkit.Eventually(t, "it is there", patience, func() bool {
		p.look(context.Background(), time.Now())
		_, err := q.js.Consumer(context.Background(), wire.StreamLedger, bookingsConsumer)
		return err == nil
	})
}

func TestPassedOver(t *testing.T) {
	queue, other := jetstream.WorkQueuePolicy, jetstream.LimitsPolicy
	for _, c := range []struct {
		name                         string
		retention                    jetstream.RetentionPolicy
		first, last, messages        uint64
		delivered, acknowledged, seq uint64
		ok                           bool
	}{
		{name: "an empty queue", retention: queue, first: 1},
		{name: "all is done", retention: queue, first: 11, last: 10, delivered: 10, acknowledged: 10},
		{name: "one is worked on", retention: queue, first: 10, last: 10, messages: 1, delivered: 10, acknowledged: 9},
		{name: "some wait", retention: queue, first: 8, last: 10, messages: 3, delivered: 7, acknowledged: 7},
		{name: "begun again", retention: queue, first: 8, last: 10, messages: 3},
		{name: "the queue is shorter than it was", retention: queue, first: 8, last: 7, delivered: 10, acknowledged: 10, ok: true},
		{name: "and something came", retention: queue, first: 8, last: 8, messages: 1, delivered: 10, acknowledged: 10, ok: true},
		{name: "it is as long as it was", retention: queue, first: 8, last: 10, messages: 3, delivered: 10, acknowledged: 10, seq: 8, ok: true},
		{name: "it is longer", retention: queue, first: 8, last: 12, messages: 5, delivered: 12, acknowledged: 10, seq: 8, ok: true},
		{name: "a stream that keeps what is acknowledged", retention: other, first: 1, last: 10, messages: 10, delivered: 10, acknowledged: 10},
		{name: "and is shorter than it was", retention: other, first: 1, last: 9, messages: 9, delivered: 10, acknowledged: 10, ok: true},
	} {
		s := &jetstream.StreamInfo{
			Config: jetstream.StreamConfig{Retention: c.retention},
			State:  jetstream.StreamState{FirstSeq: c.first, LastSeq: c.last, Msgs: c.messages},
		}
		k := &jetstream.ConsumerInfo{
			Delivered: jetstream.SequenceInfo{Stream: c.delivered}, AckFloor: jetstream.SequenceInfo{Stream: c.acknowledged},
		}
		if seq, ok := passedOver(s, k); ok != c.ok || ok && seq != c.seq {
			t.Errorf("%s: %d %v, want %d %v", c.name, seq, ok, c.seq, c.ok)
		}
	}
}

// TestPassingLooks: what a look shows counts when it lasts, and then once.
func TestPassingLooks(t *testing.T) {
	var p place
	start := time.Unix(1000, 0)
	for i, look := range []struct {
		at       time.Duration
		seq      uint64
		ok, want bool
	}{
		{0, 5, true, false},
		{passedFor - 1, 5, true, false},
		{passedFor, 6, true, false}, // another one: acknowledgements are late
		{2*passedFor - 1, 6, true, false},
		{2*passedFor - 1, 6, false, false},
		{2 * passedFor, 6, true, false},
		{3 * passedFor, 6, true, true},
		{4 * passedFor, 6, true, false},
		{5 * passedFor, 6, true, true},
	} {
		if got := p.lasts(look.seq, look.ok, start.Add(look.at)); got != look.want {
			t.Errorf("look %d: %v, want %v", i, got, look.want)
		}
	}
}
