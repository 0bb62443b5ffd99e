package room

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// tickSpacing is the least time between two ticks of the owner. Due points are met
	// exactly by the fold whenever the record comes; a tick only makes it soon.
	tickSpacing = 5 * time.Millisecond
	// sweepInterval is how often a replica looks after what nothing else wakes it for.
	sweepInterval = 250 * time.Millisecond
	// feedSilence is after how much silence a replica looks at the log itself: the
	// live feed is at most once.
	feedSilence = time.Second
	// snapshotEvery and snapshotRecords are how often an owner saves a snapshot, a large
	// one after as many records as it lists; checkpointEvery and checkpointRecords how
	// often it goes to the log's storage too.
	snapshotEvery     = 30 * time.Second
	snapshotRecords   = 50_000
	checkpointEvery   = 5 * time.Minute
	checkpointRecords = 500_000
	// foldBatch is how many records one turn of the loop folds at most: a fraction of a
	// millisecond's worth.
	foldBatch = 64
	// askBuffer bounds the requests that wait for an owner.
	askBuffer = 4096
	// hungAfter is after how long without a turn of its loop an owner does not answer
	// pings any more: it is far more than any turn takes, and sweeps make turns.
	hungAfter = 2 * time.Second
	// handOver is how long a better candidate must have been there before an owner
	// hands a partition over.
	handOver = 3 * time.Second
)

// replica folds one partition's log and speaks for it while its claim is the
// newest.
type replica struct {
	// Static after newReplica.
	id      int
	host    *Host
	js      jetstream.JetStream
	log     *slog.Logger
	metrics *metrics
	status  atomic.Pointer[wire.PartitionInfo]
	turn    atomic.Int64 // when the loop made its last turn, Unix ns

	// Owned by run.
	feed     *feed
	part     *Partition
	recent   recent
	out      Output
	appender *appender
	speaker  *speaker
	detector *detector
	halted   error
	claim    uint64 // sequence of our newest claim, 0 for none
	speaking bool
	subs     []*nats.Subscription // while speaking
	asks     chan *nats.Msg
	owing    map[string]struct{} // rooms that may owe facts

	lastRecord time.Time // when the newest record was folded
	lastOwn    time.Time // when the newest record of the owner was folded
	lastTick   time.Time // when the owner last appended one
	lastLook   time.Time // when the log was last asked for its newest record
	expected   uint64    // a sequence that is known to be in the log
	betterAt   time.Time // since when a better candidate has been there
	saved      savePoint
}

// savePoint is when and where the last snapshot and checkpoint were taken.
type savePoint struct {
	snapshotAt, checkpointAt   time.Time
	snapshotSeq, checkpointSeq uint64
}

func newReplica(h *Host, id int) *replica {
	r := &replica{
		id: id, host: h, js: h.js, metrics: h.metrics, log: h.log.With("partition", id),
		asks: make(chan *nats.Msg, askBuffer), owing: map[string]struct{}{},
	}
	r.status.Store(&wire.PartitionInfo{Partition: id})
	r.speaker = newSpeaker(h.cfg.Conn, id, h.directory)
	r.detector = newDetector(h.cfg.Conn, id, func(dead string) int { return h.rank(id, dead) })
	return r
}

// run catches up with the log, then follows it, and owns the partition whenever
// it won a claim. It returns when ctx ends.
//
// opened gets one value when the replica has caught up.
func (r *replica) run(ctx context.Context, opened chan<- error) error {
	err := r.open(ctx)
	opened <- err
	if err != nil {
		return err
	}
	defer r.feed.close()
	if r.host.cfg.Alone {
		r.tryClaim(ctx, r.part.Epoch())
	} else {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.detector.run(ctx, time.Now().Add(settleIn))
		}()
		defer func() { <-done }()
	}
	r.loop(ctx)
	return nil
}

// open restores the newest snapshot and folds the log behind it.
func (r *replica) open(ctx context.Context) error {
	var err error
	if r.feed, err = openFeed(ctx, r.host.cfg.Conn, r.js, r.id); err != nil {
		return fmt.Errorf("open partition %d: %w", r.id, err)
	}
	r.appender = newAppender(r.js, r.id, r.feed.replicated())
	r.part = r.host.keeper.restore(ctx, PartitionConfig{
		ID: r.id, Created: r.feed.created(), Kinds: r.host.cfg.Kinds, Cashier: r.host.cfg.Cashier,
	}, r.feed)
	from := r.part.Last().Seq
	if from > 0 {
		r.metrics.restarts.Inc()
	}
	r.detector.newest.Store(&claimed{r.part.Epoch(), r.part.owner})
	r.saved = savePoint{snapshotSeq: from, checkpointSeq: from, snapshotAt: time.Now(), checkpointAt: time.Now()}
	r.knows(ctx, r.part.roomIDs())
	last, err := r.feed.lastSeq(ctx)
	if err != nil {
		r.feed.close()
		return fmt.Errorf("open partition %d: %w", r.id, err)
	}
	r.catchUp(ctx, last)
	r.report()
	r.log.Debug("caught up with the log", "snapshot", from, "seq", r.part.Last().Seq)
	return nil
}

func (r *replica) loop(ctx context.Context) {
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		now := time.Now()
		r.turn.Store(now.UnixNano())
		r.speaker.flush(r.part, now)
		due.Reset(r.untilTick(now))
		select {
		case <-ctx.Done():
			r.leave()
			return
		case m := <-r.feed.live:
			r.take(ctx, m)
		case <-r.speaker.more: // the next turn flushes
		case <-due.C:
			r.tick(ctx)
		case a := <-r.appender.done:
			r.appended(ctx, a)
		case m := <-r.asks:
			r.ask(m)
		case seen := <-r.detector.deaths:
			r.tryClaim(ctx, seen)
		case <-sweep.C:
			r.sweep(ctx, time.Now())
		}
	}
}

// take folds a live record and those that wait behind it, as many as one turn of
// the loop may take: what else it has to do waits for them.
func (r *replica) take(ctx context.Context, m *nats.Msg) {
	r.record(ctx, m)
	for range min(len(r.feed.live), foldBatch-1) {
		r.record(ctx, <-r.feed.live)
	}
}

// record folds a live record, and what the feed lost before it.
func (r *replica) record(ctx context.Context, m *nats.Msg) {
	rec, err := r.feed.handedOut(m.Header, m.Data)
	if err != nil {
		r.metrics.feedDrops.Inc()
		return
	}
	last := r.part.Last().Seq
	switch {
	case r.halted != nil:
		return
	case rec.Seq <= last:
		if !r.recent.agrees(rec) {
			r.halt(ctx, fmt.Errorf("the log has another record %d than was folded: it lost its tail", rec.Seq))
		}
		return
	}
	if rec.Seq > last+1 {
		r.metrics.fills.Inc()
		r.catchUp(ctx, rec.Seq-1)
	}
	if rec.Seq == r.part.Last().Seq+1 {
		r.fold(ctx, rec)
	}
}

// catchUp folds the log up to the record to.
func (r *replica) catchUp(ctx context.Context, to uint64) {
	if r.halted != nil || r.part.Last().Seq >= to {
		return
	}
	err := r.feed.read(ctx, r.part.Last().Seq+1, to, func(rec Record) error {
		r.fold(ctx, rec)
		return r.halted
	})
	if err != nil && r.halted == nil && ctx.Err() == nil {
		r.halt(ctx, err)
	}
}

func (r *replica) fold(ctx context.Context, rec Record) {
	if err := r.part.Apply(rec, &r.out); err != nil {
		r.halt(ctx, err)
		return
	}
	now := time.Now()
	r.recent.note(rec)
	r.lastRecord = now
	if r.part.OwnedLast() {
		r.lastOwn = now
	}
	r.metrics.records[rec.Kind].Inc()
	if !r.knows(ctx, r.out.Stated) { // what a room commits itself to is stated by an owner
		return
	}
	if rec.Kind == wire.KindClaim && r.part.Epoch() == rec.Seq {
		r.detector.newest.Store(&claimed{rec.Seq, r.part.owner})
		r.claimed(ctx)
	}
	if r.speaking {
		r.speaker.say(&r.out)
		r.fulfil(ctx, r.out.Touched)
	}
}

// knows halts the replica when its secret is not the one of a room.
func (r *replica) knows(ctx context.Context, rooms []string) bool {
	id := r.part.uninformed(rooms)
	if id != "" {
		r.halt(ctx, fmt.Errorf("room %s is committed to another secret than this server's", id))
	}
	return id == ""
}

// halt stops the fold for good: this replica cannot go on without writing a
// different history. Another one may.
func (r *replica) halt(ctx context.Context, err error) {
	r.halted = err
	r.metrics.halted.Inc()
	r.log.Error("the replica stopped", "seq", r.part.Last().Seq, "err", err)
	r.fallSilent("halted")
	r.detector.off.Store(true)
	r.report()
}

// untilTick is how long the owner may wait before it appends a tick.
func (r *replica) untilTick(now time.Time) time.Duration {
	wait, due := r.part.tickIn(now.Sub(r.lastRecord), now.Sub(r.lastOwn))
	if !r.speaking || !due || r.appender.tick {
		return time.Hour
	}
	return max(wait, tickSpacing-now.Sub(r.lastTick), 0)
}

func (r *replica) tick(ctx context.Context) {
	if !r.speaking {
		return
	}
	r.lastTick = time.Now()
	r.appender.appendTick(ctx)
}

func (r *replica) appended(ctx context.Context, a appended) {
	r.appender.settle(ctx, a)
	switch {
	case a.err == nil:
		r.expected = max(r.expected, a.seq)
	case fenced(a.err) && a.epoch == r.claim && r.speaking:
		r.log.Info("fenced by a newer claim", "epoch", a.epoch)
		r.fallSilent("fenced")
	default:
		r.log.Debug("append failed", "err", a.err)
		if a.key.room != "" {
			r.owing[a.key.room] = struct{}{}
		}
	}
}

// fulfil appends the facts that rooms owe.
func (r *replica) fulfil(ctx context.Context, rooms []string) {
	last := r.part.Last().Seq
	r.appender.folded(last)
	for _, id := range rooms {
		duties := r.part.duties(id)
		if len(duties) == 0 {
			delete(r.owing, id)
			continue
		}
		r.owing[id] = struct{}{}
		for _, d := range duties {
			r.appender.appendDuty(ctx, id, d, last)
		}
	}
	if d, owed := r.part.digests.owed(); owed {
		r.appender.appendDuty(ctx, "", game.Duty{Kind: wire.OwnerDigest, Data: game.Encode(d)}, last)
	}
}

func (r *replica) ask(m *nats.Msg) {
	if !r.speaking || m.Reply == "" {
		return
	}
	var a wire.Ask
	if err := json.Unmarshal(m.Data, &a); err != nil {
		r.metrics.askRefused.Inc()
		_ = bus.Respond(m, game.Encode(wire.AskReply{Error: wire.Errorf(wire.CodeBadMessage, "ask: %v", err)}))
		return
	}
	_ = bus.Respond(m, game.Encode(r.part.answerAsk(a)))
}

// sweep looks after what no message wakes the replica for.
func (r *replica) sweep(ctx context.Context, now time.Time) {
	defer r.report()
	if r.halted != nil {
		return
	}
	if r.expected > r.part.Last().Seq || now.Sub(r.lastRecord) > feedSilence && now.Sub(r.lastLook) > feedSilence {
		r.lastLook = now
		if last, err := r.feed.lastSeq(ctx); err == nil {
			r.catchUp(ctx, last)
		}
	}
	if !r.speaking {
		if r.host.cfg.Alone {
			r.tryClaim(ctx, r.part.Epoch())
		}
		return
	}
	r.speaker.repeat(r.part, now)
	rooms := make([]string, 0, len(r.owing))
	for id := range r.owing {
		rooms = append(rooms, id)
	}
	r.fulfil(ctx, rooms)
	r.save(now)
	r.yield(now)
}

// save takes a snapshot when one is due.
func (r *replica) save(now time.Time) {
	seq, s := r.part.Last().Seq, &r.saved
	cold := seq >= s.checkpointSeq+checkpointRecords || seq > s.checkpointSeq && now.Sub(s.checkpointAt) >= checkpointEvery
	hot := seq >= s.snapshotSeq+snapshotRecords && seq >= s.snapshotSeq+r.part.weight() || seq > s.snapshotSeq && now.Sub(s.snapshotAt) >= snapshotEvery
	if hot || cold {
		r.snapshot(now, cold)
	}
}

func (r *replica) snapshot(now time.Time, cold bool) {
	seq := r.part.Last().Seq
	r.host.keeper.save(r.id, savedState{seq: seq, state: r.part.freeze(), cold: cold})
	r.saved.snapshotAt, r.saved.snapshotSeq = now, seq
	if cold {
		r.saved.checkpointAt, r.saved.checkpointSeq = now, seq
	}
}

func (r *replica) report() {
	info := &wire.PartitionInfo{
		Partition: r.id, Owner: r.speaking, Epoch: r.part.Epoch(), Seq: r.part.Last().Seq, GameTime: int64(r.part.Now()),
		Rooms: r.part.Rooms(), Outstanding: len(r.part.pending.byID),
	}
	if r.expected > info.Seq {
		info.Lag = r.expected - info.Seq
	}
	if n := uint64(len(r.feed.live)); n > info.Lag {
		info.Lag = n
	}
	if r.halted != nil {
		info.Halted = r.halted.Error()
	}
	r.status.Store(info)
}
