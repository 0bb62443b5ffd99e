package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// ringUpdates is how many updates a room keeps here: what an owner keeps, and
	// some.
	ringUpdates = 512
	// refreshTail is the tail behind the snapshot from which a join asks for a newer
	// one, at most once per refreshEvery.
	refreshTail  = 256
	refreshEvery = time.Second
	// earlyUpdates bounds the updates that wait for those before them.
	earlyUpdates = 512
	// quiet is after how long a silence a room is asked whether something was missed: without a
	// message behind it a lost one is not noticed.
	quiet = 5 * time.Second
	// serveTurn is how many joins are served in one turn: other rooms wait for a turn to end.
	serveTurn = 64
)

// feed follows one room: it keeps the gateway's copy and gives it to members.
// Everything without a comment is owned by the loop, which runs what is posted.
type feed struct {
	g         *Gateway      // Static.
	loop      *loop         // Static.
	room      string        // Static.
	partition int           // Static.
	topic     *fanout.Topic // Static.

	members map[*member]struct{} // guarded by feeds.mu
	left    time.Time            // guarded by feeds.mu: when the last member left

	subs    []*nats.Subscription
	dropped int // messages that subs have dropped, as far as it is counted

	copy  roomCopy
	sync  syncing
	joins joins
	chat  chatLog

	heard  time.Time // when something of the room was heard last
	wakeAt time.Time // when there is something to do without an event; zero: nothing
	ready  bool      // the server knows the subscriptions
	ended  bool
}

// poke is a hint from outside.
type poke int

const (
	pokeCheck poke = iota // updates may have been missed
	pokeDoubt             // the room may be gone or another one
)

func newFeed(g *Gateway, info wire.RoomInfo, topic *fanout.Topic) *feed {
	return &feed{
		g: g, loop: g.feeds.loopOf(info.ID), room: info.ID, partition: info.Partition, topic: topic,
		members: map[*member]struct{}{},
	}
}

// post has the loop run something for the room. It waits while the loop has too much to do.
func (f *feed) post(do func(now time.Time)) { f.loop.post(event{f, do}) }

// join asks for a place in the room. The answer goes to the member's session.
func (f *feed) join(j *joining) {
	f.post(func(time.Time) {
		if f.ended {
			j.fail(gone(f.room))
			return
		}
		f.joins.add(j)
	})
}

func gone(room string) *wire.Error {
	return wire.Errorf(wire.CodeUnknownRoom, "room %q was closed", room)
}

func (f *feed) poke(p poke) { f.post(func(time.Time) { f.poked(p) }) }

// begin follows the room until it is closed, or nobody is there any more. It subscribes before
// anything is asked, so that nothing falls in between.
func (f *feed) begin(now time.Time) {
	f.heard = now
	f.loop.add(f)
	for _, subject := range f.subjects() {
		s, err := f.g.cfg.Conn.ChanSubscribe(subject, f.loop.messages)
		if err != nil { // the connection is closed: so is the gateway, soon
			f.g.cfg.Log.Error("a room cannot be followed", "room", f.room, "err", err)
			continue
		}
		f.subs = append(f.subs, s)
	}
	// Behind the flush the server knows the subscriptions. Without it an update
	// between the snapshot and the subscription would only be noticed by the next.
	f.g.spawn(func() {
		flush, cancel := context.WithTimeout(f.g.life, peer.AskTimeout)
		defer cancel()
		_ = f.g.cfg.Conn.FlushWithContext(flush)
		f.post(func(time.Time) {
			f.ready, f.sync.snapshot = true, true
			f.loadChat(0)
		})
	})
}

// subjects are where the room is heard.
func (f *feed) subjects() [2]string {
	return [2]string{wire.OutSubject(f.partition, f.room), wire.ChatOutSubject(f.room)}
}

// work does what is to be done, and plans to be called again when there may be more.
func (f *feed) work(now time.Time) {
	if !f.ready || f.ended {
		return
	}
	next := f.serve(now)
	next = earlier(next, f.synchronise(now))
	next = earlier(next, f.askYou(now))
	if next.IsZero() || !f.wakeAt.IsZero() && !next.Before(f.wakeAt) {
		return
	}
	f.wakeAt = next
	time.AfterFunc(max(next.Sub(now), 0), func() { f.post(func(time.Time) { f.wakeAt = time.Time{} }) })
}

// earlier is the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// unsubscribe ends what begin began.
func (f *feed) unsubscribe() {
	for _, s := range f.subs {
		_ = s.Unsubscribe() // fails on a closed connection only
	}
	f.subs = nil
}

// end leaves nobody waiting.
func (f *feed) end() {
	f.unsubscribe()
	members, _ := f.g.feeds.retire(f, time.Now(), true)
	for _, j := range f.joins.waiting {
		j.fail(gone(f.room))
	}
	f.joins.waiting = nil
	for _, m := range members {
		if m.s.hasJoined(m) && m.s.forget(m) { // who has not is still to ask, and is refused then
			f.g.feeds.release(m)
			m.s.send(wire.Left{Type: wire.TypeLeft, Room: f.room})
		}
	}
}

func (f *feed) message(m *nats.Msg, now time.Time) {
	if m.Subject == wire.ChatOutSubject(f.room) {
		f.chatMessage(m)
		return
	}
	f.heard = now
	h, body, err := wire.ParseOut(m.Data)
	if err != nil {
		return // only room servers can write there
	}
	log := m.Header.Get(wire.LogHeader)
	if f.copy.isOther(log) {
		f.sync.doubt()
	}
	switch wire.OutClass(m.Subject[len(m.Subject)-1:]) {
	case wire.OutUpdate:
		f.update(h, log, body)
	case wire.OutTick:
		f.tick(h, body)
	case wire.OutPrivate:
		f.private(body)
	case wire.OutMeta:
		f.poked(pokeDoubt)
	}
}

func (f *feed) poked(p poke) {
	switch p {
	case pokeCheck:
		f.sync.since = true
	case pokeDoubt:
		f.sync.doubt()
	}
}

// keepHouse looks at what has no event.
func (f *feed) keepHouse(now time.Time) {
	if now.Sub(f.heard) >= quiet {
		f.heard = now
		f.sync.since = true
	}
	f.countDropped()
	f.joins.expire(now)
	f.reloadChat()
	if _, retired := f.g.feeds.retire(f, now, false); retired {
		f.ended = true
	}
}

// countDropped counts the messages for which there was no room behind the subscriptions.
func (f *feed) countDropped() {
	dropped := 0
	for _, s := range f.subs {
		if n, err := s.Dropped(); err == nil {
			dropped += n
		}
	}
	if n := dropped - f.dropped; n > 0 {
		f.dropped = dropped
		f.g.metrics.dropped.WithLabelValues("message").Add(float64(n))
	}
}

// private brings single players what concerns them (P4.9).
func (f *feed) private(body []byte) {
	var list []wire.Private
	if json.Unmarshal(body, &list) != nil {
		return
	}
	for _, p := range list {
		frame := f.g.tellPlayer(f.room, p)
		f.joins.keep(p.Player, frame)
	}
}

// answered takes what came of a question. It is run by the loop.
type answered func(reply wire.AskReply, err error, now time.Time)

// ask asks the owner in the background.
func (f *feed) ask(a wire.Ask, then answered) {
	a.Room = f.room
	f.question(func() (wire.AskReply, error) { return f.g.peer.Owner(f.g.life, f.partition, a) }, then)
}

// askRing asks another gateway in the background.
func (f *feed) askRing(gateway string, a wire.Ask, then answered) {
	a.Room = f.room
	f.question(func() (wire.AskReply, error) { return f.g.peer.Ring(f.g.life, gateway, a) }, then)
}

func (f *feed) question(ask func() (wire.AskReply, error), then answered) {
	f.g.spawn(func() {
		reply, err := ask()
		f.post(func(now time.Time) {
			if !f.ended {
				then(reply, err, now)
			}
		})
	})
}
