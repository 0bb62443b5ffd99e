package server

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tickcast/fanout"
	"tickcast/wire"
)

// session is one connected client: the hub's receiver of its messages. Feeds, the wheel and
// the answers to its commands send to it.
type session struct {
	g       *Gateway     // Static.
	conn    *fanout.Conn // Static.
	address netip.Addr   // Static.
	timer   wheelTimer   // guarded by the wheel
	live    liveness     // see there
	conduct conduct      // Owned by Receive.

	// Set by hello, static after it. The rest of the gateway does not see the
	// session before.
	player  wire.Player
	expires time.Time
	id      string
	version int64 // of the stored session

	looking atomic.Bool // whether the balance is being looked up

	mu        sync.Mutex // guards everything below
	ended     bool
	rooms     map[string]*member
	resumed   map[string]wire.Position // last known positions of rooms not joined here
	waiting   int                      // commands without an answer
	balance   wire.Balance             // newest that was sent
	refreshed time.Time                // see refresh
	storedAt  time.Time
	stored    uint64 // sum of it then
}

// member is a session in a room.
type member struct {
	s    *session // Static.
	room string   // Static.
	feed *feed    // Static.

	// Guarded by s.mu.
	gone   bool // left: nothing of the room may be sent
	joined bool // the joined message is out
	known  wire.Position
}

func newSession(g *Gateway, conn *fanout.Conn, address netip.Addr, now time.Time) *session {
	s := &session{g: g, conn: conn, address: address, rooms: map[string]*member{}}
	s.live = liveness{hello: g.cfg.HelloTimeout, interval: g.cfg.PingInterval, timeout: g.cfg.PongTimeout, opened: now}
	s.conduct = newConduct(g.cfg.MessagesPerSecond, g.cfg.MessageBurst)
	s.timer.visit = s.visit
	conn.Bind(s)
	return s
}

// serve has the session receive until the connection ends.
func (s *session) serve() {
	s.g.wheel.add(&s.timer, s.g.cfg.HelloTimeout)
	s.conn.Serve(s)
}

// Receive implements fanout.Receiver.
func (s *session) Receive(p []byte) {
	now := time.Now()
	s.live.heard(now)
	s.receive(now, p)
}

// Ended implements fanout.Receiver: it undoes what hello and joins did.
func (s *session) Ended(error) {
	defer s.g.work.Done()
	defer s.g.admission.leave()
	s.g.wheel.remove(&s.timer)
	s.mu.Lock()
	s.ended = true
	members := make([]*member, 0, len(s.rooms))
	for _, m := range s.rooms {
		m.gone = true
		members = append(members, m)
	}
	s.mu.Unlock()
	for _, m := range members {
		s.g.feeds.release(m)
	}
	code := s.conn.Ended()
	s.g.metrics.closed(code)
	if s.greeted() {
		s.g.store.put(s)
		s.g.players.remove(s)
		s.g.events.add(s.event("end", closeReason(code)))
	}
}

func (s *session) greeted() bool { return s.live.greeted.Load() }

// send sends a message of the gateway's own. When it fails the connection is
// closed or closing, which serve finds out.
func (s *session) send(v any) { s.sendFrame(fanout.NewFrame(encode(v))) }

func (s *session) sendFrame(f *fanout.Frame) { _ = s.conn.Send(f) }

// refuse answers a request that is no command with an error.
func (s *session) refuse(id uint64, room string, e *wire.Error) {
	s.g.metrics.refused(e.Code)
	s.send(wire.ErrorMessage{Type: wire.TypeError, ID: id, Room: room, Error: *e})
}

// refuseCommand answers a command with an error.
func (s *session) refuseCommand(room, key string, e *wire.Error) {
	s.g.metrics.refused(e.Code)
	s.send(wire.Answer{Type: wire.TypeAnswer, Room: room, Key: key, Error: e})
}

// closeWith sends an error in band, then closes.
func (s *session) closeWith(code wire.CloseCode, e *wire.Error) {
	s.refuse(0, "", e)
	s.conn.Close(code, e.Message)
}

// visit is the wheel's: it pings, and ends what is over.
func (s *session) visit(now time.Time) time.Duration {
	if s.greeted() && !now.Before(s.expires) {
		s.conn.Close(wire.CloseExpired, "the token expired")
		return 0
	}
	what, wait := s.live.next(now, s.g.wheel.awake)
	switch what {
	case dutyStale:
		s.conn.Close(wire.CloseStale, "no hello in time")
		return 0
	case dutyMute:
		s.conn.Close(wire.CloseNoPong, "no pong in time")
		return 0
	case dutyPing:
		s.sendFrame(s.g.pings.at(now))
	}
	if s.greeted() {
		wait = min(wait, max(s.expires.Sub(now), 1))
		s.refresh(now)
	}
	return wait
}

// refresh renews once per ping interval what is kept elsewhere: the stored session, where its rooms have
// changed or it is due, and the balance, which may have changed in a room that is followed nowhere on this gateway.
func (s *session) refresh(now time.Time) {
	s.mu.Lock()
	due := now.Sub(s.refreshed) >= s.g.cfg.PingInterval
	store := false
	if due {
		s.refreshed = now
		sum := s.sum()
		if store = sum != s.stored || now.Sub(s.storedAt) >= storeRenewal; store {
			s.stored, s.storedAt = sum, now
		}
	}
	s.mu.Unlock()
	if due {
		s.g.balances.look(s)
	}
	if store {
		s.g.store.put(s)
	}
}

// sum tells whether the session is in other rooms, or logs of them. The caller holds mu.
func (s *session) sum() uint64 {
	var sum uint64
	for room, m := range s.rooms {
		if m.joined {
			sum ^= maphash.Comparable(sumSeed, [2]string{room, m.known.Log})
		}
	}
	return sum
}

var sumSeed = maphash.MakeSeed()

// tell sends a message to the player that is not about one room, or about one
// that the session has joined.
func (s *session) tell(room string, f *fanout.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.rooms[room]; room == "" || m != nil && m.joined {
		s.sendFrame(f) // under mu, or it could come behind left
	}
}

// skip tells which updates of a room do not come, and returns the session's place there; nil if it
// has left.
func (s *session) skip(room string, from, to uint64) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.rooms[room]
	if m != nil {
		s.send(wire.Skip{Type: wire.TypeSkip, Room: room, From: from, To: to}) // under mu, as in tell
	}
	return m
}

// tellBalance sends a balance unless a newer one was sent.
func (s *session) tellBalance(b wire.Balance) {
	b.Type = wire.TypeBalance
	s.mu.Lock()
	old := s.balance
	fresh := old.Type == "" || b.Version > old.Version
	if fresh {
		s.balance = b
	}
	s.mu.Unlock()
	if fresh {
		s.send(b)
	}
}

// mayHaveAccount reports whether the ledger may have an account of the player.
func (s *session) mayHaveAccount() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.balance.Type == "" || s.balance.Version > 0
}

// beginCommand counts a command that waits for its answer, unless there are too
// many.
func (s *session) beginCommand() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= wire.MaxCommandsInFlight {
		return false
	}
	s.waiting++
	return true
}

// answered sends the answer to a command that beginCommand counted.
func (s *session) answered(f *fanout.Frame) {
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
	s.sendFrame(f)
}

func (s *session) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *session) hasJoined(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.joined
}

// forget ends a membership from the room's side. It reports whether it was not over yet.
func (s *session) forget(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[m.room] == m {
		delete(s.rooms, m.room)
	}
	was := !m.gone
	m.gone = true
	return was
}

// positions are the last known positions of the session's rooms. Those that were not joined again go
// where there are too many, or a session that is resumed with other rooms each time would grow.
func (s *session) positions() map[string]wire.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]wire.Position{}
	for room, m := range s.rooms {
		if m.joined {
			all[room] = m.known
		}
	}
	for room, p := range s.resumed {
		if _, here := all[room]; !here && len(all) < wire.MaxRoomsPerSession {
			all[room] = p
		}
	}
	return all
}

func (s *session) event(kind, reason string) wire.SessionEvent {
	return wire.SessionEvent{
		ID: newUUID(), Session: s.id, Player: s.player.ID, Name: s.player.Name, Guest: s.player.Guest,
		Gateway: s.g.cfg.ID, Kind: kind, Address: s.address.String(), Reason: reason, At: time.Now().UnixMilli(),
	}
}
