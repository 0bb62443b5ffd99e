package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"tickcast/archive"
	"tickcast/wire"
)

// maxLine bounds a line of an export: a record is at most 1 MiB, which base64 makes a
// third longer.
const maxLine = 4 << 20

// WriteExport writes the logs of a source as they are at that moment, one JSON object per
// line.
func WriteExport(ctx context.Context, s Source, w io.Writer) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	out := bufio.NewWriter(w)
	var line []byte
	for p := range partitions {
		last, err := s.Last(ctx, p)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		if err := s.Read(ctx, p, 1, last, func(r archive.Record) error {
			line = r.AppendLine(line[:0])
			_, err := out.Write(line)
			return err
		}); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Export is the Source of a file that WriteExport wrote.
type Export struct {
	file  *os.File
	parts map[int]part
	count int
}

// part is where the records of a partition stand in the file.
type part struct {
	offset int64
	last   uint64
}

// OpenExport opens an export and looks for its partitions. Every line must be a record,
// those of a stream must stand together, and their sequences count from 1. The caller
// calls Close.
func OpenExport(path string) (*Export, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open export: %w", err)
	}
	e := &Export{file: f, parts: map[int]part{}}
	if err := e.index(); err != nil {
		return nil, errors.Join(fmt.Errorf("open export %s: %w", path, err), f.Close())
	}
	return e, nil
}

// Close closes the file.
func (e *Export) Close() error { return e.file.Close() }

func (e *Export) index() error {
	return e.lines(0, func(offset int64, n int, l *archive.Record) (more bool, err error) {
		p, ok := partitionOf(l.Stream)
		if !ok {
			return false, fmt.Errorf("line %d: %q is not the stream of a partition", n, l.Stream)
		}
		known, begun := e.parts[p]
		if !begun {
			known.offset = offset
		}
		if l.Seq != known.last+1 {
			return false, fmt.Errorf("line %d: record %d of %s follows record %d", n, l.Seq, l.Stream, known.last)
		}
		known.last = l.Seq
		e.parts[p] = known
		e.count = max(e.count, p+1)
		return true, nil
	})
}

// lines visits the lines of the file from an offset on.
func (e *Export) lines(offset int64, visit func(offset int64, n int, l *archive.Record) (more bool, err error)) error {
	if _, err := e.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewScanner(e.file)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		text := lines.Bytes()
		l, err := archive.ParseLine(text)
		if err != nil {
			return fmt.Errorf("line %d is %w", n, err)
		}
		more, err := visit(offset, n, &l)
		if !more || err != nil {
			return err
		}
		offset += int64(len(text)) + 1
	}
	return lines.Err()
}

func partitionOf(stream string) (int, bool) {
	p, err := strconv.Atoi(strings.TrimPrefix(stream, "P"))
	return p, err == nil && p >= 0 && p < wire.MaxPartitions && stream == wire.PartitionStream(p)
}

// Partitions implements Source: those up to the last one that has records.
func (e *Export) Partitions(context.Context) (int, error) { return e.count, nil }

// Last implements Source.
func (e *Export) Last(_ context.Context, p int) (uint64, error) { return e.parts[p].last, nil }

// Read implements Source. Records behind from are read from the beginning of the
// partition.
func (e *Export) Read(ctx context.Context, p int, from, to uint64, take func(archive.Record) error) error {
	if from > to {
		return nil
	}
	stream := wire.PartitionStream(p)
	return e.lines(e.parts[p].offset, func(_ int64, _ int, l *archive.Record) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("read export: %w", context.Cause(ctx))
		}
		if l.Stream != stream || l.Seq < from {
			return true, nil
		}
		err := take(*l)
		return l.Seq < to, err
	})
}
