package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// bot is one player of the swarm. Its connection's reader and the scheduler's
// workers act on it, one at a time under mu; nothing is written to a socket
// while mu is held (see do).
type bot struct {
	// What every message needs stands first, near each other in memory.
	n     int // static
	mu    sync.Mutex
	after []func() // guarded by mu; run by do when mu is released
	only  seat     // guarded by mu; where seats points to when there is one
	seats []*seat  // the slice is static, seats are guarded by mu

	s *swarm // static

	rng       *rand.Rand    // guarded by mu
	player    string        // guarded by mu; from welcome
	token     string        // guarded by mu
	session   string        // guarded by mu; to go on with after a reconnect
	link      *link         // guarded by mu; the connection in use, nil while there is none
	next      *link         // guarded by mu; the connection that will follow it, or nil
	cmds      commands      // guarded by mu
	books     books         // guarded by mu
	failures  int           // guarded by mu; connections in a row that did not last
	returning time.Duration // guarded by mu; when the bot meant to be back, -1 when it is not away
	away      bool          // guarded by mu; left on purpose and not back yet
	dead      bool          // guarded by mu; told not to come back
	stopped   bool          // guarded by mu; acts no more
	ids       uint64        // guarded by mu; join and chat ids
	keys      uint64        // guarded by mu; command keys
	chat      chatLine      // guarded by mu
	breaks    bool          // guarded by mu; voluntary reconnects are scheduled
	outages   bool          // guarded by mu; outages are scheduled
	lostURL   string        // guarded by mu; gateway that was lost last, could not be reached, or asked to move
	slow      slowness      // static
	lastPing  uint64        // guarded by mu; id of the ping in the end, 0 before
	pingAt    time.Duration // guarded by mu; when it was sent
	ponged    bool          // guarded by mu; it was answered
}

func newBot(s *swarm, n int) *bot {
	b := &bot{
		s: s, n: n, returning: -1, slow: s.cfg.slownessOf(n),
		rng:   rand.New(rand.NewPCG(s.cfg.Seed, uint64(n))),
		cmds:  commands{check: s.check, bot: n},
		books: books{check: s.check, bot: n},
	}
	for i := range s.cfg.RoomsPerBot {
		room := s.cfg.seat(n, i)
		st := &b.only
		if s.cfg.RoomsPerBot > 1 {
			st = &seat{}
		}
		st.bot, st.room = b, room
		b.seats = append(b.seats, st)
	}
	return b
}

// do runs f under the bot's lock, and then, without it, what f put off: writes
// and closes, which may block.
func (b *bot) do(f func()) {
	b.mu.Lock()
	f()
	after := b.after
	b.after = nil
	b.mu.Unlock()
	for _, g := range after {
		g()
	}
}

// later puts g off until the lock is released. mu is held.
func (b *bot) later(g func()) { b.after = append(b.after, g) }

// write sends a message on l when the lock is released. mu is held.
func (b *bot) write(l *link, m *wire.ClientMessage) {
	payload := encode(m)
	b.later(func() { l.send(payload) })
}

// at schedules f, which runs under the bot's lock.
func (b *bot) at(at time.Duration, f func(at time.Duration)) {
	b.s.sched.add(at, func(at time.Duration) { b.do(func() { f(at) }) })
}

func (b *bot) fail(l *link, c checkName, format string, args ...any) {
	e := Example{Bot: b.n, Detail: fmt.Sprintf(format, args...)}
	if l != nil {
		e.Gateway = l.url
	}
	b.s.check.fail(c, e)
}

// dial starts a connection in a goroutine of its own. successor tells that the
// present connection stays open meanwhile.
func (b *bot) dial(began time.Duration, successor bool) {
	if b.s.closing.Load() {
		return
	}
	b.s.links.Go(func() {
		l, err := b.connect(b.s.ctx, began)
		if err != nil {
			b.do(func() { b.onDialFailed(err, successor) })
			return
		}
		var accepted bool
		b.do(func() { accepted = b.onDialed(l, successor) })
		if !accepted {
			l.conn.CloseNow()
			return
		}
		b.s.connected.Add(1)
		l.conn.Start(l)
	})
}

func (b *bot) connect(ctx context.Context, began time.Duration) (*link, error) {
	b.mu.Lock()
	token, first := b.token, b.link == nil && b.returning < 0
	url := b.s.cfg.URLs[b.n%len(b.s.cfg.URLs)]
	if !first || url == b.lostURL {
		url = b.otherURL()
	}
	b.mu.Unlock()
	if token == "" {
		t, err := b.s.dialer.token(ctx, b.n)
		if err != nil {
			return nil, err
		}
		b.do(func() { b.token = t })
	}
	conn, err := b.s.dialer.dial(ctx, b.n, url)
	if err != nil {
		b.do(func() { b.lostURL = url })
		return nil, err
	}
	l := newLink(b, url, began)
	l.conn = conn
	return l, nil
}

// otherURL draws a gateway, not the one that was lost if there is another. mu is
// held.
func (b *bot) otherURL() string {
	urls := b.s.cfg.URLs
	i := b.rng.IntN(len(urls))
	if urls[i] == b.lostURL {
		i = (i + 1 + b.rng.IntN(max(1, len(urls)-1))) % len(urls)
	}
	return urls[i]
}

// onDialed takes a fresh connection into use and says hello. It refuses it when
// it is not wanted any more.
func (b *bot) onDialed(l *link, successor bool) bool {
	switch {
	case b.s.closing.Load() || b.dead:
		return false
	case successor && b.link != nil && b.next == nil:
		b.next = l
	case b.link == nil:
		b.link = l
	default:
		return false
	}
	b.write(l, &wire.ClientMessage{Type: wire.TypeHello, Protocol: wire.ProtocolVersion, Token: b.token, Session: b.session})
	return true
}

func (b *bot) onDialFailed(err error, successor bool) {
	if b.s.closing.Load() {
		return
	}
	var r *refusal
	wait := time.Duration(0)
	if errors.As(err, &r) {
		b.s.check.count("dials refused with "+r.Error(), 1)
		wait = r.after
	} else {
		b.s.check.count(countDialFailed, 1)
		b.s.noteDialError(err)
	}
	if !successor {
		b.comeBack(max(wait, backoff(b.rng, b.failures)))
	}
}

// comeBack dials again after a wait. mu is held.
func (b *bot) comeBack(wait time.Duration) {
	b.failures++
	at := b.s.now() + wait
	if b.returning < 0 {
		b.returning = at
	}
	b.at(at, func(at time.Duration) {
		if b.link == nil && !b.dead {
			b.later(func() { b.dial(at, false) })
		}
	})
}

// onEnd judges why a connection ended, and comes back unless told otherwise
// (P6.5, P6.6).
func (b *bot) onEnd(l *link, err error) {
	if b.next == l {
		b.next = nil
	}
	if b.link == l {
		b.link, b.next = b.next, nil
	}
	if l.retired || b.s.closing.Load() {
		return
	}
	code := websocket.CloseStatus(err)
	b.s.check.count(closeName(code), 1)
	b.lostURL = l.url
	if b.s.cfg.Behaviour.Idle {
		b.fail(l, checkIdle, "ended: %v", err)
	}
	if !mayReturn(code) {
		b.dead = true
		b.fail(l, checkProtocol, "was closed for good: %v", err)
	}
	if b.link != nil || b.dead {
		return
	}
	if b.s.now()-l.began > backoffStable {
		b.failures = 0
	}
	b.comeBack(max(l.retryAfter, backoff(b.rng, b.failures)))
}

// mayReturn reports whether a client should reconnect after this close code; -1
// is a connection that broke without one.
func mayReturn(code websocket.StatusCode) bool {
	switch code {
	case -1, websocket.StatusNormalClosure, websocket.StatusGoingAway, 1012, 1013:
		return true
	}
	return code >= 3000 && wire.CloseCode(code).Reconnect()
}

func closeName(code websocket.StatusCode) string {
	if code < 0 {
		return "connections that broke"
	}
	return "connections closed with " + strconv.Itoa(int(code))
}

// scheduleBreak plans the next voluntary reconnect. mu is held.
func (b *bot) scheduleBreak(now time.Duration) {
	every := b.s.cfg.Behaviour.ReconnectEvery
	if every <= 0 || b.breaks {
		return
	}
	b.breaks = true
	b.at(now+between(b.rng, every/2, every+every/2), func(at time.Duration) {
		b.breaks = false
		if b.stopped || b.dead {
			return
		}
		if b.link == nil || b.next != nil || !b.link.complete() {
			b.scheduleBreak(at) // away or moving already
			return
		}
		if b.rng.Float64() < b.s.cfg.Behaviour.MakeBeforeBreak {
			b.move(at)
		} else {
			b.breakOff(at, at+between(b.rng, 20*time.Millisecond, time.Second))
		}
		b.scheduleBreak(at)
	})
}

// move opens a second connection, which takes over when it has joined. mu is held.
func (b *bot) move(at time.Duration) {
	if b.link == nil || b.next != nil {
		return
	}
	b.s.check.count(countMoves, 1)
	b.later(func() { b.dial(at, true) })
}

// scheduleOutages plans when the bot loses the network: the first time at random, so
// that bots do not act as one. mu is held.
func (b *bot) scheduleOutages(now time.Duration) {
	if every := b.s.cfg.Behaviour.OutageEvery; every > 0 && !b.outages {
		b.outages = true
		b.at(now+between(b.rng, 0, every), b.outage)
	}
}

// outage loses the network for some time. The next one counts from when this one was
// meant to begin.
func (b *bot) outage(at time.Duration) {
	if b.stopped || b.dead {
		return
	}
	if b.link != nil && b.next == nil && b.link.complete() {
		b.s.check.count(countOutages, 1)
		b.breakOff(at, at+b.s.cfg.Behaviour.Outage)
	}
	b.at(at+b.s.cfg.Behaviour.OutageEvery, b.outage)
}

// breakOff loses the connection without a word, as a phone does, and comes back
// at a time. mu is held.
func (b *bot) breakOff(at, back time.Duration) {
	l := b.link
	if l == nil {
		return
	}
	b.s.check.count(countBreaks, 1)
	for _, st := range b.seats {
		st.heardAt = 0 // what is missed now is nobody's fault
	}
	l.retired, b.link, b.away = true, nil, true
	b.cmds.drop()
	b.returning = back
	b.later(func() { l.conn.CloseNow() })
	b.at(back, func(at time.Duration) {
		if b.link == nil && !b.dead {
			b.later(func() { b.dial(at, false) })
		}
	})
}

// resume leaves a connection whose sequence is broken, as P3.3 wants. mu is held.
func (b *bot) resume(l *link, now time.Duration) {
	l.broken = true
	switch {
	case b.link == l && !l.retired:
		b.breakOff(now, now+between(b.rng, 20*time.Millisecond, time.Second))
	case b.next == l:
		l.retired, b.next = true, nil
		b.later(func() { l.conn.CloseNow() })
	}
}

// promote makes the second connection the one in use. mu is held.
func (b *bot) promote(l *link) {
	old := b.link
	b.link, b.next = l, nil
	if old == nil {
		return
	}
	old.retired = true
	b.later(func() {
		// The close waits for the gateway's answer, and answers to commands may still
		// come before it; what is open then is asked for again.
		b.s.links.Go(func() {
			old.conn.Close()
			b.do(func() { b.sendOpen() })
		})
	})
}

// stop ends the bot's own actions; bets that fly are brought home. mu is held.
func (b *bot) stop(now time.Duration) {
	b.stopped = true
	b.speedUp()
	b.pingLast(now)
	for _, st := range b.seats {
		if st.table != nil {
			st.table.stop(now)
		}
	}
}

// pingLast asks for a sign of life of an idle connection (P6.2). mu is held.
func (b *bot) pingLast(now time.Duration) {
	if l := b.link; b.s.cfg.Behaviour.Idle && l != nil && l.welcomed {
		b.ids++
		b.lastPing = b.ids
		b.write(l, &wire.ClientMessage{Type: wire.TypePing, ID: b.lastPing})
		b.pingAt = now
	}
}

// onPong takes in the answer.
func (b *bot) onPong(m *wire.Pong, at time.Duration) {
	if m.ID == b.lastPing && m.ID != 0 && !b.ponged {
		b.ponged = true
		b.s.measure.record(latencyPing, at-b.pingAt)
	}
}

// settled reports whether nothing is owed to the bot.
func (b *bot) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return true
	}
	if b.link == nil || b.next != nil || !b.link.complete() || len(b.cmds.pending) > 0 || b.openBets() || !b.books.agrees() || b.lastPing > 0 && !b.ponged {
		return false
	}
	for i := range b.link.cursors {
		if c := &b.link.cursors[i]; c.joined && c.seq < c.stream.getMark() {
			return false
		}
	}
	return true
}

func (b *bot) openBets() bool {
	for _, st := range b.seats {
		if st.table != nil && st.table.open() {
			return true
		}
	}
	return false
}

// finish makes the checks of the end.
func (b *bot) finish(now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cmds.finish(now, min(time.Second, b.s.cfg.Settle/2))
	b.books.finish(b.openBets() || len(b.cmds.pending) > 0)
	for _, st := range b.seats {
		if !st.everJoined && !b.dead {
			b.s.check.fail(checkJoined, Example{Bot: b.n, Room: st.room, Detail: "never joined"})
		}
	}
	if b.link == nil || !b.link.complete() {
		b.s.check.fail(checkComplete, Example{Bot: b.n, Detail: "was not connected and joined in the end"})
		return
	}
	if b.s.cfg.Behaviour.Idle && !b.ponged {
		b.fail(b.link, checkIdle, "the last ping has no answer")
	}
	for i := range b.link.cursors {
		b.link.cursors[i].finish(b.seats[i].tickMark)
	}
}

// close ends the bot's connections.
func (b *bot) close() {
	b.do(func() {
		for _, l := range []*link{b.link, b.next} {
			if l != nil {
				l.retired = true
				b.later(l.conn.Close)
			}
		}
	})
}

const (
	countDialFailed = "dials failed"
	countBreaks     = "connections dropped on purpose"
	countOutages    = "outages of the network"
	countMoves      = "connections moved (make before break)"
)
