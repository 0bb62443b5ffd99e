package room

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/archive"
	"tickcast/wire"
)

// archiveStep is how many segments are archived before their records are purged: a long
// log is trimmed bit by bit.
const archiveStep = 16

// Trimmer takes what owners let go of from the logs: to the archive first, and when that
// can be read, off the log. Each step may be repeated, by another owner as well, so that
// it may be cut off anywhere. Flush is used by one goroutine.
type Trimmer struct {
	// Static after NewTrimmer.
	logs    Purger
	log     *slog.Logger
	metrics *metrics
	writers []*archive.Writer // by partition

	unsure []span // by partition: the last purge had no answer; for Flush

	mu      sync.Mutex // guards waiting
	waiting map[int]uint64
	wake    chan struct{} // capacity 1
}

// span are the records from first on and before below.
type span struct{ first, below uint64 }

func (s span) records() uint64 { return s.below - s.first }

// Purger is where logs are that a Trimmer makes shorter. Its methods return when they know.
type Purger interface {
	// First is the first sequence of a partition's log.
	First(ctx context.Context, p int) (uint64, error)
	// Purge removes the records before below, which may be gone already; below is not 0.
	Purge(ctx context.Context, p int, below uint64) error
}

// NewTrimmer makes a Trimmer of logs and of the writers of their archives, by partition.
func NewTrimmer(logs Purger, writers []*archive.Writer) *Trimmer {
	return &Trimmer{
		logs: logs, log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil), writers: writers,
		unsure: make([]span, len(writers)), waiting: map[int]uint64{}, wake: make(chan struct{}, 1),
	}
}

// newTrimmer trims the streams of a Host.
func newTrimmer(nc *nats.Conn, js jetstream.JetStream, h *Host) (*Trimmer, error) {
	var writers []*archive.Writer
	for p := range h.cfg.Partitions {
		r, err := archive.NewReader(nc)
		if err != nil {
			return nil, err
		}
		w := archive.NewWriter(r, h.cfg.Archive, p)
		w.Records = cmp.Or(h.cfg.SegmentRecords, w.Records)
		writers = append(writers, w)
	}
	t := NewTrimmer(streams{js}, writers)
	t.log, t.metrics = h.log, h.metrics
	return t, nil
}

// Config is how the replica of a partition trims.
func (t *Trimmer) Config(p int, keep uint64) *TrimConfig {
	return &TrimConfig{Keep: keep, Step: t.writers[p].Records, Let: func(below uint64) { t.let(p, below) }}
}

// let hands over how far a log may be trimmed and never blocks.
func (t *Trimmer) let(p int, below uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[p] = max(t.waiting[p], below)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *Trimmer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		t.Flush(ctx)
	}
}

// Flush trims what was let go of, which a Host does in the background. What could not be
// trimmed is let go of again with what is next.
func (t *Trimmer) Flush(ctx context.Context) {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = map[int]uint64{}
	t.mu.Unlock()
	for p, below := range waiting {
		if err := t.trim(ctx, p, below); err != nil && ctx.Err() == nil {
			t.metrics.trimFailures.Inc()
			t.log.Warn("the log was not trimmed", "partition", p, "below", below, "err", err)
		}
	}
}

// trim archives and purges the records before below as far as they fill segments. The
// newest archived one stays in the stream, which links it to the archive.
func (t *Trimmer) trim(ctx context.Context, p int, below uint64) error {
	w := t.writers[p]
	for done := uint64(0); ; {
		e, err := w.Extend(ctx, below, archiveStep)
		t.metrics.archivedBytes.Add(float64(e.Bytes))
		if err != nil {
			e, err = w.Extend(ctx, below, archiveStep) // another owner had gone on
			t.metrics.archivedBytes.Add(float64(e.Bytes))
		}
		if err != nil {
			return err
		}
		if e.To <= done {
			return nil
		}
		if err := t.purge(ctx, p, min(e.To, below)); err != nil {
			return err
		}
		done = e.To
	}
}

// purge removes the records before below from the log.
func (t *Trimmer) purge(ctx context.Context, p int, below uint64) error {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	first, err := t.logs.First(ctx, p)
	if err != nil {
		return fmt.Errorf("trim %s: %w", wire.PartitionStream(p), err)
	}
	if done := t.unsure[p]; first >= done.below {
		t.metrics.trimmed.Add(float64(done.records()))
		t.unsure[p] = span{}
	}
	if below > first {
		t.unsure[p] = span{first, below}
		if err := t.logs.Purge(ctx, p, below); err != nil {
			return fmt.Errorf("trim %s: %w", wire.PartitionStream(p), err)
		}
		t.metrics.trimmed.Add(float64(below - first))
		t.unsure[p] = span{}
		t.log.Info("trimmed the log", "partition", p, "first", below, "records", below-first)
		first = below
	}
	t.begins(p, first)
	return nil
}

// begins notes where a log begins.
func (t *Trimmer) begins(p int, first uint64) {
	t.metrics.first.WithLabelValues(fmt.Sprint(p)).Set(float64(first))
}

// streams is the Purger of JetStream.
type streams struct{ js jetstream.JetStream }

// First implements Purger.
func (s streams) First(ctx context.Context, p int) (uint64, error) {
	stream, err := s.js.Stream(ctx, wire.PartitionStream(p))
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.FirstSeq, nil
}

// Purge implements Purger.
func (s streams) Purge(ctx context.Context, p int, below uint64) error {
	stream, err := s.js.Stream(ctx, wire.PartitionStream(p))
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(below))
}
