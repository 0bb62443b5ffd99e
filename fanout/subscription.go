package fanout

import "time"

// cursor is how far a connection is in a topic: what it has been sent, or what it does
// without.
type cursor struct {
	seq     uint64 // newest update
	ticks   uint64 // newest tick
	notices uint64 // newest notice
}

// subscription is one connection's place in one topic.
type subscription struct {
	conn   *Conn         // Static.
	topic  *Topic        // Static.
	next   *subscription // guarded by conn.mu: the connection's other topics
	cur    cursor        // guarded by conn.mu
	joined int64         // Static. Unix ns.
	slot   int32         // guarded by the part's mu: index in its subs
	live   bool          // guarded by conn.mu: the joined message is out
	gone   bool          // guarded by conn.mu: left
}

// advance notes that d has been sent.
func (s *subscription) advance(d *due, c *tally) {
	switch d.class {
	case classUpdate:
		s.cur.seq = d.n
	case classTick:
		if missed := d.n - s.cur.ticks - 1; missed > 0 {
			c.dropped[DropTickConflated] += int(missed)
		}
		s.cur.ticks = d.n
	case classNotice:
		s.cur.notices = d.n
	}
}

// subscription returns the connection's place in t. The caller holds mu.
func (c *Conn) subscription(t *Topic) *subscription {
	for s := c.subs; s != nil; s = s.next {
		if s.topic == t {
			return s
		}
	}
	return nil
}

// attach appends s to the connection's topics. The caller holds mu.
func (c *Conn) attach(s *subscription) {
	p := &c.subs
	for *p != nil {
		p = &(*p).next
	}
	*p = s
	s.topic.part(c).add(s)
	s.topic.joins.Add(1)
}

// detach removes s: nothing of its topic goes out any more. The caller holds mu.
func (c *Conn) detach(s *subscription) {
	for p := &c.subs; *p != nil; p = &(*p).next {
		if *p == s {
			*p = s.next
			break
		}
	}
	s.gone = true
	s.topic.part(c).remove(s)
	s.topic.joins.Add(-1)
}

// keepDue moves what is due of s to the outbox, up to one batch, where the socket has not
// refused anything but cannot be written to at this moment: without the non-blocking way
// a goroutine writes. The caller holds mu and ends the subscription.
func (c *Conn) keepDue(s *subscription) {
	if c.flags&(flagRaw|flagBehind) != 0 {
		return
	}
	b := c.hub.borrow()
	defer c.hub.giveBack(b)
	t := s.topic
	t.mu.RLock()
	defer t.mu.RUnlock()
	if _, _, lost := t.lost(&s.cur); lost {
		return
	}
	t.skipNotices(&s.cur, false, &b.tally)
	t.collect(&s.cur, s, b)
	for i := range b.due {
		c.out.push(letter{frame: b.due[i].frame, class: b.due[i].class})
	}
}

// rotate moves the first topic behind the others, so that a connection that takes little
// does not get frames of one topic only. The caller holds mu.
func (c *Conn) rotate() {
	s := c.subs
	if s == nil || s.next == nil {
		return
	}
	last := s
	for last.next != nil {
		last = last.next
	}
	c.subs, s.next, last.next = s.next, nil, s
}

func (t *Topic) part(c *Conn) *part { return &t.parts[c.shard] }

// Join makes c a receiver of t. The frame first (nil for none) goes out before anything
// of the topic and in order with c's own messages; then the newest tick, unless it is
// older than after, and every update behind after, in order, without gap or repetition.
// Notices come from here on. Joining again is leaving and joining.
//
// The error is ErrGone if updates behind after have left the ring (nothing has changed
// then), ErrTooManyTopics, ErrTopicClosed, ErrClosed, or ErrOverflow if first did not fit
// the outbox. An after beyond the newest update is taken as the truth: nothing comes
// until the updates have passed it.
func (t *Topic) Join(c *Conn, after uint64, first *Frame) error {
	c.mu.Lock()
	err := c.join(t, after, first)
	out := c.push()
	c.mu.Unlock()
	c.settle(out)
	return err
}

func (c *Conn) join(t *Topic, after uint64, first *Frame) error {
	if c.flags&(flagClosing|flagDead) != 0 {
		return ErrClosed
	}
	old, n := c.subscription(t), 0
	for s := c.subs; s != nil; s = s.next {
		n++
	}
	if old == nil && n >= maxTopics {
		return ErrTooManyTopics
	}
	t.mu.RLock() // until attached, so that Close finds what was joined before it
	defer t.mu.RUnlock()
	switch {
	case t.closed:
		return ErrTopicClosed
	case after+1 < t.updates.lo:
		return ErrGone
	}
	s := &subscription{conn: c, topic: t, cur: t.start(after), joined: time.Now().UnixNano(), live: first == nil}
	if first != nil {
		if err := c.queue(letter{frame: first, opens: s}); err != nil {
			return err
		}
	}
	if old != nil {
		c.detach(old)
	}
	c.attach(s)
	return nil
}

// Leave ends what Join began. What was published before goes out first if the socket
// takes it; behind the return nothing of the topic does. Leaving a topic that was not
// joined does nothing.
func (t *Topic) Leave(c *Conn) {
	c.mu.Lock()
	out := idle
	if c.subscription(t) != nil {
		out = c.push()
		if s := c.subscription(t); s != nil { // the push may have found it lost
			c.keepDue(s)
			c.detach(s)
		}
	}
	c.mu.Unlock()
	c.settle(out)
}
