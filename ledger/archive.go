package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// handleSessions archives a batch of session events.
func (w *Worker) handleSessions(ctx context.Context, msgs []jetstream.Msg) {
	events := make([]wire.SessionEvent, 0, len(msgs))
	kept := make([]jetstream.Msg, 0, len(msgs))
	for _, m := range msgs {
		e, err := decodeSession(m.Data())
		if err != nil {
			w.drop(m, wire.StreamSessions, err)
			continue
		}
		events, kept = append(events, e), append(kept, m)
	}
	if len(events) == 0 {
		return
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = outageWait, outageWaitMax
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := w.book.ArchiveSessions(ctx, events)
		if err != nil && unbookable(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		w.log.Warn("session events are archived later", "events", len(events), "in", wait, "err", err)
		for _, m := range kept {
			_ = m.InProgress() // if it is lost somebody else archives the same
		}
	}))
	for _, m := range kept {
		switch {
		case err == nil:
			_ = m.Ack() // if it is lost the event comes once more and is known
		case unbookable(err):
			w.drop(m, wire.StreamSessions, err)
		default:
			_ = m.Nak() // if it is lost the message comes back after AckWait
		}
	}
}

func decodeSession(data []byte) (wire.SessionEvent, error) {
	var e wire.SessionEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("decode session event: %w", err)
	}
	if !storableSession(e) {
		return e, errors.New("session event without an ID or with a text that is too long")
	}
	return e, nil
}
