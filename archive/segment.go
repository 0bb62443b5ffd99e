package archive

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"tickcast/wire"
)

const (
	// MaxSegmentRecords is with how many records a segment is whole unless a Writer is told
	// otherwise, and the most that it may be told: some seconds' worth of a busy partition.
	MaxSegmentRecords = 1 << 15
	// segmentBytes of lines make a segment whole before that: it is what a reader keeps in
	// memory.
	segmentBytes = 16 << 20
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

// chain is the archive of one partition: segments, each behind another one, by where they
// end. Segments of servers that cut differently overlap, and say the same.
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
	slices.SortFunc(c, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(a.To, b.To), strings.Compare(a.Name(), b.Name()))
	})
	return slices.Compact(c)
}

// last is the newest segment; before the first it is that of no records.
func (c chain) last(p int) Segment {
	if len(c) == 0 {
		return Segment{Partition: p}
	}
	return c[len(c)-1]
}

// find returns the segment with a record; of several, that which goes furthest.
func (c chain) find(p int, seq uint64) (Segment, error) {
	for _, s := range slices.Backward(c) {
		if s.From <= seq && seq <= s.To {
			return s, nil
		}
	}
	i := slices.IndexFunc(c, func(s Segment) bool { return s.From > seq })
	if i < 0 {
		return Segment{}, fmt.Errorf("the archive lacks records %d and later of partition %d: it ends with record %d", seq, p, c.last(p).To)
	}
	return Segment{}, fmt.Errorf("the archive lacks records %d to %d of partition %d: a segment before %s is missing", seq, c[i].From-1, p, c[i].Name())
}

// before is the head of the log before a segment of the chain, by the name of one that ends
// there.
func (c chain) before(s Segment) (Head, error) {
	if s.From == 1 {
		return Head{}, nil
	}
	i := slices.IndexFunc(c, func(other Segment) bool { return other.To == s.From-1 })
	if i < 0 {
		return Head{}, fmt.Errorf("%v cannot be checked: the segment before it is missing", s)
	}
	return c[i].Head, nil
}

// agree checks that the segments which end among the records of another one have the same
// records up to there: that is what their heads say.
func (c chain) agree(s Segment, before Head, records []Record) error {
	ends := slices.DeleteFunc(slices.Clone(c), func(other Segment) bool {
		return other == s || other.To < s.From || other.To > s.To
	})
	head := before
	for i := range records {
		if len(ends) == 0 {
			return nil
		}
		head = head.next(&records[i])
		for ; len(ends) > 0 && ends[0].To == records[i].Seq; ends = ends[1:] {
			if ends[0].Head != head {
				return fmt.Errorf("the archive has two accounts of the records up to %d of partition %d: %s and %s", ends[0].To, s.Partition, s.Name(), ends[0].Name())
			}
		}
	}
	return nil
}
