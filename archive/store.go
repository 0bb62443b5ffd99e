package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// Store is where segments are kept. Put stores one or leaves nothing of it: it may be
// repeated with the same bytes, by several processes at once. List tells what is stored,
// in any order; what is no segment is left out. Get returns what was put, or what
// became of it: the caller checks. All block until they are done or ctx ends, and may be
// called concurrently; the bytes belong to the caller.
type Store interface {
	List(ctx context.Context) ([]Segment, error)
	Put(ctx context.Context, s Segment, contents []byte) error
	Get(ctx context.Context, s Segment) ([]byte, error)
}

const (
	// storeTimeout bounds the transfer of one segment, and listing them.
	storeTimeout = time.Minute
	// attemptTimeout is after how long a segment is asked for, or put, again: when another
	// server puts it meanwhile the contents may vanish while they are read, and a node that
	// dies does not answer.
	attemptTimeout = 10 * time.Second
	// replicaLag is for how long a segment may be missing that was listed, or put: any
	// replica answers, and one may be behind.
	replicaLag = 2 * time.Second
)

// Bucket is the Store in the log's own storage, which is the default.
type Bucket struct {
	js      jetstream.JetStream
	attempt time.Duration // attemptTimeout
	lag     time.Duration // replicaLag
}

// NewBucket is the archive in the object store wire.BucketArchive, which bus.EnsureStreams
// makes.
func NewBucket(js jetstream.JetStream) Bucket { return Bucket{js, attemptTimeout, replicaLag} }

func (b Bucket) open(ctx context.Context) (o jetstream.ObjectStore, err error) {
	err = again(ctx, readTimeout, func(ctx context.Context) (err error) {
		o, err = b.js.ObjectStore(ctx, wire.BucketArchive)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketArchive, err)
	}
	return o, nil
}

// again has do try until it does not take longer than each, or ctx ends: while a stream has no
// leader nobody answers, and what was asked then is not heard by the next one.
func again(ctx context.Context, each time.Duration, do func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, each)
		err := do(attempt)
		cancel()
		if err == nil || !late(err) || ctx.Err() != nil {
			return err
		}
	}
}

// List implements Store. A deployment whose room servers are older has no bucket, and so no
// segments.
func (b Bucket) List(ctx context.Context) ([]Segment, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o, err := b.open(ctx)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var infos []*jetstream.ObjectInfo
	err = again(ctx, b.attempt, func(ctx context.Context) (err error) {
		infos, err = o.List(ctx)
		return err
	})
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("list bucket %s: %w", wire.BucketArchive, err)
	}
	var list []Segment
	for _, info := range infos {
		if s, ok := ParseName(info.Name); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// Put implements Store.
func (b Bucket) Put(ctx context.Context, s Segment, contents []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o, err := b.open(ctx)
	if err != nil {
		return err
	}
	sum := digest(contents)
	err = again(ctx, b.attempt, func(ctx context.Context) error {
		// What is there already is left alone: somebody may be reading it.
		if info, err := o.GetInfo(ctx, s.Name()); err == nil && info.Digest == sum {
			return nil
		}
		_, err := o.PutBytes(ctx, s.Name(), contents)
		return err
	})
	if err != nil {
		return fmt.Errorf("store %v: %w", s, err)
	}
	return nil
}

// late reports whether an attempt ended because it took too long. The library hands out
// contents by a pipe, which has a deadline of its own.
func late(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// digest is how an object store writes what its contents hash to.
func digest(contents []byte) string {
	sum := sha256.New()
	sum.Write(contents)
	return jetstream.GetObjectDigestValue(sum)
}

// Get implements Store.
func (b Bucket) Get(ctx context.Context, s Segment) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; {
		attempt, cancel := context.WithTimeout(ctx, b.attempt)
		contents, err := o.GetBytes(attempt, s.Name())
		cancel()
		if err == nil {
			return contents, nil
		}
		behind := errors.Is(err, jetstream.ErrObjectNotFound) && time.Since(began) < b.lag
		if !late(err) && !behind || ctx.Err() != nil {
			return nil, fmt.Errorf("read %v from bucket %s: %w", s, wire.BucketArchive, err)
		}
		if behind {
			select {
			case <-ctx.Done():
			case <-time.After(readRetry):
			}
		}
	}
}
