package sim

import (
	"encoding/json"
	"maps"
	"slices"

	"tickcast/internal/linear"
	"tickcast/room"
	"tickcast/wire"
)

// history is what happened to accounts: bookings from when the fold asks for them until
// their results are in the log, and balances that players were told.
type history struct {
	bookings map[string]*booking
	reads    []linear.Operation
}

type booking struct {
	wire.Booking
	asked, settled int64
	result         wire.BookingResult
}

func (h *history) asked(now int64, b wire.Booking) {
	if h.bookings == nil {
		h.bookings = map[string]*booking{}
	}
	h.bookings[b.ID] = &booking{Booking: b, asked: now}
}

func (h *history) result(t *truth, rec room.Record) {
	var r wire.BookingResult
	if rec.Kind != wire.KindResult || json.Unmarshal(rec.Data, &r) != nil {
		return
	}
	b := h.bookings[r.ID]
	switch {
	case b == nil:
		t.w.fail("a result of %s, which nobody asked for", r.ID)
	case b.settled == 0:
		b.settled, b.result = t.w.now, r
	case b.result != r:
		t.w.fail("%s has two results: %+v and %+v", r.ID, b.result, r)
	}
}

// roundOf is the round of a stake.
func (h *history) roundOf(stake string) uint64 { return h.bookings[stake].Bet.Round }

// operations are those on accounts.
func (h *history) operations() []linear.Operation {
	list := slices.Clone(h.reads)
	for _, id := range slices.Sorted(maps.Keys(h.bookings)) {
		b := h.bookings[id]
		o := linear.Operation{
			Account: b.Player, Amount: b.Amount, Invoke: b.asked, Return: b.settled, Outcome: linear.Done,
			Balance: b.result.Balance, Version: b.result.Version,
		}
		switch {
		case b.Kind == wire.BookStake:
			o.Kind = linear.Stake
			if !b.result.Booked {
				o.Outcome, o.Balance, o.Version = linear.Refused, 0, 0
				if b.result.Code == wire.CodeInsufficientFunds {
					o.Outcome, o.Balance, o.Version = linear.Short, b.result.Balance, b.result.Version
				}
			}
		case b.Kind == wire.BookPayout:
			o.Kind = linear.Payout
		case b.Kind == wire.BookCancel && h.bookings[b.Stake].result.Booked:
			o.Kind, o.Amount = linear.Refund, h.bookings[b.Stake].Amount
		case b.Kind == wire.BookRefill && b.result.Booked:
			o.Kind = linear.Refund
		default:
			continue
		}
		list = append(list, o)
	}
	return list
}
