package kvwatch

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// retry is the pause after a watch could not be made. Room servers make the
// buckets within a second of their start.
const retry = 250 * time.Millisecond

// Follow watches a bucket until ctx ends. apply gets each value, nil for a key that
// was deleted; caughtUp is called when all values that were there have been
// applied, again after each new watch.
func Follow(ctx context.Context, js jetstream.JetStream, bucket string, apply func(key string, value []byte), caughtUp func()) {
	for ctx.Err() == nil {
		_ = follow(ctx, js, bucket, apply, caughtUp) // whatever it was, the next try tells whether it lasts
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

func follow(ctx context.Context, js jetstream.JetStream, bucket string, apply func(string, []byte), caughtUp func()) error {
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("kvwatch: watch ended")
			case e == nil:
				caughtUp()
			case e.Operation() == jetstream.KeyValuePut:
				apply(e.Key(), e.Value())
			default:
				apply(e.Key(), nil)
			}
		}
	}
}
