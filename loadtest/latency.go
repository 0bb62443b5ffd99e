package loadtest

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latency is a histogram of durations, exact to three digits from a microsecond
// to latencyMost. The zero value is ready. It is safe for concurrent use.
type latency struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // guarded by mu; nil while empty
}

// latencyMost is the largest duration that is told from larger ones.
const latencyMost = 10 * time.Minute

func (l *latency) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h == nil {
		l.h = hdrhistogram.New(1, latencyMost.Microseconds(), 3)
	}
	// A value in range cannot be refused; zero counts as a microsecond.
	_ = l.h.RecordValue(min(max(d, time.Microsecond), latencyMost).Microseconds())
}

// mergeInto adds everything that l has recorded to sum.
func (l *latency) mergeInto(sum *hdrhistogram.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h != nil {
		sum.Merge(l.h)
	}
}

// Latency is a measured distribution. Durations of commands count from the time
// at which the command was meant to be sent.
type Latency struct {
	Name  string        `json:"name"`
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// summarise merges histograms into one line of the report.
func summarise(name string, parts ...*latency) Latency {
	sum := hdrhistogram.New(1, latencyMost.Microseconds(), 3)
	for _, p := range parts {
		p.mergeInto(sum)
	}
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return Latency{
		Name: name, Count: sum.TotalCount(), Mean: micros(int64(sum.Mean())),
		P50: micros(sum.ValueAtQuantile(50)), P90: micros(sum.ValueAtQuantile(90)), P99: micros(sum.ValueAtQuantile(99)),
		P999: micros(sum.ValueAtQuantile(99.9)), Max: micros(sum.Max()),
	}
}

// droppedSuffix marks latencies of commands during which the bot lost its
// connection on purpose: they contain its own absence.
const droppedSuffix = " (dropped)"

// measure is the set of named latencies of a swarm.
type measure struct {
	mu sync.Mutex
	by map[string]*latency // guarded by mu
}

// Names of latencies.
const (
	latencyConnect   = "connect"   // dial to welcome
	latencyJoin      = "join"      // join to joined
	latencyReconnect = "reconnect" // intended return to joined again
	latencySpread    = "spread"    // first bot to each bot, the same update
	latencyReplay    = "replay"    // first bot to each bot, updates that a joined brought from the past
	latencyChat      = "chat"      // own line to its echo
)

func (m *measure) record(name string, d time.Duration) {
	m.get(name).record(d)
}

func (m *measure) get(name string) *latency {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[string]*latency{}
	}
	l := m.by[name]
	if l == nil {
		l = &latency{}
		m.by[name] = l
	}
	return l
}
