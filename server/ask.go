package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/wire"
)

// askTimeout bounds one request to an owner or a ledger worker. They answer from
// memory, or from an index.
const askTimeout = time.Second

// asker asks owners and ledger workers. It is safe for concurrent use.
type asker struct{ nc *nats.Conn }

// owner asks the owner of a partition. An error in the reply is an error here, of
// type *wire.Error.
func (a asker) owner(ctx context.Context, partition int, ask wire.Ask) (wire.AskReply, error) {
	var reply wire.AskReply
	if err := a.request(ctx, wire.AskSubject(partition), ask, &reply); err != nil {
		return wire.AskReply{}, fmt.Errorf("ask owner of partition %d: %w", partition, err)
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// ledger asks a ledger worker and decodes the data of its reply into v.
func (a asker) ledger(ctx context.Context, q wire.LedgerQuery, v any) error {
	var reply wire.LedgerReply
	if err := a.request(ctx, wire.LedgerQuerySubject, q, &reply); err != nil {
		return fmt.Errorf("ask ledger: %w", err)
	}
	if reply.Error != nil {
		return reply.Error
	}
	if err := json.Unmarshal(reply.Data, v); err != nil {
		return fmt.Errorf("ask ledger: decode %s: %w", q.Op, err)
	}
	return nil
}

func (a asker) request(ctx context.Context, subject string, v, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := a.nc.RequestWithContext(ctx, subject, encode(v))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(m.Data, reply); err != nil {
		return fmt.Errorf("decode reply: %w", err)
	}
	return nil
}

// isCode reports whether err is a refusal with the given code.
func isCode(err error, c wire.Code) bool {
	var refusal *wire.Error
	return errors.As(err, &refusal) && refusal.Code == c
}
