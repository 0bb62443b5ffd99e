package loadtest

import (
	"encoding/json"
	"time"

	"tickcast/loadtest/socket"
	"tickcast/wire"
)

// link is one connection of a bot. A bot has one, and for a moment a second one
// while it moves (make before break). It implements socket.Handler.
type link struct {
	// What every message needs stands first, so that it is near each other in memory.
	bot     *bot      // static
	cursors []cursor  // one per seat of the bot; guarded by bot.mu
	broken  bool      // guarded by bot.mu; its sequence had a gap, and nothing more is read
	only    [1]cursor // where cursors is when there is one

	welcomed   bool          // guarded by bot.mu
	retired    bool          // guarded by bot.mu; the bot closes it on purpose
	meter      *meter        // static
	conn       socket.Conn   // static
	url        string        // static
	began      time.Duration // static; when the connection was meant to be made
	gateway    string        // guarded by bot.mu; from welcome
	joinedAt   time.Duration // guarded by bot.mu; when the last room was joined, 0 before
	retryAfter time.Duration // guarded by bot.mu; what a retry message said
}

// newLink makes a connection of a bot. It must be given its conn.
func newLink(b *bot, url string, began time.Duration) *link {
	l := &link{bot: b, url: url, began: began, meter: b.s.meters[b.n%len(b.s.meters)]}
	l.cursors = l.only[:0] // appending more than one moves them elsewhere
	for _, st := range b.seats {
		l.cursors = append(l.cursors, cursor{
			check: b.s.check, bot: b.n, source: url, room: st.room, meter: l.meter, seat: st, slow: b.slow != readsAll,
		})
	}
	return l
}

// send sends one message. An error ends the connection, which End tells.
func (l *link) send(payload []byte) { _ = l.conn.Send(payload) }

// Warm implements socket.Handler.
func (l *link) Warm(step int) int {
	switch step {
	case 0:
		if l.bot == nil || l.only[0].seat == nil { // the two lines of the cache that every message needs
			return 0
		}
		return 1
	case 1:
		return l.bot.n
	default:
		return len(l.bot.only.room)
	}
}

// Message takes in a message from the gateway.
func (l *link) Message(payload []byte, text bool, at time.Duration) {
	switch {
	case text && l.bot.quick(l, payload, at):
	case text:
		l.meter.received(len(payload))
		l.bot.receive(l, payload, at)
	default:
		l.meter.received(len(payload))
		l.bot.fail(l, checkProtocol, "a binary message of %d bytes", len(payload))
	}
}

// End takes in why the connection ended.
func (l *link) End(err error) {
	l.bot.s.connected.Add(-1)
	l.bot.do(func() { l.bot.onEnd(l, err) })
}

// encode encodes a message of the client. Its types cannot fail to encode.
func encode(m *wire.ClientMessage) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("loadtest: encode " + m.Type + ": " + err.Error())
	}
	return b
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
