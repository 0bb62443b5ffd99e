package fanout

import "time"

// The ladder of a connection that does not keep up, by how late it is:
//
//  1. It gets everything.
//  2. Behind: its socket has refused bytes, or its peer has not acknowledged for
//     Config.LateAfter what was given to the kernel. Notices are left out, and of ticks
//     only the newest is kept; updates wait in the ring.
//  3. Late: an update that is due was published more than Config.LateAfter ago, or has
//     left the ring. What is due is skipped, the client is told which updates those are,
//     and gets a snapshot instead, at most one per Config.SnapshotEvery.
//  4. Closed with wire.CloseSlow: on snapshots for Config.SlowLimit, or no byte taken for
//     Config.StallTimeout.
//
// Own messages are never skipped; an outbox that overflows closes the connection.

// lookEvery is how often the kernel is asked about a socket that is written to. A client
// that does not read is hidden for long by the kernel's buffers.
const lookEvery = int64(time.Second)

// kernelLag estimates how late the peer is with what the kernel has taken for it. Guarded by Conn.mu.
type kernelLag struct {
	sent  uint64 // bytes given to the kernel
	acked uint64 // of those acknowledged at the last look
	mark  uint64 // sent at the look from which lateness counts
	since int64  // time of that look, Unix ns
}

// look learns at now that unacked bytes are still in the kernel, and returns for how long
// at least the oldest of them has been there. moved tells whether any were acknowledged
// since the last look.
func (k *kernelLag) look(now int64, unacked int) (late int64, moved bool) {
	acked := k.sent - min(k.sent, uint64(unacked))
	moved = acked > k.acked || unacked == 0
	k.acked = acked
	if acked >= k.mark {
		k.mark, k.since = k.sent, now
		return 0, moved
	}
	return now - k.since, moved
}

// look asks the kernel how late the peer is, and holds topics back while it is too late:
// what is given to the kernel cannot be taken back. The caller holds mu.
func (c *Conn) look(now int64) {
	late, moved := c.kernel.look(now, unacknowledged(c.fd))
	if moved || c.flags&flagHeld == 0 {
		c.moved = now
	}
	switch cfg := &c.hub.cfg; {
	case late < int64(cfg.LateAfter):
		c.flags &^= flagHeld
	case now-c.moved > int64(cfg.StallTimeout):
		c.closeSlow(SlowStall)
	default:
		c.fallBehind()
		c.flags |= flagHeld
	}
}

// fallBehind is the second step of the ladder. The caller holds mu.
func (c *Conn) fallBehind() {
	if c.flags&flagBehind == 0 {
		c.flags |= flagBehind
		c.hub.metrics.behind.Inc()
	}
}

// late reports which updates are due behind cur if the oldest of them was published more
// than limit before now. What was published before the join is as old as the join. The
// caller holds mu.
func (t *Topic) late(s *subscription, now int64, limit time.Duration) (from, to uint64, late bool) {
	if s.cur.seq+1 >= t.updates.hi {
		return 0, 0, false
	}
	age := now - max(t.updates.at(s.cur.seq+1).at, s.joined)
	return s.cur.seq + 1, t.updates.hi - 1, age > int64(limit)
}

// fall is a stretch of lost updates of one topic.
type fall struct {
	since, last time.Time // first and newest snapshot
}

// lost is the third step: it takes the connection out of a topic, and has the owner told,
// who joins it again with a snapshot. The caller holds mu.
func (c *Conn) lost(s *subscription, from, to uint64, now time.Time) {
	c.detach(s)
	cfg := &c.hub.cfg
	if cfg.OnLost == nil {
		c.closeSlow(SlowLost)
		return
	}
	c.hub.metrics.lost.Inc()
	wait := time.Duration(0)
	if c.flags&flagBehind != 0 { // else the topic was emptied, and the client is not to blame
		for name, f := range c.falls {
			if now.Sub(f.last) > cfg.SlowLimit/2 { // it has kept up since
				delete(c.falls, name)
			}
		}
		f, again := c.falls[s.topic.name]
		switch {
		case !again:
			f.since = now
		case now.Sub(f.since) >= cfg.SlowLimit:
			c.closeSlow(SlowLost)
			return
		default:
			wait = max(0, cfg.SnapshotEvery-now.Sub(f.last))
		}
		f.last = now.Add(wait)
		if c.falls == nil {
			c.falls = make(map[string]fall, 1)
		}
		c.falls[s.topic.name] = f
	}
	c.hub.spawn(func() {
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-c.Done():
				return
			}
		}
		cfg.OnLost(c, s.topic, from, to)
	})
}
