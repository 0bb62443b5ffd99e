package room

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// sweepInterval is how often a replica looks after what nothing else wakes it for.
	sweepInterval = 250 * time.Millisecond
	// foldBatch is how many records one turn of the loop folds at most: a fraction of a
	// millisecond's worth.
	foldBatch = 64
	// drainWithin bounds how long partitions are handed over when a host is told to end,
	// all at the same time: a few candidates' time-outs.
	drainWithin = 4 * offerTimeout
	// openPause lies between tries to open a log that cannot be read now: while its leader stands
	// still, or another is elected.
	openPause = time.Second
)

// loop is a Replica in JetStream: the goroutine that hands it its events.
type loop struct {
	*Replica
	host  *Host
	voice *natsVoice

	// Owned by run.
	feed *feed
	log  *natsLog
}

func newLoop(h *Host, id int) *loop {
	var trim *TrimConfig
	if h.trimmer != nil {
		trim = h.trimmer.Config(id, h.cfg.Keep)
	}
	return &loop{host: h, voice: newNATSVoice(h.cfg.Conn, id, h.cfg.Node, h.directory), Replica: NewReplica(ReplicaConfig{
		Partition: PartitionConfig{ID: id, Kinds: h.cfg.Kinds, Cashier: h.cfg.Cashier},
		Node:      h.cfg.Node, Version: h.cfg.Version, Alone: h.cfg.Alone,
		Rank:   func(dead string) int { return h.rank(id, dead) },
		Better: func() []string { return h.better(id) }, Versions: h.members.common,
		Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Log: h.log, Trim: trim, keeper: h.keeper, metrics: h.metrics,
		CheckpointRecords: h.cfg.CheckpointRecords, CheckpointInterval: h.cfg.CheckpointInterval,
	})}
}

// run catches up with the log, then follows it, and owns the partition whenever
// it won a claim. When ctx ends it hands over what it owns, which it gives up after
// drainWithin.
//
// opened gets one value when the replica has caught up.
func (l *loop) run(ctx context.Context, opened chan<- struct{}) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	unready := context.AfterFunc(ctx, end) // there is nothing to hand over yet
	for err := l.open(life); err != nil; err = l.open(life) {
		if life.Err() == nil {
			l.host.log.Warn("a log cannot be read now, and is tried again", "partition", l.cfg.Partition.ID, "err", err)
		}
		if !pause(life, openPause) {
			return
		}
	}
	opened <- struct{}{}
	defer l.feed.close()
	defer l.voice.close()
	unready()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainWithin, end) })
	defer stop()
	l.follow(life)
}

func (l *loop) open(ctx context.Context) (err error) {
	p := l.cfg.Partition.ID
	if l.feed, err = openFeed(ctx, l.host.cfg.Conn, l.host.js, p); err != nil {
		return err
	}
	if err = l.voice.open(); err != nil {
		l.feed.close()
		return err
	}
	if t := l.host.trimmer; t != nil {
		t.begins(p, l.feed.stream.CachedInfo().State.FirstSeq)
	}
	l.log = newNATSLog(ctx, l.feed, p)
	if err = l.Open(ctx, l.log, l.voice); err != nil {
		l.feed.close()
		l.voice.close()
	}
	return err
}

// follow hands over events until the partition is handed over to others, which it is
// when the host drains, or ctx ends.
func (l *loop) follow(ctx context.Context) {
	draining := l.host.draining
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		l.voice.turn.Store(time.Now().UnixNano())
		due.Reset(l.Turn())
		if l.Drained() {
			l.leave()
			return
		}
		select {
		case <-ctx.Done():
			l.leave()
			return
		case <-draining:
			draining = nil
			l.Drain()
		case m := <-l.feed.live:
			l.take(m)
		case <-due.C:
			l.due()
		case a := <-l.log.appended:
			l.Settled(a.rec, a.seq, a.err)
		case a := <-l.log.claims:
			l.Claimed(a.seq, a.err)
		case m := <-l.voice.asks:
			l.ask(m)
		case m := <-l.voice.pongs:
			l.Pong(l.voice.parsePong(m))
		case m := <-l.voice.offers:
			l.offered(m)
		case m := <-l.voice.declined:
			l.Declined(l.voice.parseDecline(m))
		case m := <-l.voice.witnesses:
			l.Witnessed(l.voice.parseWitness(m))
		case <-sweep.C:
			l.Sweep()
		}
	}
}

func (l *loop) leave() {
	l.Leave()
	l.log.wait()
}

// take folds a live record and those that wait behind it, as many as one turn of
// the loop may take: what else it has to do waits for them.
func (l *loop) take(m *nats.Msg) {
	l.record(m)
	for range min(len(l.feed.live), foldBatch-1) {
		l.record(<-l.feed.live)
	}
}

func (l *loop) record(m *nats.Msg) {
	rec, err := l.feed.handedOut(m.Header, m.Data)
	if err != nil {
		l.metrics.feedDrops.Inc()
		return
	}
	l.Record(rec)
}

// due hands over that the time has come, behind the answers that came in time: a turn
// may have taken long.
func (l *loop) due() {
	for range len(l.voice.pongs) {
		l.Pong(l.voice.parsePong(<-l.voice.pongs))
	}
	l.Wake()
}

func (l *loop) offered(m *nats.Msg) {
	var offer wire.Offer
	why := "no offer"
	if json.Unmarshal(m.Data, &offer) == nil {
		why = l.Offered(offer)
	}
	if why != "" && m.Reply != "" {
		_ = bus.Respond(m, game.Encode(wire.Decline{Why: why}))
	}
}

func (l *loop) ask(m *nats.Msg) {
	_ = bus.Respond(m, l.Ask(m.Data)) // fails for a reply that is none
}
