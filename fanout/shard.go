package fanout

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// part is one shard's share of a topic.
type part struct {
	topic  *Topic // Static.
	joined atomic.Int32
	head   cursor      // Owned by the shard's goroutine: where connections that keep up are
	looked int64       // Owned by the shard's goroutine: when the kernel was asked about them, Unix ns
	queued bool        // guarded by shard.mu
	again  atomic.Bool // whether a look at those held back is due

	mu   sync.Mutex // guards subs
	subs []*subscription
}

func (p *part) add(s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.slot = int32(len(p.subs))
	p.subs = append(p.subs, s)
	p.joined.Add(1)
}

func (p *part) remove(s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.subs) - 1
	p.subs[s.slot] = p.subs[last]
	p.subs[s.slot].slot = s.slot
	p.subs[last] = nil
	p.subs = p.subs[:last]
	p.joined.Add(-1)
}

// copyTo appends the subscriptions to dst, so that joins need not wait until all of them
// were written to.
func (p *part) copyTo(dst []*subscription) []*subscription {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(dst, p.subs...)
}

// shard is one flusher: it writes what was published to its connections.
type shard struct {
	hub    *Hub          // Static.
	sender sender        // Static. Owned by run.
	kick   chan struct{} // Static. One token: there may be dirty parts.

	mu    sync.Mutex // guards dirty and part.queued
	dirty []*part

	// Owned by run.
	parts  []*part
	subs   []*subscription
	common *batch // what connections that keep up get
	own    *batch // what one that does not gets
	lot    lot    // who gets common next
	held   int    // connections of this flush that are looked at again
}

func newShard(h *Hub, by sender) *shard {
	return &shard{
		hub: h, sender: by, kick: make(chan struct{}, 1), common: newBatch(), own: newBatch(), lot: newLot(by.most()),
	}
}

// enqueue makes the shard look at p.
func (s *shard) enqueue(p *part) {
	s.mu.Lock()
	if p.queued {
		s.mu.Unlock()
		return
	}
	p.queued = true
	s.dirty = append(s.dirty, p)
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *shard) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
			s.sweep(time.Now().UnixNano())
		}
	}
}

// sweep flushes every dirty part once. now is in Unix nanoseconds.
func (s *shard) sweep(now int64) {
	s.mu.Lock()
	s.parts, s.dirty = s.dirty, s.parts[:0]
	for _, p := range s.parts {
		p.queued = false
	}
	s.mu.Unlock()
	for _, p := range s.parts {
		s.flush(p, now)
	}
	clear(s.parts)
}

// flush writes what p's topic has published since the last time. Connections that keep up
// have the same cursor and get the same bytes, joined once.
func (s *shard) flush(p *part, now int64) {
	pass := s.prepare(p)
	if pass.look = now-p.looked >= lookEvery; pass.look {
		p.looked = now
	}
	s.subs = p.copyTo(s.subs[:0])
	for _, sub := range s.subs {
		c := sub.conn
		c.mu.Lock()
		out, common := s.visit(sub, &pass, now)
		if !common {
			c.mu.Unlock()
			c.settle(out)
			continue
		}
		if s.lot.add(c); s.lot.full() {
			s.sendLot(&pass)
		}
	}
	s.sendLot(&pass)
	clear(s.subs)
	if s.held > 0 && !p.again.Swap(true) {
		// What is held back goes out though nothing more may be published.
		time.AfterFunc(time.Duration(lookEvery), func() {
			p.again.Store(false)
			s.enqueue(p)
		})
	}
	s.held = 0
	s.hub.metrics.add(&s.common.tally)
	s.hub.metrics.add(&s.own.tally)
	s.common.reset()
	s.own.reset()
}

// pass is one flush of one part.
type pass struct {
	from, to cursor // where connections that keep up are before and behind it
	bytes    []byte // what they get; empty if it does not fit one batch
	look     bool   // ask the kernel how late the connections are
}

func (s *shard) prepare(p *part) pass {
	t, b := p.topic, s.common
	b.reset()
	t.mu.RLock()
	defer t.mu.RUnlock()
	ps := pass{from: p.head, to: cursor{t.updates.hi - 1, t.ticks, t.notices.hi - 1}}
	p.head = ps.to
	if _, _, lost := t.lost(&ps.from); !lost && ps.from.notices+1 >= t.notices.lo {
		end := subscription{cur: ps.from}
		t.collect(&end.cur, nil, b)
		for i := range b.due {
			end.advance(&b.due[i], &tally{})
		}
		if end.cur == ps.to && len(b.due) > 0 {
			ps.bytes = b.bytes()
		}
	}
	return ps
}

// visit writes to one connection what is due, unless that is the common bytes. The caller
// holds its mu.
func (s *shard) visit(sub *subscription, ps *pass, now int64) (out outcome, common bool) {
	c := sub.conn
	if sub.gone || c.flags&flagDead != 0 {
		return idle, false
	}
	if c.flags&flagArmed != 0 {
		if now-c.moved > int64(s.hub.cfg.StallTimeout) {
			c.closeSlow(SlowStall)
		}
		return idle, false
	}
	if c.flags&flagRaw == 0 {
		c.arm()
		return idle, false
	}
	if ps.look {
		c.look(now)
	}
	if c.flags&flagHeld != 0 {
		s.held++
		return idle, false
	}
	if sub.cur == ps.from && len(ps.bytes) > 0 && c.quiet() {
		return idle, true
	}
	if out = c.flush(s.own); out == blocked {
		c.arm()
	}
	return out, false
}

// quiet reports whether nothing but one topic concerns the connection: it may get the
// common bytes. The caller holds mu.
func (c *Conn) quiet() bool {
	return len(c.rest) == 0 && len(c.out.letters) == 0 && c.flags&^flagIdle == flagRaw && c.subs.live && c.subs.next == nil
}

// sendLot gives the lot the common bytes, and unlocks it.
func (s *shard) sendLot(ps *pass) {
	l := &s.lot
	if len(l.conns) == 0 {
		return
	}
	s.common.tally.calls += s.sender.send(ps.bytes, l.fds, l.took)
	for i, c := range l.conns {
		out := s.tookCommon(c, int(l.took[i]), ps)
		c.mu.Unlock()
		c.settle(out)
	}
	l.reset()
}

// tookCommon notes that c's socket took n of the common bytes. The caller holds c.mu.
func (s *shard) tookCommon(c *Conn, n int, ps *pass) outcome {
	if n < 0 {
		return failed
	}
	c.kernel.sent += uint64(n)
	s.common.tally.bytes += n
	c.commit(s.common, n)
	if n < len(ps.bytes) {
		c.refused(n, &s.common.tally)
		c.arm()
		return blocked
	}
	c.subs.cur = ps.to
	return idle
}
