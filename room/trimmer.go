package room

import (
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

// trimmer takes what owners let go of from the logs: to the archive first, and when that
// can be read, off the stream. Each step may be repeated, by another owner as well, so
// that it may be cut off anywhere.
type trimmer struct {
	// Static after newTrimmer.
	js      jetstream.JetStream
	log     *slog.Logger
	metrics *metrics
	writers []*archive.Writer // by partition

	mu      sync.Mutex // guards waiting
	waiting map[int]uint64
	wake    chan struct{} // capacity 1
}

func newTrimmer(nc *nats.Conn, js jetstream.JetStream, h *Host) (*trimmer, error) {
	t := &trimmer{
		js: js, log: h.log, metrics: h.metrics,
		waiting: map[int]uint64{}, wake: make(chan struct{}, 1),
	}
	for p := range h.cfg.Partitions {
		r, err := archive.NewReader(nc)
		if err != nil {
			return nil, err
		}
		w := archive.NewWriter(r, h.cfg.Archive, p)
		if n := h.cfg.segmentRecords; n > 0 {
			w.Records = n
		}
		t.writers = append(t.writers, w)
	}
	return t, nil
}

// config is how the replica of a partition trims.
func (t *trimmer) config(p int, keep uint64) *TrimConfig {
	return &TrimConfig{Keep: keep, Step: t.writers[p].Records, Let: func(below uint64) { t.let(p, below) }}
}

// let hands over how far a log may be trimmed and never blocks.
func (t *trimmer) let(p int, below uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[p] = max(t.waiting[p], below)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *trimmer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
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
}

// trim archives and purges the records before below as far as they fill segments. The
// newest archived one stays in the stream, which links it to the archive.
func (t *trimmer) trim(ctx context.Context, p int, below uint64) error {
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

// purge removes the records before below from the stream.
func (t *trimmer) purge(ctx context.Context, p int, below uint64) error {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	stream, err := t.js.Stream(ctx, wire.PartitionStream(p))
	if err != nil {
		return fmt.Errorf("trim %s: %w", wire.PartitionStream(p), err)
	}
	first := stream.CachedInfo().State.FirstSeq
	if below > first { // purging below 0 would purge all
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
			return fmt.Errorf("trim %s: %w", wire.PartitionStream(p), err)
		}
		t.metrics.trimmed.Add(float64(below - first))
		t.log.Info("trimmed the log", "partition", p, "first", below, "records", below-first)
		first = below
	}
	t.begins(p, first)
	return nil
}

// begins notes where a log begins.
func (t *trimmer) begins(p int, first uint64) {
	t.metrics.first.WithLabelValues(fmt.Sprint(p)).Set(float64(first))
}
