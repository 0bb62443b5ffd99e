package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// link is one connection of a bot. A bot has one, and for a moment a second one
// while it moves (make before break).
type link struct {
	bot     *bot            // static
	conn    *websocket.Conn // static
	url     string          // static
	began   time.Duration   // static; when the connection was meant to be made
	meter   *meter          // static
	cursors []cursor        // one per seat of the bot; guarded by bot.mu

	gateway    string        // guarded by bot.mu; from welcome
	welcomed   bool          // guarded by bot.mu
	joinedAt   time.Duration // guarded by bot.mu; when the last room was joined, 0 before
	retired    bool          // guarded by bot.mu; the bot closes it on purpose
	broken     bool          // guarded by bot.mu; its sequence had a gap, and nothing more is read
	retryAfter time.Duration // guarded by bot.mu; what a retry message said
}

// writeTimeout is how long a gateway may take to read a small message before the
// connection counts as dead.
const writeTimeout = 5 * time.Second

// send writes one message. An error ends the connection, which the reader sees.
func (l *link) send(payload []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	_ = l.conn.Write(ctx, websocket.MessageText, payload)
}

// encode encodes a message of the client. Its types cannot fail to encode.
func encode(m *wire.ClientMessage) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("loadtest: encode " + m.Type + ": " + err.Error())
	}
	return b
}

// readBuffers holds buffers for messages that are being handled: a connection
// that waits needs none.
type readBuffers struct{ pool sync.Pool }

// maxPooledBuffer keeps the buffer of a rare big snapshot out of the pool.
const maxPooledBuffer = 64 << 10

func (p *readBuffers) get() *bytes.Buffer {
	if b, ok := p.pool.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return bytes.NewBuffer(make([]byte, 0, 1024))
}

func (p *readBuffers) put(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBuffer {
		p.pool.Put(b)
	}
}

// read handles messages until the connection ends, and returns why it did. It
// reads without a deadline: closing the connection is what ends it.
func (l *link) read() error {
	s := l.bot.s
	for {
		typ, r, err := l.conn.Reader(context.Background())
		if err != nil {
			return err
		}
		buf := s.buffers.get()
		if _, err := buf.ReadFrom(r); err != nil {
			s.buffers.put(buf)
			return err
		}
		at := s.now()
		l.meter.received(buf.Len())
		if typ == websocket.MessageText {
			l.bot.receive(l, buf.Bytes(), at)
		} else {
			l.bot.fail(l, checkProtocol, "a binary message of %d bytes", buf.Len())
		}
		s.buffers.put(buf)
	}
}

// complete tells whether every room that can be joined is joined. Bot.mu is held.
func (l *link) complete() bool {
	for i := range l.cursors {
		if !l.cursors[i].joined && !l.bot.seats[i].gone {
			return false
		}
	}
	return l.welcomed
}

// cursor finds the cursor of a room, nil if the bot has no seat there.
func (l *link) cursor(room []byte) (int, *cursor) {
	for i := range l.cursors {
		if l.cursors[i].room == string(room) {
			return i, &l.cursors[i]
		}
	}
	return -1, nil
}
