package room

import (
	"tickcast/wire"
)

// Output is what the owner says and asks for because of one record. A replica
// that does not own the partition drops it; the state keeps what must not be lost.
type Output struct {
	Messages  []Message
	Answers   []Answer
	Bookings  []wire.Booking
	Directory []wire.RoomInfo
	Sanctions []wire.Sanction
	Claim     *wire.Claim // the record was one, and is the newest
	Touched   []string    // rooms whose duties may have changed
	Lost      bool        // the log lost its tail
	Orphans   bool        // stakes of the lost tail are cancelled
	Stated    []string    // rooms about which the owner stated a fact
}

// Message is one message to the gateways of a room.
type Message struct {
	Room   string
	Class  wire.OutClass
	Header wire.OutHeader
	Log    string // the log's name if it has lost its tail, else empty
	Body   []byte // a client message, or a list of wire.Private
}

// Answer is the answer to a command or action, with the node that waits for it.
type Answer struct {
	Node string
	wire.RoutedAnswer
}

func (o *Output) reset() {
	clear(o.Messages)
	clear(o.Answers)
	o.Messages, o.Answers, o.Bookings, o.Claim = o.Messages[:0], o.Answers[:0], o.Bookings[:0], nil
	o.Lost, o.Orphans = false, false
	o.Directory, o.Sanctions, o.Touched, o.Stated = o.Directory[:0], o.Sanctions[:0], o.Touched[:0], o.Stated[:0]
}
