package server

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// loopMessages is how many messages wait for a loop: those of half a second or more. What is
	// beyond it is lost, counted (tickcast_dropped_total{what="message"}), and a gap like any other.
	loopMessages = 32 << 10
	// loopEvents is how many events wait for a loop; who has another one waits too.
	loopEvents = 1024
	// housekeeping is how often rooms are looked at without an event: a group after the other, so
	// that messages need not wait for all of them.
	housekeeping = time.Second
	houseGroups  = 16
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
	feeds     [houseGroups]map[*feed]struct{}
	added     int
}

// event is what is to be done for a room.
type event struct {
	feed *feed
	do   func(now time.Time)
}

func newLoop(life context.Context) *loop {
	l := &loop{
		life: life, messages: make(chan *nats.Msg, loopMessages), events: make(chan event, loopEvents),
		bySubject: map[string]*feed{},
	}
	for i := range l.feeds {
		l.feeds[i] = map[*feed]struct{}{}
	}
	return l
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
	tick := time.NewTicker(housekeeping / houseGroups)
	defer tick.Stop()
	defer l.stop()
	for group := 0; ; {
		select {
		case <-ctx.Done():
			return
		case m := <-l.messages:
			if f := l.bySubject[m.Sub.Subject]; f != nil {
				l.turn(f, func(now time.Time) { f.message(m, now) })
			}
		case e := <-l.events:
			l.turn(e.feed, e.do)
		case <-tick.C:
			group = (group + 1) % houseGroups
			for f := range l.feeds[group] {
				l.turn(f, f.keepHouse)
			}
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

// add begins to bring a feed what its subscriptions receive.
func (l *loop) add(f *feed) {
	f.group = l.added % houseGroups
	l.added++
	l.feeds[f.group][f] = struct{}{}
	for _, subject := range f.subjects() {
		l.bySubject[subject] = f
	}
}

// remove reports whether the feed was there.
func (l *loop) remove(f *feed) bool {
	if _, here := l.feeds[f.group][f]; !here {
		return false
	}
	delete(l.feeds[f.group], f)
	for _, subject := range f.subjects() {
		delete(l.bySubject, subject)
	}
	return true
}

// stop gives up all feeds: the gateway stops, and says so to everybody.
func (l *loop) stop() {
	for _, group := range l.feeds {
		for f := range group {
			f.unsubscribe()
			f.g.feeds.retire(f, time.Now(), true)
		}
	}
}
