package fanout

import (
	"encoding/binary"
	"net"
	"time"
	"unicode/utf8"

	"tickcast/wire"
)

// transport is the net.Conn that coder/websocket sees of a Conn. It writes control frames
// only, each in one call; they are put between the frames of topics.
type transport Conn

// Read reads from the client by way of the inbox. Called by whoever reads only.
func (t *transport) Read(p []byte) (int, error) {
	b := t.in
	if b.buffered() == 0 {
		n, err := t.nc.Read(b.raw[:])
		if err != nil {
			t.remote = err
			return 0, err
		}
		b.start, b.end = 0, n
	}
	n := copy(p, b.raw[b.start:b.end])
	b.start += n
	return n, nil
}

// Write takes one control frame of coder/websocket.
func (t *transport) Write(p []byte) (int, error) {
	c := (*Conn)(t)
	c.mu.Lock()
	if c.flags&flagDead != 0 {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	out := idle
	if c.flags&flagClosing == 0 { // our close frame is queued otherwise, and nothing follows it
		c.control(p)
		out = c.push()
	}
	c.mu.Unlock()
	c.settle(out)
	return len(p), nil
}

// control queues an encoded control frame. The caller holds mu.
func (c *Conn) control(p []byte) {
	if p[0] != headClose {
		f := controlFrame(p)
		if c.out.replacePong(f) {
			c.hub.metrics.dropped[DropPong].Inc()
		} else {
			c.out.push(letter{frame: f, class: classControl})
		}
		return
	}
	body := p[2:]
	if len(body) < 2 {
		c.partWith(controlFrame(p), &parting{code: closeNoStatus})
		return
	}
	code, reason := wire.CloseCode(binary.BigEndian.Uint16(body)), string(body[2:])
	if !utf8.ValidString(reason) {
		// The echo of a close frame whose reason is no text (RFC 6455, 8.1);
		// coder/websocket does not look.
		code, reason = closeInvalidText, "close reason is not UTF-8"
	}
	c.part(code, reason)
}

// Close is called by coder/websocket when its side has ended. A close frame on its way,
// and the peer's answer, still have their time.
func (t *transport) Close() error {
	if c := (*Conn)(t); !c.isClosing() {
		c.kill()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (t *transport) LocalAddr() net.Addr { return t.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (t *transport) RemoteAddr() net.Addr { return t.nc.RemoteAddr() }

// SetDeadline implements net.Conn.
func (t *transport) SetDeadline(at time.Time) error { return t.nc.SetDeadline(at) }

// SetReadDeadline implements net.Conn.
func (t *transport) SetReadDeadline(at time.Time) error { return t.nc.SetReadDeadline(at) }

// SetWriteDeadline implements net.Conn.
func (t *transport) SetWriteDeadline(at time.Time) error { return t.nc.SetWriteDeadline(at) }
