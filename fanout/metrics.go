package fanout

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Ways of sending, the label "way" of tickcast_fanout_connections.
const (
	wayUring = "uring" // as raw, and broadcasts by io_uring
	wayRaw   = "raw"   // non-blocking sendto on the descriptor
	wayWrite = "write" // the connection's own Write
)

// metrics holds every child resolved once, so that counting is one atomic add.
type metrics struct {
	frames      [classes]prometheus.Counter
	bytes       prometheus.Counter
	dropped     [dropReasons]prometheus.Counter
	slow        [slowReasons]prometheus.Counter
	connections map[string]prometheus.Gauge // by way; read only after newMetrics
	calls       prometheus.Counter
	blocked     prometheus.Gauge
	sendBlocked prometheus.Counter
	behind      prometheus.Counter
	lost        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "tickcast_fanout_" + name, Help: help})
	}
	counters := func(name, label, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "tickcast_fanout_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		bytes:       counter("bytes_total", "Bytes given to sockets."),
		calls:       counter("broadcast_calls_total", "System calls that gave frames of topics to sockets that keep up."),
		sendBlocked: counter("send_blocked_total", "Writes after which a socket took no more bytes."),
		blocked: f.NewGauge(prometheus.GaugeOpts{
			Name: "tickcast_fanout_blocked_connections", Help: "Connections whose backlog waits for their socket.",
		}),
		connections: map[string]prometheus.Gauge{},
	}
	steps := counters("slow_steps_total", "step", "Connections that went down a step of the ladder for slow clients.")
	m.behind, m.lost = steps.WithLabelValues("ticks"), steps.WithLabelValues("snapshot")
	frames := counters("frames_total", "class", "Frames given to sockets.")
	for c := range classes {
		m.frames[c] = frames.WithLabelValues(c.String())
	}
	dropped := counters("dropped_total", "reason", "Frames that were not sent.")
	for r := range dropReasons {
		m.dropped[r] = dropped.WithLabelValues(r.String())
	}
	slow := counters("slow_closed_total", "reason", "Connections closed because they were too slow.")
	for r := range slowReasons {
		m.slow[r] = slow.WithLabelValues(r.String())
	}
	conns := f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tickcast_fanout_connections", Help: "Open connections by way of sending.",
	}, []string{"way"})
	for _, way := range [...]string{wayUring, wayRaw, wayWrite} {
		m.connections[way] = conns.WithLabelValues(way)
	}
	return m
}

// tally counts in plain memory what one pass did.
type tally struct {
	frames  [classes]int
	dropped [dropReasons]int
	bytes   int
	calls   int
	blocked int
}

// add moves t into the counters and clears it.
func (m *metrics) add(t *tally) {
	for c, n := range t.frames {
		if n > 0 {
			m.frames[c].Add(float64(n))
		}
	}
	for r, n := range t.dropped {
		if n > 0 {
			m.dropped[r].Add(float64(n))
		}
	}
	if t.bytes > 0 {
		m.bytes.Add(float64(t.bytes))
	}
	if t.calls > 0 {
		m.calls.Add(float64(t.calls))
	}
	if t.blocked > 0 {
		m.sendBlocked.Add(float64(t.blocked))
	}
	*t = tally{}
}
