package server

import (
	"context"
	"errors"
	"time"

	"tickcast/cache"
	"tickcast/fanout"
	"tickcast/wire"
)

// resumeTimeout bounds the look-up of a session: a hello does not wait for Redis. A variable for tests.
var resumeTimeout = 500 * time.Millisecond

// cacheWarning is how often it is logged that Redis does not answer: all of a gateway's
// players may come back while it does not. The metric counts.
const cacheWarning = time.Minute

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
	if !s.welcome(now, known) {
		s.conn.Close(wire.CloseConnectionLimit, "too many connections of this player")
		return
	}
	kind := "login"
	if known {
		kind = "resume"
	}
	s.g.events.add(s.event(kind, ""))
	s.refresh(now)
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
			s.g.metrics.cacheErrors.Inc()
			s.g.unlooked.Do(func() { s.g.cfg.Log.Warn("sessions cannot be looked up", "err", err) })
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

// welcome admits the session and says so, unless its player has too many. Both under mu: what
// concerns the player comes behind the welcome.
func (s *session) welcome(now time.Time, known bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := fanout.NewFrame(encode(wire.Welcome{
		Type: wire.TypeWelcome, Protocol: wire.ProtocolVersion, Session: s.id, Resumed: known, Gateway: s.g.cfg.ID,
		Player: s.player, Rooms: s.resumed, PingMS: s.g.cfg.PingInterval.Milliseconds(), Now: now.UnixMilli(),
	}))
	if !s.g.players.add(s) {
		return false
	}
	s.live.greeted.Store(true)
	s.sendFrame(f)
	return true
}
