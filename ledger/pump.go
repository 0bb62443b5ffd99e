package ledger

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxBatch bounds the messages of one transaction.
	maxBatch = 500
	// maxAckPending bounds what all workers together hold.
	maxAckPending = 20_000
	// consumerRetry is the wait before a consumer that could not be made, or was
	// removed, is made again.
	consumerRetry = 500 * time.Millisecond
	// pullExpiry and pullHeartbeat find out within two seconds that the server
	// which held a request for messages is gone; the client's default is 30 s, for
	// which no stake would be booked.
	pullExpiry    = 10 * time.Second
	pullHeartbeat = time.Second
	// drainTimeout bounds how long a worker that stops waits for its own batch.
	drainTimeout = 5 * time.Second
)

// pump takes messages from a durable consumer in batches. A batch is what has
// arrived while the one before was handled: a single message at once when it is
// quiet, up to maxBatch under load.
type pump struct {
	js      jetstream.JetStream
	stream  string
	durable string
	ackWait time.Duration
	log     *slog.Logger
	// handle owns the messages: it acknowledges, refuses or terminates each. Its
	// context ends drainTimeout after that of run.
	handle func(ctx context.Context, batch []jetstream.Msg)
}

// run pumps until ctx ends. A stream that is not there yet is waited for.
func (p *pump) run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })
	defer stop()
	waiting := false
	for ctx.Err() == nil {
		err := p.session(ctx, work)
		if err == nil {
			waiting = false
		} else if !waiting {
			p.log.Warn("waiting for the stream", "stream", p.stream, "err", err)
			waiting = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(consumerRetry):
		}
	}
	return nil
}

// consumerConfig is that of the durable consumers, which begin with the first message that
// the stream has.
func consumerConfig(durable string, ackWait time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       durable,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
	}
}

// session pumps until the consumer is gone or ctx ends.
func (p *pump) session(ctx, work context.Context) error {
	consumer, err := p.js.CreateOrUpdateConsumer(ctx, p.stream, consumerConfig(p.durable, p.ackWait))
	if err != nil {
		return err
	}
	arrived, quit := make(chan jetstream.Msg, maxBatch), make(chan struct{})
	defer close(quit)
	consuming, err := consumer.Consume(
		func(m jetstream.Msg) {
			select {
			case arrived <- m:
			case <-quit:
			}
		},
		jetstream.PullMaxMessages(2*maxBatch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			if ctx.Err() == nil {
				p.log.Debug("consumer", "stream", p.stream, "err", err)
			}
		}),
	)
	if err != nil {
		return err
	}
	p.loop(ctx, work, arrived, consuming.Closed())
	giveBack(consuming, arrived)
	return nil
}

// giveBack returns what was fetched and not handled at once instead of after
// AckWait.
func giveBack(consuming jetstream.ConsumeContext, arrived <-chan jetstream.Msg) {
	consuming.Drain()
	late := time.NewTimer(drainTimeout) // the connection may be down
	defer late.Stop()
	for {
		select {
		case m := <-arrived:
			_ = m.Nak() // if it is lost the message comes back after AckWait
		case <-consuming.Closed():
			return
		case <-late.C:
			consuming.Stop()
			return
		}
	}
}

func (p *pump) loop(ctx, work context.Context, arrived <-chan jetstream.Msg, closed <-chan struct{}) {
	for {
		var batch []jetstream.Msg
		select {
		case <-ctx.Done():
			return
		case <-closed:
			return
		case m := <-arrived:
			batch = append(batch, m)
		}
		p.handle(work, gather(batch, arrived))
	}
}

// gather adds what has arrived already.
func gather(batch []jetstream.Msg, arrived <-chan jetstream.Msg) []jetstream.Msg {
	for len(batch) < maxBatch {
		select {
		case m := <-arrived:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}
