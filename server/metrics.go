package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"tickcast/wire"
)

// metrics of a gateway. No label is a room or a player.
type metrics struct {
	opened         prometheus.Counter
	closedBy       *prometheus.CounterVec
	refusedBy      map[refusal]prometheus.Counter // read only after newMetrics
	messages       map[string]prometheus.Counter  // by type; read only after newMetrics
	errors         *prometheus.CounterVec
	rooms          prometheus.Gauge
	joins          *prometheus.HistogramVec
	gaps           prometheus.Counter
	resets         prometheus.Counter
	skipped        prometheus.Counter
	applyLag       prometheus.Histogram
	commands       *prometheus.HistogramVec
	publishSeconds prometheus.Histogram
	publishRetries prometheus.Counter
	answerAsks     prometheus.Counter
	cacheErrors    prometheus.Counter
	dropped        *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "tickcast_" + name, Help: help})
	}
	counters := func(name, label, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "tickcast_" + name, Help: help}, []string{label})
	}
	seconds := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{
			Name: "tickcast_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}
	}
	m := &metrics{
		opened:   counter("connections_opened_total", "Connections that were accepted."),
		closedBy: counters("connections_closed_total", "reason", "Connections that ended."),
		errors:   counters("errors_total", "code", "Refusals by the gateway."),
		rooms:    f.NewGauge(prometheus.GaugeOpts{Name: "tickcast_rooms_followed", Help: "Rooms that are followed."}),
		joins:    f.NewHistogramVec(seconds("join_seconds", "From join to joined, by where it came from; again for joins that no client asked for."), []string{"kind"}),
		gaps:     counter("feed_gaps_total", "Updates that came before those before them."),
		resets:   counter("feed_resets_total", "Copies of rooms that were replaced under their members."),
		skipped:  counter("skips_total", "Connections that fell off a room's ring."),
		applyLag: f.NewHistogram(prometheus.HistogramOpts{
			Name: "tickcast_apply_lag_updates", Help: "Updates that a client was behind at its pong.",
			Buckets: []float64{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		commands:       f.NewHistogramVec(seconds("command_seconds", "From a command to its answer."), []string{"outcome"}),
		publishSeconds: f.NewHistogram(seconds("publish_seconds", "From publishing a command to the log's acknowledgement.")),
		publishRetries: counter("publish_retries_total", "Attempts to append to a stream without a definite answer."),
		answerAsks:     counter("answer_asks_total", "Answers that were asked for because they did not come."),
		cacheErrors:    counter("cache_errors_total", "Requests to the cache that failed."),
		dropped:        counters("dropped_total", "what", "Records and messages that were given up because a queue was full or their time over."),
		refusedBy:      map[refusal]prometheus.Counter{},
		messages:       map[string]prometheus.Counter{},
	}
	refused := counters("connections_refused_total", "reason", "Connections that were refused before or at the upgrade.")
	for _, r := range refusals() {
		m.refusedBy[r] = refused.WithLabelValues(string(r))
	}
	messages := counters("messages_received_total", "type", "Messages from clients.")
	for _, t := range []string{wire.TypeHello, wire.TypeJoin, wire.TypeLeave, wire.TypeCmd, wire.TypeChat, wire.TypePing, wire.TypePong, otherType} {
		m.messages[t] = messages.WithLabelValues(t)
	}
	return m
}

// otherType is the label of messages of no type.
const otherType = "other"

func (m *metrics) received(messageType string) {
	c, ok := m.messages[messageType]
	if !ok {
		c = m.messages[otherType]
	}
	c.Inc()
}

func (m *metrics) refused(c wire.Code) { m.errors.WithLabelValues(string(c)).Inc() }

func (m *metrics) closed(code wire.CloseCode) { m.closedBy.WithLabelValues(closeReason(code)).Inc() }

func (m *metrics) command(outcome string, took time.Duration) {
	m.commands.WithLabelValues(outcome).Observe(took.Seconds())
}

func (m *metrics) joinSeconds(j *joining, source wire.Source, now time.Time) {
	kind := string(source)
	if j.again {
		kind = "again"
	}
	m.joins.WithLabelValues(kind).Observe(now.Sub(j.since).Seconds())
}

// closeReason is a close code as the label of a metric and the reason of a session's end.
func closeReason(c wire.CloseCode) string {
	switch c {
	case wire.CloseShutdown:
		return "shutdown"
	case wire.CloseExpired:
		return "expired"
	case wire.CloseSlow:
		return "slow"
	case wire.CloseInsufficient:
		return "state_lost"
	case wire.CloseNoPong:
		return "no_pong"
	case wire.CloseTooManyRequests:
		return "flood"
	case wire.CloseInvalidToken:
		return "invalid_token"
	case wire.CloseBadRequest, 1002, 1003, 1007, 1009:
		return "bad_request"
	case wire.CloseStale:
		return "no_hello"
	case wire.CloseKicked:
		return "kicked"
	case wire.CloseConnectionLimit:
		return "connection_limit"
	case wire.CloseOverCapacity:
		return "full"
	case wire.CloseMove:
		return "drain"
	case 1006:
		return "lost"
	}
	return "client"
}
