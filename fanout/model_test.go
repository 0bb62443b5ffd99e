package fanout

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFrameEncoding(t *testing.T) {
	for _, tc := range []struct {
		size   int
		header string
	}{
		{0, "8100"},
		{125, "817d"},
		{126, "817e007e"},
		{65535, "817effff"},
		{65536, "817f0000000000010000"},
	} {
		payload := make([]byte, tc.size)
		f := NewFrame(payload)
		if got := fmt.Sprintf("%x", f.wire[:f.header]); got != tc.header {
			t.Errorf("%d bytes: header %s, want %s", tc.size, got, tc.header)
		}
		if f.Size() != len(f.wire) || len(f.Payload()) != tc.size {
			t.Errorf("%d bytes: size %d, payload %d", tc.size, f.Size(), len(f.Payload()))
		}
		if tc.size > 0 {
			if payload[0] = 1; f.Payload()[0] == 1 {
				t.Error("the payload was not copied")
			}
		}
	}
}

// The ring against a slice.
func TestRingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring{lo: 1, hi: 1, maxFrames: rapid.IntRange(1, 40).Draw(t, "frames"), maxBytes: rapid.IntRange(10, 2000).Draw(t, "bytes")}
		var model []*Frame
		next := uint64(1)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				f := NewFrame(make([]byte, rapid.IntRange(0, 300).Draw(t, "size")))
				r.push(slot{frame: f})
				model = append(model, f)
				next++
				size := func() (n int) {
					for _, f := range model {
						n += f.Size()
					}
					return n
				}
				for len(model) > 1 && (len(model) > r.maxFrames || size() > r.maxBytes) {
					model = model[1:]
				}
			},
			"reset": func(t *rapid.T) {
				next += rapid.Uint64Range(0, 100).Draw(t, "gap")
				r.reset(next)
				model = nil
			},
			"": func(t *rapid.T) {
				bytes := 0
				if r.hi != next || r.len() != len(model) {
					t.Fatalf("%d to %d, want %d frames before %d", r.lo, r.hi, len(model), next)
				}
				for i, f := range model {
					if bytes += f.Size(); r.at(r.lo+uint64(i)).frame != f {
						t.Fatalf("frame %d differs", i)
					}
				}
				if r.bytes != bytes {
					t.Fatalf("%d bytes, want %d", r.bytes, bytes)
				}
			},
		})
	})
}

// entry is what the deliberately dumb topic of the test below remembers.
type entry struct {
	class    class
	n, after uint64
}

// dueOf says by looking at everything ever published what a connection at cur
// gets next, and lost when it cannot have all of it.
func dueOf(log []entry, cur cursor, kept, window int) (want []entry, lost bool) {
	var updates, notices []entry
	var tick entry
	for _, e := range log {
		switch e.class {
		case classUpdate:
			updates = append(updates, e)
		case classNotice:
			notices = append(notices, e)
		case classTick:
			tick = e
		}
	}
	if gone := len(updates) - kept; gone > 0 && cur.seq < uint64(gone) {
		return nil, true
	}
	for _, e := range updates {
		if e.n > cur.seq {
			want = append(want, e)
		}
	}
	for i, e := range notices {
		if e.n > cur.notices && i >= len(notices)-window {
			want = append(want, e)
		}
	}
	if tick.n > cur.ticks && tick.after >= cur.seq {
		want = append(want, tick)
	}
	slices.SortStableFunc(want, func(a, b entry) int {
		if a.place() != b.place() {
			return int(a.place()) - int(b.place())
		}
		return order(a.class) - order(b.class)
	})
	return want, false
}

// place is the update that an entry comes with or behind.
func (e entry) place() uint64 {
	if e.class == classUpdate {
		return e.n
	}
	return e.after
}

func order(c class) int { return slices.Index([]class{classUpdate, classNotice, classTick}, c) }

// What a cursor gets against a topic that remembers everything and sorts.
func TestCollectModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 4
		kept := rapid.IntRange(1, 20).Draw(t, "kept")
		topic := NewHub(Config{Shards: 1, NoticeFrames: window}).Topic("room", kept)
		var log []entry
		var count [classes]uint64
		publish := func(c class) entry {
			count[c]++
			e := entry{c, count[c], count[classUpdate]}
			log = append(log, e)
			return e
		}
		sub := &subscription{}
		batch := newBatch()
		t.Repeat(map[string]func(*rapid.T){
			"update": func(*rapid.T) { topic.Update(publish(classUpdate).n, NewFrame([]byte("u"))) },
			"again":  func(*rapid.T) { topic.Update(count[classUpdate], NewFrame([]byte("repeated"))) },
			"tick":   func(*rapid.T) { publish(classTick); topic.Tick(NewFrame([]byte("t"))) },
			"notice": func(*rapid.T) { publish(classNotice); topic.Notice(NewFrame([]byte("n"))) },
			"collect": func(t *rapid.T) {
				want, wantLost := dueOf(log, sub.cur, kept, window)
				batch.reset()
				_, to, lost := topic.lost(&sub.cur)
				if lost != wantLost {
					t.Fatalf("lost %v at %d, want %v", lost, sub.cur.seq, wantLost)
				}
				if lost {
					sub.cur = topic.start(to)
					return
				}
				topic.skipNotices(&sub.cur, false, &batch.tally)
				topic.collect(&sub.cur, sub, batch)
				var got []entry
				for i := range batch.due {
					d := &batch.due[i]
					e := entry{class: d.class, n: d.n}
					if i < len(want) {
						e.after = want[i].after // not part of what is due
					}
					got = append(got, e)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("at %+v: %v, want %v", sub.cur, got, want)
				}
				for i := range batch.due[:rapid.IntRange(0, len(got)).Draw(t, "taken")] {
					sub.advance(&batch.due[i], &batch.tally)
				}
			},
		})
	})
}
