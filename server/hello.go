package server

import (
	"context"
	"errors"
	"time"

	"tickcast/cache"
	"tickcast/wire"
)

// resumeTimeout bounds the look-up of a session: a hello does not wait for Redis.
const resumeTimeout = 500 * time.Millisecond

// hello admits a player (P2.1 to P2.8).
func (s *session) hello(now time.Time, m *wire.ClientMessage) {
	if m.Protocol != wire.ProtocolVersion {
		s.closeWith(wire.CloseBadRequest, wire.Errorf(wire.CodeBadVersion, "protocol %d is spoken here", wire.ProtocolVersion))
		return
	}
	who, err := s.g.keys.verify(m.Token, now)
	if err != nil {
		s.closeWith(wire.CloseInvalidToken, wire.Errorf(wire.CodeInvalidToken, "%v", err))
		return
	}
	if s.g.sanctions.kicked(who.ID, now) {
		s.conn.Close(wire.CloseKicked, "kicked by an operator")
		return
	}
	s.player, s.expires = who.Player, who.expires
	known := s.resume(m.Session)
	if !s.g.players.add(s) {
		s.conn.Close(wire.CloseConnectionLimit, "too many connections of this player")
		return
	}
	s.live.greeted.Store(true)
	s.welcome(now, known)
	if s.g.sanctions.kicked(who.ID, now) { // since the first look, when this session was not yet found
		s.conn.Close(wire.CloseKicked, "kicked by an operator")
	}
}

// resume takes over the stored session of that ID if it is this player's, and
// begins a new one otherwise.
func (s *session) resume(id string) (known bool) {
	s.id, s.version = newUUID(), 1
	if id == "" || len(id) > 64 || s.g.cfg.Cache == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(s.g.life, resumeTimeout)
	defer cancel()
	stored, err := s.g.cfg.Cache.GetSession(ctx, id)
	if err != nil {
		if !errors.Is(err, cache.ErrNotFound) {
			s.g.cfg.Log.Warn("a session could not be looked up", "err", err)
		}
		return false
	}
	if stored.Player != s.player.ID {
		return false
	}
	s.id, s.version = stored.ID, stored.Version+1
	s.resumed = stored.Positions
	return true
}

func (s *session) welcome(now time.Time, known bool) {
	kind := "login"
	if known {
		kind = "resume"
	}
	s.send(wire.Welcome{
		Type: wire.TypeWelcome, Protocol: wire.ProtocolVersion, Session: s.id, Resumed: known, Gateway: s.g.cfg.ID,
		Player: s.player, Rooms: s.resumed, PingMS: s.g.cfg.PingInterval.Milliseconds(), Now: now.UnixMilli(),
	})
	s.g.events.add(s.event(kind, ""))
	s.refresh(now)
}
