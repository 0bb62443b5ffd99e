package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testbus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// small is of how many records segments are in most tests.
const small = 100

// stage is a deployment of one partition with an archive.
type stage struct {
	t             *testing.T
	room, auditor *nats.Conn
	js            jetstream.JetStream
	store         Store
}

func newStage(t *testing.T) *stage {
	t.Helper()
	b := testbus.Start(t)
	s := &stage{t: t}
	connect := func(r bus.Role) *nats.Conn {
		nc, err := b.Connect(r, "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	s.room, s.auditor = connect(bus.RoleRoom), connect(bus.RoleAuditor)
	if err := bus.EnsureStreams(t.Context(), s.room, bus.Layout{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.js, err = jetstream.New(s.room); err != nil {
		t.Fatal(err)
	}
	s.store = NewBucket(s.js)
	return s
}

// fill appends records, some of them large, and some that JetStream said.
func (s *stage) fill(n int) {
	s.t.Helper()
	for i := range n {
		m := nats.NewMsg(wire.OwnerSubject(0))
		m.Data = fmt.Appendf(nil, `{"e":1,"k":"tick","n":%d}`, i)
		switch i % 50 {
		case 7:
			m.Data = nil
		case 13:
			m.Data = make([]byte, 20_000)
		case 17:
			m.Header.Set("Nats-Msg-Id", fmt.Sprint(i))
			m.Header["Other"] = []string{"two", "<values>"}
		case 23:
			m.Header.Set(headerStream, "P0")
		case 29:
			m.Header.Set("Nats-Sequence", "7") // looks like an answer to a direct get
			m.Header.Set("Status", "204")
		}
		ack := func() error { _, err := s.js.PublishMsg(s.t.Context(), m); return err }
		if err := ack(); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stage) purge(below uint64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), wire.PartitionStream(0))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := stream.Purge(s.t.Context(), jetstream.WithPurgeSequence(below)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) reader() *Reader {
	s.t.Helper()
	js, err := jetstream.New(s.auditor)
	if err != nil {
		s.t.Fatal(err)
	}
	store := s.store
	if _, ok := store.(Bucket); ok {
		store = NewBucket(js)
	}
	r, err := NewReader(s.auditor, store)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *stage) writer() *Writer {
	s.t.Helper()
	r, err := NewReader(s.room)
	if err != nil {
		s.t.Fatal(err)
	}
	w := NewWriter(r, s.store, 0)
	w.Records = small
	return w
}

func (s *stage) extend(w *Writer, upTo, want uint64) {
	s.t.Helper()
	e, err := w.Extend(s.t.Context(), upTo, 1000)
	if err != nil || e.To != want {
		s.t.Fatalf("archived up to %d (%v), want %d", e.To, err, want)
	}
}

// read reads a log in pieces.
func (s *stage) read(r *Reader, piece uint64) ([]Record, error) {
	s.t.Helper()
	last, err := r.Last(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []Record
	for from := uint64(1); from <= last; from += piece {
		err := r.Read(s.t.Context(), 0, from, min(last, from+piece-1), func(rec Record) error {
			if len(rec.Data) == 0 {
				rec.Data = nil // as which it stands in neither place
			}
			if len(rec.Headers) == 0 {
				rec.Headers = nil
			}
			all = append(all, rec)
			return nil
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (s *stage) mustRead(r *Reader, piece uint64) []Record {
	s.t.Helper()
	all, err := s.read(r, piece)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestATrimmedLogReadsAsBefore(t *testing.T) {
	for name, store := range map[string]func(*stage) Store{
		"bucket":    func(s *stage) Store { return s.store },
		"directory": func(s *stage) Store { return Directory(s.t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.store = store(s)
			s.fill(1050)
			want := s.mustRead(s.reader(), 400)
			if len(want) != 1050 {
				t.Fatalf("%d records", len(want))
			}
			w := s.writer()
			for _, step := range []struct{ upTo, archived, purge uint64 }{
				{99, 0, 1}, {100, 100, 1}, {399, 300, 250}, {399, 300, 300}, {777, 700, 700}, {1050, 1000, 1000},
			} {
				s.extend(w, step.upTo, step.archived)
				s.purge(step.purge)
				for _, piece := range []uint64{1050, 333, 70} {
					if got := s.mustRead(s.reader(), piece); !reflect.DeepEqual(got, want) {
						t.Fatalf("archived up to %d and purged below %d: the log reads differently in pieces of %d", step.archived, step.purge, piece)
					}
				}
			}
			s.extend(s.writer(), 1050, 1000) // another one finds where it ends
		})
	}
}

// deaf is the real storage, but that who opens a bucket first, and the first object that is
// put, are not answered.
type deaf struct {
	jetstream.JetStream
	opened, heard atomic.Bool
}

type deafBucket struct {
	jetstream.ObjectStore
	d *deaf
}

func (d *deaf) ObjectStore(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	if !d.opened.Swap(true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	o, err := d.JetStream.ObjectStore(ctx, bucket)
	return deafBucket{o, d}, err
}

func (b deafBucket) PutBytes(ctx context.Context, name string, data []byte) (*jetstream.ObjectInfo, error) {
	if b.d.heard.Swap(true) {
		return b.ObjectStore.PutBytes(ctx, name, data)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestASegmentIsPutAgain: a node that died does not answer, and the next one is asked before
// the log has grown by what comes in a minute.
func TestASegmentIsPutAgain(t *testing.T) {
	s := newStage(t)
	d := &deaf{JetStream: s.js}
	b := NewBucket(d)
	b.attempt = time.Second / 10
	if err := b.Put(t.Context(), Segment{From: 1, To: 1}, []byte("contents")); err != nil || !d.heard.Load() {
		t.Fatal(err)
	}
	if have, err := s.store.Get(t.Context(), Segment{From: 1, To: 1}); err != nil || string(have) != "contents" {
		t.Fatalf("%q, %v", have, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, Segment{From: 2, To: 2}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("put when nobody waits any more: %v", err)
	}
}

// TestASegmentThatIsNotThereYet is read from a replica that is behind, so to speak: it is
// stored when it has been asked for.
func TestASegmentThatIsNotThereYet(t *testing.T) {
	s := newStage(t)
	js, err := jetstream.New(s.auditor)
	if err != nil {
		t.Fatal(err)
	}
	seg, got := Segment{From: 1, To: 1}, make(chan error, 1)
	bucket := NewBucket(js)
	bucket.lag = time.Minute
	go func() {
		b, err := bucket.Get(context.Background(), seg)
		if err == nil && string(b) != "contents" {
			err = fmt.Errorf("read %q", b)
		}
		got <- err
	}()
	// Answers to opening the bucket, and to looking for the object twice.
	testkit.Eventually(t, "it is asked for again", time.Minute, func() bool { return s.auditor.Stats().InMsgs >= 3 || len(got) > 0 })
	if err := s.store.Put(t.Context(), seg, []byte("contents")); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	bucket.lag = time.Second / 10
	if _, err := bucket.Get(t.Context(), Segment{From: 2, To: 2}); !errors.Is(err, jetstream.ErrObjectNotFound) {
		t.Fatalf("one that is never stored: %v", err)
	}
}

// TestALargeSegmentIsCut has records that are too many bytes for a segment.
func TestALargeSegmentIsCut(t *testing.T) {
	s := newStage(t)
	const large, records = 900_000, 30
	for range records {
		if _, err := s.js.Publish(t.Context(), wire.OwnerSubject(0), make([]byte, large)); err != nil {
			t.Fatal(err)
		}
	}
	w := s.writer()
	w.Records = records
	e, err := w.Extend(t.Context(), records, 1)
	if want := uint64(segmentBytes/(large*4/3) + 1); err != nil || e.To != want {
		t.Fatalf("a segment ends with record %d (%v), want %d", e.To, err, want)
	}
	s.purge(e.To)
	if got := len(s.mustRead(s.reader(), records)); got != records {
		t.Fatalf("%d records", got)
	}
}

// TestTwoWritersDoNoHarm has a deposed owner go on where it was interrupted, between any
// two steps of another one.
func TestTwoWritersDoNoHarm(t *testing.T) {
	s := newStage(t)
	s.fill(1000)
	want := s.mustRead(s.reader(), 1000)
	old, other := s.writer(), s.writer()
	s.extend(old, 250, 200)
	s.extend(other, 500, 500)
	s.purge(500)
	if e, err := old.Extend(t.Context(), 300, 10); err == nil {
		t.Fatalf("it archived records that it cannot have read: %+v", e)
	}
	s.extend(old, 300, 500) // it has looked again
	done := make(chan error, 2)
	for _, w := range []*Writer{old, other} {
		go func() {
			_, err := w.Extend(context.Background(), 1000, 10)
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	s.purge(1000)
	if got := s.mustRead(s.reader(), 300); !reflect.DeepEqual(got, want) {
		t.Fatal("the log reads differently")
	}
}

// TestWritersMayCutDifferently has two servers with other settings archive in turn, each
// from where it was, and others that find the archive as they left it.
func TestWritersMayCutDifferently(t *testing.T) {
	s := newStage(t)
	s.fill(1000)
	want := s.mustRead(s.reader(), 1000)
	dir := Directory(t.TempDir())
	wantSame := func(r *Reader) {
		t.Helper()
		for _, piece := range []uint64{1000, 333, 70} {
			if got := s.mustRead(r, piece); !reflect.DeepEqual(got, want) {
				t.Fatalf("the log reads differently in pieces of %d", piece)
			}
		}
	}
	one, two := s.writer(), s.writer()
	two.Records = 70
	for _, step := range []struct {
		w        *Writer
		upTo, to uint64
	}{{two, 100, 70}, {one, 250, 170}, {two, 250, 210}, {one, 400, 370}, {two, 400, 350}, {s.writer(), 480, 470}} {
		s.extend(step.w, step.upTo, step.to)
		s.purge(min(step.to, 70)) // the other one is where it was
		wantSame(s.reader())
	}
	s.purge(470)
	wantSame(s.reader())
	if _, err := Copy(t.Context(), s.store, dir); err != nil {
		t.Fatal(err)
	}
	s.store = dir
	wantSame(s.reader())
}

// TestAnArchiveThatLacksTheNewestIsNotContinued: records would be in no place.
func TestAnArchiveThatLacksTheNewestIsNotContinued(t *testing.T) {
	s := newStage(t)
	s.fill(500)
	s.extend(s.writer(), 300, 300)
	s.purge(300)
	s.store = Directory(t.TempDir())
	e, err := s.writer().Extend(t.Context(), 500, 10)
	if err == nil || !strings.Contains(err.Error(), "records 1 to 299 are neither in the log nor in the archive") {
		t.Fatalf("archived up to %d: %v", e.To, err)
	}
}

// TestWhatIsStoredIsReadBack has stores that lose or garble what they are given. No writer
// goes on behind what was garbled, the same one or another: it is written again.
func TestWhatIsStoredIsReadBack(t *testing.T) {
	s := newStage(t)
	s.fill(200)
	want := s.mustRead(s.reader(), 200)
	dir := Directory(t.TempDir())
	for _, lost := range []Store{forgetful{dir}, garbling{dir}} {
		s.store = lost
		w := s.writer()
		for range 2 {
			if e, err := w.Extend(t.Context(), 200, 10); err == nil || e.To != 0 {
				t.Fatalf("%T: archived up to %d: %v", lost, e.To, err)
			}
		}
	}
	s.store = dir
	s.extend(s.writer(), 200, 200)
	s.purge(200)
	if got := s.mustRead(s.reader(), 200); !reflect.DeepEqual(got, want) {
		t.Fatal("the log reads differently")
	}
}

type forgetful struct{ Directory }

func (forgetful) Put(context.Context, Segment, []byte) error { return nil }

type garbling struct{ Directory }

func (g garbling) Put(ctx context.Context, s Segment, b []byte) error {
	return g.Directory.Put(ctx, s, b[:len(b)-1])
}

// TestACopyIsChecked copies an archive in two steps, and one whose middle is damaged.
func TestACopyIsChecked(t *testing.T) {
	s := newStage(t)
	s.fill(700)
	want := s.mustRead(s.reader(), 700)
	w, bucket, dir := s.writer(), s.store, Directory(t.TempDir())
	for _, step := range []struct{ upTo, copied int }{{300, 3}, {300, 0}, {700, 4}} {
		s.extend(w, uint64(step.upTo), uint64(step.upTo))
		if n, err := Copy(t.Context(), bucket, dir); err != nil || n != step.copied {
			t.Fatalf("copied %d segments (%v), want %d", n, err, step.copied)
		}
	}
	s.purge(700)
	s.store = dir
	if got := s.mustRead(s.reader(), 700); !reflect.DeepEqual(got, want) {
		t.Fatal("the copy reads differently")
	}
	list, err := dir.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(string(dir), arrange(list, 0)[3].Name()), []byte("damaged"))
	n, err := Copy(t.Context(), dir, Directory(t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "(records 301 to 400) is altered") {
		t.Fatalf("copied %d segments of a damaged archive: %v", n, err)
	}
	// The two together have everything.
	r, err := NewReader(s.room, dir, bucket)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.mustRead(r, 333); !reflect.DeepEqual(got, want) {
		t.Fatal("two stores read differently")
	}
}

// TestSegmentsAreAnExport: what stands in the segments, one behind the other, is what an
// export of the log has.
func TestSegmentsAreAnExport(t *testing.T) {
	s := newStage(t)
	s.fill(300)
	s.extend(s.writer(), 300, 300)
	list, err := s.store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []Record
	before := Head{}
	for _, seg := range arrange(list, 0) {
		b, err := s.store.Get(t.Context(), seg)
		if err != nil {
			t.Fatal(err)
		}
		records, err := seg.open(b, before)
		if err != nil {
			t.Fatal(err)
		}
		got, before = append(got, records...), seg.Head
	}
	for i, want := range s.mustRead(s.reader(), 300) {
		if len(got[i].Data) == 0 {
			got[i].Data = nil
		}
		if g, w := string(got[i].AppendLine(nil)), string(want.AppendLine(nil)); g != w {
			t.Fatalf("the segments have %s\nan export has %s", g, w)
		}
	}
}

func TestNames(t *testing.T) {
	s := Segment{Partition: 12, From: 1, To: 1 << 40, Head: Head{1, 2, 3}}
	if got, ok := ParseName(s.Name()); !ok || got != s {
		t.Fatalf("%s is %+v, %v", s.Name(), got, ok)
	}
	for _, name := range []string{
		"", "P1", "P1-1-2-3", strings.Replace(s.Name(), "P12", "12", 1), strings.Replace(s.Name(), "P12", "P012", 1),
		strings.TrimSuffix(s.Name(), suffix), s.Name() + ".tmp", strings.Replace(s.Name(), "0102", "01", 1),
		Segment{Partition: 1, From: 2, To: 1}.Name(), Segment{Partition: 1}.Name(), Segment{Partition: -1, From: 1, To: 1}.Name(),
	} {
		if s, ok := ParseName(name); ok {
			t.Errorf("%q is %+v", name, s)
		}
	}
}

func FuzzOpenSegment(f *testing.F) {
	s := Segment{From: 1, To: 2}
	d := follow(Segment{})
	for seq := range uint64(2) {
		d.add(&Record{Stream: "P0", Seq: seq + 1, Subject: "evt.0", Data: []byte("x")})
	}
	f.Add(compress(d.lines))
	f.Add(compress([]byte("{}\n")))
	f.Fuzz(func(t *testing.T, contents []byte) {
		if records, err := s.open(contents, Head{}); err == nil {
			t.Fatalf("%d records of a segment that does not hash to its name", len(records))
		}
	})
}
