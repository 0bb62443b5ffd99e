package fanout

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Topic.Join that callers branch on.
var (
	// ErrGone tells that updates behind the given position have left the ring: the client
	// needs a snapshot.
	ErrGone = errors.New("fanout: updates have left the ring")
	// ErrTopicClosed tells that the topic was closed.
	ErrTopicClosed = errors.New("fanout: topic is closed")
	// ErrTooManyTopics tells that the connection has joined wire.MaxRoomsPerSession
	// topics.
	ErrTooManyTopics = errors.New("fanout: connection has joined too many topics")
)

// Topic is one stream of frames for many connections: a ring of numbered updates, the
// newest tick, and a short window of notices. Its memory does not depend on the number of
// connections; a connection is a cursor on it.
//
// All methods may be called concurrently. Publishing (Update, Tick, Notice) never waits
// for a socket; frames go out in the order of the calls.
type Topic struct {
	name  string // Static.
	hub   *Hub   // Static.
	parts []part // one per shard. Static; each guards itself.
	joins atomic.Int64

	mu      sync.RWMutex // guards everything below
	closed  bool
	updates ring // numbered by seq
	notices ring // numbered from 1
	tick    slot // the newest tick, if any
	ticks   uint64
}

func newTopic(h *Hub, name string, size int) *Topic {
	if size <= 0 {
		size = defaultRing
	}
	t := &Topic{name: name, hub: h, parts: make([]part, len(h.shards))}
	for i := range t.parts {
		t.parts[i].topic = t
	}
	t.updates = ring{lo: 1, hi: 1, maxFrames: size, maxBytes: h.cfg.RingBytes}
	t.notices = ring{lo: 1, hi: 1, maxFrames: h.cfg.NoticeFrames, maxBytes: h.cfg.RingBytes}
	return t
}

// Name returns the name that Hub.Topic was given.
func (t *Topic) Name() string { return t.name }

// Len returns how many connections have joined.
func (t *Topic) Len() int { return int(t.joins.Load()) }

// Newest returns the number of the newest update, zero before the first.
func (t *Topic) Newest() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.updates.hi - 1
}

// Update publishes update seq. Updates at or before the newest are ignored, as owners
// repeat the last ones after a takeover. A gap before seq empties the ring: connections
// that have not got the missing updates are told by Config.OnLost.
func (t *Topic) Update(seq uint64, f *Frame) {
	t.mu.Lock()
	if t.closed || seq < t.updates.hi {
		t.mu.Unlock()
		return
	}
	if seq > t.updates.hi {
		t.updates.reset(seq)
	}
	t.updates.push(slot{frame: f, at: time.Now().UnixNano()})
	t.mu.Unlock()
	t.wake()
}

// Tick publishes a tick. A connection that has not taken the one before by then gets only
// this one.
func (t *Topic) Tick(f *Frame) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.ticks++
	t.tick = slot{frame: f, after: t.updates.hi - 1}
	t.mu.Unlock()
	t.wake()
}

// Notice publishes a frame that connections with a backlog do without.
func (t *Topic) Notice(f *Frame) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.notices.push(slot{frame: f, after: t.updates.hi - 1})
	t.mu.Unlock()
	t.wake()
}

// Reset empties the topic: seq is the newest update from here on, and nothing up to it is
// in the ring. Connections that have not got everything up to seq are told by
// Config.OnLost. A gateway calls it when it has taken a snapshot.
func (t *Topic) Reset(seq uint64) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.updates.reset(seq + 1)
	t.tick = slot{}
	t.mu.Unlock()
	t.wake()
}

// At returns update seq, nil if it is not in the ring.
func (t *Topic) At(seq uint64) *Frame {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if seq < t.updates.lo || seq >= t.updates.hi {
		return nil
	}
	return t.updates.at(seq).frame
}

// Since returns the updates behind after, oldest first; false if some of them have left
// the ring.
func (t *Topic) Since(after uint64) ([]*Frame, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if after+1 < t.updates.lo {
		return nil, false
	}
	if after+1 >= t.updates.hi {
		return nil, true
	}
	frames := make([]*Frame, 0, t.updates.hi-after-1)
	for n := after + 1; n < t.updates.hi; n++ {
		frames = append(frames, t.updates.at(n).frame)
	}
	return frames, true
}

// Close ends the topic: what was published goes out to connections whose socket takes it,
// then all of them leave. Publishing afterwards does nothing.
func (t *Topic) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.hub.forget(t)
	for i := range t.parts {
		for _, s := range t.parts[i].copyTo(nil) {
			t.Leave(s.conn)
		}
	}
}

// wake makes the shards that have connections of this topic look at it.
func (t *Topic) wake() {
	for i := range t.parts {
		if t.parts[i].joined.Load() > 0 {
			t.hub.shards[i].enqueue(&t.parts[i])
		}
	}
}

// lost reports the range of updates that a connection at cur can no longer get. The
// caller holds mu.
func (t *Topic) lost(cur *cursor) (from, to uint64, lost bool) {
	if cur.seq+1 < t.updates.lo {
		return cur.seq + 1, t.updates.lo - 1, true
	}
	return 0, 0, false
}

// start is the cursor of a connection that has everything up to update after: the newest
// tick comes if it is not older, notices only from here on. The caller holds mu.
func (t *Topic) start(after uint64) cursor {
	cur := cursor{seq: after, ticks: t.ticks, notices: t.notices.hi - 1}
	if t.tick.frame != nil && t.tick.after >= after {
		cur.ticks--
	}
	return cur
}

// collect adds what is due behind cur to b, in order: each tick and notice behind the
// update that was the newest when it was published. The caller holds mu and has asked
// lost.
func (t *Topic) collect(cur *cursor, s *subscription, b *batch) {
	tick := t.tick.frame != nil && t.ticks > cur.ticks
	if tick && t.tick.after < cur.seq {
		cur.ticks, tick = t.ticks, false // the client knows a later time already
	}
	for seq, notice := cur.seq, cur.notices+1; ; seq++ {
		for ; notice < t.notices.hi && t.notices.at(notice).after <= seq; notice++ {
			if !b.add(due{frame: t.notices.at(notice).frame, sub: s, n: notice, class: classNotice}) {
				return
			}
		}
		if tick && t.tick.after <= seq {
			if tick = false; !b.add(due{frame: t.tick.frame, sub: s, n: t.ticks, class: classTick}) {
				return
			}
		}
		if seq+1 >= t.updates.hi {
			return
		}
		if !b.add(due{frame: t.updates.at(seq + 1).frame, sub: s, n: seq + 1, class: classUpdate}) {
			return
		}
	}
}

// skipNotices moves cur over notices that left their window or, when quiet, over all of
// them, and counts them. The caller holds mu.
func (t *Topic) skipNotices(cur *cursor, quiet bool, c *tally) {
	if gone := t.notices.lo - 1; cur.notices < gone {
		c.dropped[DropNoticeGone] += int(gone - cur.notices)
		cur.notices = gone
	}
	if newest := t.notices.hi - 1; quiet && cur.notices < newest {
		c.dropped[DropNoticeSlow] += int(newest - cur.notices)
		cur.notices = newest
	}
}
