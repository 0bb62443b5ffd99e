package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"tickcast/ledger/wallet"
	"tickcast/wire"
)

// orderQueue bounds the orders that wait: people give them.
const orderQueue = 16

// takeOrders does what operators say about the wallet's queue until ctx ends.
func (w *Worker) takeOrders(ctx context.Context) error {
	orders := make(chan *nats.Msg, orderQueue)
	sub, err := w.conn.ChanQueueSubscribe(wire.LedgerOrderSubject, queryGroup, orders)
	if err != nil {
		return fmt.Errorf("subscribe to orders: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-orders:
			w.reply(m, w.order(context.WithoutCancel(ctx), m.Data))
		}
	}
}

// order does one order.
func (w *Worker) order(ctx context.Context, data []byte) wire.LedgerReply {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var o wire.WalletOrder
	if err := json.Unmarshal(data, &o); err != nil || !validID(o.ID) || !wire.ValidText(o.Operator, maxTextBytes) ||
		!text(o.Reason, maxReasonBytes) {
		return refuse(wire.CodeBadArgs, "an order is an object with op, id, operator and perhaps a reason")
	}
	err := w.obey(ctx, o)
	var refusal *wire.Error
	switch {
	case errors.Is(err, errNoCall):
		return refuse(wire.CodeNoBet, errNoCall.Error())
	case errors.As(err, &refusal):
		return wire.LedgerReply{Error: refusal}
	case err != nil:
		w.log.Warn("an order about the wallet was not done", "op", o.Op, "id", o.ID, "err", err)
		return refuse(wire.CodeUnavailable, "the ledger's database cannot be asked at the moment")
	}
	w.log.Info("order about the wallet", "op", o.Op, "id", o.ID, "operator", o.Operator, "reason", o.Reason)
	return wire.LedgerReply{Data: json.RawMessage(`{"ok":true}`)}
}

func (w *Worker) obey(ctx context.Context, o wire.WalletOrder) error {
	if o.Op == wire.WalletRetry {
		if err := w.book.hurryCall(ctx, o.ID); err != nil {
			return err
		}
		w.caller.poke()
		return nil
	}
	c, err := w.book.openCall(ctx, o.ID)
	if err != nil {
		return err
	}
	v := &verdict{op: c.op, by: o.Operator, answer: wallet.Answer{Done: true}}
	switch {
	case o.Op == wire.WalletDone:
	case o.Op == wire.WalletDenied && c.op == opWithdraw:
		v.answer = wallet.Answer{Code: wallet.CodeBlocked}
	default:
		return wire.Errorf(wire.CodeBadArgs, "op is retry, done, or for a withdrawal denied")
	}
	booking, err := c.decoded()
	if err != nil {
		return err
	}
	args, err := json.Marshal(map[string]string{"id": o.ID, "reason": o.Reason})
	if err != nil {
		return err
	}
	id, now := uuid.Must(uuid.NewV7()).String(), time.Now().UnixMilli()
	audit := wire.Booking{
		ID: "audit/" + id, Kind: wire.BookAudit, Room: booking.Room, At: now, Operator: o.Operator,
		Audit: &wire.Action{ID: id, Operator: o.Operator, Op: "wallet_" + o.Op, At: now, Args: args},
	}
	// One transaction, so that nothing is resolved without a trace.
	done, err := w.book.apply(ctx, []wire.Booking{booking, audit}, map[string]*verdict{booking.ID: v})
	if err != nil {
		return err
	}
	done.results, done.outcomes = done.results[:1], done.outcomes[:1] // nobody waits for the trace
	w.tell([]delivered{{booking: booking}}, done)
	return nil
}
