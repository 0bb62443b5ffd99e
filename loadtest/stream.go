package loadtest

import (
	"hash/maphash"
	"sync"
	"time"
)

// stream is what all bots together know of one room's updates in one log. The
// first bot that sees an update says what it is; every other sighting, at any
// gateway and after any reconnect, must have the same bytes.
//
// Content is compared by a 64-bit maphash with one seed for the process: it is
// the fastest hash of the standard library, and its secret seed means that no
// server can make two updates collide. Its values mean nothing outside of the
// process; comparing several swarms would need a fixed hash.
type stream struct {
	room string // static
	log  string // static

	mu        sync.Mutex
	ring      []seen  // guarded by mu; position seq modulo its length
	newest    uint64  // guarded by mu; highest seq in the ring
	updates   uint64  // guarded by mu; distinct updates seen
	sightings uint64  // guarded by mu; of all bots
	compared  uint64  // guarded by mu; sightings that had another to agree with
	tooLate   uint64  // guarded by mu; sightings of updates that had left the ring
	mark      uint64  // guarded by mu; newest when the bots stopped acting
	rounds    rounds  // guarded by mu
	spread    latency // own lock; live sightings behind the first
	replay    latency // own lock; the same for updates that a joined brought behind it
}

// seen is one update as it was first seen. It holds no pointer unless the update
// tells the bots something, so that the collector has little to scan.
type seen struct {
	seq  uint64
	hash uint64
	t    int64 // game time, microseconds
	at   int64 // arrival, nanoseconds since the run began
	news *news // what the bots react to; nil for most updates
}

// The ring of a room starts small and grows to streamRing updates: more than five
// minutes of the fastest room (50 updates a second), far more than any gateway
// keeps for a resume. Later sightings are counted, and fail the verdict, since
// they were not compared.
const (
	streamRingFirst = 256
	streamRing      = 1 << 14
)

func newStream(room, log string) *stream {
	return &stream{room: room, log: log, ring: make([]seen, streamRingFirst)}
}

// sighting is the outcome of comparing one update.
type sighting struct {
	first  bool
	differ bool
	hash   uint64 // of the bytes shown
	known  uint64 // differ: of the first sighting
	news   *news
	bad    error // first: the message is no proper update

	problems []problem // first: what it says contradicts what was said before
}

// see compares the bytes of update seq with the first sighting. Sightings that
// continue their bot's sequence (inOrder) may become the first; others are only
// compared, so that a false seq cannot push the true ones out of the ring. live
// tells sightings from those that a joined brought from the past.
func (s *stream) see(h head, raw []byte, hash uint64, at time.Duration, inOrder, live bool) sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sightings++
	slot := s.slot(h.seq, inOrder)
	switch {
	case slot.seq == h.seq && h.seq != 0:
		s.compared++
		if slot.hash != hash {
			return sighting{differ: true, hash: hash, known: slot.hash, news: slot.news}
		}
		behind := at - time.Duration(slot.at)
		if live {
			s.spread.record(behind)
		} else {
			s.replay.record(behind)
		}
		return sighting{hash: hash, news: slot.news}
	case !inOrder:
		return sighting{hash: hash} // its bot has failed the order already
	case slot.seq > h.seq:
		s.tooLate++
		return sighting{hash: hash}
	}
	n, err := readNews(raw, s.room)
	*slot = seen{seq: h.seq, hash: hash, t: h.t, at: int64(at), news: n}
	s.newest = max(s.newest, h.seq)
	s.updates++
	if n != nil {
		s.rounds.apply(n)
	}
	return sighting{first: true, hash: hash, news: n, bad: err, problems: s.rounds.takeProblems()}
}

// slot finds the place of seq, growing the ring while it is small. s.mu is held.
func (s *stream) slot(seq uint64, mayGrow bool) *seen {
	for mayGrow && len(s.ring) < streamRing {
		old := s.ring[seq%uint64(len(s.ring))]
		if old.seq == 0 || old.seq >= seq {
			break
		}
		bigger := make([]seen, 2*len(s.ring))
		for _, e := range s.ring {
			bigger[e.seq%uint64(len(bigger))] = e
		}
		s.ring = bigger
	}
	return &s.ring[seq%uint64(len(s.ring))]
}

// timesAround gives the game time of update seq and of the next one, -1 for what
// is not known.
func (s *stream) timesAround(seq uint64) (this, next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	this, next = -1, -1
	if e := s.ring[seq%uint64(len(s.ring))]; e.seq == seq && seq != 0 {
		this = e.t
	}
	if e := s.ring[(seq+1)%uint64(len(s.ring))]; e.seq == seq+1 {
		next = e.t
	}
	return this, next
}

// getNewest is the highest seq that any bot has seen.
func (s *stream) getNewest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// setMark remembers the newest update, which everybody must have in the end.
func (s *stream) setMark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = s.newest
}

func (s *stream) getMark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// outcome is what is known of a round's end.
func (s *stream) outcome(round uint64) (outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rounds.get(round)
}

// learn takes in a snapshot, and returns what contradicts the updates.
func (s *stream) learn(v *view) []problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rounds.learn(v)
	return s.rounds.takeProblems()
}

// checker holds the streams of all rooms of a swarm.
type checker struct {
	*findings
	seed  maphash.Seed // static
	start time.Time    // static

	mu      sync.Mutex
	streams map[streamKey]*stream // guarded by mu
	perRoom map[string]int        // guarded by mu; logs seen of each room
}

type streamKey struct{ room, log string }

// maxLogs bounds the logs of one room in a run. A room gets another log only
// when it was closed and made again or its stream was lost.
const maxLogs = 16

func newChecker(start time.Time) *checker {
	return &checker{
		findings: newFindings(), seed: maphash.MakeSeed(), start: start,
		streams: map[streamKey]*stream{}, perRoom: map[string]int{},
	}
}

// stream returns the stream of a room and log, nil when there are too many logs.
func (c *checker) stream(room, log string) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := streamKey{room, log}
	s := c.streams[k]
	if s == nil && c.perRoom[room] < maxLogs {
		s = newStream(room, log)
		c.streams[k] = s
		c.perRoom[room]++
	}
	return s
}

// all lists the streams in no order.
func (c *checker) all() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		out = append(out, s)
	}
	return out
}
