package room

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// tickSpacing is the least time between two ticks of the owner. Due points are met
	// exactly by the fold whenever the record comes; a tick only makes it soon.
	tickSpacing = 5 * time.Millisecond
	// refusedLong is for how long appends fail before it is told, and told again: an
	// election of the log's nodes takes up to 7 s.
	refusedLong = 10 * time.Second
	// feedSilence is after how much silence a replica looks at the log itself: the
	// live feed is at most once.
	feedSilence = time.Second
	// snapshotEvery and snapshotRecords are how often an owner saves a snapshot, a large
	// one after as many records as it lists; checkpointEvery and checkpointRecords how
	// often it goes to the log's storage too, unless the configuration says otherwise.
	snapshotEvery     = 30 * time.Second
	snapshotRecords   = 50_000
	checkpointEvery   = 5 * time.Minute
	checkpointRecords = 500_000
)

// ReplicaConfig is what a Replica is made from. Kinds, Cashier, Node, Rank, Now and
// Rand are needed.
type ReplicaConfig struct {
	Partition PartitionConfig   // Created is the log's
	Node      string            // this process's ID, a subject token
	Version   string            // build version, for people
	Hot       SnapshotStore     // where snapshots are; nil for none
	Cold      []CheckpointStore // where checkpoints are, in turn; trimming needs two
	Trim      *TrimConfig       // nil keeps the whole log
	// A checkpoint is due CheckpointRecords records behind the one before, or
	// CheckpointInterval if there are any; 0 means 500,000, and five minutes.
	CheckpointRecords  uint64
	CheckpointInterval time.Duration
	// Alone tells that no other room server can exist (embedded): the partition is
	// claimed at once, and nobody is asked first.
	Alone bool
	// Rank is how many better candidates there are, the node that is seen dead not
	// counted. Better lists them, best first: all others there are when this node drains.
	// nil knows none.
	Rank   func(dead string) int
	Better func() []string
	// Versions are the newest that all candidates can fold; nil stands for this one alone.
	Versions func() wire.Versions
	Now      func() time.Time
	Rand     *rand.Rand   // spreads what nodes would do in step
	Log      *slog.Logger // nil discards

	keeper  *keeper  // of the Host; nil makes one of Hot and Cold
	metrics *metrics // of the Host; nil keeps none
}

// Replica folds one partition's log and speaks for it while its claim is the
// newest. It is a state machine: it starts no goroutine but those that encode frozen
// states, and reads no clock but Now. Whoever runs it calls Open, then hands it events,
// and Turn behind each. It is not safe for concurrent use, but for Status.
type Replica struct {
	// Static after NewReplica.
	cfg     ReplicaConfig
	keeper  *keeper
	log     *slog.Logger
	metrics *metrics
	status  atomic.Pointer[wire.PartitionInfo]

	// Static after Open.
	ctx    context.Context
	stream Log
	voice  Voice

	part     *Partition
	recent   recent
	out      Output
	appender *appender
	speaker  *speaker
	detector detector
	halted   error
	claiming bool   // a claim of ours is on its way
	replaces uint64 // the epoch that it is to replace
	claim    uint64 // sequence of our newest claim, 0 for none

	claimedAt int64 // stored timestamp of the newest folded claim, Unix ns
	speaking  bool
	owing     map[string]struct{} // rooms that may owe facts

	lastRecord time.Time // when the newest record was folded
	lastOwn    time.Time // when the newest record of the owner was folded
	lastTick   time.Time // when the owner last appended one
	lastLook   time.Time // when the log was last asked for its newest record
	blind      time.Time // when it was last asked in vain
	expected   uint64    // a sequence that is known to be in the log
	refusedAt  time.Time // since when the log takes no owner records, or when that was told; zero while it does
	revivedAt  time.Time // when it was last tried to go on behind what is unknown
	handover   handover
	agreement  agreement
	tail       tail
	saved      savePoint
	trimming   trimming
}

// savePoint is when and where the last snapshot and checkpoint were taken.
type savePoint struct {
	snapshotAt, checkpointAt   time.Time
	snapshotSeq, checkpointSeq uint64
}

// NewReplica makes a Replica that knows nothing of its log yet.
func NewReplica(cfg ReplicaConfig) *Replica {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Replica{
		cfg: cfg, keeper: cfg.keeper, metrics: cfg.metrics, log: cfg.Log.With("partition", cfg.Partition.ID),
		detector: detector{rank: cfg.Rank, rand: cfg.Rand}, owing: map[string]struct{}{},
	}
	if r.keeper == nil {
		r.keeper = newKeeper(cfg.Hot, cfg.Cold, cfg.Log)
	}
	if r.cfg.Better == nil {
		r.cfg.Better = func() []string { return nil }
	}
	if r.cfg.Versions == nil {
		r.cfg.Versions = r.cfg.Partition.versions
	}
	if r.metrics == nil {
		r.metrics = newMetrics(nil)
	}
	r.status.Store(&wire.PartitionInfo{Partition: cfg.Partition.ID})
	return r
}

// Open restores the newest snapshot and folds the log behind it. After an error, that the log
// cannot be read now, it may be called again.
func (r *Replica) Open(ctx context.Context, log Log, voice Voice) error {
	r.ctx, r.stream, r.voice = ctx, log, voice
	r.appender = newAppender(log)
	r.cfg.Partition.Created = log.Created()
	from := r.restore(ctx)
	last, err := log.Last()
	if err != nil {
		return err
	}
	r.read(last) // a snapshot was looked for in the log this moment
	r.report()
	if r.halted == nil && r.part.Last().Seq < last && ctx.Err() == nil {
		return fmt.Errorf("the log was read up to record %d of %d", r.part.Last().Seq, last)
	}
	r.log.Debug("caught up with the log", "snapshot", from, "seq", r.part.Last().Seq)
	if r.cfg.Alone {
		r.tryClaim(r.part.Epoch())
	} else {
		r.detector.start(r.cfg.Now(), r.cfg.Now().Add(settleIn))
	}
	return nil
}

// restore begins with the newest snapshot, whatever was folded before, and returns its last record.
func (r *Replica) restore(ctx context.Context) (from uint64) {
	if r.part != nil {
		r.part.digests.wait()
	}
	r.recent, r.expected, r.speaker = recent{}, 0, newSpeaker(r.voice)
	clear(r.owing)
	var missing []witness
	r.part, missing, _ = r.keeper.restore(ctx, r.cfg.Partition, r.stream)
	r.tail.remember(missing...)
	r.tail.explain(r.part.lostAt)
	r.tail.reopen = false
	now := r.cfg.Now()
	if from = r.part.Last().Seq; from > 0 {
		r.metrics.restarts.Inc()
	}
	r.saved = savePoint{snapshotSeq: from, checkpointSeq: from, snapshotAt: now, checkpointAt: now}
	r.tail.openedAt = now
	r.knows(r.part.roomIDs())
	return from
}

// Status tells the state as of the last sweep, or what changed since. It is safe for
// concurrent use.
func (r *Replica) Status() wire.PartitionInfo { return *r.status.Load() }

// Partition is the state, for looking at between events.
func (r *Replica) Partition() *Partition { return r.part }

// Owns reports whether this replica speaks for the partition.
func (r *Replica) Owns() bool { return r.speaking }

// Halted is why the fold stopped; nil while it goes on.
func (r *Replica) Halted() error { return r.halted }

// Flush writes the snapshots that wait, which a Host does in the background.
func (r *Replica) Flush(ctx context.Context) { r.keeper.flush(ctx) }

// Turn says what waits to be said and returns after how long Wake is to be called.
func (r *Replica) Turn() time.Duration {
	now := r.cfg.Now()
	wait := min(r.speaker.flush(r.part, now), r.untilTick(now))
	if !r.cfg.Alone {
		wait = min(wait, r.detector.at.Sub(now))
	}
	return max(wait, 0)
}

// Wake is the event that the time has passed which Turn returned.
func (r *Replica) Wake() {
	now := r.cfg.Now()
	if r.untilTick(now) <= 0 {
		r.lastTick = now
		r.appender.appendTick()
	}
	if r.cfg.Alone || now.Before(r.detector.at) {
		return
	}
	if r.claim != 0 || r.claiming || r.halted != nil || r.handover.draining { // it owns the partition, or must not
		r.detector.rest(now)
		return
	}
	r.replaceIf(r.detector.due(now, claimed{r.part.epoch, r.part.owner}, r.voice.Ping))
}

// Pong is the answer to the n-th ping: of the owner, or that nobody listens.
func (r *Replica) Pong(n uint64, owner bool) {
	r.replaceIf(r.detector.pong(r.cfg.Now(), n, owner))
}

func (r *Replica) replaceIf(dead bool) {
	if dead {
		r.tryClaim(r.detector.seen.epoch)
	}
}

// Record is a live record. What the feed lost before it is read from the log.
func (r *Replica) Record(rec Record) {
	last := r.part.Last().Seq
	switch {
	case r.halted != nil || r.tail.reopen:
		return
	case rec.Seq <= last:
		if !r.recent.agrees(rec) {
			r.foreign(rec)
		}
		return
	}
	switch {
	case rec.Seq > last+1:
		r.metrics.fills.Inc()
		r.catchUp(rec.Seq - 1)
	case r.cfg.Now().Sub(r.lastRecord) > feedSilence && !r.follows(rec.Seq): // what was folded was replaced meanwhile
		return
	}
	if rec.Seq == r.part.Last().Seq+1 {
		r.fold(rec)
	}
}

// catchUp folds the log up to the record to, if what was folded is of this log.
func (r *Replica) catchUp(to uint64) {
	if r.halted == nil && r.part.Last().Seq < to && r.follows(to) {
		r.read(to)
	}
}

// read folds the log up to the record to.
func (r *Replica) read(to uint64) {
	for r.halted == nil && r.part.Last().Seq < to {
		err := r.stream.Read(r.part.Last().Seq+1, to, func(rec Record) error {
			r.fold(rec)
			return r.halted
		})
		switch {
		case err == nil || r.halted != nil || errors.Is(err, ErrClosed):
			return
		case !errors.Is(err, ErrTrimmed):
			r.halt(err)
			return
		case !r.jump(err):
			return
		}
	}
}

func (r *Replica) fold(rec Record) {
	if err := r.part.Apply(rec, &r.out); err != nil {
		r.halt(err)
		return
	}
	now := r.cfg.Now()
	r.recent.note(rec)
	r.lastRecord = now
	if r.part.OwnedLast() {
		r.lastOwn = now
	}
	r.metrics.records[rec.Kind].Inc()
	if !r.knows(r.out.Stated) { // what a room commits itself to is stated by an owner
		return
	}
	r.testified(&r.out)
	if c := r.out.Claim; c != nil {
		r.claimFolded(*c, rec.Time)
	}
	if r.speaking {
		r.speaker.say(&r.out)
		r.fulfil(r.out.Touched)
	}
}

// knows halts the replica when its secret is not the one of a room.
func (r *Replica) knows(rooms []string) bool {
	id := r.part.uninformed(rooms)
	if id != "" {
		r.halt(fmt.Errorf("room %s is committed to another secret than this server's", id))
	}
	return id == ""
}

// halt stops the fold: this replica cannot go on without writing a different history.
// Another one may. That is for good, unless it met what is not known here.
func (r *Replica) halt(err error) {
	r.halted = err
	r.metrics.halted.Inc()
	r.log.Error("the replica stopped", "seq", r.part.Last().Seq, "err", err)
	r.fallSilent("halted")
	r.report()
}

// untilTick is how long the owner may wait before it appends a tick.
func (r *Replica) untilTick(now time.Time) time.Duration {
	wait, due := r.part.tickIn(now.Sub(r.lastRecord), now.Sub(r.lastOwn))
	if !r.speaking || !due || r.appender.tick || len(r.tail.known) > 0 {
		return time.Hour
	}
	wait = max(wait, r.tail.until.Sub(now))
	return max(wait, tickSpacing-now.Sub(r.lastTick), 0)
}

// Settled is what became of an owner record that was appended: its sequence, or an
// error.
func (r *Replica) Settled(rec wire.OwnerRecord, seq uint64, err error) {
	r.appender.settle(rec, seq, err)
	switch {
	case err == nil:
		r.expected, r.refusedAt = max(r.expected, seq), time.Time{}
	case errors.Is(err, ErrFenced) && rec.Epoch == r.claim && r.speaking && !r.claiming:
		r.log.Info("fenced by a newer claim", "epoch", rec.Epoch)
		r.fallSilent("fenced")
	default:
		r.refused(err)
		if rec.Room != "" {
			r.owing[rec.Room] = struct{}{}
		}
	}
}

// refused tells of an append that failed, and people when all have failed for a while:
// rooms stand still then.
func (r *Replica) refused(err error) {
	r.log.Debug("append failed", "err", err)
	now := r.cfg.Now()
	if r.refusedAt.IsZero() {
		r.refusedAt = now
	}
	if now.Sub(r.refusedAt) >= refusedLong {
		r.refusedAt = now
		r.log.Warn("the log takes no records of the owner", "epoch", r.claim, "err", err)
	}
}

// fulfil appends the facts that rooms owe.
func (r *Replica) fulfil(rooms []string) {
	last := r.part.Last().Seq
	r.appender.folded(last)
	r.testify(last)
	if r.tail.waits(r.cfg.Now()) {
		for _, id := range rooms {
			r.owing[id] = struct{}{}
		}
		return
	}
	holds := r.holds(r.cfg.Now())
	for _, id := range rooms {
		duties := r.part.duties(id)
		if len(duties) == 0 {
			delete(r.owing, id)
			continue
		}
		r.owing[id] = struct{}{}
		for _, d := range duties {
			if !holds || !d.Takes {
				r.appender.appendDuty(id, d, last)
			}
		}
	}
	if d, owed := r.part.digests.owed(); owed {
		r.appender.appendDuty("", game.Duty{Kind: wire.OwnerDigest, Data: game.Encode(d)}, last)
	}
}

// Ask answers a request about a room. A follower folds the log up to its end first.
func (r *Replica) Ask(request []byte) (reply []byte) {
	refuse := func(code wire.Code, format string, args ...any) []byte {
		r.metrics.askRefused.Inc()
		return game.Encode(wire.AskReply{Error: wire.Errorf(code, format, args...)})
	}
	var a wire.Ask
	if err := json.Unmarshal(request, &a); err != nil {
		return refuse(wire.CodeBadMessage, "ask: %v", err)
	}
	// What is past does not change; what concerns a player must be as new as what he was told.
	past := a.Op == wire.AskSince || a.Op == wire.AskSnapshot
	if !r.speaking && !r.lookUp() && !past || r.halted != nil {
		return refuse(wire.CodeUnavailable, "partition %d is not followed here at the moment", r.cfg.Partition.ID)
	}
	answer := r.part.answerAsk(a)
	answer.Follower = !r.speaking
	return game.Encode(answer)
}

// lookUp folds the log up to its end. It reports whether the log could be asked where
// that is; when it could not, it is left alone for a moment.
func (r *Replica) lookUp() bool {
	now := r.cfg.Now()
	if r.halted != nil || r.tail.reopen || now.Sub(r.blind) < feedSilence {
		return false
	}
	r.lastLook = now
	last, err := r.stream.Last()
	if err != nil {
		r.blind = r.cfg.Now()
		return false
	}
	if folded := r.part.Last().Seq; last < folded {
		r.beginAgain(fmt.Sprintf("it ends before record %d, which was folded", folded), last)
		return false
	}
	r.catchUp(last)
	return r.halted == nil && r.part.Last().Seq >= last
}

// Sweep looks after what no message wakes the replica for. It is called a few times a
// second.
func (r *Replica) Sweep() {
	defer r.report()
	if r.halted != nil {
		r.revive(r.cfg.Now())
		return
	}
	if r.tail.reopen {
		r.restart()
		return
	}
	now := r.cfg.Now()
	if r.expected > r.part.Last().Seq || now.Sub(r.lastRecord) > feedSilence && now.Sub(r.lastLook) > feedSilence {
		r.lookUp()
	}
	if !r.speaking {
		if r.cfg.Alone {
			r.tryClaim(r.part.Epoch())
		}
		r.reclaim()
		return
	}
	if len(r.tail.known) > 0 {
		if r.lookBack(now, false); len(r.tail.known) > 0 {
			return
		}
	}
	r.askAgain(now)
	r.speaker.repeat(r.part, now)
	r.fulfil(slices.Sorted(maps.Keys(r.owing)))
	r.agree(now)
	r.save(now)
	r.trim(now)
	r.yield(now)
}

// save takes a snapshot when one is due.
func (r *Replica) save(now time.Time) {
	seq, s := r.part.Last().Seq, &r.saved
	cold := seq >= s.checkpointSeq+cmp.Or(r.cfg.CheckpointRecords, checkpointRecords) || seq > s.checkpointSeq && now.Sub(s.checkpointAt) >= cmp.Or(r.cfg.CheckpointInterval, checkpointEvery)
	hot := seq >= s.snapshotSeq+snapshotRecords && seq >= s.snapshotSeq+r.part.weight() || seq > s.snapshotSeq && now.Sub(s.snapshotAt) >= snapshotEvery
	if hot || cold {
		r.snapshot(now, cold)
	}
}

func (r *Replica) snapshot(now time.Time, cold bool) {
	seq := r.part.Last().Seq
	r.keeper.save(r.cfg.Partition.ID, savedState{
		seq: seq, state: r.part.freeze(), cold: cold, fits: func(p Place) error { return has(r.stream, p) },
	})
	r.saved.snapshotAt, r.saved.snapshotSeq = now, seq
	if cold {
		r.saved.checkpointAt, r.saved.checkpointSeq = now, seq
	}
}

func (r *Replica) report() {
	info := &wire.PartitionInfo{
		Partition: r.cfg.Partition.ID, Owner: r.speaking, Epoch: r.part.Epoch(), Seq: r.part.Last().Seq, GameTime: int64(r.part.Now()),
		Rooms: r.part.Rooms(), Outstanding: len(r.part.pending.byID),
	}
	if r.expected > info.Seq {
		info.Lag = r.expected - info.Seq
	}
	if n := uint64(r.stream.Waiting()); n > info.Lag {
		info.Lag = n
	}
	info.LostAt, info.Versions = r.part.lostAt, r.part.versions
	if r.halted != nil {
		info.Halted = r.halted.Error()
	}
	r.status.Store(info)
}
