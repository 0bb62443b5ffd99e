package room

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

// directoryRetry is the pause after the buckets could not be written.
const directoryRetry = 250 * time.Millisecond

// directory writes what owners announce into the buckets that gateways watch: the
// rooms and the sanctions. Only the newest value of a key counts, so what waits is
// bounded by the number of rooms and sanctioned players.
type directory struct {
	// Static after newDirectory.
	js         jetstream.JetStream
	partitions int
	log        *slog.Logger

	mu      sync.Mutex // guards waiting and whole
	waiting map[bucketKey][]byte
	whole   map[int]*whole // by partition
	wake    chan struct{}  // capacity 1
}

type bucketKey struct{ bucket, key string }

// whole is all that a partition has in the buckets. What else stands there of it is
// out of date: nobody spoke when its end was folded.
type whole struct {
	claimed time.Time // newer entries are not looked at: another owner's, or our own
	said    map[bucketKey]struct{}
}

func newDirectory(js jetstream.JetStream, partitions int, log *slog.Logger) *directory {
	return &directory{
		js: js, partitions: partitions, log: log,
		waiting: map[bucketKey][]byte{}, whole: map[int]*whole{}, wake: make(chan struct{}, 1),
	}
}

// put never blocks. It is safe for concurrent use.
func (d *directory) put(rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	if len(rooms)+len(sanctions) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enqueue(rooms, sanctions)
}

// introduce is put with all that a partition has, by who claimed it. It never
// blocks, and is safe for concurrent use.
func (d *directory) introduce(partition int, claimed time.Time, rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole[partition] = &whole{claimed: claimed, said: map[bucketKey]struct{}{}}
	d.enqueue(rooms, sanctions)
}

// withdraw ends what introduce began: another owner knows better.
func (d *directory) withdraw(partition int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.whole, partition)
}

func (d *directory) enqueue(rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	for _, r := range rooms {
		d.keep(bucketKey{wire.BucketRooms, r.ID}, r.Partition, game.Encode(r))
	}
	for _, s := range sanctions {
		d.keep(bucketKey{wire.BucketSanctions, wire.PlayerKey(s.Player)}, wire.PartitionOf(s.Player, d.partitions), game.Encode(s))
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *directory) keep(k bucketKey, partition int, value []byte) {
	d.waiting[k] = value
	if w := d.whole[partition]; w != nil {
		w.said[k] = struct{}{}
	}
}

// run writes until ctx ends, then tries once more what is left.
func (d *directory) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = d.flush(last)
			return
		case <-d.wake:
		}
		for d.work(ctx) != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(directoryRetry):
			}
		}
	}
}

func (d *directory) work(ctx context.Context) error {
	err := d.flush(ctx)
	if err == nil {
		err = d.compare(ctx)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("the directory is behind", "err", err)
	}
	return err
}

func (d *directory) flush(ctx context.Context) error {
	for {
		k, v, ok := d.take()
		if !ok {
			return nil
		}
		if err := d.write(ctx, k, v); err != nil {
			d.putBack(k, v)
			return fmt.Errorf("write %s to bucket %s: %w", k.key, k.bucket, err)
		}
	}
}

func (d *directory) write(ctx context.Context, k bucketKey, v []byte) error {
	kv, err := d.js.KeyValue(ctx, k.bucket)
	if err != nil {
		return err
	}
	_, err = kv.Put(ctx, k.key, v)
	return err
}

func (d *directory) take() (bucketKey, []byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, v := range d.waiting {
		delete(d.waiting, k)
		return k, v, true
	}
	return bucketKey{}, nil, false
}

// putBack keeps v unless something newer came meanwhile.
func (d *directory) putBack(k bucketKey, v []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, newer := d.waiting[k]; !newer {
		d.waiting[k] = v
	}
}

// compare ends what stands in the buckets of the partitions that were introduced
// and is not theirs any more.
func (d *directory) compare(ctx context.Context) error {
	d.mu.Lock()
	begun := maps.Clone(d.whole)
	d.mu.Unlock()
	if len(begun) == 0 {
		return nil
	}
	for _, bucket := range []string{wire.BucketRooms, wire.BucketSanctions} {
		if err := d.compareBucket(ctx, bucket); err != nil {
			return fmt.Errorf("compare bucket %s: %w", bucket, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.whole, func(p int, w *whole) bool { return begun[p] == w })
	return nil
}

func (d *directory) compareBucket(ctx context.Context, bucket string) error {
	kv, err := d.js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	watch, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-watch.Updates():
			if e == nil {
				return nil
			}
			value := d.ended(e)
			if value == nil {
				continue
			}
			d.log.Info("was over when nobody spoke", "bucket", bucket, "key", e.Key())
			if _, err := kv.Update(ctx, e.Key(), value, e.Revision()); err != nil {
				return err
			}
		}
	}
}

// ended is the last value of an entry that is out of date; nil if it is not.
func (d *directory) ended(e jetstream.KeyValueEntry) []byte {
	partition, value := -1, []byte(nil)
	switch e.Bucket() {
	case wire.BucketRooms:
		var info wire.RoomInfo
		if json.Unmarshal(e.Value(), &info) == nil && info.State != stateClosed {
			info.State = stateClosed
			partition, value = info.Partition, game.Encode(info)
		}
	case wire.BucketSanctions:
		var s wire.Sanction
		if json.Unmarshal(e.Value(), &s) == nil && s != (wire.Sanction{Player: s.Player}) {
			partition, value = wire.PartitionOf(s.Player, d.partitions), game.Encode(wire.Sanction{Player: s.Player})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.whole[partition]
	if w == nil || !e.Created().Before(w.claimed) {
		return nil
	}
	if _, ours := w.said[bucketKey{e.Bucket(), e.Key()}]; ours {
		return nil
	}
	return value
}
