package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"tickcast/bus"
	"tickcast/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// told is what became of a record.
type told struct {
	duplicate bool
	err       error
}

// rig is a real NATS, and an Appends whose sweeps the test makes.
type rig struct {
	*Appends
	t       *testing.T
	room    *nats.Conn // of who makes the streams
	retries chan struct{}
	time    time.Time // as the Appends reads it
}

func newRig(t *testing.T) *rig {
	t.Helper()
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	r := &rig{t: t, retries: make(chan struct{}, 1024), time: time.Now()}
	if r.room, err = e.Connect(bus.RoleRoom, "room"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.room.Close)
	nc, err := e.Connect(bus.RoleGateway, "gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r.Appends = NewAppends(nc, func() { r.retries <- struct{}{} })
	r.now = func() time.Time { return r.time }
	if _, err := nc.Subscribe(r.Answers(), r.Answered); err != nil {
		t.Fatal(err)
	}
	return r
}

// stream makes the stream of the records.
func (r *rig) stream() jetstream.Stream {
	r.t.Helper()
	if err := bus.EnsureStreams(r.t.Context(), r.room, bus.Layout{Partitions: 1}); err != nil {
		r.t.Fatal(err)
	}
	js, err := jetstream.New(r.room)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := js.Stream(r.t.Context(), wire.PartitionStream(0))
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// append appends a record to the stream.
func (r *rig) append(id string) <-chan told {
	return r.take(Record{Stream: wire.PartitionStream(0), Subject: wire.CommandSubject(0, "a"), ID: id, Data: []byte(id)}, time.Now().Add(time.Hour))
}

// offer appends a record on a subject that hand listens to.
func (r *rig) offer(id string, until time.Time) <-chan told {
	return r.take(Record{Stream: wire.PartitionStream(0), Subject: wire.AskSubject(0), ID: id, Data: []byte(id)}, until)
}

func (r *rig) take(record Record, until time.Time) <-chan told {
	c := make(chan told, 8)
	r.Append(record, until, func(duplicate bool, err error) { c <- told{duplicate, err} })
	return c
}

func (r *rig) want(c <-chan told) told {
	r.t.Helper()
	select {
	case got := <-c:
		return got
	case <-time.After(patience):
		r.t.Fatal("nothing is told")
		return told{}
	}
}

// pass has time pass, and sweeps.
func (r *rig) pass(d time.Duration) {
	r.time = r.time.Add(d)
	r.sweep(r.time)
}

// hand takes the attempts in place of a stream, and does not answer.
func (r *rig) hand() <-chan *nats.Msg {
	r.t.Helper()
	c := make(chan *nats.Msg, 16)
	if _, err := r.room.ChanSubscribe(wire.AskSubject(0), c); err != nil {
		r.t.Fatal(err)
	}
	if err := r.room.Flush(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) attempt(c <-chan *nats.Msg) *nats.Msg {
	r.t.Helper()
	select {
	case m := <-c:
		return m
	case <-time.After(patience):
		r.t.Fatal("no attempt")
		return nil
	}
}

// say answers an attempt.
func (r *rig) say(m *nats.Msg, answer string) {
	r.Answered(&nats.Msg{Subject: m.Reply, Data: []byte(answer)})
}

func TestAppend(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	for i, want := range []told{{}, {duplicate: true}} {
		if got := r.want(r.append("a")); got != want {
			t.Errorf("time %d: %+v", i, got)
		}
	}
	got := r.want(r.take(Record{Stream: wire.PartitionStream(1), Subject: wire.CommandSubject(0, "a"), ID: "b"}, time.Now().Add(time.Hour)))
	if !IsRefusal(got.err) {
		t.Errorf("for another stream: %+v", got)
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("in the stream: %+v, %v", info, err)
	}
	if len(r.waiting) != 0 || len(r.retries) != 0 {
		t.Errorf("%d wait, %d attempts had no answer", len(r.waiting), len(r.retries))
	}
}

// A record for a stream that is not there yet is stored when it is.
func TestAppendBeforeTheStream(t *testing.T) {
	r := newRig(t)
	done := r.append("a")
	<-r.retries
	r.stream()
	r.pass(attempt)
	if got := r.want(done); got != (told{}) {
		t.Error(got)
	}
}

// An attempt without an answer is followed by another with the same ID. Any of them may bring the record in; only
// the last may be refused for good.
func TestAppendAgain(t *testing.T) {
	const (
		stored  = `{"stream":"P0","seq":1}`
		refused = `{"error":{"code":400,"err_code":10077,"description":"full"},"stream":"P0"}`
		passing = `{"error":{"code":503,"err_code":10008,"description":"unavailable"}}`
	)
	r := newRig(t)
	attempts := r.hand()
	done := r.offer("a", r.time.Add(time.Hour))
	first := r.attempt(attempts)
	r.pass(attempt)
	<-r.retries
	r.pass(retryFirst)
	second := r.attempt(attempts)
	if first.Header.Get(jetstream.MsgIDHeader) != "a" || second.Header.Get(jetstream.MsgIDHeader) != "a" || string(second.Data) != "a" || first.Reply == second.Reply {
		t.Fatalf("attempts: %+v, %+v", first, second)
	}
	r.say(first, refused)
	r.say(first, passing)
	r.say(second, passing)
	<-r.retries
	r.pass(retryFirst)
	if len(attempts) != 0 {
		t.Error("the wait before an attempt does not grow")
	}
	r.pass(retryFirst)
	third := r.attempt(attempts)
	r.say(second, "no JSON")
	if len(done) != 0 {
		t.Fatalf("told early: %+v", <-done)
	}
	r.say(first, stored)
	if got := r.want(done); got != (told{}) {
		t.Error(got)
	}
	r.say(third, refused)
	r.pass(time.Hour)
	if len(done) != 0 || len(attempts) != 0 || len(r.retries) != 0 {
		t.Errorf("told again: %d, attempts: %d, retries: %d", len(done), len(attempts), len(r.retries))
	}

	done = r.offer("b", r.time.Add(time.Hour))
	r.say(r.attempt(attempts), refused)
	if got := r.want(done); !IsRefusal(got.err) {
		t.Error(got)
	}
}

// Whoever has no answer in time is told so, once.
func TestAppendGivesUp(t *testing.T) {
	r := newRig(t)
	attempts := r.hand()
	done := r.offer("a", r.time.Add(attempt))
	m := r.attempt(attempts)
	r.pass(attempt)
	if got := r.want(done); !errors.Is(got.err, errNoAnswer) || IsRefusal(got.err) {
		t.Error(got)
	}
	r.say(m, `{"stream":"P0","seq":1}`)
	r.say(m, `{"stream":"P0","seq":1,"duplicate":true}`)
	if len(done) != 0 || len(r.waiting) != 0 {
		t.Errorf("told %d times more, %d wait", len(done), len(r.waiting))
	}
}

// The end of Run ends all that waits, and what comes behind it.
func TestAppendAfterTheEnd(t *testing.T) {
	r := newRig(t)
	r.hand()
	over := errors.New("over")
	ctx, stop := context.WithCancelCause(t.Context())
	done := r.offer("a", r.time.Add(time.Hour))
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	stop(over)
	<-ended
	for _, c := range []<-chan told{done, r.offer("b", r.time.Add(time.Hour))} {
		if got := r.want(c); !errors.Is(got.err, over) {
			t.Error(got)
		}
	}
}

// Run makes the attempts by itself.
func TestAppendRuns(t *testing.T) {
	r := newRig(t)
	r.now = time.Now
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	defer func() { stop(); <-ended }()
	done := r.append("a")
	<-r.retries
	r.stream()
	if got := r.want(done); got != (told{}) {
		t.Error(got)
	}
}

// What is on its way has no goroutine.
func TestAppendsHaveNoGoroutines(t *testing.T) {
	r := newRig(t)
	r.stream()
	r.want(r.append("first"))
	const records = 2000
	before := runtime.NumGoroutine()
	most := 0
	var all []<-chan told
	for i := range records {
		all = append(all, r.append(fmt.Sprint(i)))
		most = max(most, runtime.NumGoroutine()-before)
	}
	for i, c := range all {
		if got := r.want(c); got != (told{}) {
			t.Fatalf("record %d: %+v", i, got)
		}
	}
	if most > 10 {
		t.Errorf("%d goroutines more for %d records", most, records)
	}
	if len(r.waiting) != 0 {
		t.Errorf("%d records are left", len(r.waiting))
	}
}
