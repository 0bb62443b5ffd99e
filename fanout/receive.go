package fanout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// Receiver takes what a client sends. Its methods are called by one goroutine at a time,
// which may be another one for each message.
type Receiver interface {
	// Receive takes a text message: at most wire.MaxClientMessageBytes of UTF-8. p is
	// valid during the call only. While Receive blocks, nothing more is read.
	Receive(p []byte)
	// Ended is called once, last, when nothing more can be read or sent. The error
	// carries a websocket.CloseError if a close frame was sent or received (see
	// websocket.CloseStatus).
	Ended(err error)
}

// Serve has r take the client's messages until the connection ends. It starts reading and
// returns; it is called once, after Accept. A connection that is not served is never
// noticed to have gone.
//
// What is no text message ends the connection with the code of RFC 6455: a binary message
// 1003, a longer one 1009, broken UTF-8 1007, a broken frame 1002.
//
// No goroutine and no buffer is kept for a client that says nothing: where the system
// has a poller (Linux), one reads when bytes have arrived, and turns to another connection behind them.
func (c *Conn) Serve(r Receiver) {
	c.receiver = r
	if !c.hub.begin() {
		c.kill()
		c.endReading(ErrStopped)
		return
	}
	c.hub.readers.read(c)
}

// read takes messages until no more have arrived, or the connection ends.
func (c *Conn) read() {
	if c.in == nil {
		c.in = c.hub.lend()
	}
	for {
		p, err := c.readMessage()
		if err != nil {
			c.hub.takeBack(c.in)
			c.in = nil
			c.endReading(err)
			c.hub.work.Done()
			return
		}
		if p != nil {
			c.receiver.Receive(p)
		}
		if c.in.buffered() == 0 && c.br.Buffered() == 0 && c.park() {
			return
		}
	}
}

// readMessage returns the next message that may pass, nil for one that the end of the
// connection has overtaken.
func (c *Conn) readMessage() ([]byte, error) {
	// The context goes no further: coder/websocket would set up an AfterFunc for each
	// header and each payload.
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	p, err := c.in.message(r)
	switch {
	case err != nil:
		return nil, err
	case c.isClosing():
		return nil, nil
	case kind != websocket.MessageText:
		return nil, c.refuse(closeUnsupported, "text messages only")
	case !utf8.Valid(p):
		return nil, c.refuse(closeInvalidText, "not UTF-8")
	}
	return p, nil
}

// errRefused ends reading after a message that closed the connection.
var errRefused = errors.New("fanout: message refused")

func (c *Conn) refuse(code wire.CloseCode, reason string) error {
	c.Close(code, reason)
	return errRefused
}

// endReading ends the connection after reading met err, and tells the receiver.
func (c *Conn) endReading(err error) {
	if !errors.Is(err, errRefused) && c.remote == nil && websocket.CloseStatus(err) == -1 {
		// A broken frame. coder/websocket has sent a close frame for most, not for all;
		// the first counts.
		c.Close(closeProtocolError, "broken frame")
	}
	if c.remote == nil && c.isClosing() {
		c.linger()
	}
	c.kill()
	c.mu.Lock()
	p := c.parting
	c.mu.Unlock()
	switch {
	case p != nil:
		err = websocket.CloseError{Code: websocket.StatusCode(p.code), Reason: p.reason}
	case c.remote != nil:
		err = c.remote
	default:
		err = ErrClosed
	}
	c.receiver.Ended(fmt.Errorf("fanout: read: %w", err))
}

// linger discards what the peer still sends until it closes its side, so that our close
// frame is not lost to a reset. The timer of the parting bounds it.
func (c *Conn) linger() {
	var scrap [512]byte
	for {
		if _, err := c.nc.Read(scrap[:]); err != nil {
			return
		}
	}
}

// inbox is the memory that reading needs: lent to a connection while bytes arrive.
type inbox struct {
	raw        [inboxBytes]byte
	start, end int    // what of raw has not been taken yet
	text       []byte // the message that is being assembled
}

// buffered is how many bytes have been read from the socket and not been taken.
func (b *inbox) buffered() int { return b.end - b.start }

// message reads r to its end. The result is valid until the next call.
func (b *inbox) message(r io.Reader) ([]byte, error) {
	b.text = b.text[:0]
	for {
		if len(b.text) == cap(b.text) {
			b.text = append(b.text, 0)[:len(b.text)]
		}
		n, err := r.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		if errors.Is(err, io.EOF) {
			return b.text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
