package room

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

func slotsOf(js jetstream.JetStream) []CheckpointStore {
	return []CheckpointStore{checkpoints{js, 0}, checkpoints{js, 1}}
}

// overwrite puts a snapshot in the place of whatever is there.
func overwrite(t testing.TB, store CheckpointStore, partition int, snapshot []byte) {
	t.Helper()
	_, revision, _ := store.GetCheckpoint(t.Context(), partition) // which may be damaged
	if err := store.PutCheckpoint(t.Context(), Checkpoint{Partition: partition, Snapshot: snapshot, Replaces: revision}); err != nil {
		t.Fatal(err)
	}
}

// stalled is a CheckpointStore of an owner that is stopped when it has decided to write.
type stalled struct {
	CheckpointStore
	stuck, wake chan struct{}
}

func (s stalled) PutCheckpoint(ctx context.Context, c Checkpoint) error {
	close(s.stuck)
	<-s.wake
	return s.CheckpointStore.PutCheckpoint(ctx, c)
}

// TestDeposedOwnersThatWakeSpoilNoCheckpoint: two owners were stopped before they would have
// overwritten the older checkpoint, which was another one each time. Meanwhile the log may
// have been trimmed behind those that the next owner wrote there.
func TestDeposedOwnersThatWakeSpoilNoCheckpoint(t *testing.T) {
	t.Parallel()
	s := newStageWithoutLedger(t, 4) // the rig's partition is the last
	js, err := jetstream.New(s.connect(bus.RoleRoom))
	if err != nil {
		t.Fatal(err)
	}
	r, slots := newRig(t), slotsOf(js)
	r.create("derby", "race", fastRace)
	snapshot := func() savedState {
		r.run(time.Second)
		return savedState{seq: r.p.Last().Seq, state: r.p.freeze(), fits: func(Place) error { return nil }}
	}
	save := func(k *keeper, taken savedState) error {
		return k.checkpoint(t.Context(), r.cfg.ID, taken, seal(taken.state.encode()))
	}
	owner := newKeeper(nil, slots, testkit.Logger(t))
	next := func() {
		t.Helper()
		if err := save(owner, snapshot()); err != nil {
			t.Fatal(err)
		}
	}
	next()
	next()
	wake, woken := make(chan struct{}), make(chan error, 2)
	for range 2 {
		stuck, taken := make(chan struct{}), snapshot()
		deposed := newKeeper(nil, []CheckpointStore{stalled{slots[0], stuck, wake}, stalled{slots[1], stuck, wake}}, testkit.Logger(t))
		go func() { woken <- save(deposed, taken) }()
		<-stuck
		next() // in the place that it has chosen
	}
	next()
	close(wake)
	for range 2 {
		if err := <-woken; err == nil {
			t.Error("a deposed owner has written")
		}
	}
	last := snapshot()
	for i, slot := range slots {
		sealed, _, err := slot.GetCheckpoint(t.Context(), r.cfg.ID)
		if err != nil {
			t.Fatal(err)
		}
		if end, err := last.verify(sealed); err != nil || end < owner.spared(r.cfg.ID) {
			t.Errorf("checkpoint %d ends with record %d (%v), and the log was trimmed up to record %d", i, end, err, owner.spared(r.cfg.ID))
		}
	}
	wantTwo(t, js)
}

// wantTwo wants nothing in the bucket but two checkpoints.
func wantTwo(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	bucket, err := js.Stream(t.Context(), "OBJ_ckpt")
	if err != nil {
		t.Fatal(err)
	}
	if n := bucket.CachedInfo().State.NumSubjects; n != 4 {
		t.Errorf("there are the messages of %d subjects, want those of two checkpoints and their chunks", n)
	}
}

// fate is what becomes of a request.
type fate int

const (
	answered   fate = iota
	unanswered      // it is done, and nobody hears of it
	lost            // it never arrives
	late            // nobody hears of it, and it is done some time later
	fates
)

// fated is a connection whose writer stands still before each request, and what becomes of
// that is said then.
type fated struct {
	jetstream.JetStream
	pause func(struct{}) bool // false when the writer dies
	next  fate
	late  *[]func() // requests that are on their way
}

var errUnanswered = errors.New("no answer")

func (f *fated) request(do func() error) error {
	if !f.pause(struct{}{}) {
		return errUnanswered
	}
	switch f.next {
	case answered:
		return do()
	case unanswered:
		_ = do()
	case late:
		*f.late = append(*f.late, func() { _ = do() })
	}
	return errUnanswered
}

// Publish is the one of the connection, with a fate.
func (f *fated) Publish(ctx context.Context, subject string, data []byte, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return f.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data}, opts...)
}

// PublishMsg is the one of the connection, with a fate.
func (f *fated) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = f.request(func() (err error) {
		ack, err = f.JetStream.PublishMsg(ctx, m, opts...)
		return err
	})
	return ack, err
}

// Stream is the one of the connection, on which purges have a fate.
func (f *fated) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := f.JetStream.Stream(ctx, name)
	return fatedStream{s, f}, err
}

type fatedStream struct {
	jetstream.Stream
	f *fated
}

// Purge is the one of the stream, with a fate.
func (s fatedStream) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	return s.f.request(func() error { return s.Stream.Purge(ctx, opts...) })
}

// TestCheckpointsAreWholeAndNothingElseStays has owners write checkpoints at the same time, of
// which each stands still before every request, gets no answer to some, and dies now and then.
// Whatever the others clear away meanwhile, each checkpoint can be read; and when one was written
// undisturbed, nothing is left of before.
func TestCheckpointsAreWholeAndNothingElseStays(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(newStageWithoutLedger(t, 1).connect(bus.RoleRoom))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.ObjectStore(t.Context(), wire.BucketCheckpoint)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n%3*checkpointChunk+n+1) }
	for i, slot := range slotsOf(js) {
		if _, err := bucket.PutBytes(t.Context(), checkpoints{js, i}.name(0), snapshot(5)); err != nil { // as older versions have named their chunks
			t.Fatal(err)
		}
		overwrite(t, slot, 0, snapshot(4))
	}
	wantTwo(t, js)

	c := &contest{t: t, js: js, rnd: rand.New(rand.NewPCG(7, 7))}
	for n := range 400 {
		c.step(snapshot(n % 50))
		for i, slot := range slotsOf(js) {
			if b, _, err := slot.GetCheckpoint(t.Context(), 0); err != nil || len(b) == 0 {
				t.Fatalf("step %d: checkpoint %d: %d bytes, %v", n, i, len(b), err)
			}
		}
	}
	if c.written < 10 || c.failed < 10 {
		t.Errorf("%d checkpoints were written, %d not", c.written, c.failed)
	}
	c.end()
	for _, slot := range slotsOf(js) {
		overwrite(t, slot, 0, snapshot(4))
	}
	wantTwo(t, js)
}

// contest is of owners who write checkpoints at the same time.
type contest struct {
	t   testing.TB
	js  jetstream.JetStream
	rnd *rand.Rand

	writers         [4]*writer
	late            []func() // requests that are on their way
	written, failed int
}

// step has one of them begin to write a snapshot, go on, or die, and perhaps a request arrive.
func (c *contest) step(snapshot []byte) {
	c.t.Helper()
	switch w := &c.writers[c.rnd.IntN(len(c.writers))]; {
	case *w == nil:
		slot := checkpoints{c.js, c.rnd.IntN(2)}
		_, revision, err := slot.GetCheckpoint(c.t.Context(), 0)
		if err != nil {
			c.t.Fatal(err)
		}
		*w = newWriter(c.t, &fated{JetStream: c.js, late: &c.late}, slot.slot, Checkpoint{Snapshot: snapshot, Replaces: revision})
	case c.rnd.IntN(20) == 0:
		(*w).stop()
		*w = nil
	default:
		(*w).fated.next = answered
		if c.rnd.IntN(5) == 0 {
			(*w).fated.next = fate(c.rnd.IntN(int(fates)))
		}
		if (*w).step() {
			break
		}
		if (*w).err == nil {
			c.written++
		} else {
			c.failed++
		}
		*w = nil
	}
	if len(c.late) > 0 && c.rnd.IntN(8) == 0 {
		k := c.rnd.IntN(len(c.late))
		c.late[k]()
		c.late = slices.Delete(c.late, k, k+1)
	}
}

// end has all die and everything arrive.
func (c *contest) end() {
	for _, w := range c.writers {
		if w != nil {
			w.stop()
		}
	}
	for _, arrive := range c.late {
		arrive()
	}
}

// writer is an owner that writes a checkpoint, one request after the other.
type writer struct {
	fated *fated
	err   error // what came of it
	step  func() (more bool)
	stop  func()
}

func newWriter(t testing.TB, f *fated, slot int, c Checkpoint) *writer {
	w := &writer{fated: f}
	next, stop := iter.Pull(func(pause func(struct{}) bool) {
		f.pause = pause
		w.err = checkpoints{f, slot}.PutCheckpoint(t.Context(), c)
	})
	w.step = func() bool { _, more := next(); return more }
	w.stop = stop
	return w
}
