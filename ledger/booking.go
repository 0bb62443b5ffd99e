package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

const (
	// maxConfirms bounds the batches whose results are on the way to the log.
	maxConfirms = 8
	// resultTimeout bounds how long the log may take for a result; a partition
	// without a leader must not hold the others up.
	resultTimeout = 2 * time.Second
	// applyTimeout ends a transaction that hangs.
	applyTimeout = time.Minute
	// Waits between tries while the database is away. The longest stays below the
	// time after which held messages are delivered to somebody else.
	outageWait    = 50 * time.Millisecond
	outageWaitMax = 2 * time.Second
	// Waits before a booking is delivered again that lost against others, or whose
	// result the log did not take.
	redeliverWait    = time.Second
	redeliverWaitMax = 30 * time.Second
)

// delivered is a booking with the message that brought it.
type delivered struct {
	msg     jetstream.Msg // nil when the wallet's answer brings it
	booking wire.Booking
	seq     uint64 // of the message in the work queue; 0 without one
	tries   uint64 // how often the message was delivered
}

// What is said to the work queue may be lost: then the message comes once more, after
// the consumer's AckWait, and its booking finds its result.

func (d *delivered) ack() {
	if d.msg != nil {
		_ = d.msg.Ack()
	}
}

func (d *delivered) inProgress() {
	if d.msg != nil {
		_ = d.msg.InProgress()
	}
}

// back returns the message to the queue, for somebody else or for later.
func (d *delivered) back(after time.Duration) {
	if d.msg != nil {
		_ = d.msg.NakWithDelay(after)
	}
}

// handleBookings books a batch of messages and answers them.
func (w *Worker) handleBookings(ctx context.Context, msgs []jetstream.Msg) {
	batch := make([]delivered, 0, len(msgs))
	for _, m := range msgs {
		d, err := parseBooking(m)
		if err != nil {
			w.drop(m, wire.StreamLedger, err)
			continue
		}
		batch = append(batch, d)
	}
	w.bookAndAnswer(ctx, batch, nil)
}

// drop ends a message that can never be worked on.
func (w *Worker) drop(m jetstream.Msg, stream string, err error) {
	w.metrics.malformed.WithLabelValues(stream).Inc()
	w.log.Error("drop message", "stream", stream, "subject", m.Subject(), "bytes", len(m.Data()), "err", err)
	_ = m.TermWithReason("malformed") // if it is lost the message comes once more
}

// parseBooking reads a message of the work queue.
func parseBooking(m jetstream.Msg) (delivered, error) {
	d := delivered{msg: m}
	meta, err := m.Metadata()
	if err != nil {
		return d, err
	}
	d.seq, d.tries = meta.Sequence.Stream, meta.NumDelivered
	d.booking, err = decodeBooking(m.Subject(), m.Data())
	return d, err
}

// decodeBooking reads a booking and checks what must hold before its result has a
// place: its ID, and the partition that it came from. All else the book refuses.
func decodeBooking(subject string, data []byte) (wire.Booking, error) {
	var b wire.Booking
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("decode booking: %w", err)
	}
	token, ok := strings.CutPrefix(subject, "ldg.")
	if p, err := strconv.Atoi(token); !ok || err != nil || p != b.Partition || p < 0 || p >= wire.MaxPartitions {
		return b, fmt.Errorf("booking of partition %d on subject %q", b.Partition, subject)
	}
	if !validID(b.ID) {
		return b, fmt.Errorf("booking ID %.100q is malformed", b.ID)
	}
	return b, nil
}

// bookAndAnswer applies a batch and has its results written to the log. A batch
// that the database refuses is halved, so that a booking which should not exist
// does not stop those beside it. Verdicts are what the wallet said to some of them.
func (w *Worker) bookAndAnswer(ctx context.Context, batch []delivered, verdicts map[string]*verdict) {
	if len(batch) == 0 {
		return
	}
	done, err := w.applyPatiently(ctx, batch, verdicts)
	switch {
	case errors.Is(err, ErrUnbookable) && len(batch) > 1:
		half := len(batch) / 2
		w.bookAndAnswer(ctx, batch[:half], verdicts)
		w.bookAndAnswer(ctx, batch[half:], verdicts)
	case errors.Is(err, ErrUnbookable) && raced(err):
		// It lost against others so often that others may be behind it.
		w.metrics.retries.Inc()
		w.log.Warn("a booking is tried again later", "id", batch[0].booking.ID, "err", err)
		batch[0].back(redeliverAfter(batch[0].tries))
	case errors.Is(err, ErrUnbookable) && batch[0].msg == nil:
		w.log.Error("the wallet's answer cannot be booked", "id", batch[0].booking.ID, "err", err)
	case errors.Is(err, ErrUnbookable):
		w.drop(batch[0].msg, wire.StreamLedger, err)
	case err != nil:
		for _, d := range batch {
			d.back(0)
		}
	default:
		w.tell(batch, done)
	}
}

// tell passes on what a transaction has changed.
func (w *Worker) tell(batch []delivered, done applied) {
	if w.book.custody {
		done.balances = nil // they may change at the wallet without our knowledge
	}
	if w.mirror != nil {
		w.mirror.put(done)
	}
	if w.caller != nil {
		w.caller.poke()
	}
	answered, results := batch[:0:0], done.results[:0:0]
	for i, d := range batch {
		if done.outcomes[i] == labelHeld {
			d.ack() // the call of the wallet brings the answer
			continue
		}
		answered, results = append(answered, d), append(results, done.results[i])
	}
	w.answer(answered, results)
}

// applyPatiently applies a batch and tries again while the database is away, until
// ctx ends.
func (w *Worker) applyPatiently(ctx context.Context, batch []delivered, verdicts map[string]*verdict) (applied, error) {
	bookings := make([]wire.Booking, len(batch))
	for i, d := range batch {
		bookings[i] = d.booking
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = outageWait, outageWaitMax
	return backoff.Retry(ctx, func() (applied, error) {
		start := time.Now()
		attempt, cancel := context.WithTimeout(ctx, applyTimeout)
		done, err := w.book.apply(attempt, bookings, verdicts)
		cancel()
		if errors.Is(err, ErrUnbookable) {
			return done, backoff.Permanent(err)
		}
		if err != nil {
			return done, err
		}
		w.booked(bookings, done, time.Since(start))
		return done, nil
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		w.metrics.databaseUp.Set(0)
		w.metrics.retries.Inc()
		w.log.Warn("batch is tried again", "bookings", len(batch), "in", wait, "err", err)
		for _, d := range batch {
			d.inProgress() // if it is lost somebody else tries the same
		}
	}))
}

func (w *Worker) booked(bookings []wire.Booking, done applied, took time.Duration) {
	w.metrics.databaseUp.Set(1)
	w.metrics.batchSize.Observe(float64(len(bookings)))
	w.metrics.batchTime.Observe(took.Seconds())
	for i, label := range done.outcomes {
		kind := string(bookings[i].Kind)
		if !knownKind(bookings[i].Kind) {
			kind = "unknown"
		}
		w.metrics.bookings.WithLabelValues(kind, label).Inc()
	}
}

// answer publishes the results and acknowledges each booking once its result is
// stored. It returns when they are on their way; the waiting is done beside the
// next transaction.
func (w *Worker) answer(batch []delivered, results []wire.BookingResult) {
	if len(batch) == 0 {
		return
	}
	futures := make([]jetstream.PubAckFuture, len(batch))
	for i, r := range results {
		body, err := json.Marshal(r)
		if err != nil {
			panic(fmt.Sprintf("ledger: marshal %T: %v", r, err))
		}
		msg := &nats.Msg{Subject: wire.ResultSubject(batch[i].booking.Partition), Data: body}
		// The ID names the message of the queue, not the booking alone: when the
		// owner asks again, because it does not have the result, it gets another
		// record; when this message is delivered again it does not.
		futures[i], err = w.js.PublishMsgAsync(msg, jetstream.WithMsgID(resultID(batch[i])), jetstream.WithRetryAttempts(0))
		if err != nil {
			w.log.Debug("publish result", "id", r.ID, "err", err) // the future is nil
		}
	}
	w.confirms.Go(func() error {
		w.confirm(batch, futures)
		return nil
	})
}

// confirm waits for the log's answers. Every future ends within resultTimeout.
func (w *Worker) confirm(batch []delivered, futures []jetstream.PubAckFuture) {
	failed, err := 0, error(nil)
	for i, f := range futures {
		taken := false
		if f != nil {
			select {
			case <-f.Ok():
				taken = true
			case err = <-f.Err():
			}
		}
		d := batch[i]
		if taken {
			d.ack()
			continue
		}
		failed++
		d.back(redeliverAfter(d.tries))
	}
	if failed > 0 {
		w.metrics.unanswered.Add(float64(failed))
		w.log.Warn("results were not taken by the log and are sent again later", "results", failed, "of", len(batch), "err", err)
	}
}

// redeliverAfter is the wait before the next delivery of a booking.
func redeliverAfter(tries uint64) time.Duration {
	return min(redeliverWait*time.Duration(min(tries, 60)), redeliverWaitMax)
}

// resultID hashes the booking's ID, whose bytes are not all fit for a header.
func resultID(d delivered) string {
	sum := sha256.Sum256([]byte(d.booking.ID))
	return "res-" + base64.RawURLEncoding.EncodeToString(sum[:16]) + "-" + strconv.FormatUint(d.seq, 10)
}
