package server

import (
	"time"

	"tickcast/wire"
)

// receive judges a message and acts on it. It does not wait for anybody but, at
// hello, the session store.
func (s *session) receive(now time.Time, p []byte) {
	how := s.conduct.arrived(now)
	if how == verdictFlood {
		s.conn.Close(wire.CloseTooManyRequests, "far over the rate limit")
		return
	}
	m, refusal := parseMessage(p)
	s.g.metrics.received(m.Type)
	switch {
	case !s.greeted() && m.Type != wire.TypeHello:
		s.closeWith(wire.CloseBadRequest, wire.Errorf(wire.CodeHelloExpected, "the first message is hello"))
	case refusal != nil:
		s.strike(now, refusal)
	case how == verdictLimited:
		s.refuseAny(&m, wire.Errorf(wire.CodeRateLimited, "at most %g messages a second", s.g.cfg.MessagesPerSecond))
	default:
		s.dispatch(now, &m)
	}
}

// pinged judges a ping frame, which counts as a message (P6.7), and reports whether it is answered.
func (s *session) pinged(now time.Time) bool {
	how := s.conduct.arrived(now)
	if how == verdictFlood {
		s.conn.Close(wire.CloseTooManyRequests, "far over the rate limit")
	}
	return how == verdictPass
}

func (s *session) dispatch(now time.Time, m *wire.ClientMessage) {
	switch m.Type {
	case wire.TypeHello:
		if s.greeted() {
			s.strike(now, wire.Errorf(wire.CodeAlreadyHello, "hello was said"))
			return
		}
		s.hello(now, m)
	case wire.TypeJoin:
		s.join(m)
	case wire.TypeLeave:
		s.leave(m)
	case wire.TypeCmd:
		s.command(now, m)
	case wire.TypeChat:
		s.say(now, m)
	case wire.TypePing:
		s.send(wire.Pong{Type: wire.TypePong, ID: m.ID, Now: now.UnixMilli()})
	case wire.TypePong:
		s.applied(m.Applied)
	}
}

// strike answers a message that no client written to the protocol sends, and closes when
// there are many (P1.6).
func (s *session) strike(now time.Time, e *wire.Error) {
	if s.conduct.strikes.allow(now) {
		s.refuse(0, "", e)
		return
	}
	s.closeWith(wire.CloseBadRequest, e)
}

// refuseAny answers a message with an error in the form that its type has.
func (s *session) refuseAny(m *wire.ClientMessage, e *wire.Error) {
	if m.Type == wire.TypeCmd && wire.ValidKey(m.Key) && (m.Room == wire.CashierRoom || wire.ValidRoomID(m.Room)) {
		s.refuseCommand(m.Room, m.Key, e)
		return
	}
	s.refuse(m.ID, roomName(m.Room), e)
}

// roomName is what an error may repeat of a room's name.
func roomName(room string) string {
	if wire.ValidRoomID(room) {
		return room
	}
	return ""
}

// join asks the room's feed for a place (P3.1 to P3.9). Joining again is leaving
// and joining.
func (s *session) join(r *wire.ClientMessage) {
	refusal := checkRoom(r.Room)
	if refusal == nil {
		refusal = checkPosition(r.Position)
	}
	if refusal != nil {
		s.refuse(r.ID, roomName(r.Room), refusal)
		return
	}
	s.part(r.Room)
	info, ok := s.g.directory.room(r.Room)
	if !ok {
		s.refuse(r.ID, r.Room, s.g.directory.refusal(r.Room))
		return
	}
	m := s.enter(info)
	if m == nil {
		s.refuse(r.ID, r.Room, wire.Errorf(wire.CodeTooManyRooms, "at most %d rooms on one connection", wire.MaxRoomsPerSession))
		return
	}
	m.feed.join(&joining{m: m, id: r.ID, position: r.Position, since: time.Now()})
}

// enter makes the session a member, unless it is one of too many rooms.
func (s *session) enter(info wire.RoomInfo) *member {
	s.mu.Lock()
	full := len(s.rooms) >= wire.MaxRoomsPerSession
	s.mu.Unlock()
	if full {
		return nil
	}
	m := s.g.feeds.acquire(s, info)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[info.ID] = m
	return m
}

// part ends a membership: behind its return nothing of the room is sent. It
// reports whether there was one.
func (s *session) part(room string) bool {
	s.mu.Lock()
	m := s.rooms[room]
	if m == nil {
		s.mu.Unlock()
		return false
	}
	m.gone = true
	delete(s.rooms, room)
	delete(s.resumed, room)
	s.mu.Unlock()
	s.g.feeds.release(m)
	return true
}

func (s *session) leave(r *wire.ClientMessage) {
	if refusal := checkRoom(r.Room); refusal != nil {
		s.refuse(r.ID, "", refusal)
		return
	}
	if !s.part(r.Room) {
		s.refuse(r.ID, r.Room, wire.Errorf(wire.CodeNotJoined, "room %q is not joined", r.Room))
		return
	}
	s.send(wire.Left{Type: wire.TypeLeft, ID: r.ID, Room: r.Room})
}

// applied takes note of how far the client is.
func (s *session) applied(seqs map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room, seq := range seqs {
		m := s.rooms[room]
		if m == nil || !m.joined {
			continue
		}
		newest := m.feed.topic.Newest()
		if seq >= m.known.Seq && seq <= newest {
			m.known.Seq = seq
			s.g.metrics.applyLag.Observe(float64(newest - seq))
		}
	}
}

// command checks a command's shape and hands it to the log (P4.1 to P4.6).
func (s *session) command(_ time.Time, r *wire.ClientMessage) {
	if r.Room != wire.CashierRoom {
		if refusal := checkRoom(r.Room); refusal != nil {
			s.refuse(0, "", refusal)
			return
		}
	}
	if refusal := checkCommand(r); refusal != nil {
		s.refuseAny(r, refusal)
		return
	}
	partition := wire.PartitionOf(s.player.ID, s.g.cfg.Partitions)
	if r.Room != wire.CashierRoom {
		s.mu.Lock()
		m := s.rooms[r.Room]
		s.mu.Unlock()
		if m == nil {
			s.refuseCommand(r.Room, r.Key, wire.Errorf(wire.CodeNotJoined, "room %q is not joined", r.Room))
			return
		}
		partition = m.feed.partition
	}
	c := wire.Command{
		Player: s.player.ID, Name: s.player.Name, Guest: s.player.Guest, Gateway: s.g.cfg.ID,
		Key: r.Key, Op: r.Op, Round: r.Round, Args: r.Args,
	}
	if refusal := s.g.commands.submit(s, r.Room, partition, c); refusal != nil {
		s.refuseCommand(r.Room, r.Key, refusal)
	}
}

// say checks a chat line and hands it to the chat's stream (P5.1, P5.2).
func (s *session) say(now time.Time, r *wire.ClientMessage) {
	refusal := checkRoom(r.Room)
	s.mu.Lock()
	m := s.rooms[r.Room]
	s.mu.Unlock()
	switch {
	case refusal != nil:
	case m == nil:
		refusal = wire.Errorf(wire.CodeNotJoined, "room %q is not joined", r.Room)
	case !wire.ValidText(r.Text, wire.MaxChatBytes):
		refusal = wire.Errorf(wire.CodeBadText, "text is 1 to %d bytes of UTF-8 without control characters", wire.MaxChatBytes)
	case s.g.sanctions.muted(s.player.ID, now):
		refusal = wire.Errorf(wire.CodeMuted, "an operator muted you")
	case !s.g.chat.rates.allow(s.player.ID, now):
		refusal = wire.Errorf(wire.CodeRateLimited, "at most %d lines in %v", chatBurst, chatWindow)
	}
	if refusal != nil {
		s.refuse(r.ID, roomName(r.Room), refusal)
		return
	}
	s.g.chat.say(s, r.ID, r.Room, wire.ChatRecord{Player: s.player.ID, Name: s.player.Name, Text: r.Text})
}
