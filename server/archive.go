package server

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/cache"
	"tickcast/wire"
)

const (
	// storeQueue and eventQueue bound what waits to be stored. A full gateway that loses all its
	// connections at once has 20,000 of each.
	storeQueue = 32_768
	eventQueue = 32_768
	// storeBatch sessions go to Redis in one round trip.
	storeBatch = 128
	// storeGrace is how much longer than two pings a session is kept after its last sign of life.
	storeGrace = 10 * time.Minute
	// flushTimeout bounds what is stored when the gateway stops.
	flushTimeout = 2 * time.Second
	// eventAttempts to publish an event; the Msg-Id makes them one.
	eventAttempts = 5
	eventTimeout  = time.Second
)

// store writes sessions to the cache behind everybody's back. What it cannot
// write is lost until the session's next sign of life.
type store struct {
	cache   *cache.Client      // Static. Nil: nothing is stored.
	queue   chan cache.Session // Static.
	dropped func()             // Static.
	failed  func(error)        // Static.
}

func newStore(c *cache.Client, dropped func(), failed func(error)) *store {
	return &store{cache: c, queue: make(chan cache.Session, storeQueue), dropped: dropped, failed: failed}
}

// put queues the session as it is. It never blocks.
func (t *store) put(s *session) {
	if t.cache == nil {
		return
	}
	stored := cache.Session{
		ID: s.id, Player: s.player.ID, Name: s.player.Name, Guest: s.player.Guest,
		Gateway: s.g.cfg.ID, Version: s.version, Positions: s.positions(),
	}
	select {
	case t.queue <- stored:
	default:
		t.dropped()
	}
}

// run writes until ctx ends, then what is left.
func (t *store) run(ctx context.Context) {
	batch := make([]cache.Session, 0, storeBatch)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			for len(t.queue) > 0 && last.Err() == nil {
				t.write(last, batch, <-t.queue)
			}
			return
		case s := <-t.queue:
			t.write(ctx, batch, s)
		}
	}
}

// write stores first and what waits behind it.
func (t *store) write(ctx context.Context, batch []cache.Session, first cache.Session) {
	batch = append(batch[:0], first)
	for len(t.queue) > 0 && len(batch) < storeBatch {
		batch = append(batch, <-t.queue)
	}
	if err := t.cache.PutSessions(ctx, batch, 2*wire.PingInterval+storeGrace); err != nil {
		t.failed(err)
	}
}

// eventLog appends session events to their stream behind everybody's back.
type eventLog struct {
	js      jetstream.JetStream    // Static.
	subject string                 // Static.
	queue   chan wire.SessionEvent // Static.
	dropped func()                 // Static.
}

func newEventLog(js jetstream.JetStream, gateway string, dropped func()) *eventLog {
	return &eventLog{js: js, subject: wire.SessionSubject(gateway), queue: make(chan wire.SessionEvent, eventQueue), dropped: dropped}
}

// add never blocks.
func (l *eventLog) add(e wire.SessionEvent) {
	select {
	case l.queue <- e:
	default:
		l.dropped()
	}
}

// run publishes until ctx ends, then what is left.
func (l *eventLog) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			for len(l.queue) > 0 && last.Err() == nil {
				l.publish(last, <-l.queue)
			}
			return
		case e := <-l.queue:
			l.publish(ctx, e)
		}
	}
}

func (l *eventLog) publish(ctx context.Context, e wire.SessionEvent) {
	for attempt := range eventAttempts {
		try, cancel := context.WithTimeout(ctx, eventTimeout)
		m := &nats.Msg{Subject: l.subject, Data: encode(e), Header: nats.Header{}}
		_, err := l.js.PublishMsg(try, m, jetstream.WithMsgID(e.ID), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			l.dropped()
			return
		case <-time.After(100 * time.Millisecond << attempt):
		}
	}
	l.dropped()
}
