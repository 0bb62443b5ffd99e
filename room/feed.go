package room

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"tickcast/bus"
	"tickcast/wire"
)

const (
	// feedBuffer bounds the live records that wait for the fold. The client library
	// drops what exceeds it, which the fold sees as a gap and reads from the log.
	feedBuffer = 1 << 16
	// fillBatch is how many records one direct get asks for.
	fillBatch = 1000
	// fillTimeout bounds one direct get; fillRetry is the pause before the next when
	// a replica of the stream does not have the records yet.
	fillTimeout = 2 * time.Second
	fillRetry   = 3 * time.Millisecond
	// fillTries is after how many direct gets in vain a consumer is asked: the client
	// library refuses records whose own headers look like those of an answer.
	fillTries = 16
)

// feed reads the log of one partition: live from the republished records, gaps by
// direct get, history by a consumer for that stretch. One consumer per room would cost
// the stream its speed, and an ordered consumer stalls for seconds when its node dies.
type feed struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	name   string
	live   chan *nats.Msg
	sub    *nats.Subscription
}

func openFeed(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, p int) (*feed, error) {
	name := wire.PartitionStream(p)
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", name, err)
	}
	f := &feed{js: js, stream: stream, name: name, live: make(chan *nats.Msg, feedBuffer)}
	if f.sub, err = nc.ChanSubscribe(wire.FeedSubject(p), f.live); err != nil {
		return nil, fmt.Errorf("subscribe to the feed of %s: %w", name, err)
	}
	return f, nil
}

func (f *feed) close() { _ = f.sub.Unsubscribe() }

// created is when the stream was created, Unix ns.
func (f *feed) created() int64 { return f.stream.CachedInfo().Created.UnixNano() }

// replicated reports whether the stream has more than one replica.
func (f *feed) replicated() bool { return f.stream.CachedInfo().Config.Replicas > 1 }

// lastSeq asks the stream's leader for the newest sequence.
func (f *feed) lastSeq(ctx context.Context) (uint64, error) {
	state, err := f.state(ctx)
	return state.LastSeq, err
}

// firstSeq asks the stream's leader for the oldest sequence; it is behind the newest when
// the stream is empty.
func (f *feed) firstSeq(ctx context.Context) (uint64, error) {
	state, err := f.state(ctx)
	return state.FirstSeq, err
}

func (f *feed) state(ctx context.Context) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	info, err := f.stream.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("ask %s for its state: %w", f.name, err)
	}
	return info.State, nil
}

// read hands the records from to, inclusive, to apply, in order and without a
// gap. It goes on until it has them all, ctx ends, or apply returns an error.
func (f *feed) read(ctx context.Context, from, to uint64, apply func(Record) error) (err error) {
	for from <= to {
		if to-from >= replayMin {
			if from, err = f.replay(ctx, from, to, apply); err != nil || from > to {
				return err
			}
		}
		rest := min(to, from+replayRest-1)
		if err := f.fill(ctx, from, rest, apply); err != nil {
			return err
		}
		from = rest + 1
	}
	return nil
}

// fill does what read does, by direct get as far as that goes.
func (f *feed) fill(ctx context.Context, from, to uint64, apply func(Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	empty := 0
	for next := f.fetch(ctx, from, to); from <= to; {
		b := <-next
		from += uint64(len(b.records))
		if len(b.records) > 0 {
			empty = 0
		} else if empty++; b.err == nil && empty%fillTries == 0 {
			if from, b.err = f.replay(ctx, from, min(to, from+fillBatch-1), apply); b.err != nil {
				return b.err
			}
		}
		if from <= to && b.err == nil {
			if len(b.records) == 0 && !pause(ctx, fillRetry) {
				return context.Cause(ctx)
			}
			next = f.fetch(ctx, from, to) // while these are applied
		}
		for _, rec := range b.records {
			if err := apply(rec); err != nil {
				return err
			}
		}
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// batch is what came of one direct get: fewer records than were asked for, or none,
// when they could not be read now, and an error when that will not change.
type batch struct {
	records []Record
	err     error
}

// fetch reads some of the records from to, inclusive, in the background.
func (f *feed) fetch(ctx context.Context, from, to uint64) <-chan batch {
	fetched := make(chan batch, 1)
	go func() {
		var b batch
		b.records, b.err = f.readBatch(ctx, from, int(min(to-from+1, fillBatch)))
		fetched <- b
	}()
	return fetched
}

func (f *feed) readBatch(ctx context.Context, from uint64, n int) ([]Record, error) {
	batchCtx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	msgs, err := jetstreamext.GetBatch(batchCtx, f.js, f.name, n, jetstreamext.GetBatchSeq(from))
	if err != nil {
		return nil, ignoreTransient(ctx, err)
	}
	records := make([]Record, 0, n)
	for m, err := range msgs {
		if err != nil {
			return records, ignoreTransient(ctx, err)
		}
		rec, err := f.handedOut(m.Header, m.Data)
		if err != nil {
			return records, err
		}
		if want := from + uint64(len(records)); rec.Seq != want {
			return records, f.gap(ctx, want)
		}
		records = append(records, rec)
	}
	return records, nil
}

// gap tells why a record was not handed out where it was expected: the log was trimmed, or
// has a hole. No error means that the record was lost on its way.
func (f *feed) gap(ctx context.Context, seq uint64) error {
	first, err := f.firstSeq(ctx)
	if err != nil {
		return ignoreTransient(ctx, err)
	}
	if first > seq {
		return fmt.Errorf("%w: %s begins with record %d, and %d is wanted", ErrTrimmed, f.name, first, seq)
	}
	rec, err := f.at(ctx, seq)
	if err == nil && rec == nil {
		return fmt.Errorf("%s lacks record %d", f.name, seq)
	}
	return ignoreTransient(ctx, err)
}

// ignoreTransient lets a read be tried again unless its caller gave up.
func ignoreTransient(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("read the log: %w (%w)", context.Cause(ctx), err)
	}
	return nil
}

// at reads one record; nil without an error when the log does not have it.
func (f *feed) at(ctx context.Context, seq uint64) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	m, err := f.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read record %d of %s: %w", seq, f.name, err)
	}
	rec, err := f.handedOut(m.Header, m.Data)
	if err != nil {
		return nil, err
	}
	return &rec, nil
}

var errNoRecord = errors.New("room: a message is no record of the log")

// handedOut reads a record that came with its source in headers: republished, or by
// direct get.
func (f *feed) handedOut(h nats.Header, data []byte) (Record, error) {
	// The last value is the server's own: a forged record brings some of its own.
	seq, err := strconv.ParseUint(last(h["Nats-Sequence"]), 10, 64)
	if err != nil {
		return Record{}, errNoRecord
	}
	ts, err := time.Parse(time.RFC3339Nano, last(h["Nats-Time-Stamp"]))
	if err != nil {
		return Record{}, errNoRecord
	}
	return f.record(last(h["Nats-Subject"]), Record{Seq: seq, Time: ts.UnixNano(), Data: data}, bus.Genuine(f.name, h))
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// record completes a record by its subject, and by whether somebody published it.
func (f *feed) record(subject string, rec Record, genuine bool) (Record, error) {
	kind, _, room, ok := wire.ParseLogSubject(subject)
	if !ok && kind != wire.KindCommand && kind != wire.KindAction {
		return Record{}, fmt.Errorf("record %d has the subject %q, which is not a log subject", rec.Seq, subject)
	}
	rec.Kind, rec.Room = kind, room
	rec.Forged = !ok || !genuine
	return rec, nil
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
