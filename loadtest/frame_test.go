package loadtest

import (
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

// audience is so many bots that have joined one room, with their connections.
func audience(t testing.TB, bots int) []*link {
	s := testSwarm(t, Config{Rooms: []string{"lobby"}, Bots: bots})
	var links []*link
	for _, b := range s.bots {
		l := testLink(b)
		l.welcomed = true
		l.cursors[0].ask(1, nil)
		b.onJoined(l, &wire.Joined{ID: 1, Room: "lobby", Position: wire.Position{Log: "l", Seq: 1}, Source: wire.SourceSnapshot, Snapshot: aView}, 0)
		b.after = nil
		links = append(links, l)
	}
	return links
}

func tickText(seq uint64, t int64) []byte {
	return fmt.Appendf(nil, `{"type":"tick","room":"lobby","seq":%d,"t":%d,"epoch":3}`, seq, t)
}

// TestAnotherSightingAllocatesNothing counts allocations of what is received as
// another bot got it before, and shows that this is checked and counted like any
// other.
func TestAnotherSightingAllocatesNothing(t *testing.T) {
	const rounds = 100
	links := audience(t, 2)
	var frames [][]byte
	for i := range rounds + 1 {
		seq := uint64(i + 2)
		frames = append(frames, updateFrame(seq, "honest"), tickText(seq, int64(seq*100+1)))
	}
	first, second := links[0], links[1]
	for _, f := range frames {
		first.Message(f, true, time.Millisecond)
	}
	// Histograms are made at the first value, and the oldest ticks are not kept.
	second.Message(frames[0], true, time.Millisecond)
	i := 2
	if n := testing.AllocsPerRun(rounds-2, func() {
		second.Message(frames[i], true, 2*time.Millisecond)
		i += 2
	}); n != 0 {
		t.Errorf("%v allocations for an update", n)
	}
	newest := frames[len(frames)-1]
	if n := testing.AllocsPerRun(rounds, func() { second.Message(newest, true, 2*time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations for a tick", n)
	}
	s := second.bot.s
	wantFindings(t, "honest frames", s.check.findings, "")
	st := second.cursors[0].stream.tally()
	if st.Compared != rounds || st.Sightings != 2*rounds+1 {
		t.Errorf("compared %d of %d sightings", st.Compared, st.Sightings)
	}
}

// TestQuickWayIsAsStrict shows that a connection that gets wrong frames fails the
// same checks, whether others got the right ones before or not.
func TestQuickWayIsAsStrict(t *testing.T) {
	for _, c := range []struct {
		name, want string
		frames     [][]byte
	}{
		{"gap", "order 1", [][]byte{updateFrame(2, "honest"), updateFrame(4, "honest")}},
		{"again", "order 1", [][]byte{updateFrame(2, "honest"), updateFrame(2, "honest")}},
		{"altered", "content 1", [][]byte{updateFrame(2, "altered")}},
		{"longer", "content 1", [][]byte{append(updateFrame(2, "honest"), ' ')}},
		{"time back", "clock 1", [][]byte{updateFrame(2, "honest"), tickText(2, 201), tickText(2, 200)}},
		{"tick too early", "clock 1", [][]byte{tickText(2, 301)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			links := audience(t, 2)
			for _, f := range [][]byte{updateFrame(2, "honest"), tickText(2, 200), tickText(2, 201), updateFrame(3, "honest"), updateFrame(4, "honest")} {
				links[0].Message(f, true, time.Millisecond)
			}
			for _, f := range c.frames {
				links[1].Message(f, true, time.Millisecond)
			}
			wantFindings(t, c.name, links[1].bot.s.check.findings, c.want)
		})
	}
}

// TestMissedTicksAreCounted shows which ticks a connection did not get.
func TestMissedTicksAreCounted(t *testing.T) {
	links := audience(t, 2)
	for i := range 6 {
		links[0].Message(tickText(1, int64(200+i)), true, time.Millisecond)
	}
	for _, i := range []int64{0, 3, 4, 5} {
		links[1].Message(tickText(1, 200+i), true, time.Millisecond)
	}
	s := links[1].bot.s
	if n := s.check.get(countTicksMissed); n != 2 {
		t.Errorf("%d ticks were missed, not 2", n)
	}
	wantFindings(t, "missed ticks are no failure", s.check.findings, "")

	links[1].meter.warming.Store(true)
	for i := range 3 {
		links[0].Message(tickText(1, int64(206+i)), true, time.Millisecond)
	}
	links[1].Message(tickText(1, 208), true, time.Millisecond)
	if n, early := s.check.get(countTicksMissed), s.check.get(countTicksMissed+earlySuffix); n != 2 || early != 2 {
		t.Errorf("%d ticks were missed, and %d before the warm-up ended; not 2 and 2", n, early)
	}
}

// TestHistogramsCrossProcesses shows that nothing is lost on the way.
func TestHistogramsCrossProcesses(t *testing.T) {
	h := newHistogram()
	for i := range 10_000 {
		recordIn(h, time.Duration(i*i)*time.Microsecond)
	}
	for _, in := range []histogram{{h}, {newHistogram()}, {}} {
		text, err := in.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var out histogram
		if err := out.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		if in.Histogram == h && !h.Equals(out.Histogram) || in.Histogram != h && out.Histogram != nil {
			t.Errorf("%v came out as %v", in, out)
		}
	}
}

// BenchmarkAnotherSighting is the swarm's own part of receiving an update: what
// the checks cost once another bot got the same, without the kernel.
func BenchmarkAnotherSighting(b *testing.B) {
	const bots = 1000
	links := audience(b, bots)
	seq, frame := uint64(1), []byte(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%bots == 0 {
			seq++
			frame = updateFrame(seq, "honest")
		}
		links[i%bots].Message(frame, true, time.Millisecond)
	}
}
