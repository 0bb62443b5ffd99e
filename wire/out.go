package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
)

// OutClass is the last token of an out subject: what kind of message it is and
// what a gateway may do with it when a client is slow.
type OutClass string

// Classes of messages from owners to gateways.
const (
	OutUpdate  OutClass = "u" // numbered update: reliable, in order
	OutTick    OutClass = "t" // tick: only the newest counts
	OutPrivate OutClass = "p" // notices for single players: a Private list
	OutMeta    OutClass = "m" // the room was closed or made again: ask for a snapshot
)

// OutHeader precedes the client message in every message on an out subject, so
// that a gateway orders messages without parsing them.
type OutHeader struct {
	Epoch uint64 // of the speaking owner
	Seq   uint64 // update: its number; otherwise the newest update before
	Time  int64  // game time, nanoseconds
}

const outHeaderBytes = 24

// LogHeader is the NATS header of every out message about a room whose log has lost its tail: the name of the
// log, as in positions. What was said of the log before has another name, or none.
const LogHeader = "Tickcast-Log"

var errOut = errors.New("wire: out message is shorter than its header")

// AppendOut appends an out message: header, then the client message as it is.
func AppendOut(b []byte, h OutHeader, message []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, h.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Time))
	return append(b, message...)
}

// ParseOut splits an out message. The message aliases b.
func ParseOut(b []byte) (h OutHeader, message []byte, err error) {
	if len(b) < outHeaderBytes {
		return OutHeader{}, nil, errOut
	}
	h.Epoch = binary.BigEndian.Uint64(b)
	h.Seq = binary.BigEndian.Uint64(b[8:])
	h.Time = int64(binary.BigEndian.Uint64(b[16:]))
	return h, b[outHeaderBytes:], nil
}

// Private is one player's part of an OutPrivate message, whose body is a JSON
// list of them. Message is a whole client message (a notice or a balance).
type Private struct {
	Player  string          `json:"player"`
	Message json.RawMessage `json:"message"`
}

// RoutedAnswer is one element of the JSON list on an answer subject.
type RoutedAnswer struct {
	Player string          `json:"player,omitempty"` // empty for an operator's action
	Room   string          `json:"room"`
	Key    string          `json:"key"` // command key, or ID of the action
	Body   []byte          `json:"body,omitempty"`
	Answer json.RawMessage `json:"answer"` // a whole client message: Answer
}
