package server

import (
	"context"
	"encoding/json"
	"sync"
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
	// feedBuffer is between a subscription and the feed. Bursts wait in the subscription, whose
	// bound (tens of thousands) is that of the NATS client; what is beyond it is lost, and a gap like any other.
	feedBuffer = 64
	// quiet is after how long a silence a room is asked whether something was missed: without a
	// message behind it a lost one is not noticed.
	quiet = 5 * time.Second
	// housekeeping is how often a feed looks at what has no event.
	housekeeping = time.Second
)

// feed follows one room: it keeps the gateway's copy and gives it to members.
// Everything without a comment is owned by run.
type feed struct {
	g         *Gateway      // Static.
	room      string        // Static.
	partition int           // Static.
	topic     *fanout.Topic // Static.
	done      chan struct{} // Static. Closed when run has ended.

	requests chan *joining  // Static.
	answers  chan func()    // Static: what asks have brought, to be run by run
	pokes    chan poke      // Static. Capacity 2.
	messages chan *nats.Msg // Static.

	members map[*member]struct{} // guarded by feeds.mu
	left    time.Time            // guarded by feeds.mu: when the last member left

	copy  roomCopy
	sync  syncing
	joins joins
	chat  chatLog

	heard time.Time // when something of the room was heard last
	ended bool
	asks  sync.WaitGroup
}

// poke is a hint from outside.
type poke int

const (
	pokeCheck poke = iota // updates may have been missed
	pokeDoubt             // the room may be gone or another one
)

func newFeed(g *Gateway, info wire.RoomInfo, topic *fanout.Topic) *feed {
	return &feed{
		g: g, room: info.ID, partition: info.Partition, topic: topic,
		done: make(chan struct{}), requests: make(chan *joining, 64), answers: make(chan func(), 64),
		pokes: make(chan poke, 2), messages: make(chan *nats.Msg, feedBuffer),
		members: map[*member]struct{}{},
	}
}

// join asks for a place in the room. The answer goes to the member's session.
func (f *feed) join(j *joining) {
	select {
	case f.requests <- j:
	case <-f.done:
		j.fail(gone(f.room))
	}
	select {
	case <-f.done:
		f.turnAway() // what was put in behind the last look
	default:
	}
}

// turnAway fails the joins that nobody will look at.
func (f *feed) turnAway() {
	for {
		select {
		case j := <-f.requests:
			j.fail(gone(f.room))
		default:
			return
		}
	}
}

func gone(room string) *wire.Error {
	return wire.Errorf(wire.CodeUnknownRoom, "room %q was closed", room)
}

func (f *feed) poke(p poke) {
	select {
	case f.pokes <- p:
	default: // one of the two that wait will do
	}
}

// run follows the room until it is closed, nobody is there any more, or ctx ends.
func (f *feed) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer f.end()
	defer cancel()
	subs := f.subscribe(ctx)
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails on a closed connection only
		}
	}()
	f.heard = time.Now()
	f.sync.snapshot = true
	f.loadChat(ctx, 0)
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for !f.ended {
		wake := f.work(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case m := <-f.messages:
			f.message(ctx, m)
		case j := <-f.requests:
			f.joins.add(j)
		case apply := <-f.answers:
			apply()
		case p := <-f.pokes:
			f.poked(p)
		case now := <-tick.C:
			f.keepHouse(ctx, now)
		case <-wake:
		}
	}
}

// work does what is to be done and returns when there may be more.
func (f *feed) work(ctx context.Context, now time.Time) <-chan time.Time {
	f.serve(now)
	next := f.synchronise(ctx, now)
	next = earlier(next, f.askYou(ctx, now))
	if next.IsZero() {
		return nil
	}
	return time.After(max(next.Sub(now), 0))
}

// earlier is the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// subscribe subscribes before anything is asked, so that nothing falls in between.
func (f *feed) subscribe(ctx context.Context) []*nats.Subscription {
	var subs []*nats.Subscription
	for _, subject := range []string{wire.OutSubject(f.partition, f.room), wire.ChatOutSubject(f.room)} {
		s, err := f.g.cfg.Conn.Subscribe(subject, func(m *nats.Msg) {
			select {
			case f.messages <- m:
			case <-ctx.Done():
			}
		})
		if err != nil { // the connection is closed: so is the gateway, soon
			f.g.cfg.Log.Error("a room cannot be followed", "room", f.room, "err", err)
			continue
		}
		subs = append(subs, s)
	}
	// Behind the flush the server knows the subscriptions. Without it an update
	// between the snapshot and the subscription would only be noticed by the next.
	flush, cancel := context.WithTimeout(ctx, peer.AskTimeout)
	defer cancel()
	_ = f.g.cfg.Conn.FlushWithContext(flush)
	return subs
}

// end leaves nobody waiting.
func (f *feed) end() {
	close(f.done)
	f.asks.Wait()
	members, _ := f.g.feeds.retire(f, time.Now(), true)
	f.turnAway()
	if !f.ended {
		return // the gateway stops, and says so to everybody
	}
	for _, j := range f.joins.waiting {
		j.fail(gone(f.room))
	}
	for _, m := range members {
		if m.s.forget(m) {
			f.g.feeds.release(m)
			m.s.send(wire.Left{Type: wire.TypeLeft, Room: f.room})
		}
	}
}

func (f *feed) message(ctx context.Context, m *nats.Msg) {
	now := time.Now()
	if m.Subject == wire.ChatOutSubject(f.room) {
		f.chatMessage(ctx, m)
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

func (f *feed) keepHouse(ctx context.Context, now time.Time) {
	if now.Sub(f.heard) >= quiet {
		f.heard = now
		f.sync.since = true
	}
	f.joins.expire(now)
	f.reloadChat(ctx)
	if _, retired := f.g.feeds.retire(f, now, false); retired {
		f.ended = true
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

// answered takes what came of a question. It is run by run.
type answered func(reply wire.AskReply, err error, now time.Time)

// ask asks the owner in the background.
func (f *feed) ask(ctx context.Context, a wire.Ask, then answered) {
	a.Room = f.room
	f.question(ctx, func() (wire.AskReply, error) { return f.g.peer.Owner(ctx, f.partition, a) }, then)
}

// askRing asks another gateway in the background.
func (f *feed) askRing(ctx context.Context, gateway string, a wire.Ask, then answered) {
	a.Room = f.room
	f.question(ctx, func() (wire.AskReply, error) { return f.g.peer.Ring(ctx, gateway, a) }, then)
}

func (f *feed) question(ctx context.Context, ask func() (wire.AskReply, error), then answered) {
	f.asks.Go(func() {
		reply, err := ask()
		select {
		case f.answers <- func() { then(reply, err, time.Now()) }:
		case <-ctx.Done():
		}
	})
}
