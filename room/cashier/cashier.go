package cashier

import (
	"encoding/json"
	"fmt"

	"tickcast/room/game"
	"tickcast/wire"
)

// Name is the name of this kind. It is in no list of games that operators can
// create.
const Name = "cashier"

// Kind makes cashiers. The zero value is ready.
type Kind struct{}

var _ game.Kind = Kind{}

// Name implements game.Kind.
func (Kind) Name() string { return Name }

// Rules implements game.Kind.
func (Kind) Rules() int { return 1 }

// New implements game.Kind. A cashier has no settings; it refuses any.
func (Kind) New(_ game.At, c game.Config, _ *game.Effects) (game.Room, *wire.Error) {
	if len(c.Settings) > 0 {
		return nil, wire.Errorf(wire.CodeBadSettings, "the cashier has no settings")
	}
	return &room{
		id: c.ID, partition: c.Partition,
		refills: newRefills(nil), sanctions: newSanctions(nil),
	}, nil
}

// room implements game.Room.
type room struct {
	// Static after New.
	id        string
	partition int

	refills   refills
	sanctions sanctions
}

var (
	_ game.Room        = (*room)(nil)
	_ game.Sanctioning = (*room)(nil)
)

// Command implements game.Room.
func (r *room) Command(at game.At, c game.Command, fx *game.Effects) {
	if c.Op != opRefill {
		fx.Refuse(c.Ref, wire.Errorf(wire.CodeUnknownOp, "the cashier has no operation %q, only %q", c.Op, opRefill))
		return
	}
	r.refill(at, c, fx)
}

// Action implements game.Room.
func (r *room) Action(at game.At, a wire.Action, fx *game.Effects) *wire.Error {
	switch a.Op {
	case wire.ActionCredit:
		return r.credit(at, a, fx)
	case wire.ActionMute, wire.ActionKick:
		return r.sanction(a, fx)
	}
	return wire.Errorf(wire.CodeUnknownOp, "the cashier has the actions credit, mute and kick")
}

// Result implements game.Room. A credit's result changes nothing here.
func (r *room) Result(_ game.At, b wire.BookingResult, fx *game.Effects) {
	r.refills.answer(b, fx)
}

// Fact implements game.Room. A cashier asks for no facts, so there are only
// false ones.
func (r *room) Fact(_ game.At, kind string, _ []byte, _ *game.Effects) error {
	return fmt.Errorf("cashier: unknown fact %q", kind)
}

// Due implements game.Room.
func (r *room) Due() game.Time { return game.Never }

// Advance implements game.Room.
func (r *room) Advance(game.At, *game.Effects) {}

// Duties implements game.Room.
func (r *room) Duties(int) []game.Duty { return nil }

// State implements game.Room.
func (r *room) State() string { return "running" }

// TickInterval implements game.Room.
func (r *room) TickInterval() game.Time { return 0 }

// Round implements game.Room: there are none.
func (r *room) Round() uint64 { return 0 }

// View implements game.Room. What a cashier knows is nobody's business.
func (r *room) View(game.At) json.RawMessage {
	return game.Encode(struct {
		Game string `json:"game"`
	}{Name})
}

// You implements game.Room.
func (r *room) You(string) json.RawMessage { return nil }

// Sanctions implements game.Sanctioning.
func (r *room) Sanctions() []wire.Sanction { return r.sanctions.list() }

// booking begins a booking of this room.
func (r *room) booking(at game.At, kind wire.BookingKind, id string) wire.Booking {
	return wire.Booking{ID: id, Kind: kind, Partition: r.partition, Room: r.id, At: at.Wall}
}
