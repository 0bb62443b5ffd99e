package server

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// loopMessages is how many messages wait for a loop: those of half a second or more. What is
// beyond it is lost, counted (tickcast_dropped_total{what="message"}), and a gap like any other.
// A variable for a test.
var loopMessages = 32 << 10

const (
	// loopEvents is how many events wait for a loop; who has another one waits too.
	loopEvents = 1024
	// housekeeping is how often rooms are looked at without an event: houseTurn at a time, as
	// messages wait meanwhile.
	housekeeping = time.Second
	houseTurn    = 256
)

// loop does the work of some of the rooms that a gateway follows, one event after the other.
// There are as many as processors: a goroutine for each room would cost a room several
// kilobytes, and all of them, when garbage is collected, its part of that work at their next allocation.
type loop struct {
	life     context.Context // Static.
	messages chan *nats.Msg  // Static. Of the subscriptions of all its feeds.
	events   chan event      // Static.

	// Owned by run.
	bySubject map[string]*feed
	feeds     map[*feed]struct{}
	unkept    []*feed // those that are looked at next; they may be gone
}

// event is what is to be done for a room.
type event struct {
	feed *feed
	do   func(now time.Time)
}

func newLoop(life context.Context) *loop {
	return &loop{
		life: life, messages: make(chan *nats.Msg, loopMessages), events: make(chan event, loopEvents),
		bySubject: map[string]*feed{}, feeds: map[*feed]struct{}{},
	}
}

// post hands an event over, and waits for that unless the gateway stops. It must not be
// called by the loop, nor with a lock that the loop's events take.
func (l *loop) post(e event) {
	select {
	case l.events <- e:
	case <-l.life.Done():
	}
}

// offer hands an event over if there is room for it.
func (l *loop) offer(e event) bool {
	select {
	case l.events <- e:
		return true
	default:
		return false
	}
}

func (l *loop) run(ctx context.Context) {
	house := time.NewTimer(housekeeping)
	defer house.Stop()
	defer l.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-l.messages:
			if f := l.bySubject[m.Sub.Subject]; f != nil {
				l.turn(f, func(now time.Time) { f.message(m, now) })
			}
		case e := <-l.events:
			l.turn(e.feed, e.do)
		case <-house.C:
			house.Reset(l.keepHouse())
		}
	}
}

// turn does something for a feed, and what follows from it.
func (l *loop) turn(f *feed, do func(now time.Time)) {
	now := time.Now()
	do(now)
	f.work(now)
	if f.ended && l.remove(f) {
		f.end()
	}
}

// keepHouse looks at the next few rooms, and returns after how long it is to be called again.
func (l *loop) keepHouse() time.Duration {
	if len(l.unkept) == 0 {
		l.unkept = slices.Collect(maps.Keys(l.feeds))
	}
	n := min(len(l.unkept), houseTurn)
	for _, f := range l.unkept[:n] {
		if _, here := l.feeds[f]; here {
			l.turn(f, f.keepHouse)
		}
	}
	l.unkept = l.unkept[n:]
	return housekeeping / time.Duration(len(l.feeds)/houseTurn+1)
}

// add begins to bring a feed what its subscriptions receive.
func (l *loop) add(f *feed) {
	l.feeds[f] = struct{}{}
	for _, subject := range f.subjects() {
		l.bySubject[subject] = f
	}
}

// remove reports whether the feed was there.
func (l *loop) remove(f *feed) bool {
	if _, here := l.feeds[f]; !here {
		return false
	}
	delete(l.feeds, f)
	for _, subject := range f.subjects() {
		delete(l.bySubject, subject)
	}
	return true
}

// stop gives up all feeds: the gateway stops, and says so to everybody.
func (l *loop) stop() {
	for f := range l.feeds {
		f.unsubscribe()
		f.g.feeds.retire(f, time.Now(), true)
	}
}
