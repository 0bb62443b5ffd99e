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
	known          bool // the result
	// lost tells that the log has lost what asked for it; strayed, that it had at any time.
	lost, strayed bool
}

func (h *history) asked(now int64, b wire.Booking) {
	if h.bookings == nil {
		h.bookings = map[string]*booking{}
	}
	if was := h.bookings[b.ID]; was != nil { // by records of a tail that was lost
		was.lost = false
		return
	}
	h.bookings[b.ID] = &booking{Booking: b, asked: now}
}

func (h *history) result(t *truth, rec room.Record) {
	r, ok := resultOf(rec)
	if !ok {
		return
	}
	b := h.bookings[r.ID]
	switch {
	case b == nil:
		t.w.fail("a result of %s, which nobody asked for", r.ID)
	case b.known && b.strayed && b.result != r: // asked for again, at another time
		b.settled, b.result = t.w.now, r
	case b.known && b.result != r:
		t.w.fail("%s has two results: %+v and %+v", r.ID, b.result, r)
	case b.settled == 0:
		b.settled, b.result, b.known = t.w.now, r, true
	}
}

func resultOf(rec room.Record) (r wire.BookingResult, ok bool) {
	ok = rec.Kind == wire.KindResult && json.Unmarshal(rec.Data, &r) == nil
	return r, ok
}

// roundOf is the round of a stake.
func (h *history) roundOf(stake string) uint64 { return h.bookings[stake].Bet.Round }

// operations are those on accounts. Of what was asked for in a lost tail, and ended for
// nobody, the book knows how it ended.
func (h *history) operations(l *ledger) []linear.Operation {
	list := slices.Clone(h.reads)
	for _, id := range slices.Sorted(maps.Keys(h.bookings)) {
		b := h.bookings[id]
		result, settled, amount := b.result, b.settled, b.Amount
		if b.strayed {
			booked, ok := l.outcomes[id]
			if !ok {
				continue
			}
			var asked wire.Booking
			if decode(l.asked[id], &asked); asked.ID != "" { // a cash-out that came again may read more
				amount = asked.Amount
			}
			result, settled = booked, l.w.now
		}
		o := linear.Operation{
			Account: b.Player, Amount: amount, Invoke: b.asked, Return: settled, Outcome: linear.Done,
			Balance: result.Balance, Version: result.Version,
		}
		switch {
		case b.Kind == wire.BookStake:
			o.Kind = linear.Stake
			if !result.Booked {
				o.Outcome, o.Balance, o.Version = linear.Refused, 0, 0
				if result.Code == wire.CodeInsufficientFunds {
					o.Outcome, o.Balance, o.Version = linear.Short, result.Balance, result.Version
				}
			}
		case b.Kind == wire.BookPayout && result.Booked:
			o.Kind = linear.Payout
		case b.Kind == wire.BookCancel && l.refunded(b):
			o.Kind, o.Amount = linear.Refund, h.bookings[b.Stake].Amount
		case b.Kind == wire.BookRefill && result.Booked:
			o.Kind = linear.Refund
		default:
			continue
		}
		list = append(list, o)
	}
	return list
}

// refunded reports whether a cancellation gave a stake back: one of a lost tail may have
// before.
func (l *ledger) refunded(b *booking) bool {
	if l.w.truth.lostTails == 0 {
		return l.w.history.bookings[b.Stake].result.Booked
	}
	return l.moved[b.ID] > 0
}
