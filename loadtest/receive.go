package loadtest

import (
	"strconv"
	"time"

	"tickcast/wire"
)

// chatLine is the bot's own line that has not come back yet.
type chatLine struct {
	id       uint64
	text     string        // empty for none
	sent     time.Duration // when it was meant to be sent
	intended time.Duration // of the next line
}

// receive handles one message from a gateway. raw is valid during the call only.
func (b *bot) receive(l *link, raw []byte, at time.Duration) {
	h, err := readHead(raw)
	if err != nil {
		b.fail(l, checkProtocol, "%v: %.200q", err, raw)
		return
	}
	b.do(func() { b.dispatch(l, h, raw, at) })
}

// quick takes in a message that another bot got before, byte for byte: the next
// update of a room, or one of its last ticks. What those bytes say was checked
// then; what they mean for this bot is checked here. It reports whether the message
// was such a one, and has counted it then.
func (b *bot) quick(l *link, raw []byte, at time.Duration) (done bool) {
	b.mu.Lock()
	done = !l.broken && b.quickLocked(l, raw, at)
	if len(b.after) == 0 {
		b.mu.Unlock()
		return done
	}
	b.mu.Unlock()
	b.do(func() {})
	return done
}

func (b *bot) quickLocked(l *link, raw []byte, at time.Duration) bool {
	for i := range l.cursors {
		c := &l.cursors[i]
		if f := c.quickUpdate(raw, at); f != nil {
			c.seat.heard(at)
			c.seat.onNews(c.stream, f.seq, f.news, at)
			return true
		}
		if f := c.quickTick(raw, at); f != nil {
			c.seat.heard(at)
			b.noteTick(i, f.head.seq)
			return true
		}
	}
	return false
}

// noteTick notes what a tick told of.
func (b *bot) noteTick(seat int, seq uint64) {
	if !b.s.settling.Load() {
		b.seats[seat].tickMark = max(b.seats[seat].tickMark, seq)
	}
}

func (b *bot) dispatch(l *link, h head, raw []byte, at time.Duration) {
	if l.broken {
		return // a client that saw a gap listens no more
	}
	switch string(h.kind) {
	case wire.TypeUpdate:
		b.onUpdate(l, h, raw, at)
	case wire.TypeTick:
		b.onTick(l, h, raw, at)
	case wire.TypeAnswer:
		handle(b, l, raw, func(m *wire.Answer) { b.onAnswer(l, m, at) })
	case wire.TypeWelcome:
		handle(b, l, raw, func(m *wire.Welcome) { b.onWelcome(l, m, at) })
	case wire.TypeJoined:
		handle(b, l, raw, func(m *wire.Joined) { b.onJoined(l, m, at) })
	case wire.TypeBalance:
		handle(b, l, raw, func(m *wire.Balance) { b.onBalance(m, at) })
	case wire.TypeNotice:
		handle(b, l, raw, func(m *wire.Notice) { b.onNotice(l, m) })
	case wire.TypeChat:
		b.onChat(l, raw, at)
	case wire.TypePing:
		handle(b, l, raw, func(m *wire.Ping) { b.onPing(l, m) })
	case wire.TypeError:
		handle(b, l, raw, func(m *wire.ErrorMessage) { b.onError(l, m, at) })
	case wire.TypeSkip:
		handle(b, l, raw, func(m *wire.Skip) {
			if _, c := l.cursor([]byte(m.Room)); c != nil {
				c.onSkip(m)
			}
		})
	case wire.TypeLeft:
		handle(b, l, raw, func(m *wire.Left) { b.onLeft(l, m) })
	case wire.TypeMove:
		handle(b, l, raw, func(m *wire.Move) {
			within := time.Duration(min(max(m.WithinMS, 0), 600_000)) * time.Millisecond
			b.s.check.count(countMoveAsked, 1)
			b.lostURL = l.url // it admits nobody any more
			b.at(at+between(b.rng, 0, within), func(at time.Duration) {
				if b.link == l {
					b.move(at)
				}
			})
		})
	case wire.TypeRetry:
		handle(b, l, raw, func(m *wire.Retry) {
			l.retryAfter = time.Duration(min(max(m.AfterMS, 0), 600_000)) * time.Millisecond
		})
	case wire.TypePong:
		handle(b, l, raw, func(m *wire.Pong) { b.onPong(m, at) })
	case wire.TypePresence:
	default:
		b.fail(l, checkProtocol, "a message of unknown type %.40q", h.kind)
	}
}

// handle decodes a message whole and passes it on; a malformed one is a failure.
func handle[M any](b *bot, l *link, raw []byte, f func(*M)) {
	var m M
	if err := decode(raw, &m); err != nil {
		b.fail(l, checkProtocol, "%v", err)
		return
	}
	f(&m)
}

func (b *bot) onUpdate(l *link, h head, raw []byte, at time.Duration) {
	i, c := l.cursor(h.room)
	if c == nil {
		b.fail(l, checkProtocol, "an update of room %.64q, which the bot is not in", h.room)
		return
	}
	n, broken := c.onUpdate(h, raw, at)
	if broken {
		b.resume(l, at)
		return
	}
	b.seats[i].heard(at)
	if c.stream != nil {
		b.seats[i].onNews(c.stream, h.seq, n, at)
	}
}

func (b *bot) onTick(l *link, h head, raw []byte, at time.Duration) {
	i, c := l.cursor(h.room)
	if c == nil {
		b.fail(l, checkProtocol, "a tick of room %.64q, which the bot is not in", h.room)
		return
	}
	b.seats[i].heard(at)
	c.onTick(h)
	c.meetTick(h, raw, at)
	b.noteTick(i, h.seq)
}

func (b *bot) onWelcome(l *link, m *wire.Welcome, at time.Duration) {
	if l.welcomed || m.Protocol != wire.ProtocolVersion || m.Session == "" || !wire.ValidPlayer(m.Player.ID) {
		b.fail(l, checkProtocol, "welcome is the second one or not complete: %+v", *m)
		return
	}
	if b.player != "" && b.player != m.Player.ID {
		b.fail(l, checkProtocol, "welcome calls the player %q, before it was %q", m.Player.ID, b.player)
	}
	if b.player == "" {
		b.player = m.Player.ID
		b.s.register(b)
	}
	if b.session != "" && !m.Resumed {
		b.s.check.count(countSessionLost, 1)
	}
	b.session, l.gateway, l.welcomed = m.Session, m.Gateway, true
	b.chat.text = "" // a line without an echo by now was lost with its connection
	b.s.measure.record(latencyConnect, at-l.began)
	for i := range b.seats {
		b.join(l, i, at)
	}
	if b.link == l {
		b.resend(l, wire.CashierRoom)
	}
}

// join asks for a room, from the position that the bot has. mu is held.
func (b *bot) join(l *link, i int, at time.Duration) {
	st := b.seats[i]
	if st.gone {
		return
	}
	b.ids++
	m := &wire.ClientMessage{Type: wire.TypeJoin, ID: b.ids, Room: st.room, Position: st.position()}
	l.cursors[i].ask(b.ids, m.Position)
	l.cursors[i].askedAt = at
	b.write(l, m)
}

func (b *bot) onJoined(l *link, m *wire.Joined, at time.Duration) {
	i, c := l.cursor([]byte(m.Room))
	if c == nil {
		b.fail(l, checkProtocol, "joined room %.64q, which the bot did not ask for", m.Room)
		return
	}
	if m.ID != 0 {
		b.s.measure.record(latencyJoin, at-c.askedAt)
	}
	c.onJoined(m)
	if !c.joined {
		return
	}
	st := b.seats[i]
	st.onJoined(l, c, m, at)
	if !l.complete() || l.joinedAt != 0 {
		if b.link == l {
			b.resend(l, st.room)
		}
		return
	}
	l.joinedAt = at
	if b.next == l {
		b.promote(l)
	} else {
		b.resend(l, st.room)
	}
	if b.returning >= 0 {
		b.s.measure.record(latencyReconnect, at-b.returning)
		b.returning, b.away = -1, false
	}
	b.slowDown(l, at)
	b.scheduleBreak(at)
	b.scheduleOutages(at)
	b.scheduleChat(at)
}

// resend sends the commands of a room that have no answer (again). mu is held.
func (b *bot) resend(l *link, room string) {
	for _, cmd := range b.cmds.open(room, l) {
		b.cmds.sent(cmd, l, b.s.now())
		b.write(l, cmd.message())
	}
}

// transmit sends a command if its room is joined. If not, it goes out with the
// next join. mu is held.
func (b *bot) transmit(cmd *command) {
	l := b.link
	if l == nil || !l.welcomed {
		return
	}
	if _, c := l.cursor([]byte(cmd.room)); cmd.room != wire.CashierRoom && (c == nil || !c.joined) {
		return
	}
	b.cmds.sent(cmd, l, b.s.now())
	b.write(l, cmd.message())
}

// ask makes a command of the bot and sends it, unless it would be one too many
// (P4.6). mu is held.
func (b *bot) ask(cmd command) *command {
	if len(b.cmds.pending) >= wire.MaxCommandsInFlight {
		b.s.check.count(countHeldBack, 1)
		return nil
	}
	b.keys++
	cmd.key = b.s.run + "-" + strconv.Itoa(b.n) + "-" + strconv.FormatUint(b.keys, 36)
	cmd.dropped = b.away
	b.cmds.add(&cmd)
	b.s.commands.Add(1)
	b.transmit(&cmd)
	return &cmd
}

// sendOpen sends every command without an answer on the connection in use.
func (b *bot) sendOpen() {
	l := b.link
	if l == nil || !l.welcomed {
		return
	}
	b.resend(l, wire.CashierRoom)
	for i := range l.cursors {
		if l.cursors[i].joined {
			b.resend(l, l.cursors[i].room)
		}
	}
}

func (b *bot) onAnswer(l *link, m *wire.Answer, at time.Duration) {
	cmd, final := b.cmds.onAnswer(m)
	if cmd == nil {
		return
	}
	if m.OK = m.OK && m.Error == nil; !m.OK && m.Error == nil {
		m.Error = &wire.Error{Code: "none", Message: "refused without an error"} // failed the check already
	}
	if m.Error != nil {
		b.s.check.count(countRefused+cmd.op+" "+string(m.Error.Code), 1)
	}
	if !final {
		cmd.attempts++
		if cmd.attempts < b.s.cfg.Attempts {
			wait := min(2*time.Second, 100*time.Millisecond<<min(cmd.attempts, 8))
			b.at(at+between(b.rng, wait/2, wait), func(time.Duration) { b.retry(cmd) })
			return
		}
		b.cmds.giveUp(cmd)
	} else {
		name := cmd.op
		if cmd.dropped {
			name += droppedSuffix
		}
		if b.s.counts(cmd.intended) {
			b.s.measure.record(name, at-cmd.intended)
		}
	}
	b.s.answers.Add(1)
	b.testify(cmd, m, final, at)
	b.finished(cmd, m, at)
}

// retry sends a command again that was refused for the time being.
func (b *bot) retry(cmd *command) {
	cmd.owed = true
	b.transmit(cmd)
}

// finished passes a definite answer (or one that the bot gave up on) to who asked.
func (b *bot) finished(cmd *command, m *wire.Answer, at time.Duration) {
	if cmd.room == wire.CashierRoom {
		b.onRefill(m)
		return
	}
	for _, st := range b.seats {
		if st.room == cmd.room && st.table != nil {
			st.table.onAnswer(cmd, m, at)
		}
	}
}

func (b *bot) onNotice(l *link, m *wire.Notice) {
	var e event
	if err := decode(m.Event, &e); err != nil {
		b.fail(l, checkProtocol, "notice: %v", err)
		return
	}
	for _, st := range b.seats {
		if st.room == m.Room && st.table != nil {
			st.table.onNotice(&e)
		}
	}
}

func (b *bot) onPing(l *link, m *wire.Ping) {
	applied := make(map[string]uint64, len(l.cursors))
	for i := range l.cursors {
		if l.cursors[i].joined {
			applied[l.cursors[i].room] = l.cursors[i].seq
		}
	}
	b.write(l, &wire.ClientMessage{Type: wire.TypePong, ID: m.ID, Applied: applied})
}

// onError judges a refusal of something that was no command.
func (b *bot) onError(l *link, m *wire.ErrorMessage, at time.Duration) {
	for i := range l.cursors {
		c := &l.cursors[i]
		if c.joinID == 0 || c.joinID != m.ID {
			continue
		}
		b.s.check.count(countRefused+"join "+string(m.Code), 1)
		c.joinID = 0
		if m.Temporary {
			b.at(at+between(b.rng, 200*time.Millisecond, 800*time.Millisecond), func(at time.Duration) {
				if (b.link == l || b.next == l) && !c.joined {
					b.join(l, i, at)
				}
			})
			return
		}
		b.seats[i].gone = true
		b.s.check.fail(checkJoined, Example{Bot: b.n, Gateway: l.url, Room: c.room, Detail: "join refused: " + m.Error.Error()})
		return
	}
	if b.chat.text != "" && m.ID == b.chat.id {
		b.s.check.count(countRefused+"chat "+string(m.Code), 1)
		b.chat.text = ""
		return
	}
	b.fail(l, checkProtocol, "an error that answers nothing: %s (id %d)", m.Error.Error(), m.ID)
}

func (b *bot) onLeft(l *link, m *wire.Left) {
	i, c := l.cursor([]byte(m.Room))
	if c == nil || m.ID != 0 {
		b.fail(l, checkProtocol, "left room %.64q with id %d, which the bot did not ask for", m.Room, m.ID)
		return
	}
	c.onLeft()
	b.seats[i].gone = true
}

// scheduleChat plans the bot's next chat line. mu is held.
func (b *bot) scheduleChat(now time.Duration) {
	rate := b.s.cfg.Behaviour.ChatRate
	if rate <= 0 || b.chat.intended > now {
		return
	}
	b.chat.intended = now + exponential(b.rng, time.Duration(float64(time.Minute)/rate)) + time.Millisecond
	b.at(b.chat.intended, func(at time.Duration) {
		l := b.link
		if !b.stopped && l != nil && l.complete() && b.chat.text == "" && !b.seats[0].gone {
			b.ids++
			b.chat.id, b.chat.sent = b.ids, at
			b.chat.text = "line " + strconv.FormatUint(b.ids, 10) + " of " + b.s.run
			b.write(l, &wire.ClientMessage{Type: wire.TypeChat, ID: b.ids, Room: b.seats[0].room, Text: b.chat.text})
		}
		b.scheduleChat(at)
	})
}

func (b *bot) onChat(l *link, raw []byte, at time.Duration) {
	b.s.chatLines.Add(1)
	if b.chat.text == "" {
		return // of no concern; not decoding it keeps a busy chat cheap
	}
	handle(b, l, raw, func(m *wire.ChatLine) {
		if m.Player != b.player || m.Text != b.chat.text {
			return
		}
		if b.chat.text = ""; b.s.counts(b.chat.sent) {
			b.s.measure.record(latencyChat, at-b.chat.sent)
		}
	})
}

const (
	countRefused     = "refused: "
	countSessionLost = "sessions not known after a reconnect"
	countHeldBack    = "commands held back, too many were waiting"
	countMoveAsked   = "moves asked for by gateways"
)
