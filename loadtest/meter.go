package loadtest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// meter counts what some of the connections receive. There is one for each loop
// that reads, so that its lock is hardly ever contended. It is safe for concurrent
// use.
type meter struct {
	warming atomic.Bool // what comes does not count in the end

	mu     sync.Mutex
	frames uint64    // guarded by mu; messages received
	bytes  uint64    // guarded by mu
	early  sightings // guarded by mu; since the last collect, and not to be counted in the end
	second sightings // guarded by mu; since the last collect
	total  sightings // guarded by mu; before the last collect
}

// sightings are histograms of how late things were seen, in microseconds. Nil
// ones are empty.
type sightings struct {
	spread   *hdrhistogram.Histogram // live updates and ticks, behind the first sighting in this process
	delivery *hdrhistogram.Histogram // the same, behind the schedule of game time
	replay   *hdrhistogram.Histogram // updates that a joined brought from the past, behind the first sighting
	slow     *hdrhistogram.Histogram // live updates of bots that are slow on purpose, behind the first sighting
}

// add adds what o has.
func (s *sightings) add(o *sightings) {
	from := o.list()
	for i, to := range s.list() {
		mergeInto(to, *from[i])
	}
}

func (s *sightings) list() []**hdrhistogram.Histogram {
	return []**hdrhistogram.Histogram{&s.spread, &s.delivery, &s.replay, &s.slow}
}

func (s *sightings) reset() {
	for _, h := range s.list() {
		if *h != nil && (*h).TotalCount() > 0 {
			(*h).Reset()
		}
	}
}

// mergeInto adds a histogram to another one; nil ones are empty.
func mergeInto(to **hdrhistogram.Histogram, from *hdrhistogram.Histogram) {
	if from == nil || from.TotalCount() == 0 {
		return
	}
	if *to == nil {
		*to = newHistogram()
	}
	(*to).Merge(from)
}

// recordInto records a duration in a histogram that may be nil.
func recordInto(h **hdrhistogram.Histogram, d time.Duration) {
	if *h == nil {
		*h = newHistogram()
	}
	recordIn(*h, d)
}

func newMeter() *meter { return &meter{} }

// received counts a message.
func (m *meter) received(bytes int) {
	m.mu.Lock()
	m.frames++
	m.bytes += uint64(bytes)
	m.mu.Unlock()
}

// lateness is how late a sighting was.
type lateness struct {
	spread   time.Duration // behind the first one
	delivery time.Duration // behind the schedule of game time
	live     bool          // not brought from the past by a joined
	slow     bool          // the bot is slow on purpose
	bytes    int           // of the message, to be counted as well; 0 if it was
}

func (m *meter) saw(l lateness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.bytes > 0 {
		m.frames++
		m.bytes += uint64(l.bytes)
	}
	switch {
	case l.slow && l.live:
		recordInto(&m.second.slow, l.spread)
	case l.slow:
	case l.live:
		recordInto(&m.second.spread, l.spread)
		recordInto(&m.second.delivery, l.delivery)
	default:
		recordInto(&m.second.replay, l.spread)
	}
}

// sawTick records a tick behind the schedule of game time.
func (m *meter) sawTick(delivery time.Duration) {
	m.mu.Lock()
	recordInto(&m.second.delivery, delivery)
	m.mu.Unlock()
}

// collect adds what was seen since the last time to sum.
func (m *meter) collect(sum *sightings) (frames, bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum.add(&m.early)
	sum.add(&m.second)
	m.total.add(&m.second)
	m.early.reset()
	m.second.reset()
	return m.frames, m.bytes
}

// warm has what was seen so far count in its second only.
func (m *meter) warm() {
	m.warming.Store(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.early.add(&m.second)
	m.second.reset()
	m.total.reset()
}

// counted is how many messages and bytes came.
func (m *meter) counted() (frames, bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.frames, m.bytes
}

// all adds everything that was seen and counts to sum.
func (m *meter) all(sum *sightings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum.add(&m.second)
	sum.add(&m.total)
}
