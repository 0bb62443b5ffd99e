package fanout

import "encoding/binary"

// First bytes of the frames of a server: FIN and the opcode. They are never masked (RFC
// 6455, 5.1).
const (
	headText  = 0x80 | 0x1
	headClose = 0x80 | 0x8
	headPong  = 0x80 | 0xa
)

// Frame is a WebSocket text frame of a server, encoded once. It is immutable and shared:
// the same bytes are written to every socket.
type Frame struct {
	wire   []byte // header and payload
	header uint8  // length of the header in bytes
}

// NewFrame encodes payload, which must be UTF-8, as one unfragmented text frame. The
// payload is copied.
func NewFrame(payload []byte) *Frame {
	b := make([]byte, 0, 10+len(payload))
	switch n := len(payload); {
	case n < 126:
		b = append(b, headText, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, headText, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, headText, 127), uint64(n))
	}
	header := uint8(len(b))
	return &Frame{wire: append(b, payload...), header: header}
}

// Payload returns the message. It must not be modified.
func (f *Frame) Payload() []byte { return f.wire[f.header:] }

// Size is the length of the frame on the wire in bytes, header included.
func (f *Frame) Size() int { return len(f.wire) }

// controlFrame keeps a copy of an encoded control frame.
func controlFrame(wire []byte) *Frame {
	return &Frame{wire: append([]byte(nil), wire...), header: 2}
}
