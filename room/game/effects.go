package game

import (
	"encoding/json"
	"fmt"

	"tickcast/wire"
)

// Effects collects what a room does in response to one input. The zero value is
// empty and ready. The fold takes the effects away after each input.
type Effects struct {
	Events    []Event
	Answers   []Answered
	Notices   []Notified
	Bookings  []wire.Booking
	Sanctions []wire.Sanction
}

// Event is something that everybody in the room is told in the next update. Of
// events with the same non-empty Slot in one update only the last is sent.
type Event struct {
	Slot string
	Body json.RawMessage
}

// Answered is the answer to a command: Result, or Error.
type Answered struct {
	Ref    Ref
	Result json.RawMessage
	Error  *wire.Error
}

// Notified is a private event of one player.
type Notified struct {
	Player string
	Event  json.RawMessage
}

// Event tells everybody v, which is marshalled at once and must be an object
// with a field "e", the name of the event.
func (fx *Effects) Event(v any) { fx.Events = append(fx.Events, Event{Body: Encode(v)}) }

// Latest is like Event, but replaces an earlier event of the same slot that has
// not been sent yet.
func (fx *Effects) Latest(slot string, v any) {
	fx.Events = append(fx.Events, Event{Slot: slot, Body: Encode(v)})
}

// Answer answers a command with a result, an object.
func (fx *Effects) Answer(r Ref, result any) {
	fx.Answers = append(fx.Answers, Answered{Ref: r, Result: Encode(result)})
}

// Refuse answers a command with an error.
func (fx *Effects) Refuse(r Ref, e *wire.Error) {
	fx.Answers = append(fx.Answers, Answered{Ref: r, Error: e})
}

// Notice tells one player v, an object with a field "e".
func (fx *Effects) Notice(player string, v any) {
	fx.Notices = append(fx.Notices, Notified{Player: player, Event: Encode(v)})
}

// Book asks the ledger for a booking. The owner repeats it until its result is
// in the log and comes back through Room.Result.
func (fx *Effects) Book(b wire.Booking) { fx.Bookings = append(fx.Bookings, b) }

// Sanction replaces a player's sanctions.
func (fx *Effects) Sanction(s wire.Sanction) { fx.Sanctions = append(fx.Sanctions, s) }

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	fx.Events, fx.Answers, fx.Notices = fx.Events[:0], fx.Answers[:0], fx.Notices[:0]
	fx.Bookings, fx.Sanctions = fx.Bookings[:0], fx.Sanctions[:0]
}

// Encode marshals a value of our own types, which cannot fail.
func Encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("game: marshal %T: %v", v, err))
	}
	return b
}
