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
	recordInto(&l.h, d)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMost.Microseconds(), 3)
}

func recordIn(h *hdrhistogram.Histogram, d time.Duration) {
	// A value in range cannot be refused; zero counts as a microsecond.
	_ = h.RecordValue(min(max(d, time.Microsecond), latencyMost).Microseconds())
}

// copy gives everything that l has recorded, nil for nothing.
func (l *latency) copy() *hdrhistogram.Histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h == nil {
		return nil
	}
	return l.h.Clone()
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
	Curve []Quantile    `json:"curve,omitempty"` // ascending
}

// Quantile is one point of a distribution: so much of it lies at or below At.
type Quantile struct {
	Percent float64       `json:"percent"`
	At      time.Duration `json:"ns"`
}

// summarise turns a histogram into one line of the report.
func summarise(name string, h *hdrhistogram.Histogram) Latency {
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	l := Latency{
		Name: name, Count: h.TotalCount(), Mean: micros(int64(h.Mean())),
		P50: micros(h.ValueAtQuantile(50)), P90: micros(h.ValueAtQuantile(90)), P99: micros(h.ValueAtQuantile(99)),
		P999: micros(h.ValueAtQuantile(99.9)), Max: micros(h.Max()),
	}
	for _, q := range curveQuantiles(h.TotalCount()) {
		l.Curve = append(l.Curve, Quantile{Percent: q, At: micros(h.ValueAtQuantile(q))})
	}
	return l
}

// curveQuantiles are the percentiles of a curve with an axis that stretches
// towards 100 %: four points for each halving of what is left, as far as so many
// values can tell.
func curveQuantiles(count int64) []float64 {
	var out []float64
	const step = 0.8409 // the fourth root of a half
	for left := step; left*float64(count) >= 1; left *= step {
		out = append(out, 100*(1-left))
	}
	return out
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
	latencyConnect   = "connect"                // dial to welcome
	latencyJoin      = "join"                   // join to joined
	latencyReconnect = "reconnect"              // intended return to joined again
	latencySpread    = "spread"                 // first bot of the process to each of its bots, the same update
	latencyWhole     = "spread (first to last)" // of all bots of all processes, one value per update
	latencyDelivery  = "delivery"               // game time of an update or tick to its arrival, over the least that was seen
	latencyReplay    = "replay"                 // like spread, updates that a joined brought from the past
	latencySlow      = "spread" + slowSuffix
	latencyChat      = "chat" // own line to its echo
	latencyPing      = "ping" // an idle bot's last ping to its answer
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
