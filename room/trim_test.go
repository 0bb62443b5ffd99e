package room

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tickcast/archive"
	"tickcast/audit/judge"
	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// Of a log that is trimmed often: records that stay, of a segment, and between
// checkpoints.
const (
	trimKeep    = 500
	trimSegment = 200
	trimEvery   = 1000
)

// trimStage is a stage of one partition whose hosts trim its log, with a copy of the log
// that nobody trims.
type trimStage struct {
	*stage
	js    jetstream.JetStream
	log   jetstream.Stream
	whole []Record // guarded by mu
}

func newTrimStage(t testing.TB) *trimStage {
	t.Helper()
	s := &trimStage{stage: newStage(t, 1)}
	nc := s.connect(bus.RoleRoom)
	s.js = jetStream(t, nc)
	var err error
	if s.log, err = s.js.Stream(t.Context(), wire.PartitionStream(0)); err != nil {
		t.Fatal(err)
	}
	s.subscribe(nc, wire.FeedSubject(0), func(m *nats.Msg) {
		rec, err := s.feed().handedOut(m.Header, m.Data)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil || rec.Seq != uint64(len(s.whole)+1) {
			t.Errorf("record %d behind %d of the feed: %v", rec.Seq, len(s.whole), err)
		}
		s.whole = append(s.whole, rec)
	})
	s.configure = func(c *HostConfig) {
		c.Archive, c.Keep, c.SegmentRecords, c.CheckpointRecords = s.archive(c.Conn), trimKeep, trimSegment, trimEvery
	}
	return s
}

// feed reads the log, but not live.
func (s *trimStage) feed() *feed {
	return &feed{js: s.js, stream: s.log, name: wire.PartitionStream(0)}
}

func (s *trimStage) archive(nc *nats.Conn) archive.Store {
	s.t.Helper()
	return archive.NewBucket(jetStream(s.t, nc))
}

func (s *trimStage) state() jetstream.StreamState {
	s.t.Helper()
	info, err := s.log.Info(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return info.State
}

// play appends so many commands of players to a room.
func (s *trimStage) play(room string, records int) {
	s.t.Helper()
	js := jetStream(s.t, s.gateway, jetstream.WithPublishAsyncMaxPending(256))
	for i := range records {
		c := wire.Command{Player: fmt.Sprint("player-", i%20), Name: "x", Gateway: "gw", Key: fmt.Sprint(rand.Uint64()), Op: "tap", Args: []byte(`{"n":1}`)}
		b, _ := c.AppendBinary(nil)
		if _, err := js.PublishAsync(wire.CommandSubject(0, room), b, jetstream.WithStallWait(patience)); err != nil {
			s.t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		s.t.Fatal("the commands were not stored")
	}
}

// playUntil appends commands until ok.
func (s *trimStage) playUntil(why string, ok func() bool) {
	s.t.Helper()
	testkit.Eventually(s.t, why, 2*patience, func() bool {
		s.play("derby", trimEvery/50)
		return ok()
	})
}

// playUntilTrimmed appends commands until so many records more were trimmed.
func (s *trimStage) playUntilTrimmed(why string, records uint64) {
	s.t.Helper()
	before := s.state().FirstSeq
	s.playUntil(why, func() bool { return s.state().FirstSeq >= before+records })
}

// closed reports whether a channel is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wantTrimmed waits until the log is as short as it may be. A checkpoint that could not be
// saved on a busy machine is not tried again, so that now and then there is reason for the next.
func (s *trimStage) wantTrimmed() {
	s.t.Helper()
	wait := time.Second
	nudge := time.Now().Add(wait)
	testkit.Eventually(s.t, "the log is trimmed", 2*patience, func() bool {
		state := s.state()
		if time.Now().After(nudge) {
			s.play("derby", trimEvery)
			wait *= 2 // the next takes longer on a busy machine
			nudge = time.Now().Add(wait)
		}
		return state.FirstSeq > 1 && state.Msgs < trimKeep+3*trimEvery+2*trimSegment
	})
}

// wantClaim checks that the newest claim is in the log.
func (s *trimStage) wantClaim() {
	s.t.Helper()
	if m, err := s.log.GetLastMsgForSubject(s.t.Context(), wire.ClaimSubject(0)); err != nil || m.Sequence < s.state().FirstSeq {
		s.t.Fatalf("the log has no claim: %v", err)
	}
}

// wantAll checks that archive and stream together have every record as it was, and that
// an auditor finds no difference in them.
func (s *trimStage) wantAll() {
	s.t.Helper()
	nc := s.connect(bus.RoleAuditor)
	r, err := archive.NewReader(nc, s.archive(nc))
	if err != nil {
		s.t.Fatal(err)
	}
	last := s.state().LastSeq
	want := s.copied(last)
	l := judge.New(judge.Config{Settled: func(*judge.Round) error { return nil }})
	err = r.Read(s.t.Context(), 0, 1, last, func(stored archive.Record) error {
		rec, err := s.feed().record(stored.Subject, Record{Seq: stored.Seq, Time: stored.Time, Data: stored.Data}, !stored.Foreign())
		if err != nil {
			return err
		}
		if w := want[rec.Seq-1]; !reflect.DeepEqual(rec, w) && string(rec.Data)+string(w.Data) != "" {
			return fmt.Errorf("record %d is\n%+v\nand was\n%+v", rec.Seq, rec, w)
		}
		return l.Feed(judge.Record{Seq: stored.Seq, Time: stored.Time, Subject: stored.Subject, Data: stored.Data, Foreign: stored.Foreign()})
	})
	if err = errors.Join(err, l.Close()); err != nil || l.Judged() != last {
		s.t.Fatalf("judged %d of %d records: %v", l.Judged(), last, err)
	}
}

// copied is the log up to a record.
func (s *trimStage) copied(last uint64) []Record {
	s.t.Helper()
	s.eventually("the copy has caught up", func() bool { return uint64(len(s.whole)) >= last })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole[:last]
}

// testBoundedLog stands for a time in which so many records are appended, in bits that are
// trimmed before the next.
func testBoundedLog(t *testing.T, records int) {
	s := newTrimStage(t)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	const bit = 2 * trimEvery
	var most uint64
	for range records / bit {
		s.play("derby", bit)
		s.wantTrimmed()
		s.wantClaim()
		most = max(most, s.state().Bytes)
	}
	if perRecord := uint64(400); most > perRecord*(trimKeep+3*trimEvery+2*trimSegment) {
		t.Errorf("the log has had %d bytes", most)
	}
	have := s.updatesSoFar("derby")
	s.eventually("rounds go on", func() bool { return s.updatesOf("derby") > have+5 })
	s.wantWhole("derby")
	claims := func(outcome string) float64 { return testutil.ToFloat64(h.metrics.claims.WithLabelValues(outcome)) }
	// A claim that is refused may be stored all the same, too late for who waited for that.
	if claims("won") != 1 || claims("renewed") < 3 || claims("fenced")+claims("superseded") > 0 {
		t.Errorf("claims: %v won, %v renewed, %v fenced, %v superseded, %v refused",
			claims("won"), claims("renewed"), claims("fenced"), claims("superseded"), claims("refused"))
	}
	testkit.Eventually(t, "the metrics tell what was trimmed, which goes on meanwhile", patience, func() bool {
		now := s.state()
		trimmed, first := testutil.ToFloat64(h.metrics.trimmed), testutil.ToFloat64(h.metrics.first.WithLabelValues("0"))
		return first == float64(now.FirstSeq) && trimmed == first-1 && testutil.ToFloat64(h.metrics.archivedBytes) > 0
	})
	now := s.state()
	t.Logf("%d records: the log has had at most %d bytes, has now %d, and begins with record %d", now.LastSeq, most, now.Bytes, now.FirstSeq)
	s.wantAll()
}

// TestTheLogIsBounded is some minutes of a busy room.
func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	testBoundedLog(t, 12_000)
}

// TestAColdStart starts hosts with an empty Redis, from either checkpoint, from none, and
// when the log is trimmed beyond what the newest snapshot has.
func TestAColdStart(t *testing.T) {
	t.Parallel()
	s := newTrimStage(t)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	s.play("derby", 5*trimEvery)
	s.wantTrimmed()
	old, err := s.redis().GetSnapshot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.play("derby", 5*trimEvery)
	s.wantTrimmed()
	slots := slotsOf(s.js)
	damage := func(i int) (repair func()) {
		b, _, err := slots[i].GetCheckpoint(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, slots[i], 0, b[:len(b)/2])
		return func() { overwrite(t, slots[i], 0, b) }
	}
	restart := func(redis []byte) *hosted {
		h.stop()
		before := h.Partitions()[0]
		s.cache = nil // another one, which is empty
		if redis != nil {
			if err := s.redis().PutSnapshot(t.Context(), 0, 1, redis); err != nil {
				t.Fatal(err)
			}
		}
		h = s.host("one", true)
		s.awaitReady(h)
		if p := h.Partitions()[0]; p.Halted == "" && (p.Rooms != 1 || p.Seq < before.Seq) {
			t.Fatalf("it came back as %+v, and was %+v", p, before)
		}
		return h
	}
	restart(nil)
	damage(0)
	restart(nil)
	damage(1)
	restart(old)
	have := s.updatesSoFar("derby")
	s.eventually("rounds go on", func() bool { return s.updatesOf("derby") > have+5 })
	s.wantWhole("derby")
	h.stop()
	repairs := []func(){damage(0), damage(1)}
	if p := restart(nil).Partitions()[0]; !strings.Contains(p.Halted, "trimmed") || !strings.Contains(p.Halted, "no snapshot fits") {
		t.Fatalf("without any checkpoint it came back as %+v", p)
	}
	for _, repair := range repairs {
		repair()
	}
	h.stop()
	h = s.host("one", true)
	s.eventually("it owns", func() bool { return h.owned() == 1 })
	s.wantAll()
}

// TestAReplicaBehindTheTrimmedLogGoesOnFromACheckpoint has one that hears nothing while
// the log is trimmed beyond what it has folded.
func TestAReplicaBehindTheTrimmedLogGoesOnFromACheckpoint(t *testing.T) {
	t.Parallel()
	s := newTrimStage(t)
	owner := s.host("one", true)
	s.create("derby", "race", fastRace)
	nc := s.connect(bus.RoleRoom)
	f, err := openFeed(t.Context(), nc, s.js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	deaf := NewReplica(ReplicaConfig{
		Partition: s.partition(), Node: "deaf", Cold: slotsOf(s.js),
		Rank: func(string) int { return 1 }, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)), Log: testkit.Logger(t),
	})
	voice := newNATSVoice(nc, 0, "deaf", newDirectory(s.js, 1, testkit.Logger(t)))
	if err := deaf.Open(t.Context(), newNATSLog(t.Context(), f, 0), voice); err != nil {
		t.Fatal(err)
	}
	s.play("derby", 5*trimEvery)
	s.wantTrimmed()
	if folded := deaf.part.Last().Seq; folded >= s.state().FirstSeq {
		t.Fatalf("it has folded record %d, and the log begins with %d", folded, s.state().FirstSeq)
	}
	for len(f.live) > 1 { // what it did not hear
		<-f.live
	}
	newest := <-f.live
	rec, err := f.handedOut(newest.Header, newest.Data)
	if err != nil {
		t.Fatal(err)
	}
	deaf.Record(rec)
	if deaf.halted != nil || deaf.part.Last().Seq < rec.Seq-1 || deaf.part.Rooms() != 1 {
		t.Fatalf("it has folded record %d of %d: %v", deaf.part.Last().Seq, rec.Seq, deaf.halted)
	}
	owner.stop()
	deaf.lastRecord = time.Time{}
	deaf.Sweep()
	if got, want := deaf.part.Snapshot(), s.ofLog(deaf.part.Last().Seq).Snapshot(); string(got) != string(want) {
		t.Fatalf("its state is not that of the log:\n%s\n%s", got, want)
	}
}

// TestACrashBetweenAnyTwoStepsOfTrimming kills an owner when it has checkpoint and claim and
// looks the archive up, when it is about to store a segment, has stored it, and has
// read it back but not purged. The next owner goes on.
func TestACrashBetweenAnyTwoStepsOfTrimming(t *testing.T) {
	t.Parallel()
	s := newTrimStage(t)
	trims := s.configure
	first := s.host("first", false)
	s.create("derby", "race", fastRace)
	first.stop()
	for _, step := range []string{"list", "put", "stored", "got"} {
		var dying *hosted
		died := make(chan struct{})
		s.configure = func(c *HostConfig) {
			trims(c)
			var dead atomic.Bool // who is cannot save what it folds, but could not say any more
			c.Snapshots = mortal{c.Snapshots, &dead}
			die := sync.OnceFunc(func() { dead.Store(true); c.Conn.Close(); close(died) }) // as a kill −9 looks to the others
			c.Archive = interrupted{c.Archive, func(at string) {
				if at == step {
					die()
				}
			}}
		}
		before := s.state().FirstSeq
		dying = s.host("dies-at-"+step, false)
		s.eventually("it owns", func() bool { return dying.owned() == 1 })
		s.playUntil("it has come to the step "+step, func() bool { return closed(died) })
		if now := s.state().FirstSeq; now != before {
			t.Fatalf("the log was trimmed from record %d to %d before the step %s", before, now, step)
		}
		s.wantClaim()
		s.configure = trims
		next := s.host("next-to-"+step, false)
		s.eventually("the next owns", func() bool { return next.owned() == 1 })
		s.playUntilTrimmed("the next has trimmed", 1)
		next.stop()
	}
	s.wantAll()
	s.wantWhole("derby")
}

// TestADeposedOwnerThatWakesPurgesNothing stops an owner in the middle of trimming, lets
// another one trim much further, and then wakes it.
func TestADeposedOwnerThatWakesPurgesNothing(t *testing.T) {
	t.Parallel()
	s := newTrimStage(t)
	trims := s.configure
	stuck, woken := make(chan struct{}), make(chan struct{})
	wake := sync.OnceFunc(func() { close(woken) })
	defer wake() // who is stuck cannot end
	stick := sync.OnceFunc(func() { close(stuck); <-woken })
	s.configure = func(c *HostConfig) {
		trims(c)
		c.Archive = interrupted{c.Archive, func(step string) {
			if step == "got" {
				stick()
			}
		}}
	}
	order := assign(1, []string{"a", "b"})[0]
	old := s.host(order[1], false)
	s.eventually("it owns", func() bool { return old.owned() == 1 })
	s.create("derby", "race", fastRace)
	s.playUntil("it is stuck", func() bool { return closed(stuck) })
	s.configure = trims
	// A better candidate comes, to which the partition is handed over while the trimmer is stuck.
	next := s.host(order[0], false)
	testkit.Eventually(t, "the better candidate owns", 2*patience, func() bool { return next.owned() == 1 })
	s.playUntilTrimmed("the log is trimmed beyond what the old owner knows", 2*trimEvery)
	wake()
	s.playUntilTrimmed("the log is trimmed by whoever owns now", trimEvery)
	s.wantClaim()
	s.wantAll()
	s.wantWhole("derby")
}

func (s *trimStage) partition() PartitionConfig {
	return PartitionConfig{
		Created: s.log.CachedInfo().Created.UnixNano(), Cashier: cashier.Kind{},
		Kinds: []game.Kind{crash.New(crash.NewChains(testSecret, rand.NewChaCha8([32]byte{7}))), race.Kind{}},
	}
}

// ofLog folds the whole log up to a record.
func (s *trimStage) ofLog(to uint64) *Partition {
	s.t.Helper()
	p, out := NewPartition(s.partition()), Output{}
	for _, rec := range s.copied(to) {
		if err := p.Apply(rec, &out); err != nil {
			s.t.Fatal(err)
		}
	}
	return p
}

// TestTheClaimIsNeverPurged has owners that trim as often as they can, each of which is
// deposed again and again, also while it renews its claim.
func TestTheClaimIsNeverPurged(t *testing.T) {
	t.Parallel()
	s := newTrimStage(t)
	one, two := s.host("one", false), s.host("two", false)
	s.eventually("one of them owns", func() bool { return one.owned()+two.owned() == 1 })
	s.create("derby", "race", fastRace)
	watching, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		for watching.Err() == nil {
			if _, err := s.log.GetLastMsgForSubject(watching, wire.ClaimSubject(0)); errors.Is(err, jetstream.ErrMsgNotFound) {
				t.Error("the log has no claim")
				return
			}
		}
	})
	for range 8 {
		s.play("derby", trimEvery+trimSegment)
		s.depose(s.js)
		s.eventually("one of them owns", func() bool { return one.owned()+two.owned() == 1 })
	}
	s.play("derby", 3*trimEvery)
	s.wantTrimmed()
	stop()
	watch.Wait()
	have := s.updatesSoFar("derby")
	s.eventually("rounds go on", func() bool { return s.updatesOf("derby") > have+5 })
	s.wantAll()
	s.wantWhole("derby")
}

// mortal keeps no snapshot of who is dead.
type mortal struct {
	SnapshotStore
	dead *atomic.Bool
}

func (m mortal) PutSnapshot(ctx context.Context, partition int, seq uint64, snapshot []byte) error {
	if m.dead.Load() {
		return errors.New("dead")
	}
	return m.SnapshotStore.PutSnapshot(ctx, partition, seq, snapshot)
}

// interrupted is an archive that calls at before and behind each of its steps.
type interrupted struct {
	archive.Store
	at func(step string)
}

func (i interrupted) List(ctx context.Context) ([]archive.Segment, error) {
	i.at("list")
	return i.Store.List(ctx)
}

func (i interrupted) Put(ctx context.Context, s archive.Segment, b []byte) error {
	i.at("put")
	defer i.at("stored")
	return i.Store.Put(ctx, s, b)
}

func (i interrupted) Get(ctx context.Context, s archive.Segment) ([]byte, error) {
	defer i.at("got")
	return i.Store.Get(ctx, s)
}
