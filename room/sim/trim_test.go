package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"tickcast/archive"
	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/wire"
)

// trimming is how the log of a run is trimmed.
type trimming struct {
	on          bool
	checkpoints uint64 // one after so many records
	keep        uint64
	segment     uint64 // records of one
}

// drawTrimming draws one by which runs are trimmed often, or one that keeps the whole log.
func drawTrimming(rnd *rand.Rand) trimming {
	return trimming{
		on: rnd.IntN(5) != 0, checkpoints: 50 + rnd.Uint64N(1000), keep: []uint64{0, 100, 600}[rnd.IntN(3)], segment: 20 + rnd.Uint64N(200),
	}
}

// config has a replica trim, by the trimmer of its process.
func (t trimming) config(s *server) *room.TrimConfig {
	if !t.on {
		return nil
	}
	logs := trimmedLog{s.w, &s.link}
	writers := make([]*archive.Writer, partition+1)
	writers[partition] = archive.NewWriter(archive.NewReaderOf(logs), s.w.archive, partition)
	writers[partition].Records = t.segment
	s.trimmer = room.NewTrimmer(logs, writers)
	return s.trimmer.Config(partition, t.keep)
}

// trimmedLog is the log as a trimmer and a reader of the archive reach it.
type trimmedLog struct {
	w    *world
	link *link
}

// do calls the log, which does not answer who is cut off.
func (l trimmedLog) do(ctx context.Context, f func() error) error {
	return l.w.call(ctx, func() error {
		if l.w.now < l.w.log.silent || l.w.now < l.link.log {
			return errNoAnswer
		}
		return f()
	})
}

// First implements room.Purger.
func (l trimmedLog) First(ctx context.Context, _ int) (first uint64, err error) {
	err = l.do(ctx, func() error {
		first = l.w.log.first
		return nil
	})
	return first, err
}

// Ends implements archive.Logs.
func (l trimmedLog) Ends(ctx context.Context, _ int) (first, last uint64, err error) {
	err = l.do(ctx, func() error {
		first, last = l.w.log.first, l.w.log.last()
		return nil
	})
	return first, last, err
}

// Read implements archive.Logs.
func (l trimmedLog) Read(ctx context.Context, _ int, from, to uint64, take func(archive.Record) error) (uint64, error) {
	err := l.do(ctx, func() error {
		for ; from <= to; from++ {
			switch {
			case from < l.w.log.first:
				return archive.ErrTrimmed
			case from > l.w.log.last():
				return errNoAnswer
			}
			if err := take(archived(l.w.log.records[from-1])); err != nil {
				return err
			}
		}
		return nil
	})
	return from, err
}

// archived is a record as it stands in the stream.
func archived(rec room.Record) archive.Record {
	a := archive.Record{Stream: wire.PartitionStream(partition), Seq: rec.Seq, Time: rec.Time, Data: rec.Data}
	switch rec.Kind {
	case wire.KindCommand:
		a.Subject = wire.CommandSubject(partition, rec.Room)
	case wire.KindAction:
		a.Subject = wire.ActionSubject(partition, rec.Room)
	default:
		a.Subject = fmt.Sprintf("%s.%d", rec.Kind, partition)
	}
	return a
}

// Purge implements room.Purger. What it leaves must do for everybody.
func (l trimmedLog) Purge(ctx context.Context, _ int, below uint64) error {
	return l.do(ctx, func() error {
		log := l.w.log
		switch l.w.cfg.broken {
		case purgesClaim:
			below = max(below, log.lastClaim+1)
		case purgesUnarchived:
			below = max(below, min(log.lastClaim, max(l.w.buckets[0].seq, l.w.buckets[1].seq)))
		case losesCheckpoints:
			for _, s := range l.w.buckets {
				s.kept, s.sound = nil, false
			}
		}
		if below == 0 {
			below = log.last() + 1
		}
		log.first = max(log.first, min(below, log.last()+1))
		l.w.note("purge", encode(log.first))
		l.w.checkTrimmed()
		return nil
	})
}

// checkTrimmed holds a log that was trimmed to what it must have.
func (w *world) checkTrimmed() {
	log := w.log
	if log.lastClaim < log.first {
		w.fail("the log begins with record %d, and the newest claim was record %d", log.first, log.lastClaim)
	}
	sound := func(s *store) bool { return s.sound && s.seq >= log.first }
	if !sound(w.buckets[0]) && !sound(w.buckets[1]) {
		w.fail("the log begins with record %d, and there is no checkpoint to start from: %d and %d", log.first, w.buckets[0].seq, w.buckets[1].seq)
	}
	if w.chance(0.2) {
		w.startCold()
	}
}

// startCold starts a server that has nothing but the log and the checkpoints.
func (w *world) startCold() {
	s := &server{w: w, name: "cold", rules: serverRules[3], link: link{w: w}}
	r := room.NewReplica(room.ReplicaConfig{
		Partition: room.PartitionConfig{ID: partition, Kinds: s.rules.kinds, Cashier: cashier.Kind{}, Inline: true},
		Node:      s.name, Cold: []room.CheckpointStore{w.buckets[0], w.buckets[1]},
		Now: func() time.Time { return time.Unix(0, w.now) }, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	s.replica = r
	silent, behind, loss := w.log.silent, w.log.stale, w.cfg.loss
	w.log.silent, w.log.stale, w.cfg.loss = 0, stale{}, 0
	err := r.Open(context.Background(), serverLog{s, w.log}, voice{s})
	w.log.silent, w.log.stale, w.cfg.loss = silent, behind, loss
	switch {
	case err != nil || r.Halted() != nil:
		w.fail("a server that has checkpoints and the log from record %d on does not start: %v, %v", w.log.first, err, r.Halted())
	case string(r.Partition().Snapshot()) != string(w.truth.part.Snapshot()):
		w.fail("a server that started from a checkpoint has another state than the truth at record %d", w.log.last())
	}
}

func logIsTrimmed(sc *scene) {
	grow := func(n uint64) {
		to := sc.log.last() + n
		sc.until("the log grows", 10*time.Minute, func() bool { return sc.log.last() >= to })
	}
	for range 4 {
		grow(150)
		sc.archive.damage = damages[sc.rnd.IntN(len(damages))]
		sc.killOwner()
	}
	sc.archive.damage = ""
	grow(600)
	sc.checkBound()
	if sc.broken == nil {
		sc.startCold()
	}
}

// checkBound holds the log to what it may have: two checkpoints, a step and a segment, what stays in any case, and
// what comes while an owner waits with its next claim.
func (w *world) checkBound() {
	most := 2*w.cfg.trimming.checkpoints + 2*w.cfg.trimming.segment + w.cfg.trimming.keep + 300
	if n := w.log.last() + 1 - w.log.first; n > most {
		w.fail("the log has %d records, and %d are the most", n, most)
	}
}

// segments is the archive's model.
type segments struct {
	w      *world
	names  []archive.Segment
	held   map[string][]byte
	damage string // what becomes of the next, one of damages; "" for nothing
}

var damages = []string{"refused", "unanswered", "lost", "cut"}

func newSegments(w *world) *segments { return &segments{w: w, held: map[string][]byte{}} }

var errStorage = errors.New("the storage failed")

// List implements archive.Store.
func (a *segments) List(ctx context.Context) (list []archive.Segment, err error) {
	err = a.w.call(ctx, func() error {
		list = slices.Clone(a.names)
		return nil
	})
	return list, err
}

// Put implements archive.Store.
func (a *segments) Put(ctx context.Context, s archive.Segment, contents []byte) error {
	return a.w.call(ctx, func() error {
		a.w.note("segment", contents)
		if bytes.Equal(a.held[s.Name()], contents) {
			return nil // it is left alone, as somebody may be reading it
		}
		damage := a.damage
		a.damage = ""
		if damage == "refused" {
			return errStorage
		}
		if a.held[s.Name()] == nil {
			a.names = append(a.names, s)
		}
		a.held[s.Name()] = slices.Clone(contents)
		switch damage {
		case "unanswered":
			return errStorage
		case "lost":
			delete(a.held, s.Name())
			a.names = slices.DeleteFunc(a.names, func(o archive.Segment) bool { return o == s })
		case "cut":
			a.held[s.Name()] = contents[:len(contents)/2]
		}
		return nil
	})
}

// Get implements archive.Store.
func (a *segments) Get(ctx context.Context, s archive.Segment) (contents []byte, err error) {
	err = a.w.call(ctx, func() error {
		if contents = a.held[s.Name()]; contents == nil {
			return errStorage
		}
		if a.w.cfg.broken == losesSegments {
			delete(a.held, s.Name())
		}
		return nil
	})
	return slices.Clone(contents), err
}
