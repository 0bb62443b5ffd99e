package ledger

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a worker counts. Labels have few values, none of them a
// player's or a room's.
type metrics struct {
	bookings   *prometheus.CounterVec // kind, outcome
	malformed  *prometheus.CounterVec // stream
	batchSize  prometheus.Histogram
	batchTime  prometheus.Histogram
	retries    prometheus.Counter
	unanswered prometheus.Counter
	lag        *prometheus.GaugeVec   // stream
	rewinds    *prometheus.CounterVec // stream
	databaseUp prometheus.Gauge
	queries    *prometheus.CounterVec // op, outcome
	repairs    prometheus.Counter
	cacheUp    prometheus.Gauge
	dropped    prometheus.Counter
	calls      *prometheus.CounterVec // op, outcome
	callTime   prometheus.Histogram
	waiting    prometheus.Gauge
	oldest     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "tickcast", Subsystem: "ledger", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts(counter(name, help))
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "tickcast", Subsystem: "ledger", Name: name, Help: help, Buckets: buckets}
	}
	m := &metrics{
		bookings: prometheus.NewCounterVec(counter("bookings_total",
			"Bookings by kind and outcome: booked, repeated, or the code of the refusal."), []string{"kind", "outcome"}),
		malformed: prometheus.NewCounterVec(counter("malformed_total",
			"Messages that were dropped because they are no booking or session event, or can never be stored."), []string{"stream"}),
		batchSize: prometheus.NewHistogram(histogram("batch_bookings",
			"Bookings per transaction.", prometheus.ExponentialBuckets(1, 2, 10))),
		batchTime: prometheus.NewHistogram(histogram("batch_seconds",
			"Time from the begin of a transaction to its commit.", prometheus.ExponentialBuckets(0.0005, 2, 14))),
		retries: prometheus.NewCounter(counter("batch_retries_total",
			"Batches that were tried again because the database was unreachable or overloaded.")),
		unanswered: prometheus.NewCounter(counter("results_failed_total",
			"Results that the log did not take in time; their bookings are delivered again.")),
		lag: prometheus.NewGaugeVec(gauge("lag_messages",
			"Messages that wait in a stream or are being worked on."), []string{"stream"}),
		rewinds: prometheus.NewCounterVec(counter("rewinds_total",
			"Times that a consumer which had passed messages over was begun again, by stream: the stream lost its tail."), []string{"stream"}),
		databaseUp: prometheus.NewGauge(gauge("database_up", "Whether the last transaction succeeded.")),
		queries:    prometheus.NewCounterVec(counter("queries_total", "Queries by operation and outcome."), []string{"op", "outcome"}),
		repairs:    prometheus.NewCounter(counter("redis_repairs_total", "Times that the copy in Redis was made again from the book.")),
		cacheUp:    prometheus.NewGauge(gauge("redis_up", "Whether the last write to Redis succeeded.")),
		dropped: prometheus.NewCounter(counter("redis_dropped_total",
			"Changes that were not copied because Redis was away too long; a repair follows.")),
		calls: prometheus.NewCounterVec(counter("wallet_calls_total",
			"What the operator's wallet was asked for, by operation and outcome: done, refused, or unknown after a few seconds of tries."), []string{"op", "outcome"}),
		callTime: prometheus.NewHistogram(histogram("wallet_call_seconds",
			"Time until the operator's wallet gave a definite answer or was given up for now.", prometheus.ExponentialBuckets(0.001, 2, 14))),
		waiting: prometheus.NewGauge(gauge("wallet_queue_calls", "Calls of the operator's wallet whose outcome is not known.")),
		oldest:  prometheus.NewGauge(gauge("wallet_queue_seconds", "For how long the oldest of them waits.")),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.bookings, m.malformed, m.batchSize, m.batchTime, m.retries, m.unanswered,
		m.lag, m.rewinds, m.databaseUp, m.queries, m.repairs, m.cacheUp, m.dropped,
		m.calls, m.callTime, m.waiting, m.oldest,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the ledger: %w", err)
		}
	}
	return m, nil
}
