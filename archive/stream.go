package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"tickcast/wire"
)

const (
	// readBatch is how many records one direct get asks for, readBytes how many bytes of
	// them, which a connection takes without falling behind.
	readBatch = 1000
	readBytes = 4 << 20
	// readTimeout bounds one request; readRetry is the pause before the next when a
	// replica does not have the records yet, and readPatience how long a stream may give
	// nothing: an election takes up to seven seconds.
	readTimeout  = 2 * time.Second
	readRetry    = 20 * time.Millisecond
	readPatience = 30 * time.Second
)

// ErrTrimmed is for records that a log does not have any more.
var ErrTrimmed = errors.New("they were trimmed")

// Logs are the logs of a deployment, record by record as they stand there. The methods
// return when they know; an implementation is used by one goroutine.
type Logs interface {
	// Ends are the first and the last sequence of a partition's log. The first is one more
	// than the last when there is no record.
	Ends(ctx context.Context, p int) (first, last uint64, err error)
	// Read hands the records from and to, inclusive, to take. It returns the first that it
	// did not hand over, with the error of take, with ErrTrimmed when the log begins behind
	// that, or with why it cannot be read.
	Read(ctx context.Context, p int, from, to uint64, take func(Record) error) (uint64, error)
}

// streams are the Logs in JetStream.
type streams struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// Ends implements Logs.
func (s streams) Ends(ctx context.Context, p int) (first, last uint64, err error) {
	state, err := s.state(ctx, wire.PartitionStream(p))
	return state.FirstSeq, state.LastSeq, err
}

func (s streams) state(ctx context.Context, name string) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("look up %s: %w", name, err)
	}
	return stream.CachedInfo().State, nil
}

// missing is ErrTrimmed when the stream begins behind a record that was not handed out.
// Otherwise it was lost on the way, and is asked for again.
func (s streams) missing(ctx context.Context, name string, seq uint64) error {
	state, err := s.state(ctx, name)
	if err == nil && state.FirstSeq > seq {
		return fmt.Errorf("read records %d to %d of %s: %w", seq, state.FirstSeq-1, name, ErrTrimmed)
	}
	return err
}

// Read implements Logs.
func (s streams) Read(ctx context.Context, p int, from, to uint64, take func(Record) error) (uint64, error) {
	name := wire.PartitionStream(p)
	progress := time.Now()
	for from <= to {
		n, err := s.readBatch(ctx, name, from, min(to-from+1, readBatch), take)
		from += uint64(n)
		if err != nil {
			return from, err
		}
		if n > 0 {
			progress = time.Now()
			continue
		}
		if time.Since(progress) > readPatience {
			return from, fmt.Errorf("read %s: record %d did not come within %v", name, from, readPatience)
		}
		select {
		case <-ctx.Done():
			return from, fmt.Errorf("read %s: %w", name, context.Cause(ctx))
		case <-time.After(readRetry):
		}
	}
	return from, nil
}

// readBatch takes some of the next n records, or none when they cannot be read now.
func (s streams) readBatch(ctx context.Context, stream string, from, n uint64, take func(Record) error) (taken int, err error) {
	batch, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	msgs, err := jetstreamext.GetBatch(batch, s.js, stream, int(n), jetstreamext.GetBatchSeq(from), jetstreamext.GetBatchMaxBytes(readBytes))
	if err != nil {
		return 0, nil // tried again
	}
	for m, err := range msgs {
		if err != nil {
			break // what is left is asked for again
		}
		rec, err := handedOut(stream, m.Header, m.Data)
		if err != nil {
			return taken, err
		}
		if want := from + uint64(taken); rec.Seq > want {
			return taken, s.missing(ctx, stream, want)
		} else if rec.Seq < want {
			return taken, fmt.Errorf("read %s: record %d where %d was expected", stream, rec.Seq, want)
		}
		if err := take(rec); err != nil {
			return taken, err
		}
		taken++
	}
	if taken > 0 {
		return taken, nil
	}
	return s.readOne(ctx, stream, from, take)
}

// handedOut is a record that a direct get brought. The stream adds its place to the
// headers, behind values that the record may have brought itself.
func handedOut(stream string, h nats.Header, data []byte) (Record, error) {
	own := map[string][]string{}
	for name, values := range h {
		own[name] = values
	}
	added := map[string]string{}
	for _, name := range []string{headerStream, "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"} {
		if n := len(own[name]); n > 1 {
			added[name], own[name] = own[name][n-1], own[name][:n-1]
		} else if n == 1 {
			added[name] = own[name][0]
			delete(own, name)
		}
	}
	seq, err := strconv.ParseUint(added["Nats-Sequence"], 10, 64)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: an answer without a sequence", stream)
	}
	at, err := time.Parse(time.RFC3339Nano, added["Nats-Time-Stamp"])
	if err != nil {
		return Record{}, fmt.Errorf("read %s: record %d without a time", stream, seq)
	}
	return Record{Stream: stream, Seq: seq, Time: at.UnixNano(), Subject: added["Nats-Subject"], Headers: own, Data: data}, nil
}

// readOne reads a record as the leader stores it: a direct get does not bring one whose
// own headers look like those of an answer.
func (s streams) readOne(ctx context.Context, stream string, seq uint64, take func(Record) error) (taken int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return 0, nil // tried again
	}
	var answer struct {
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Headers []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if json.Unmarshal(m.Data, &answer) != nil || answer.Message == nil || answer.Message.Seq != seq {
		return 0, nil // it is not there yet, or the stream has no leader
	}
	stored := answer.Message
	headers, err := nats.DecodeHeadersMsg(stored.Headers)
	if err != nil && len(stored.Headers) > 0 {
		return 0, fmt.Errorf("read %s: headers of record %d: %w", stream, seq, err)
	}
	rec := Record{Stream: stream, Seq: seq, Time: stored.Time.UnixNano(), Subject: stored.Subject, Headers: headers, Data: stored.Data}
	if err := take(rec); err != nil {
		return 0, err
	}
	return 1, nil
}
