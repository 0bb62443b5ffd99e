package room

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

// directoryRetry is the pause after the bucket could not be written.
const directoryRetry = 250 * time.Millisecond

// directory writes what owners announce into the buckets that gateways watch: the
// rooms and the sanctions. Only the newest value of a key counts, so what waits is
// bounded by the number of rooms and sanctioned players.
type directory struct {
	js  jetstream.JetStream
	log *slog.Logger

	mu      sync.Mutex // guards waiting
	waiting map[bucketKey][]byte
	wake    chan struct{} // capacity 1
}

type bucketKey struct{ bucket, key string }

func newDirectory(js jetstream.JetStream, log *slog.Logger) *directory {
	return &directory{js: js, log: log, waiting: map[bucketKey][]byte{}, wake: make(chan struct{}, 1)}
}

// put never blocks. It is safe for concurrent use.
func (d *directory) put(rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	if len(rooms)+len(sanctions) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rooms {
		d.waiting[bucketKey{wire.BucketRooms, r.ID}] = game.Encode(r)
	}
	for _, s := range sanctions {
		d.waiting[bucketKey{wire.BucketSanctions, wire.PlayerKey(s.Player)}] = game.Encode(s)
	}
	select {
	case d.wake <- struct{}{}:
	default:
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
		for d.flush(ctx) != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(directoryRetry):
			}
		}
	}
}

func (d *directory) flush(ctx context.Context) error {
	for {
		k, v, ok := d.take()
		if !ok {
			return nil
		}
		if err := d.write(ctx, k, v); err != nil {
			d.log.Warn("the directory is behind", "bucket", k.bucket, "key", k.key, "err", err)
			d.putBack(k, v)
			return err
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
