package loadtest

import (
	"time"

	"tickcast/loadtest/socket"
)

// slowness is how a bot reads on purpose.
type slowness int

const (
	readsAll   slowness = iota
	readsNone           // nothing, once it has joined its rooms
	readsTenth          // a tenth of what the others get
)

const (
	// slowBuffer is the kernel's receive buffer of slow bots, in bytes. A bigger one
	// would hide for long that they are slow.
	slowBuffer = 8 << 10
	// crawlEvery is how often a bot that reads a tenth is allowed some more.
	crawlEvery = 100 * time.Millisecond
)

// slownessOf says how bot n reads. Slow ones are spread evenly; a bot that would be
// of both kinds reads nothing.
func (c *Config) slownessOf(n int) slowness {
	switch {
	case chosen(n, c.Bots, c.Behaviour.Stuck):
		return readsNone
	case chosen((n+c.Bots/(2*chosenOf(c.Bots, c.Behaviour.Crawl)))%c.Bots, c.Bots, c.Behaviour.Crawl):
		return readsTenth
	}
	return readsAll
}

// chosen tells whether n is among a share of so many, at least one of them unless
// the share is zero.
func chosen(n, of int, share float64) bool {
	if share <= 0 {
		return false
	}
	k := chosenOf(of, share)
	return (n+1)*k/of != n*k/of
}

// chosenOf is how many a share is.
func chosenOf(of int, share float64) int { return max(1, int(share*float64(of)+0.5)) }

// slowDown begins to read slowly on a connection that has joined everything. mu is
// held.
func (b *bot) slowDown(l *link, at time.Duration) {
	if b.slow == readsAll || b.stopped {
		return
	}
	b.later(func() { l.conn.Allow(0) })
	if b.slow == readsTenth {
		b.crawl(l, at, b.s.received())
	}
}

// crawl allows a tenth of what a bot got on average since the last time. mu is
// held.
func (b *bot) crawl(l *link, at time.Duration, before float64) {
	b.at(at+crawlEvery, func(at time.Duration) {
		if b.stopped || b.link != l {
			return
		}
		now := b.s.received()
		if some := int((now - before) / 10); some > 0 {
			b.later(func() { l.conn.Allow(some) })
			before = now
		}
		b.crawl(l, at, before)
	})
}

// received is how many bytes a bot has got on average.
func (s *swarm) received() float64 {
	var all uint64
	for _, m := range s.meters {
		_, bytes := m.counted()
		all += bytes
	}
	return float64(all) / float64(max(1, len(s.bots)))
}

// speedUp reads everything again. mu is held.
func (b *bot) speedUp() {
	for _, l := range []*link{b.link, b.next} {
		if l != nil && b.slow != readsAll {
			b.later(func() { l.conn.Allow(socket.Unlimited) })
		}
	}
}
