package server

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/fanout"
	"tickcast/wire"
)

const (
	// presenceInterval is how often a gateway says its counts.
	presenceInterval = time.Second
	// presenceExpiry is when a gateway that was not heard is gone.
	presenceExpiry = 3 * time.Second
)

// presence counts the connections in each room over all gateways.
type presence struct {
	self string // Static.

	mu     sync.Mutex // guards everything below
	others map[string]counted
	sums   map[string]int // of others, made when one of them changes
	told   map[string]int // what the rooms' members were told last
}

type counted struct {
	rooms map[string]int
	at    time.Time
}

func newPresence(self string) *presence {
	return &presence{self: self, others: map[string]counted{}, sums: map[string]int{}, told: map[string]int{}}
}

// heard takes the counts of a gateway.
func (p *presence) heard(m *nats.Msg) {
	var said wire.Presence
	if json.Unmarshal(m.Data, &said) != nil || said.Gateway == p.self || wire.PresenceSubject(said.Gateway) != m.Subject {
		return
	}
	p.note(said, time.Now())
}

func (p *presence) note(said wire.Presence, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others[said.Gateway] = counted{rooms: said.Rooms, at: now}
	p.sum()
}

// sum adds up the others. The caller holds mu.
func (p *presence) sum() {
	clear(p.sums)
	for _, c := range p.others {
		for room, n := range c.rooms {
			p.sums[room] += n
		}
	}
}

// total is the number of connections in a room, of which own are here.
func (p *presence) total(room string, own int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sums[room] + own
}

// somebodyIn is another gateway with connections in a room, any of them; "" if there is none.
func (p *presence) somebodyIn(room string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for gateway, c := range p.others { // in no order, which shares the questions out
		if c.rooms[room] > 0 {
			return gateway
		}
	}
	return ""
}

// changed forgets gateways that are gone and returns the rooms followed here
// whose total is not what their members were told.
func (p *presence) changed(own map[string]int, now time.Time) map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for gateway, c := range p.others {
		if now.Sub(c.at) > presenceExpiry {
			delete(p.others, gateway)
			p.sum()
		}
	}
	fresh := map[string]int{}
	for room, n := range own {
		if total := n + p.sums[room]; p.told[room] != total {
			fresh[room], p.told[room] = total, total
		}
	}
	for room := range p.told {
		if _, here := own[room]; !here {
			delete(p.told, room)
		}
	}
	return fresh
}

// tellPresence says this gateway's counts to the others, and totals that changed to
// the rooms' members.
func (g *Gateway) tellPresence(now time.Time) {
	own := g.feeds.counts()
	_ = g.cfg.Conn.Publish(wire.PresenceSubject(g.cfg.ID), encode(wire.Presence{Gateway: g.cfg.ID, Rooms: own})) // said again in a second
	changed := g.presence.changed(own, now)
	if len(changed) == 0 {
		return
	}
	for _, f := range g.feeds.all() {
		if n, ok := changed[f.room]; ok {
			f.topic.Notice(fanout.NewFrame(encode(wire.RoomPlayers{Type: wire.TypePresence, Room: f.room, Players: n})))
		}
	}
}
