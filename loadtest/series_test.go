package loadtest

import (
	"testing"
	"time"
)

// TestSeriesOfSeveralProcesses shows that samples that come late or in one for
// several seconds are put where they belong.
func TestSeriesOfSeveralProcesses(t *testing.T) {
	s := newSeries(2)
	for _, c := range []struct {
		worker   int
		at       time.Duration
		messages uint64
	}{
		{0, 1020 * time.Millisecond, 100},
		{1, 990 * time.Millisecond, 10},
		{0, 2 * time.Second, 200},
		{0, 3 * time.Second, 300},
		{1, 3 * time.Second, 50}, // two seconds in one
		{0, 4 * time.Second, 400},
		{1, 4100 * time.Millisecond, 60},
	} {
		h := newHistogram()
		recordIn(h, c.at/100)
		s.add(c.worker, &sample{At: c.at, Messages: c.messages, Connected: int64(c.worker + 1), Spread: histogram{h}})
	}
	got := s.finish()
	want := []float64{110, 120, 120, 110}
	if len(got) != len(want) {
		t.Fatalf("%d points: %+v", len(got), got)
	}
	for i, p := range got {
		if p.At != float64(i+1) || p.Width != 1 || p.Messages != want[i] || p.Connected != 3 {
			t.Errorf("point %d: %+v", i, p)
		}
	}
	if got[0].Spread.Count != 2 || got[3].Spread.Max < 40*time.Millisecond {
		t.Errorf("spreads: %+v, %+v", got[0].Spread, got[3].Spread)
	}
}

// TestSeriesStaysBounded shows that a long run has fewer points, and the same sum.
func TestSeriesStaysBounded(t *testing.T) {
	s := newSeries(1)
	const seconds = 10 * maxPoints
	for i := 1; i <= seconds; i++ {
		s.add(0, &sample{At: time.Duration(i) * time.Second, Messages: uint64(7 * i)})
	}
	points := s.finish()
	sum, width := 0.0, 0.0
	for _, p := range points {
		sum += p.Messages * p.Width
		width += p.Width
	}
	if len(points) > 2*maxPoints || width != seconds || sum != 7*seconds {
		t.Errorf("%d points over %v s with %v messages", len(points), width, sum)
	}
}
