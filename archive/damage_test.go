package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestADamagedArchiveIsReported alters an archive of ten segments, each time in one way.
func TestADamagedArchiveIsReported(t *testing.T) {
	s := newStage(t)
	dir := t.TempDir()
	s.store = Directory(dir)
	s.fill(1050)
	s.extend(s.writer(), 1050, 1000)
	s.purge(1000)
	list, err := s.store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range damages(t, dir, arrange(list, 0)) {
		repair := d.damage()
		_, err := s.read(s.reader(), 500)
		if err == nil || !strings.Contains(err.Error(), d.want) {
			t.Errorf("%s: %v, want %q", d.how, err, d.want)
		}
		repair()
		if _, err := s.read(s.reader(), 500); err != nil {
			t.Fatalf("repaired after: %s: %v", d.how, err)
		}
	}
	s.store = Directory(filepath.Join(dir, "nowhere"))
	if _, err := s.read(s.reader(), 500); err == nil {
		t.Error("a directory that does not exist was read")
	}
}

// damage alters an archive, and says what an error must tell then.
type damage struct {
	how, want string
	damage    func() (repair func())
}

// damages are of ten segments, of 100 records each.
func damages(t *testing.T, dir string, c chain) []damage {
	path := func(s Segment) string { return filepath.Join(dir, s.Name()) }
	altered := func(i int, change func([]byte) []byte) func() func() {
		return func() func() { return rewrite(t, path(c[i]), path(c[i]), change) }
	}
	forged := func(i int) func() func() {
		return func() func() {
			var s Segment
			restore := rewrite(t, path(c[i]), filepath.Join(dir, "forged"), func(b []byte) []byte {
				s, b = alter(t, c[i], c[i-1].Head, b)
				return b
			})
			if err := os.Rename(filepath.Join(dir, "forged"), path(s)); err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.Remove(path(s)); restore() }
		}
	}
	added := func(from, to uint64) func() func() {
		return func() func() {
			s, contents := forge(t, dir, c, from, to)
			write(t, path(s), contents)
			return func() { _ = os.Remove(path(s)) }
		}
	}
	other, err := os.ReadFile(path(c[4]))
	if err != nil {
		t.Fatal(err)
	}
	return []damage{
		{"a segment is missing", "lacks records 301 to 400 of partition 0", func() func() { return moveAway(t, path(c[3])) }},
		{"the first is missing", "lacks records 1 to 100 of partition 0", func() func() { return moveAway(t, path(c[0])) }},
		{"the last is missing", "lacks records 901 and later of partition 0", func() func() { return moveAway(t, path(c[9])) }},
		{"it is cut off", "(records 301 to 400) is altered", altered(3, func(b []byte) []byte { return b[:len(b)/2] })},
		{"it is empty", "(records 301 to 400) is altered", altered(3, func([]byte) []byte { return nil })},
		{"a bit is flipped", "(records 301 to 400)", altered(3, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
		{"a record is altered", "(records 301 to 400), or the name of the one before, is altered", altered(3, func(b []byte) []byte {
			_, b = alter(t, c[3], c[2].Head, b)
			return b
		})},
		{"a record and the name are altered", "(records 401 to 500), or the name of the one before, is altered", forged(3)},
		{"the newest record and the name are altered", "P0 does not continue the archive: its record 1000", forged(9)},
		{"another segment stands in its place", "is altered: record 401 of P0 where 301 was expected", altered(3, func([]byte) []byte { return other })},
		{"there is another one of the same records", "two accounts of the records up to 400", added(301, 400)},
		{"there is another one of some of them", "two accounts of the records up to 350", added(301, 350)},
		{"there is another one of some more", "two accounts of the records up to 400", added(301, 450)},
		{"there is another one that follows nothing", "two accounts of the records up to 450", added(350, 450)},
	}
}

// forge makes a segment of the archive's own records but for their times.
func forge(t *testing.T, dir string, c chain, from, to uint64) (Segment, []byte) {
	t.Helper()
	d, head := follow(Segment{To: from - 1}), Head{}
	for _, s := range c {
		contents, err := os.ReadFile(filepath.Join(dir, s.Name()))
		if err != nil {
			t.Fatal(err)
		}
		records, err := s.open(contents, head)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if head = head.next(&r); r.Seq == from-1 {
				d.segment.Head = head
			}
			if r.Seq >= from && r.Seq <= to {
				r.Time++
				d.add(&r)
			}
		}
	}
	return d.segment, compress(d.lines)
}

func write(t *testing.T, path string, contents []byte) {
	t.Helper()
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

func moveAway(t *testing.T, path string) (back func()) {
	t.Helper()
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(path, away); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(away, path); err != nil {
			t.Fatal(err)
		}
	}
}

func rewrite(t *testing.T, from, to string, change func([]byte) []byte) (back func()) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	restore := moveAway(t, from)
	write(t, to, change(b))
	return func() { _ = os.Remove(to); restore() }
}

// alter changes the last record of a segment, and its name.
func alter(t *testing.T, s Segment, before Head, contents []byte) (Segment, []byte) {
	t.Helper()
	records, err := s.open(contents, before)
	if err != nil {
		t.Fatal(err)
	}
	records[len(records)-1].Time++
	d := follow(Segment{Partition: s.Partition, To: s.From - 1, Head: before})
	for _, r := range records {
		d.add(&r)
	}
	return d.segment, compress(d.lines)
}
