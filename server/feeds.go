package server

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/fanout"
	"tickcast/wire"
)

// feedLinger is how long a room is followed after the last client left: a page
// that is loaded again finds the gateway's copy still there.
const feedLinger = 5 * time.Second

// feeds are the rooms that this gateway follows: those with members, and for a
// moment those that had some.
type feeds struct {
	g     *Gateway
	loops []*loop // Static.

	mu     sync.Mutex // guards everything below, and feed.members
	byRoom map[string]*feed
}

func newFeeds(g *Gateway) *feeds {
	f := &feeds{g: g, byRoom: map[string]*feed{}}
	for range runtime.GOMAXPROCS(0) {
		f.loops = append(f.loops, newLoop(g.life))
	}
	return f
}

// run follows the rooms until ctx ends.
func (f *feeds) run(ctx context.Context) {
	var loops sync.WaitGroup
	for _, l := range f.loops {
		loops.Go(func() { l.run(ctx) })
	}
	loops.Wait()
}

// loopOf is the loop of a room, always the same.
func (f *feeds) loopOf(room string) *loop {
	h := fnv.New32a()
	h.Write([]byte(room))
	return f.loops[h.Sum32()%uint32(len(f.loops))]
}

// acquire makes a session a member of a room, which is followed from here on.
func (f *feeds) acquire(s *session, info wire.RoomInfo) *member {
	m := &member{s: s, room: info.ID}
	if f.enter(m, info) {
		m.feed.loop.post(event{m.feed, m.feed.begin}) // without the lock, for which the loop may wait
	}
	return m
}

// enter finds or makes the feed for a member. It reports whether it is new.
func (f *feeds) enter(m *member, info wire.RoomInfo) (fresh bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.feed = f.byRoom[info.ID]
	if fresh = m.feed == nil; fresh {
		m.feed = newFeed(f.g, info, f.g.hub.Topic(info.ID, ringUpdates))
		f.byRoom[info.ID] = m.feed
		f.g.metrics.rooms.Inc()
	}
	m.feed.members[m] = struct{}{}
	m.feed.left = time.Time{}
	return fresh
}

// release ends what acquire began. The member must be marked as gone before, so
// that nothing is sent to it behind this.
func (f *feeds) release(m *member) {
	f.mu.Lock()
	delete(m.feed.members, m)
	if len(m.feed.members) == 0 {
		m.feed.left = time.Now()
	}
	f.mu.Unlock()
	m.feed.topic.Leave(m.s.conn)
}

// retire stops following a room: closed, or when nobody has been there for a
// while. It reports whether it did, and who was there.
func (f *feeds) retire(r *feed, now time.Time, closed bool) (members []*member, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !closed && (len(r.members) > 0 || r.left.IsZero() || now.Sub(r.left) < feedLinger) {
		return nil, false
	}
	if f.byRoom[r.room] == r {
		delete(f.byRoom, r.room)
		f.g.metrics.rooms.Dec()
	}
	for m := range r.members {
		members = append(members, m)
	}
	r.topic.Close() // under mu, or the room's next feed could get a topic that is about to close
	return members, true
}

// of is the feed of a room, nil if it is not followed here.
func (f *feeds) of(room string) *feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byRoom[room]
}

// give answers other gateways that ask for what is kept here. What nobody has time to look
// at, the asker gets from the owner.
func (f *feeds) give(m *nats.Msg) {
	var a wire.Ask
	if json.Unmarshal(m.Data, &a) != nil || a.Op != wire.AskSince {
		return
	}
	nothing := func() { _ = bus.Respond(m, encode(wire.AskReply{Lost: true})) } // fails for a reply that is none
	r := f.of(a.Room)
	if r == nil {
		nothing()
		return
	}
	if !r.loop.offer(event{r, func(time.Time) { _ = bus.Respond(m, encode(r.give(a.Seq))) }}) {
		nothing()
	}
}

// present returns the members of a room.
func (f *feeds) present(r *feed) []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	members := make([]*member, 0, len(r.members))
	for m := range r.members {
		members = append(members, m)
	}
	return members
}

// counts are the connections in each followed room.
func (f *feeds) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[string]int, len(f.byRoom))
	for room, r := range f.byRoom {
		if n := r.topic.Len(); n > 0 {
			counts[room] = n
		}
	}
	return counts
}

// all returns what is followed.
func (f *feeds) all() []*feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*feed, 0, len(f.byRoom))
	for _, r := range f.byRoom {
		list = append(list, r)
	}
	return list
}

// doubt makes a room ask its owner whether its copy is right: the directory says
// that it is gone or another one.
func (f *feeds) doubt(room string) {
	if r := f.of(room); r != nil {
		r.poke(pokeDoubt)
	}
}

// check makes every room ask for what it may have missed while NATS was away.
func (f *feeds) check() {
	for _, r := range f.all() {
		r.poke(pokeCheck)
	}
}

// lost is the hub's: a connection fell off a room's ring.
func (f *feeds) lost(c *fanout.Conn, t *fanout.Topic, from, to uint64) {
	s, ok := c.Bound().(*session)
	if !ok {
		return
	}
	m := s.skip(t.Name(), from, to)
	if m == nil {
		return
	}
	f.g.metrics.skipped.Inc()
	m.feed.join(&joining{m: m, again: true, skipped: to, since: time.Now()})
}
