package room

import (
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/wire"
)

// metrics are the counters of a process's replicas. Rooms and players are never
// labels.
type metrics struct {
	records    map[wire.Kind]prometheus.Counter // read only after newMetrics
	claims     *prometheus.CounterVec           // by outcome
	offers     *prometheus.CounterVec           // by outcome
	fills      prometheus.Counter
	restarts   prometheus.Counter
	owned      prometheus.Gauge
	halted     prometheus.Gauge
	feedDrops  prometheus.Counter
	askRefused prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tickcast_room_records_total", Help: "Log records folded, by kind.",
	}, []string{"kind"})
	m := &metrics{
		records: map[wire.Kind]prometheus.Counter{},
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickcast_room_claims_total", Help: "Claims of partitions, by outcome (won, refused, superseded, fenced, released).",
		}, []string{"outcome"}),
		offers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickcast_room_offers_total", Help: "Offers of partitions to better candidates, by outcome (taken, declined, timeout, unsent).",
		}, []string{"outcome"}),
		fills: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_gap_fills_total", Help: "Gaps in the live feed that were read from the log.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_restores_total", Help: "Replicas that started from a snapshot.",
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tickcast_room_partitions_owned", Help: "Partitions that this process owns.",
		}),
		halted: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tickcast_room_partitions_halted", Help: "Replicas that stopped because going on would be a different history.",
		}),
		feedDrops: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_feed_malformed_total", Help: "Messages on the feed that are not records.",
		}),
		askRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_asks_refused_total", Help: "Requests to an owner that do not parse.",
		}),
	}
	for _, k := range []wire.Kind{wire.KindCommand, wire.KindAction, wire.KindResult, wire.KindClaim, wire.KindOwner} {
		m.records[k] = records.WithLabelValues(string(k))
	}
	if reg != nil {
		reg.MustRegister(records, m.claims, m.offers, m.fills, m.restarts, m.owned, m.halted, m.feedDrops, m.askRefused)
	}
	return m
}
