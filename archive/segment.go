package archive

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"tickcast/wire"
)

const (
	// segmentRecords and segmentBytes are with how many records a segment is whole, or
	// with how many bytes of lines if that is less: some seconds' worth of a busy
	// partition, and what a reader keeps in memory.
	segmentRecords = 1 << 15
	segmentBytes   = 16 << 20
	// maxSegmentBytes bounds the lines of a segment: its last one may be as long as a
	// record can be.
	maxSegmentBytes = segmentBytes + 4<<20
)

// Segment names a run of records of one partition in the archive.
type Segment struct {
	Partition int
	From, To  uint64 // first and last sequence
	Head      Head   // of the log behind the last record
}

// suffix ends the names of segments.
const suffix = ".jsonl.zst"

// Name is under what the segment is stored. The names of a partition sort by sequence.
func (s Segment) Name() string {
	return fmt.Sprintf("%s-%020d-%020d-%x%s", wire.PartitionStream(s.Partition), s.From, s.To, s.Head, suffix)
}

// String is the segment for people.
func (s Segment) String() string {
	return fmt.Sprintf("segment %s (records %d to %d)", s.Name(), s.From, s.To)
}

// ParseName reads a name; ok is false for what is no segment.
func ParseName(name string) (s Segment, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, suffix), "-")
	if len(parts) != 4 {
		return Segment{}, false
	}
	var errs [3]error
	s.Partition, errs[0] = strconv.Atoi(strings.TrimPrefix(parts[0], "P"))
	s.From, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	s.To, errs[2] = strconv.ParseUint(parts[2], 10, 64)
	head, err := hex.DecodeString(parts[3])
	if errs != [3]error{} || err != nil || len(head) != len(s.Head) {
		return Segment{}, false
	}
	s.Head = Head(head)
	return s, s.Name() == name && s.From > 0 && s.From <= s.To
}

// draft is a segment that is being made.
type draft struct {
	segment Segment
	records uint64
	lines   []byte
}

// follow begins the segment behind another one.
func follow(before Segment) *draft {
	return &draft{segment: Segment{Partition: before.Partition, From: before.To + 1, To: before.To, Head: before.Head}}
}

func (d *draft) add(r *Record) {
	d.segment.To, d.segment.Head = r.Seq, d.segment.Head.next(r)
	d.records++
	d.lines = r.AppendLine(d.lines)
}

// compress makes the contents of a segment.
func compress(lines []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("archive: options of the encoder: " + err.Error())
	}
	return w.EncodeAll(lines, nil)
}

// open decompresses the contents of a segment and checks them: they must be the records
// that its name says, and hash from the head before to its own.
func (s Segment) open(contents []byte, before Head) ([]Record, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegmentBytes))
	if err != nil {
		panic("archive: options of the decoder: " + err.Error())
	}
	defer d.Close()
	lines, err := d.DecodeAll(contents, nil)
	if err != nil {
		return nil, fmt.Errorf("%v is altered: %w", s, err)
	}
	var records []Record
	head, next := before, s.From
	for line := range bytes.Lines(lines) {
		r, err := ParseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%v is altered: line %d is %w", s, len(records)+1, err)
		}
		if r.Stream != wire.PartitionStream(s.Partition) || r.Seq != next {
			return nil, fmt.Errorf("%v is altered: record %d of %s where %d was expected", s, r.Seq, r.Stream, next)
		}
		head = head.next(&r)
		next++
		records = append(records, r)
	}
	switch {
	case next != s.To+1:
		return nil, fmt.Errorf("%v is altered: it ends with record %d", s, next-1)
	case head != s.Head:
		return nil, fmt.Errorf("%v, or the name of the one before, is altered: its records do not hash to its name", s)
	}
	return records, nil
}

// chain is the archive of one partition: segments, each behind the one before.
type chain []Segment

// arrange makes a chain of the segments of a partition that are stored somewhere, each
// taken once. What does not fit together stays in it: reading finds that.
func arrange(stored []Segment, p int) chain {
	var c chain
	for _, s := range stored {
		if s.Partition == p {
			c = append(c, s)
		}
	}
	slices.SortFunc(c, func(a, b Segment) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.Compact(c)
}

// last is the newest segment; before the first it is that of no records.
func (c chain) last(p int) Segment {
	if len(c) == 0 {
		return Segment{Partition: p}
	}
	return c[len(c)-1]
}

// find returns the segment with a record, and the head before it.
func (c chain) find(p int, seq uint64) (s Segment, before Head, err error) {
	i := slices.IndexFunc(c, func(s Segment) bool { return s.To >= seq })
	if i < 0 {
		return Segment{}, Head{}, fmt.Errorf("the archive lacks records %d and later of partition %d: it ends with record %d", seq, p, c.last(p).To)
	}
	s = c[i]
	switch {
	case s.From > seq:
		return Segment{}, Head{}, fmt.Errorf("the archive lacks records %d to %d of partition %d: a segment before %s is missing", seq, s.From-1, p, s.Name())
	case i+1 < len(c) && c[i+1].From <= s.To:
		return Segment{}, Head{}, fmt.Errorf("the archive has two accounts of record %d of partition %d: %s and %s", c[i+1].From, p, s.Name(), c[i+1].Name())
	case s.From == 1:
		return s, Head{}, nil
	case i == 0 || c[i-1].To != s.From-1:
		return Segment{}, Head{}, fmt.Errorf("%v cannot be checked: the segment before it is missing", s)
	}
	return s, c[i-1].Head, nil
}
