package fanout

import "time"

// outcome is how a push ended.
type outcome uint8

const (
	idle    outcome = iota // nothing is due
	blocked                // the socket takes no more for now
	failed                 // the socket is broken
)

// push writes what is due unless a goroutine already does or waits. The caller holds mu,
// and calls settle with the outcome once it does not.
func (c *Conn) push() outcome {
	if c.flags&(flagArmed|flagDead) != 0 {
		return idle
	}
	if c.flags&flagRaw == 0 {
		if c.hasDue() {
			c.arm()
		}
		return idle
	}
	b := c.hub.borrow()
	defer c.hub.giveBack(b)
	out := c.flush(b)
	if out == blocked {
		c.arm()
	}
	return out
}

// sendAtOnce writes one own message to a raw connection without a backlog, and makes it
// the backlog if the socket does not take it. The caller holds mu.
func (c *Conn) sendAtOnce(f *Frame) outcome {
	n, err := c.write(f.wire)
	if err != nil {
		return failed
	}
	var t tally
	defer c.hub.metrics.add(&t)
	t.bytes = n
	if n == 0 {
		c.out.push(letter{frame: f, class: classOwn})
	} else {
		t.frames[classOwn] = 1
		c.rest = f.wire[n:]
	}
	if n == len(f.wire) {
		c.rest = nil
		return idle
	}
	c.refused(n, &t)
	c.arm()
	return blocked
}

// settle does what a push could not do under mu.
func (c *Conn) settle(out outcome) {
	if out == failed {
		c.kill()
	}
}

// flush writes what is due to a raw connection until nothing is, or the socket takes no
// more. The caller holds mu.
func (c *Conn) flush(b *batch) outcome {
	for c.flags&flagDead == 0 {
		if len(c.rest) > 0 {
			n, err := c.write(c.rest)
			if err != nil {
				return failed
			}
			b.tally.bytes += n
			if c.rest = c.rest[n:]; len(c.rest) > 0 {
				return c.refused(n, &b.tally)
			}
			c.rest = nil
		}
		c.collect(b)
		if len(b.due) == 0 {
			if c.flags&flagHeld == 0 {
				c.flags &^= flagBehind
			}
			if c.flags&flagParted != 0 {
				c.endWriting()
			}
			return idle
		}
		if out := c.writeBatch(b); out != idle {
			return out
		}
	}
	return idle
}

// writeBatch writes b in one go and notes what of it is out. The caller holds mu; nothing
// is left of an earlier frame.
func (c *Conn) writeBatch(b *batch) outcome {
	p := b.bytes()
	n, err := c.write(p)
	if err != nil {
		return failed
	}
	b.tally.bytes += n
	c.commit(b, n)
	if n < len(p) {
		return c.refused(n, &b.tally)
	}
	return idle
}

// write gives the socket what it takes of p at this moment. The caller holds mu.
func (c *Conn) write(p []byte) (int, error) {
	n, err := sendNow(c.fd, p)
	c.kernel.sent += uint64(n)
	return n, err
}

// refused notes that the socket took only n bytes and no more.
func (c *Conn) refused(n int, t *tally) outcome {
	t.blocked++
	if n > 0 || c.flags&flagBehind == 0 {
		c.moved = time.Now().UnixNano()
	}
	c.fallBehind()
	c.rotate()
	return blocked
}

// hasDue reports whether there may be something to write. The caller holds mu.
func (c *Conn) hasDue() bool {
	return len(c.rest) > 0 || len(c.out.letters) > 0 || c.subs != nil
}

// collect fills b with what is due: own messages first, then the topics. The caller holds
// mu.
func (c *Conn) collect(b *batch) {
	b.reset()
	if !c.collectLetters(b) {
		return
	}
	if c.flags&flagHeld != 0 {
		return
	}
	var next *subscription
	for s := c.subs; s != nil; s = next {
		next = s.next
		if s.live && !c.collectTopic(s, b) {
			break
		}
	}
	if len(b.due) == 0 {
		c.collectLetters(b) // a loss that was noticed just now may have queued a close frame
	}
}

func (c *Conn) collectLetters(b *batch) bool {
	for i := range c.out.letters {
		l := &c.out.letters[i]
		if !b.add(due{frame: l.frame, sub: l.opens, class: l.class, letter: true}) {
			return false
		}
	}
	return true
}

// collectTopic adds what is due of one topic; false when b is full or the connection
// closes. A connection that fell off the ring, or is late, leaves the topic here: the loss
// is noticed when the socket takes bytes again, so that the snapshot which repairs it is
// fresh.
func (c *Conn) collectTopic(s *subscription, b *batch) bool {
	t := s.topic
	var now time.Time // looked at on the ladder only
	t.mu.RLock()
	from, to, lost := t.lost(&s.cur)
	behind := c.flags&flagBehind != 0
	if lost || behind {
		now = time.Now()
	}
	if !lost && behind {
		from, to, lost = t.late(s, now.UnixNano(), c.hub.cfg.LateAfter)
	}
	if !lost {
		t.skipNotices(&s.cur, behind, &b.tally)
		t.collect(&s.cur, s, b)
	}
	t.mu.RUnlock()
	if lost {
		b.tally.dropped[DropUpdateLost] += int(to - from + 1)
		c.lost(s, from, to, now)
	}
	return len(b.due) < batchFrames && c.flags&flagClosing == 0
}

// commit notes that the first n bytes of b are on the socket: whole frames are done, and
// of a begun one the tail comes next. The caller holds mu.
func (c *Conn) commit(b *batch, n int) {
	letters := 0
	for i := range b.due {
		if n == 0 {
			break
		}
		d := &b.due[i]
		c.sent(d, &b.tally)
		if d.letter {
			letters++
		}
		if size := d.frame.Size(); n < size {
			c.rest = d.frame.wire[n:]
			n = 0
		} else {
			n -= size
		}
	}
	if letters > 0 {
		c.out.pop(letters)
	}
}

// sent notes that d is on the socket, or its head is.
func (c *Conn) sent(d *due, t *tally) {
	t.frames[d.class]++
	switch {
	case d.letter:
		if d.sub != nil {
			d.sub.live = true
		}
		if d.class == classControl && d.frame.wire[0] == headClose {
			c.flags |= flagParted
		}
	case d.sub != nil:
		d.sub.advance(d, t)
	default:
		c.subs.advance(d, t)
	}
}
