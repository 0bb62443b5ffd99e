package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/wire"
)

// passedFor is for how long a consumer looks as if it had passed messages over before
// it is begun again. Acknowledged messages leave the queue a moment behind the
// acknowledgement, and a server that has just become a stream's leader may tell an older
// end: neither lasts.
const passedFor = 2 * time.Second

// place watches where a durable consumer stands in its stream. Servers that lost the tail
// of a stream may still know the consumer's place, which is behind the end then, and
// sequences are used again: messages up to that place count as acknowledged. They are not
// delivered, and a work queue with replicas throws them away as they come. nats-server puts
// it right for unreplicated consumers only.
type place struct {
	js      jetstream.JetStream
	stream  string
	durable string
	ackWait time.Duration
	log     *slog.Logger
	lag     prometheus.Gauge
	rewinds prometheus.Counter

	// Owned by Worker.report.
	passed uint64    // the message that was passed over, by the look before
	since  time.Time // zero for none
}

func newPlace(w *Worker, stream, durable string) *place {
	return &place{
		js: w.js, stream: stream, durable: durable, ackWait: w.ackWait, log: w.log,
		lag: w.metrics.lag.WithLabelValues(stream), rewinds: w.metrics.rewinds.WithLabelValues(stream),
	}
}

// look measures how much waits, and has a consumer that passed messages over begin
// again with the first one that is left. That is right at any time: what was booked or
// archived already is known. Servers that do not answer are asked by the next look.
func (p *place) look(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, reportInterval)
	defer cancel()
	consumer, err := p.js.Consumer(ctx, p.stream, p.durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		// The pump may not have heard of it.
		_, _ = p.js.CreateOrUpdateConsumer(ctx, p.stream, consumerConfig(p.durable, p.ackWait))
	}
	if err != nil {
		return
	}
	c := consumer.CachedInfo()
	p.lag.Set(float64(waiting(c)))
	// Asked in this order, the stream's end is at least what was delivered.
	stream, err := p.js.Stream(ctx, p.stream)
	if err != nil {
		return
	}
	s := stream.CachedInfo()
	if seq, ok := passedOver(s, c); p.lasts(seq, ok, now) {
		p.log.Error("a consumer passed messages over, as when the stream lost its tail, and begins again",
			"stream", p.stream, "delivered", c.Delivered.Stream, "acknowledged", c.AckFloor.Stream,
			"first", s.State.FirstSeq, "last", s.State.LastSeq, "messages", s.State.Msgs)
		p.rewind(ctx)
	}
}

// rewind has the consumer made again: what its replicas remember of acknowledgements is
// not forgotten by a reset.
func (p *place) rewind(ctx context.Context) {
	if err := p.js.DeleteConsumer(ctx, p.stream, p.durable); err != nil {
		p.log.Error("a consumer cannot be begun again", "stream", p.stream, "err", err)
		return
	}
	p.rewinds.Inc()
}

// lasts reports whether the same message has been passed over for long enough.
func (p *place) lasts(seq uint64, ok bool, now time.Time) bool {
	switch {
	case !ok:
		p.since = time.Time{}
	case p.since.IsZero() || seq != p.passed:
		p.passed, p.since = seq, now
	case now.Sub(p.since) >= passedFor:
		p.since = time.Time{}
		return true
	}
	return false
}

// passedOver tells the sequence of a message that a consumer will not deliver though
// nobody has worked on it: 0 for the next one that comes, as the consumer is ahead of its
// stream, or one that lies in a work queue though it counts as acknowledged. A stream that
// is no work queue keeps what is acknowledged, so that the latter cannot be seen there.
func passedOver(s *jetstream.StreamInfo, c *jetstream.ConsumerInfo) (seq uint64, ok bool) {
	if c.Delivered.Stream > s.State.LastSeq {
		return 0, true
	}
	queue := s.Config.Retention == jetstream.WorkQueuePolicy
	return s.State.FirstSeq, queue && s.State.Msgs > 0 && s.State.FirstSeq <= c.AckFloor.Stream
}

// waiting is the number of messages that wait for a consumer or are being worked on.
func waiting(c *jetstream.ConsumerInfo) uint64 { return c.NumPending + uint64(c.NumAckPending) }

// queued is the number of bookings that wait or are being worked on.
func (w *Worker) queued(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, reportInterval)
	defer cancel()
	c, err := w.js.Consumer(ctx, wire.StreamLedger, bookingsConsumer)
	if err != nil {
		return 0, fmt.Errorf("look up consumer of %s: %w", wire.StreamLedger, err)
	}
	return waiting(c.CachedInfo()), nil
}
