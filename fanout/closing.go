package fanout

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"tickcast/wire"
)

// Close codes of RFC 6455 that are sent by this package itself.
const (
	closeProtocolError wire.CloseCode = 1002
	closeUnsupported   wire.CloseCode = 1003
	closeNoStatus      wire.CloseCode = 1005
	closeInvalidText   wire.CloseCode = 1007
)

// maxReasonBytes is what a close frame has left for its reason.
const maxReasonBytes = 123

// parting is how a connection ends. Owned by Conn.mu.
type parting struct {
	code   wire.CloseCode
	reason string
	timer  *time.Timer // ends the connection if nothing else does
}

// Close sends what is queued, then a close frame, and ends the connection when the peer
// has answered it, or after Config.CloseTimeout. It does not wait; see Done. The first
// call counts. The reason is cut to 123 bytes.
func (c *Conn) Close(code wire.CloseCode, reason string) {
	c.mu.Lock()
	out := c.push() // what topics have due comes before the close frame if the socket takes it
	if out != failed && c.flags&(flagClosing|flagDead) == 0 {
		for s := c.subs; s != nil; s = s.next {
			c.keepDue(s)
		}
		c.part(code, reason)
		out = c.push()
	}
	c.mu.Unlock()
	c.settle(out)
}

// Ended tells how the connection was closed: the code that was sent or received, 1006 if
// it died without, and 0 while it lives.
func (c *Conn) Ended() wire.CloseCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.parting != nil:
		return c.parting.code
	case c.flags&flagDead != 0:
		return 1006
	}
	return 0
}

// closeSlow closes a connection that does not keep up. The caller holds mu and pushes
// afterwards, or is in a push.
func (c *Conn) closeSlow(r SlowReason) {
	if c.flags&(flagClosing|flagDead) != 0 {
		return
	}
	c.hub.metrics.slow[r].Inc()
	c.part(wire.CloseSlow, "slow: "+r.String())
}

// part queues a close frame and leaves all topics. The caller holds mu.
func (c *Conn) part(code wire.CloseCode, reason string) {
	for len(reason) > maxReasonBytes || !utf8.ValidString(reason) {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	c.partWith(closeFrame(code, reason), &parting{code: code, reason: reason})
}

func (c *Conn) partWith(f *Frame, p *parting) {
	for c.subs != nil {
		c.detach(c.subs)
	}
	c.flags |= flagClosing
	c.parting = p
	p.timer = time.AfterFunc(c.hub.cfg.CloseTimeout, c.kill)
	c.out.push(letter{frame: f, class: classControl})
}

func closeFrame(code wire.CloseCode, reason string) *Frame {
	b := []byte{headClose, byte(2 + len(reason))}
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return &Frame{wire: append(b, reason...), header: 2}
}

// endWriting tells the peer that nothing follows the close frame. Its own side stays
// open, so that what it has sent meanwhile does not reset the connection before the frame
// was read.
func (c *Conn) endWriting() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		// An error means that the connection is gone, which the reader finds out.
		_ = half.CloseWrite()
	}
}

// kill drops the connection at once.
func (c *Conn) kill() {
	c.mu.Lock()
	if c.flags&flagDead != 0 {
		c.mu.Unlock()
		return
	}
	c.flags |= flagDead
	for c.subs != nil {
		c.detach(c.subs)
	}
	c.hub.metrics.dropped[DropClosed].Add(float64(len(c.out.letters)))
	c.out, c.rest, c.falls = outbox{}, nil, nil
	if c.parting != nil {
		c.parting.timer.Stop()
	}
	c.mu.Unlock()
	// Outside mu, as closing TLS sends an alert. From flagDead on nobody uses the
	// descriptor.
	if p := c.hub.poller; p != nil && c.fd >= 0 {
		p.forget(c)
	}
	_ = c.nc.Close()
	c.hub.remove(c)
	c.mu.Lock()
	c.flags |= flagGone
	if c.done != nil {
		close(c.done)
	}
	c.mu.Unlock()
	c.wake() // the reader finds the socket closed, and ends
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&flagClosing != 0
}
