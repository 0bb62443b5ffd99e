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
	lost       prometheus.Counter
	fills      prometheus.Counter
	restarts   prometheus.Counter
	owned      prometheus.Gauge
	halted     prometheus.Gauge
	feedDrops  prometheus.Counter
	askRefused prometheus.Counter

	trimmed       prometheus.Counter
	archivedBytes prometheus.Counter
	trimFailures  prometheus.Counter
	first         *prometheus.GaugeVec // by partition
}

func newMetrics(reg prometheus.Registerer) *metrics {
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tickcast_room_records_total", Help: "Log records folded, by kind.",
	}, []string{"kind"})
	m := &metrics{
		records: map[wire.Kind]prometheus.Counter{},
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickcast_room_claims_total", Help: "Claims of partitions, by outcome (won, renewed, refused, superseded, fenced, released).",
		}, []string{"outcome"}),
		offers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickcast_room_offers_total", Help: "Offers of partitions to better candidates, by outcome (taken, declined, timeout, unsent).",
		}, []string{"outcome"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_lost_tails_total", Help: "Records folded that tell that the log had lost its tail.",
		}),
		fills: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_gap_fills_total", Help: "Gaps in the live feed that were read from the log.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_restores_total", Help: "Replicas that started, or went on, from a snapshot.",
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
		trimmed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_trimmed_records_total", Help: "Records that were purged from logs, behind their archive.",
		}),
		archivedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_archived_bytes_total", Help: "Bytes that were stored in the archive.",
		}),
		trimFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tickcast_room_trim_failures_total", Help: "Times that a log was not trimmed; the next time makes up for it.",
		}),
		first: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tickcast_room_log_first_record", Help: "Oldest record of a partition's log, as of when this process last trimmed it or started.",
		}, []string{"partition"}),
	}
	for _, k := range []wire.Kind{wire.KindCommand, wire.KindAction, wire.KindResult, wire.KindClaim, wire.KindOwner} {
		m.records[k] = records.WithLabelValues(string(k))
	}
	if reg != nil {
		reg.MustRegister(records, m.claims, m.offers, m.lost, m.fills, m.restarts, m.owned, m.halted, m.feedDrops, m.askRefused,
			m.trimmed, m.archivedBytes, m.trimFailures, m.first)
	}
	return m
}
