package server

import (
	"sync"
)

// players knows the sessions of each player on this gateway.
type players struct {
	most int // Static: sessions of one player.

	mu   sync.Mutex // guards byID
	byID map[string][]*session
}

func newPlayers(most int) *players { return &players{most: most, byID: map[string][]*session{}} }

// add admits a session, unless its player has as many as are allowed.
func (p *players) add(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.byID[s.player.ID]
	if len(list) >= p.most {
		return false
	}
	// A new array: of returns what it has without copying.
	p.byID[s.player.ID] = append(list[:len(list):len(list)], s)
	return true
}

func (p *players) remove(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []*session
	for _, other := range p.byID[s.player.ID] {
		if other != s {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(p.byID, s.player.ID)
		return
	}
	p.byID[s.player.ID] = rest
}

// of returns the sessions of a player. The slice is never modified.
func (p *players) of(player string) []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[player]
}
