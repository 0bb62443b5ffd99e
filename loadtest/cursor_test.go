package loadtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/wire"
)

// watcher drives one cursor with frames as a test speaks of them.
type watcher struct {
	t *testing.T
	c cursor
}

func newWatcher(t *testing.T, check *checker, bot int) *watcher {
	return &watcher{t: t, c: cursor{check: check, bot: bot, source: "gw", room: "lobby", meter: newMeter()}}
}

var aView = []byte(`{"game":"crash"}`)

// joins asks with a position (0: none) and gets a snapshot or a recovery.
func (w *watcher) joins(from, at uint64, recovered bool) *watcher {
	w.c.ask(1, nil)
	if from > 0 {
		w.c.ask(1, &wire.Position{Log: "l", Seq: from})
	}
	m := &wire.Joined{
		ID: 1, Room: "lobby", Recovered: recovered, Position: wire.Position{Log: "l", Seq: at}, Epoch: 3,
		WasRecovering: from > 0, Source: wire.SourceOwner,
	}
	if !recovered {
		m.Source, m.Snapshot = wire.SourceSnapshot, aView
	}
	w.c.onJoined(m)
	return w
}

func updateFrame(seq uint64, text string) []byte {
	return fmt.Appendf(nil, `{"type":"update","room":"lobby","seq":%d,"t":%d,"events":[{"e":"note","text":%q}]}`, seq, seq*100, text)
}

// gets feeds honest updates of the given numbers.
func (w *watcher) gets(seqs ...uint64) *watcher {
	for _, seq := range seqs {
		w.frame(updateFrame(seq, "honest"))
	}
	return w
}

func (w *watcher) frame(raw []byte) {
	w.t.Helper()
	h, err := readHead(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	w.c.onUpdate(h, raw, time.Millisecond)
}

func (w *watcher) tick(seq uint64, t int64, epoch uint64) *watcher {
	w.c.onTick(head{seq: seq, t: t, epoch: epoch})
	return w
}

// wantFindings compares the failed checks (and how often) with the expectation,
// e.g. "order 1, content 2".
func wantFindings(t *testing.T, why string, f *findings, want string) {
	t.Helper()
	var got []string
	for _, c := range checkList() {
		if n, _ := f.check(checkName(c.name)); n > 0 {
			got = append(got, fmt.Sprintf("%s %d", c.name, n))
		}
	}
	if g := strings.Join(got, ", "); g != want {
		t.Errorf("%s: found %q, want %q", why, g, want)
		for _, c := range checkList() {
			_, ex := f.check(checkName(c.name))
			for _, e := range ex {
				t.Log(c.name, e)
			}
		}
	}
}

// cursorCase is what two cursors of one room receive, and what is wrong with it.
type cursorCase struct {
	name string
	want string
	do   func(a, b *watcher)
}

func checkCursors(t *testing.T, cases []cursorCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			check := newChecker(time.Now())
			c.do(newWatcher(t, check, 0), newWatcher(t, check, 1))
			wantFindings(t, c.name, check.findings, c.want)
		})
	}
}

func TestCursorOrder(t *testing.T) {
	checkCursors(t, []cursorCase{
		{"honest", "", func(a, b *watcher) {
			a.joins(0, 4, false).gets(5, 6, 7).tick(7, 700, 3).tick(7, 750, 4)
			b.joins(0, 6, false).gets(7, 8)
		}},
		{"resumed", "", func(a, b *watcher) { a.joins(0, 4, false).gets(5, 6); b.joins(5, 5, true).gets(6, 7) }},
		{"resumed by snapshot", "", func(a, b *watcher) { a.joins(0, 4, false).gets(5, 6); b.joins(5, 9, false).gets(10) }},
		{"gap", "order 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5, 7) }},
		{"first update missing", "order 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(6) }},
		{"update of the position comes again", "order 1", func(a, b *watcher) { b.joins(0, 3, false).gets(4); a.joins(0, 4, false).gets(4, 5) }},
		{"doubled", "order 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5, 5, 6) }},
		{"reordered", "order 1", func(a, b *watcher) { b.joins(0, 4, false).gets(5, 6, 7); a.joins(0, 4, false).gets(6, 5, 6) }},
		{"altered for one", "content 1", func(a, b *watcher) {
			a.joins(0, 4, false).gets(5, 6)
			b.joins(0, 4, false).gets(5)
			b.frame(updateFrame(6, "forged"))
		}},
		{"doubled with other bytes", "order 1, content 1", func(a, _ *watcher) {
			a.joins(0, 4, false).gets(5)
			a.frame(updateFrame(5, "forged"))
		}},
		{"time back", "clock 1", func(a, _ *watcher) {
			a.joins(0, 4, false).gets(5)
			a.frame([]byte(`{"type":"update","room":"lobby","seq":6,"t":1,"events":[{"e":"x"}]}`))
		}},
		{"before the join", "order 2", func(a, _ *watcher) { a.gets(5).tick(5, 500, 3) }},
		{"no events", "protocol 1", func(a, _ *watcher) {
			a.joins(0, 4, false)
			a.frame([]byte(`{"type":"update","room":"lobby","seq":5,"t":500,"events":[]}`))
		}},
		{"tick back in time", "clock 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5).tick(5, 520, 3).tick(5, 510, 3) }},
		{"tick before its update", "clock 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5).tick(5, 499, 3) }},
		{"tick behind the next update", "clock 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5, 6).tick(5, 601, 3) }},
		{"tick that overtook its update", "", func(a, b *watcher) {
			b.joins(0, 4, false).gets(5, 6)
			a.joins(0, 4, false).gets(5).tick(6, 610, 3).gets(6)
		}},
		{"epoch back", "clock 1", func(a, _ *watcher) { a.joins(0, 4, false).gets(5).tick(5, 510, 2) }},
	})
}

func TestCursorJoins(t *testing.T) {
	checkCursors(t, []cursorCase{
		{"recovered from nothing", "recovery 1", func(a, _ *watcher) { a.joins(0, 4, true).gets(5) }},
		{"recovered elsewhere", "recovery 1", func(a, _ *watcher) { a.joins(3, 4, true).gets(5) }},
		{"recovered in part", "order 1, recovery 1", func(a, _ *watcher) { a.joins(3, 5, true).gets(6, 8) }},
		{"recovered, from a snapshot", "recovery 1", func(a, _ *watcher) {
			a.c.ask(1, &wire.Position{Log: "l", Seq: 3})
			a.c.onJoined(&wire.Joined{ID: 1, Recovered: true, Position: wire.Position{Log: "l", Seq: 3}, WasRecovering: true, Source: wire.SourceSnapshot})
		}},
		{"a snapshot, from the ring", "recovery 1", func(a, _ *watcher) {
			a.c.ask(1, nil)
			a.c.onJoined(&wire.Joined{ID: 1, Position: wire.Position{Log: "l", Seq: 4}, Source: wire.SourceRing, Snapshot: aView})
		}},
		{"from nowhere", "recovery 1", func(a, _ *watcher) {
			a.c.ask(1, nil)
			a.c.onJoined(&wire.Joined{ID: 1, Position: wire.Position{Log: "l", Seq: 4}, Source: "elsewhere", Snapshot: aView})
		}},
		{"recovering without a position", "recovery 1", func(a, _ *watcher) {
			a.c.ask(1, nil)
			a.c.onJoined(&wire.Joined{ID: 1, Position: wire.Position{Log: "l", Seq: 4}, WasRecovering: true, Source: wire.SourceSnapshot, Snapshot: aView})
		}},
		{"snapshot behind the position", "recovery 1", func(a, _ *watcher) { a.joins(9, 8, false) }},
		{"joined unasked", "recovery 1", func(a, _ *watcher) {
			a.joins(0, 4, false)
			a.c.onJoined(&wire.Joined{Room: "lobby", Position: wire.Position{Log: "l", Seq: 9}, Source: wire.SourceSnapshot, Snapshot: aView})
		}},
		{"skip and snapshot", "", func(a, _ *watcher) {
			a.joins(0, 4, false).gets(5)
			a.c.onSkip(&wire.Skip{From: 6, To: 20})
			a.c.onJoined(&wire.Joined{Room: "lobby", Position: wire.Position{Log: "l", Seq: 21}, Source: wire.SourceSnapshot, Snapshot: aView})
			a.gets(22)
		}},
		{"snapshot inside of the skip", "recovery 1", func(a, _ *watcher) {
			a.joins(0, 4, false).gets(5)
			a.c.onSkip(&wire.Skip{From: 6, To: 20})
			a.c.onJoined(&wire.Joined{Room: "lobby", Position: wire.Position{Log: "l", Seq: 12}, Source: wire.SourceSnapshot, Snapshot: aView})
		}},
		{"snapshot without a view", "recovery 1", func(a, _ *watcher) {
			a.c.ask(1, nil)
			a.c.onJoined(&wire.Joined{ID: 1, Position: wire.Position{Log: "l", Seq: 4}, Source: wire.SourceSnapshot, Snapshot: []byte("null")})
		}},
	})
}

func TestStalledCursorIsNotComplete(t *testing.T) {
	check := newChecker(time.Now())
	a, b := newWatcher(t, check, 0), newWatcher(t, check, 1)
	a.joins(0, 4, false).gets(5, 6, 7)
	b.joins(0, 4, false).gets(5, 6)
	a.c.stream.setMark(a.c.stream.getNewest())
	a.c.finish(0)
	b.c.finish(0)
	wantFindings(t, "one is behind", check.findings, "complete 1")
	a.c.finish(8)
	wantFindings(t, "a tick told of more", check.findings, "complete 2")
}

// TestEveryDamageIsFound changes one frame of one of three bots in a random way.
func TestEveryDamageIsFound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const first, last = 10, 60
		check := newChecker(time.Now())
		victim := rapid.IntRange(0, 2).Draw(rt, "victim")
		at := rapid.Uint64Range(first+1, last-1).Draw(rt, "at")
		damage := rapid.SampledFrom([]string{"none", "alter", "drop", "double", "swap"}).Draw(rt, "damage")
		bots := []*watcher{newWatcher(t, check, 0), newWatcher(t, check, 1), newWatcher(t, check, 2)}
		for _, b := range bots {
			b.joins(0, first-1, false)
		}
		for seq := uint64(first); seq <= last; seq++ {
			for i, b := range bots {
				switch {
				case i != victim || seq < at || seq > at+1 || damage == "none" || (seq == at+1 && damage != "swap"):
					b.gets(seq)
				case damage == "alter":
					b.frame(updateFrame(seq, "forged"))
				case damage == "double":
					b.gets(seq, seq)
				case damage == "swap" && seq == at:
					b.gets(seq + 1)
				case damage == "swap":
					b.gets(seq - 1)
				}
			}
		}
		if found := check.total() > 0; found != (damage != "none") {
			rt.Errorf("%s at %d for bot %d: found %t", damage, at, victim, found)
		}
	})
}

func TestStreamKeepsAWindow(t *testing.T) {
	check := newChecker(time.Now())
	a := newWatcher(t, check, 0).joins(0, 1, false)
	for seq := uint64(2); seq < 2*streamRing; seq++ {
		a.gets(seq)
	}
	if n := len(a.c.stream.ring); n != streamRing {
		t.Errorf("the ring has %d places, not %d", n, streamRing)
	}
	b := newWatcher(t, check, 1).joins(0, 1, false)
	b.frame(updateFrame(2, "forged but forgotten"))
	if a.c.stream.tooLate != 1 {
		t.Errorf("%d sightings were counted as too late", a.c.stream.tooLate)
	}
	b.joins(0, streamRing+10, false).gets(streamRing + 11)
	if a.c.stream.compared != 1 {
		t.Error("an update within the window was not compared")
	}
	// A seq out of the blue is no reason to forget the others.
	b.gets(1 << 40)
	b.joins(0, streamRing+20, false).gets(streamRing + 21)
	if a.c.stream.compared != 2 {
		t.Error("a false seq pushed true ones out")
	}
}

func TestTooManyLogs(t *testing.T) {
	check := newChecker(time.Now())
	for i := range maxLogs + 5 {
		w := newWatcher(t, check, 0)
		w.c.ask(1, nil)
		w.c.onJoined(&wire.Joined{ID: 1, Room: "lobby", Position: wire.Position{Log: fmt.Sprint("log", i)}, Source: wire.SourceSnapshot, Snapshot: aView})
	}
	wantFindings(t, "a log per join", check.findings, "protocol 5")
}
