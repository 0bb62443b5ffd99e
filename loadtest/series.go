package loadtest

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Point is a stretch of a run, a second unless the run was long. Rates are per
// second.
type Point struct {
	At        float64 `json:"at_s"`      // its end, seconds since the run began
	Width     float64 `json:"width_s"`   // its length, seconds
	Connected int64   `json:"connected"` // at its end
	Joined    int64   `json:"joined"`    // seats joined at least once, at its end
	Messages  float64 `json:"messages_per_s"`
	Bytes     float64 `json:"bytes_per_s"`
	Commands  float64 `json:"commands_per_s"`
	Skips     float64 `json:"skips_per_s"`
	Skipped   float64 `json:"updates_skipped_per_s"`
	Degraded  float64 `json:"degraded_per_s"`
	Closed    float64 `json:"closed_slow_per_s"`

	Spread   Quantiles `json:"spread"`
	Delivery Quantiles `json:"delivery"`
}

// Quantiles are a distribution in short; of a Point that covers several seconds
// the worst of them.
type Quantiles struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// series is the course of a run, put together from the samples of all processes.
type series struct {
	workers int
	before  []sample // of each process, at its last sample
	open    []*slot  // seconds that may still get samples, ascending
	points  []Point
	width   int // seconds that one point covers
	partial Point
	covered int // seconds in partial
}

// slot is one second.
type slot struct {
	second           int
	sum              Point
	gauges           []gauge // by process
	spread, delivery *hdrhistogram.Histogram
}

type gauge struct {
	known             bool
	connected, joined int64
}

const (
	// openSlots is how many seconds wait for processes that are late.
	openSlots = 4
	// maxPoints bounds the points of a report; where there would be more, each covers
	// twice the time.
	maxPoints = 1200
)

func newSeries(workers int) *series {
	return &series{workers: workers, before: make([]sample, workers), width: 1}
}

// add takes in the sample of one process. What it tells of several seconds is spread
// over them.
func (s *series) add(worker int, in *sample) {
	b := &s.before[worker]
	now := secondOf(in.At)
	first := min(now, secondOf(b.At)+1)
	share := 1 / float64(now-first+1)
	for second := first; second <= now; second++ {
		sl := s.slot(second)
		p := &sl.sum
		p.Messages += share * float64(in.Messages-b.Messages)
		p.Bytes += share * float64(in.Bytes-b.Bytes)
		p.Commands += share * float64(in.Commands-b.Commands)
		p.Skips += share * float64(in.Ladder.Skips-b.Ladder.Skips)
		p.Skipped += share * float64(in.Ladder.Skipped-b.Ladder.Skipped)
		p.Degraded += share * float64(in.Ladder.Degraded-b.Ladder.Degraded)
		p.Closed += share * float64(in.Ladder.Closed-b.Ladder.Closed)
		sl.gauges[worker] = gauge{true, in.Connected, in.Joined}
		if second == now {
			mergeInto(&sl.spread, in.Spread.Histogram)
			mergeInto(&sl.delivery, in.Delivery.Histogram)
		}
	}
	*b = *in
	b.Updates, b.Spread, b.Delivery = nil, histogram{}, histogram{}
}

// secondOf is the second of the run that ends nearest to a time.
func secondOf(at time.Duration) int { return int((at + time.Second/2) / time.Second) }

// slot finds a second, the oldest open one if it is older.
func (s *series) slot(second int) *slot {
	for len(s.open) == 0 || s.open[len(s.open)-1].second < second {
		next := second
		if n := len(s.open); n > 0 {
			next = s.open[n-1].second + 1
		}
		s.open = append(s.open, &slot{second: next, gauges: make([]gauge, s.workers)})
		if len(s.open) > openSlots {
			s.close()
		}
	}
	return s.open[max(0, len(s.open)-1-(s.open[len(s.open)-1].second-second))]
}

// close turns the oldest open second into a part of a point.
func (s *series) close() {
	sl := s.open[0]
	s.open = s.open[1:]
	p := sl.sum
	p.At = float64(sl.second)
	for i, g := range sl.gauges {
		if !g.known && len(s.open) > 0 {
			g = s.open[0].gauges[i] // late: what it tells next
		}
		p.Connected += g.connected
		p.Joined += g.joined
	}
	p.Spread, p.Delivery = quantilesOf(sl.spread), quantilesOf(sl.delivery)
	s.partial.extend(&p)
	s.covered++
	if s.covered < s.width {
		return
	}
	s.flush()
	if len(s.points) < 2*maxPoints {
		return
	}
	s.width *= 2
	for i := range s.points[:len(s.points)/2] {
		pair := s.points[2*i].totals()
		second := s.points[2*i+1].totals()
		pair.extend(&second)
		pair.Width = s.points[2*i].Width + s.points[2*i+1].Width
		s.points[i] = pair.rates()
	}
	s.points = s.points[:len(s.points)/2]
}

// flush ends the point that is under way.
func (s *series) flush() {
	if s.covered == 0 {
		return
	}
	s.partial.Width = float64(s.covered)
	s.points = append(s.points, s.partial.rates())
	s.partial, s.covered = Point{}, 0
}

// finish gives all points.
func (s *series) finish() []Point {
	for len(s.open) > 0 {
		s.close()
	}
	s.flush()
	return s.points
}

// extend adds the time behind p. Numbers of both are totals.
func (p *Point) extend(o *Point) {
	p.At, p.Connected, p.Joined = o.At, o.Connected, o.Joined
	for _, f := range p.rateFields(o) {
		*f[0] += *f[1]
	}
	p.Spread.worst(&o.Spread)
	p.Delivery.worst(&o.Delivery)
}

func (p *Point) rateFields(o *Point) [][2]*float64 {
	return [][2]*float64{
		{&p.Messages, &o.Messages},
		{&p.Bytes, &o.Bytes},
		{&p.Commands, &o.Commands},
		{&p.Skips, &o.Skips},
		{&p.Skipped, &o.Skipped},
		{&p.Degraded, &o.Degraded},
		{&p.Closed, &o.Closed},
	}
}

// rates and totals turn the one into the other.
func (p Point) rates() Point {
	for _, f := range p.rateFields(&p) {
		*f[0] /= p.Width
	}
	return p
}

func (p Point) totals() Point {
	for _, f := range p.rateFields(&p) {
		*f[0] *= p.Width
	}
	return p
}

func (q *Quantiles) worst(o *Quantiles) {
	q.Count += o.Count
	q.P50, q.P99, q.Max = max(q.P50, o.P50), max(q.P99, o.P99), max(q.Max, o.Max)
}

func quantilesOf(h *hdrhistogram.Histogram) Quantiles {
	if h == nil {
		return Quantiles{}
	}
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return Quantiles{Count: h.TotalCount(), P50: micros(h.ValueAtQuantile(50)), P99: micros(h.ValueAtQuantile(99)), Max: micros(h.Max())}
}
