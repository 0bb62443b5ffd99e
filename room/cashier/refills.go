package cashier

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// opRefill is the one operation of a cashier (P4.10).
const opRefill = "refill"

// maxWaiting bounds the commands of one player that wait for the same refill: as
// many as a session may have in flight.
const maxWaiting = wire.MaxCommandsInFlight

// refills are the refills that the ledger has not answered yet, at most one for a
// player: who asks again meanwhile waits for the same one.
type refills struct {
	byPlayer map[string]*refill
	byID     map[string]*refill
}

// refill is one of them.
type refill struct {
	ID      string     `json:"id"` // of its booking
	Player  string     `json:"player"`
	Waiting []game.Ref `json:"waiting"` // in log order
}

// refillResult answers a refill.
type refillResult struct {
	Amount  int64 `json:"amount"`
	Balance int64 `json:"balance"`
	Version int64 `json:"version"`
}

func newRefills(list []*refill) refills {
	rs := refills{byPlayer: map[string]*refill{}, byID: map[string]*refill{}}
	for _, f := range list {
		rs.add(f)
	}
	return rs
}

func (rs *refills) add(f *refill) {
	rs.byPlayer[f.Player], rs.byID[f.ID] = f, f
}

func (r *room) refill(at game.At, c game.Command, fx *game.Effects) {
	if f := r.refills.byPlayer[c.Player]; f != nil {
		if len(f.Waiting) >= maxWaiting {
			fx.Refuse(c.Ref, wire.Errorf(wire.CodeTooManyCommands, "at most %d commands wait for one refill", maxWaiting))
			return
		}
		f.Waiting = append(f.Waiting, c.Ref)
		return
	}
	f := &refill{ID: refillID(c.Ref), Player: c.Player, Waiting: []game.Ref{c.Ref}}
	r.refills.add(f)
	b := r.booking(at, wire.BookRefill, f.ID)
	b.Player, b.Name, b.Guest, b.Amount = c.Player, c.Name, c.Guest, wire.GrantAmount
	fx.Book(b)
}

// answer answers everybody who waits for a refill with its result.
func (rs *refills) answer(b wire.BookingResult, fx *game.Effects) {
	f := rs.byID[b.ID]
	if f == nil {
		return
	}
	delete(rs.byID, f.ID)
	delete(rs.byPlayer, f.Player)
	for _, ref := range f.Waiting {
		if b.Booked {
			fx.Answer(ref, refillResult{Amount: wire.GrantAmount, Balance: b.Balance, Version: b.Version})
			continue
		}
		fx.Refuse(ref, refusal(b.Code))
	}
}

func refusal(code wire.Code) *wire.Error {
	if code == wire.CodeBalanceNotZero {
		return wire.Errorf(code, "refills are for players who cannot cover a stake of %d", wire.SmallestStake)
	}
	return wire.Errorf(code, "the ledger refused the refill")
}

// refillID derives the booking's ID from the command, so that the same command
// is the same booking even when its key has long been forgotten here.
func refillID(ref game.Ref) string {
	h := sha256.New()
	h.Write([]byte(ref.Player))
	h.Write([]byte{0})
	h.Write([]byte(ref.Key))
	return "refill/" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// list is the refills in a fixed order.
func (rs *refills) list() []*refill {
	out := make([]*refill, 0, len(rs.byPlayer))
	for _, p := range slices.Sorted(maps.Keys(rs.byPlayer)) {
		out = append(out, rs.byPlayer[p])
	}
	return out
}
