package fanout

import "errors"

// Errors of Conn.Send and Topic.Join.
var (
	// ErrClosed tells that the connection has ended or is about to.
	ErrClosed = errors.New("fanout: connection is closed")
	// ErrOverflow tells that the outbox is full. The connection is being closed with
	// wire.CloseSlow.
	ErrOverflow = errors.New("fanout: outbox is full")
)

// letter is a frame for one connection.
type letter struct {
	frame *Frame
	opens *subscription // its topic starts behind this frame; nil for most
	class class
}

// outbox holds own messages, pongs and the close frame, in order, while a connection's
// socket takes nothing. It is empty, without memory of its own, for all others.
type outbox struct {
	letters []letter
	bytes   int
}

func (o *outbox) push(l letter) {
	o.letters = append(o.letters, l)
	o.bytes += l.frame.Size()
}

// pop removes the first n letters.
func (o *outbox) pop(n int) {
	for i := range n {
		o.bytes -= o.letters[i].frame.Size()
	}
	if n == len(o.letters) {
		o.letters = nil
		return
	}
	clear(o.letters[:n])
	o.letters = o.letters[n:]
}

// replacePong puts a newer pong in the place of one that waits: only the latest ping
// needs an answer (RFC 6455, 5.5.3), so that a client cannot fill the outbox with pings.
func (o *outbox) replacePong(f *Frame) bool {
	for i := range o.letters {
		if l := &o.letters[i]; l.class == classControl && l.frame.wire[0] == headPong {
			o.bytes += f.Size() - l.frame.Size()
			l.frame = f
			return true
		}
	}
	return false
}

// queue puts an own message into the outbox; a full outbox closes the connection. The
// caller holds mu and pushes afterwards.
func (c *Conn) queue(l letter) error {
	cfg := &c.hub.cfg
	full := len(c.out.letters) >= cfg.OutboxFrames
	if full || c.out.bytes > 0 && c.out.bytes+l.frame.Size() > cfg.OutboxBytes {
		c.hub.metrics.dropped[DropOverflow].Inc()
		c.closeSlow(SlowOutbox)
		return ErrOverflow
	}
	l.class = classOwn
	c.out.push(l)
	return nil
}
