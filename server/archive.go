package server

import (
	"context"
	"sync"
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
	// storeBatch sessions go to Redis in one round trip. When there were fewer, others gather for
	// storeRest: 15,000 players are 600 signs of life a second, and each trip has its price.
	storeBatch = 128
	storeRest  = 50 * time.Millisecond
	// A session that stays in its rooms is stored again behind storeRenewal, not with each ping, of which it
	// would be the dearest part.
	storeRenewal = 4 * wire.PingInterval
	// storeGrace is how much longer than two pings a session is kept, at least, after its last sign of life.
	storeGrace = 10 * time.Minute
	// flushTimeout bounds what is stored when the gateway stops.
	flushTimeout = 2 * time.Second
	// eventBatch events are on their way to their stream at once.
	eventBatch = 32
	// eventAttempts to publish an event; the Msg-Id makes them one.
	eventAttempts = 5
	eventTimeout  = time.Second
)

// store writes sessions to the cache behind everybody's back. What it cannot
// write is lost until the session changes or is due.
type store struct {
	cache   *cache.Client           // Static. Nil: nothing is stored.
	queue   *backlog[cache.Session] // Static.
	dropped func()                  // Static.
	failed  func(error)             // Static.
}

func newStore(c *cache.Client, dropped func(), failed func(error)) *store {
	return &store{cache: c, queue: newBacklog[cache.Session](storeQueue), dropped: dropped, failed: failed}
}

// put queues the session as it is. It never blocks.
func (t *store) put(s *session) {
	if t.cache == nil {
		return
	}
	if !t.queue.add(cache.Session{
		ID: s.id, Player: s.player.ID, Name: s.player.Name, Guest: s.player.Guest,
		Gateway: s.g.cfg.ID, Version: s.version, Positions: s.positions(),
	}) {
		t.dropped()
	}
}

// run writes until ctx ends, then what is left.
func (t *store) run(ctx context.Context) {
	t.queue.each(ctx, storeBatch, func(ctx context.Context, batch []cache.Session) {
		if t.write(ctx, batch); len(batch) < storeBatch {
			pause(ctx, storeRest)
		}
	})
	t.queue.drain(ctx, storeBatch, t.write)
}

func (t *store) write(ctx context.Context, batch []cache.Session) {
	if err := t.cache.PutSessions(ctx, batch, storeRenewal+2*wire.PingInterval+storeGrace); err != nil {
		t.failed(err)
	}
}

// eventLog appends session events to their stream behind everybody's back.
type eventLog struct {
	js      jetstream.JetStream         // Static.
	subject string                      // Static.
	queue   *backlog[wire.SessionEvent] // Static.
	dropped func()                      // Static.
}

func newEventLog(js jetstream.JetStream, gateway string, dropped func()) *eventLog {
	return &eventLog{js: js, subject: wire.SessionSubject(gateway), queue: newBacklog[wire.SessionEvent](eventQueue), dropped: dropped}
}

// add never blocks.
func (l *eventLog) add(e wire.SessionEvent) {
	if !l.queue.add(e) {
		l.dropped()
	}
}

// run publishes until ctx ends, then what is left. Events of a batch may change places: each carries
// its time.
func (l *eventLog) run(ctx context.Context) {
	publish := func(ctx context.Context, batch []wire.SessionEvent) {
		var all sync.WaitGroup
		for _, e := range batch {
			all.Go(func() { l.publish(ctx, e) })
		}
		all.Wait()
	}
	l.queue.each(ctx, eventBatch, publish)
	l.queue.drain(ctx, eventBatch, publish)
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
