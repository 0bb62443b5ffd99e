package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/coder/websocket"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finBit  = 0x80
	rsvBits = 0x70
	opBits  = 0x0F
	maskBit = 0x80

	maxControl = 125
)

// frameHead is the beginning of a frame of a server, which is not masked.
type frameHead struct {
	op     byte
	fin    bool
	head   int // length of the head
	length int // of the payload
}

// whole is how long the frame is.
func (f *frameHead) whole() int { return f.head + f.length }

// readFrameHead reads the head of the frame at the start of b. ok is false when b
// is too short for it.
func readFrameHead(b []byte) (f frameHead, ok bool, err error) {
	if len(b) < 2 {
		return f, false, nil
	}
	f = frameHead{op: b[0] & opBits, fin: b[0]&finBit != 0, head: 2, length: int(b[1] &^ maskBit)}
	switch {
	case b[0]&rsvBits != 0:
		return f, false, broken(websocket.StatusProtocolError, "reserved bits %#x", b[0])
	case b[1]&maskBit != 0:
		return f, false, broken(websocket.StatusProtocolError, "a server masks nothing")
	case f.op > opBinary && (f.op < opClose || f.op > opPong):
		return f, false, broken(websocket.StatusProtocolError, "opcode %d", f.op)
	case f.op >= opClose && (!f.fin || f.length > maxControl):
		return f, false, broken(websocket.StatusProtocolError, "a control frame in fragments or of length %d", f.length)
	}
	switch f.length {
	case 126:
		if f.head = 4; len(b) < f.head {
			return f, false, nil
		}
		if f.length = int(binary.BigEndian.Uint16(b[2:])); f.length < 126 {
			return f, false, broken(websocket.StatusProtocolError, "length %d in 16 bits", f.length)
		}
	case 127:
		if f.head = 10; len(b) < f.head {
			return f, false, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > maxMessage {
			return f, false, broken(websocket.StatusMessageTooBig, "a frame of %d bytes", n)
		}
		if f.length = int(n); f.length < 1<<16 {
			return f, false, broken(websocket.StatusProtocolError, "length %d in 64 bits", f.length)
		}
	}
	return f, true, nil
}

// broken is the error for what no server may send. It is told to the server as a
// close with this code.
func broken(code websocket.StatusCode, format string, args ...any) error {
	return &violation{code: code, what: fmt.Sprintf(format, args...)}
}

type violation struct {
	code websocket.StatusCode
	what string
}

func (v *violation) Error() string {
	return fmt.Sprintf("socket: the server broke the protocol (%d): %s", v.code, v.what)
}

// readClose reads the payload of a close frame.
func readClose(b []byte) error {
	if len(b) == 0 {
		return websocket.CloseError{Code: websocket.StatusNoStatusRcvd}
	}
	if len(b) == 1 {
		return broken(websocket.StatusProtocolError, "a close code of one byte")
	}
	code := websocket.StatusCode(binary.BigEndian.Uint16(b))
	if code < 1000 || code >= 5000 || code == websocket.StatusNoStatusRcvd || code == websocket.StatusAbnormalClosure || code == 1004 || code == websocket.StatusTLSHandshake || (code > 1014 && code < 3000) {
		return broken(websocket.StatusProtocolError, "close code %d", code)
	}
	return websocket.CloseError{Code: code, Reason: string(b[2:])}
}

// closePayload is what is said of the end of a connection: what the server said, or
// which rule it broke.
func closePayload(err error) []byte {
	var told websocket.CloseError
	if v := (*violation)(nil); errors.As(err, &v) {
		told.Code = v.code
	} else if !errors.As(err, &told) || told.Code == websocket.StatusNoStatusRcvd {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(told.Code)), told.Reason...)
}

// appendFrame appends a masked frame, as a client sends it.
func appendFrame(to []byte, op byte, payload []byte) []byte {
	to = append(to, finBit|op)
	switch n := len(payload); {
	case n < 126:
		to = append(to, maskBit|byte(n))
	case n < 1<<16:
		to = append(to, maskBit|126)
		to = binary.BigEndian.AppendUint16(to, uint16(n))
	default:
		to = append(to, maskBit|127)
		to = binary.BigEndian.AppendUint64(to, uint64(n))
	}
	var key [4]byte
	binary.LittleEndian.PutUint32(key[:], rand.Uint32())
	to = append(to, key[:]...)
	at := len(to)
	to = append(to, payload...)
	for i := range payload {
		to[at+i] ^= key[i&3]
	}
	return to
}

// assembler makes messages of the frames of one connection. It is owned by who
// reads the connection.
type assembler struct {
	message []byte // of frames so far; kept bytes, not the reader's
	op      byte   // of the message that is under way, 0 for none
}

// events are what frames mean for a connection.
type events interface {
	message(payload []byte, text bool)
	control(op byte, payload []byte) error
}

// take takes in whole frames at the start of b, and gives how many bytes they had.
// An error of the frames or of to.control ends the connection.
func (a *assembler) take(b []byte, to events) (used int, err error) {
	for {
		f, ok, err := readFrameHead(b[used:])
		if err != nil {
			return used, err
		}
		if !ok || len(b)-used < f.whole() {
			return used, nil
		}
		payload := b[used+f.head : used+f.whole()]
		used += f.whole()
		switch {
		case f.op == opText && f.fin && a.op == 0:
			to.message(payload, true)
		case f.op >= opClose:
			if err := to.control(f.op, payload); err != nil {
				return used, err
			}
		default:
			if err := a.data(&f, payload, to); err != nil {
				return used, err
			}
		}
	}
}

// data takes in a frame of a message in fragments, or a binary one.
func (a *assembler) data(f *frameHead, payload []byte, to events) error {
	if (f.op == opContinuation) != (a.op != 0) {
		return broken(websocket.StatusProtocolError, "opcode %d within a message of opcode %d", f.op, a.op)
	}
	if f.op != opContinuation {
		a.op = f.op
	}
	if len(a.message)+len(payload) > maxMessage {
		return broken(websocket.StatusMessageTooBig, "a message of more than %d bytes", maxMessage)
	}
	if f.fin && len(a.message) == 0 {
		to.message(payload, a.op == opText)
	} else if a.message = append(a.message, payload...); f.fin {
		to.message(a.message, a.op == opText)
	}
	if f.fin {
		a.op, a.message = 0, nil
	}
	return nil
}
