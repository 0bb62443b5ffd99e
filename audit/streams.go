package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"tickcast/bus"
	"tickcast/wire"
)

const (
	// readBatch is how many records one direct get asks for.
	readBatch = 1000
	// readTimeout bounds one request; readRetry is the pause before the next when a
	// replica does not have the records yet, and readPatience how long a stream may give
	// nothing: an election takes up to seven seconds.
	readTimeout  = 2 * time.Second
	readRetry    = 20 * time.Millisecond
	readPatience = 30 * time.Second
)

// Streams is the Source of a running deployment. Its connection needs the permissions of
// bus.RoleAuditor.
type Streams struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// NewStreams reads by a connection, which the caller closes.
func NewStreams(nc *nats.Conn) (*Streams, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("read the logs: %w", err)
	}
	return &Streams{nc, js}, nil
}

// Partitions implements Source.
func (s *Streams) Partitions(ctx context.Context) (int, error) {
	return bus.StoredPartitions(ctx, s.nc)
}

// Last implements Source.
func (s *Streams) Last(ctx context.Context, p int) (uint64, error) {
	info, err := s.info(ctx, p)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

func (s *Streams) info(ctx context.Context, p int) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	stream, err := s.js.Stream(ctx, wire.PartitionStream(p))
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", wire.PartitionStream(p), err)
	}
	return stream.CachedInfo(), nil
}

// Read implements Source.
func (s *Streams) Read(ctx context.Context, p int, from, to uint64, take func(Record) error) error {
	info, err := s.info(ctx, p)
	if err != nil {
		return err
	}
	if first := info.State.FirstSeq; first > from {
		return fmt.Errorf("read %s: records %d to %d were trimmed", info.Config.Name, from, first-1)
	}
	progress := time.Now()
	for from <= to {
		n, err := s.readBatch(ctx, info.Config.Name, from, min(to-from+1, readBatch), take)
		from += uint64(n)
		if err != nil {
			return err
		}
		if n > 0 {
			progress = time.Now()
			continue
		}
		if time.Since(progress) > readPatience {
			return fmt.Errorf("read %s: record %d did not come within %v", info.Config.Name, from, readPatience)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("read %s: %w", info.Config.Name, context.Cause(ctx))
		case <-time.After(readRetry):
		}
	}
	return nil
}

// readBatch takes some of the next n records, or none when they cannot be read now.
func (s *Streams) readBatch(ctx context.Context, stream string, from, n uint64, take func(Record) error) (taken int, err error) {
	batch, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	msgs, err := jetstreamext.GetBatch(batch, s.js, stream, int(n), jetstreamext.GetBatchSeq(from))
	if err != nil {
		return 0, nil // tried again
	}
	for m, err := range msgs {
		if err != nil {
			return taken, nil
		}
		if want := from + uint64(taken); m.Sequence != want {
			return taken, fmt.Errorf("read %s: record %d where %d was expected", stream, m.Sequence, want)
		}
		rec := Record{Stream: stream, Seq: m.Sequence, Time: m.Time.UnixNano(), Subject: m.Subject, Headers: m.Header, Data: m.Data}
		if err := take(rec); err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}
