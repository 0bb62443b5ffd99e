package archive

import (
	"context"
	"errors"
	"fmt"
)

// Writer extends the archive of one partition. It is used by one goroutine. Its connection
// needs the permissions of bus.RoleRoom.
type Writer struct {
	// Records is how many a whole segment has, from 1 to MaxSegmentRecords. Writers of a
	// partition may differ in it. Static once it is used.
	Records uint64

	reader    *Reader
	store     Store
	partition int
	tail      *Segment // newest segment, nil until it was looked up
}

// NewWriter archives the records of a partition that a reader reads.
func NewWriter(r *Reader, to Store, partition int) *Writer {
	return &Writer{reader: r, store: to, partition: partition, Records: MaxSegmentRecords}
}

// Extended is what Extend did.
type Extended struct {
	To    uint64 // the newest archived record, 0 for none
	Bytes int64  // that were stored, compressed
}

// Extend archives records up to upTo at the most, by at most so many whole segments, and
// returns when they were read back. What it stored counts even when it then fails.
func (w *Writer) Extend(ctx context.Context, upTo uint64, segments int) (Extended, error) {
	var e Extended
	if w.tail == nil {
		if err := w.lookUp(ctx); err != nil {
			return e, err
		}
	}
	for ; segments > 0 && w.tail.To+w.Records <= upTo; segments-- {
		n, err := w.append(ctx)
		if err != nil {
			w.tail = nil // somebody else may have gone on
			return e, err
		}
		e.Bytes += n
		e.To = w.tail.To
	}
	e.To = w.tail.To
	return e, nil
}

// lookUp finds the end of the archive, which the stream must continue. Whoever stored the
// newest segment may not have read it back, or in vain.
func (w *Writer) lookUp(ctx context.Context) error {
	list, err := w.store.List(ctx)
	if err != nil {
		return err
	}
	first, _, err := w.reader.logs.Ends(ctx, w.partition)
	if err != nil {
		return err
	}
	c := arrange(list, w.partition)
	tail := c.last(w.partition)
	// One whose predecessor was moved away has been continued before.
	if before, err := c.before(tail); err == nil && tail.To > 0 {
		back, err := w.store.Get(ctx, tail)
		if err != nil {
			return fmt.Errorf("read the newest segment: %w", err)
		}
		if _, err := tail.open(back, before); err != nil {
			tail = c[:len(c)-1].last(w.partition)
		}
	}
	if first > tail.To+1 {
		return fmt.Errorf("archive partition %d: records %d to %d are neither in the log nor in the archive; put the newest segments back", w.partition, tail.To+1, first-1)
	}
	w.tail = &tail
	return nil
}

var errWhole = errors.New("the segment is whole")

// append stores the next segment.
func (w *Writer) append(ctx context.Context) (size int64, err error) {
	d := follow(*w.tail)
	from := d.segment.From
	_, err = w.reader.logs.Read(ctx, w.partition, from, from+w.Records-1, func(r Record) error {
		if d.add(&r); len(d.lines) >= segmentBytes {
			return errWhole
		}
		return nil
	})
	if err != nil && !errors.Is(err, errWhole) {
		return 0, fmt.Errorf("archive partition %d: %w", w.partition, err)
	}
	contents := compress(d.lines)
	if err := w.store.Put(ctx, d.segment, contents); err != nil {
		return 0, err
	}
	back, err := w.store.Get(ctx, d.segment)
	if err != nil {
		return 0, fmt.Errorf("read back: %w", err)
	}
	if _, err := d.segment.open(back, w.tail.Head); err != nil {
		return 0, fmt.Errorf("read back: %w", err)
	}
	w.tail = &d.segment
	return int64(len(contents)), nil
}
