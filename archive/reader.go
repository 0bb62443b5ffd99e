package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// Reader reads the logs of a deployment: what was trimmed from the archive, the rest from
// the streams. It is used by one goroutine. Its connection needs the permissions of
// bus.RoleAuditor.
type Reader struct {
	logs   Logs
	stores []Store
	opened opened
}

// opened is the segment that was read last, as records are asked for in pieces.
type opened struct {
	segment Segment
	records []Record
}

// NewReader reads by a connection, which the caller closes, and from the given stores. What
// several have is taken from the first.
func NewReader(nc *nats.Conn, stores ...Store) (*Reader, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("read the logs: %w", err)
	}
	return NewReaderOf(streams{nc, js}, stores...), nil
}

// NewReaderOf reads other logs than those of NATS.
func NewReaderOf(logs Logs, stores ...Store) *Reader {
	return &Reader{logs: logs, stores: stores}
}

// Last is the sequence of the newest record of a partition, 0 for none.
func (r *Reader) Last(ctx context.Context, p int) (uint64, error) {
	_, last, err := r.logs.Ends(ctx, p)
	return last, err
}

// Read hands the records from and to, inclusive, to take, in order and without a gap.
// It returns the error of take, or why it could not read.
func (r *Reader) Read(ctx context.Context, p int, from, to uint64, take func(Record) error) error {
	for from <= to {
		next, err := r.ReadTrimmed(ctx, p, from, to, take)
		if err != nil {
			return err
		}
		from, err = r.logs.Read(ctx, p, next, to, take)
		if err != nil && !errors.Is(err, ErrTrimmed) { // which it was meanwhile
			return err
		}
	}
	return nil
}

// ReadTrimmed hands those of the records from and to, inclusive, that the stream does not
// have any more to take. It returns the first that it did not hand over, which the stream
// had at that moment.
func (r *Reader) ReadTrimmed(ctx context.Context, p int, from, to uint64, take func(Record) error) (uint64, error) {
	first, _, err := r.logs.Ends(ctx, p)
	if err != nil || from > to || from >= first {
		return from, err
	}
	var c chain
	for from <= to && from < first {
		if from < r.opened.segment.From || from > r.opened.segment.To || p != r.opened.segment.Partition {
			if c == nil {
				if c, err = r.chain(ctx, p); err != nil {
					return from, err
				}
			}
			if err := r.open(ctx, c, p, from); err != nil {
				return from, fmt.Errorf("read trimmed records of %s: %w", wire.PartitionStream(p), err)
			}
		}
		records := r.opened.records[from-r.opened.segment.From:]
		for _, rec := range records[:min(uint64(len(records)), to-from+1, first-from)] {
			if err := take(rec); err != nil {
				return from, err
			}
			from++
		}
	}
	if from == first {
		return from, r.continues(ctx, p, from)
	}
	return from, nil
}

// continues checks that the stream's first record, if the archive has it too, is the same
// there: trimming leaves the newest archived record in the stream.
func (r *Reader) continues(ctx context.Context, p int, first uint64) error {
	i := first - r.opened.segment.From
	if i >= uint64(len(r.opened.records)) {
		return nil
	}
	archived := &r.opened.records[i]
	_, err := r.logs.Read(ctx, p, first, first, func(rec Record) error {
		if (Head{}).next(&rec) != (Head{}).next(archived) {
			return fmt.Errorf("%s does not continue the archive: its record %d is another one than in %v", rec.Stream, first, r.opened.segment)
		}
		return nil
	})
	if errors.Is(err, ErrTrimmed) {
		return nil // meanwhile
	}
	return err
}

// chain lists what all stores have of a partition.
func (r *Reader) chain(ctx context.Context, p int) (chain, error) {
	var all []Segment
	for _, s := range r.stores {
		list, err := s.List(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return arrange(all, p), nil
}

// open reads and checks the segment with a record, from the first store that has it
// intact.
func (r *Reader) open(ctx context.Context, c chain, p int, seq uint64) error {
	s, err := c.find(p, seq)
	if err != nil {
		return err
	}
	before, err := c.before(s)
	if err != nil {
		return err
	}
	err = errors.New("no store was given")
	for _, store := range r.stores {
		var contents []byte
		var records []Record
		if contents, err = store.Get(ctx, s); err != nil {
			continue
		}
		if records, err = s.open(contents, before); err == nil {
			if err := c.agree(s, before, records); err != nil {
				return err
			}
			r.opened = opened{s, records}
			return nil
		}
	}
	return err
}
