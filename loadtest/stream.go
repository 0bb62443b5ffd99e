package loadtest

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// stream is what all bots together know of one room's updates in one log. The
// first bot that sees an update says what it is; every other sighting, at any
// gateway and after any reconnect, must have the same bytes.
//
// New updates are kept with their bytes, and compared without a lock (see frame).
// Older ones are compared by their sums, which mean the same in every process, so
// that a coordinator can compare what several processes saw.
type stream struct {
	room string // static
	log  string // static

	recent     [recentFrames]atomic.Pointer[frame] // position seq modulo its length; replaced under mu
	ticks      [recentTicks]atomic.Pointer[tickFrame]
	newestTick atomic.Uint64
	base       atomic.Int64  // what the schedule of updates says; see lateness
	tickBase   atomic.Int64  // and that of ticks, which are stamped at another moment
	equal      atomic.Uint64 // sightings that were compared without the lock

	mu        sync.Mutex
	ring      ring[seen]      // guarded by mu
	newest    uint64          // guarded by mu; highest seq in the ring
	updates   uint64          // guarded by mu; distinct updates seen
	sightings uint64          // guarded by mu; of all bots, without equal
	compared  uint64          // guarded by mu; sightings that had another to agree with, without equal
	tooLate   uint64          // guarded by mu; sightings of updates that had left the ring
	mark      uint64          // guarded by mu; newest when the bots stopped acting
	rounds    rounds          // guarded by mu
	epoch     uint64          // guarded by mu; of the newest tick
	schedule  schedule        // guarded by mu; of updates
	ticking   schedule        // guarded by mu; of ticks
	done      []updateSummary // guarded by mu; updates that are no longer recent, for the collector
}

// seen is one update as it was first seen. It holds no pointer unless the update
// tells the bots something, so that the collector has little to scan.
type seen struct {
	seq  uint64
	sum  sum
	t    int64 // game time, microseconds
	at   int64 // arrival, nanoseconds since the run began
	news *news // what the bots react to; nil for most updates
}

func (e seen) number() uint64 { return e.seq }

func newStream(room, log string) *stream {
	return &stream{room: room, log: log, ring: newRing[seen]()}
}

// sight is how a bot came to see an update.
type sight struct {
	at      time.Duration
	inOrder bool // it continues the bot's sequence
	live    bool // it was not brought from the past by a joined
	slow    bool // the bot is slow on purpose
	meter   *meter
}

// sighting is the outcome of comparing one update.
type sighting struct {
	first  bool
	differ bool
	sum    sum // of the bytes shown
	known  sum // differ: of the first sighting
	news   *news
	bad    error // first: the message is no proper update

	problems []problem // first: what it says contradicts what was said before
}

// again compares the bytes of update seq with a new one, without decoding them.
// It returns nil when it is not new or the bytes are others: then see tells.
func (s *stream) again(seq uint64, raw []byte, w sight) *frame {
	f := s.recentAt(seq)
	if f == nil || !bytes.Equal(f.raw, raw) {
		return nil
	}
	s.equal.Add(1)
	if w.live && !w.slow {
		f.raise(w.at)
	}
	late := s.lateness(w, f.at, f.t)
	late.bytes = len(raw)
	w.meter.saw(late)
	return f
}

func (s *stream) lateness(w sight, first, t int64) lateness {
	return lateness{
		spread: w.at - time.Duration(first), delivery: w.at - time.Duration(t*1000+s.base.Load()),
		live: w.live, slow: w.slow,
	}
}

// see compares the bytes of update seq with the first sighting. Sightings that
// continue their bot's sequence (inOrder) may become the first; others are only
// compared, so that a false seq cannot push the true ones out of the ring.
func (s *stream) see(h head, raw []byte, w sight) sighting {
	own := sumOf(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sightings++
	slot := s.ring.at(h.seq)
	if w.inOrder {
		slot = s.ring.makeRoom(h.seq)
	}
	switch {
	case slot.seq == h.seq && h.seq != 0:
		s.compared++
		if slot.sum != own {
			return sighting{differ: true, sum: own, known: slot.sum, news: slot.news}
		}
		if w.live && !w.slow {
			s.seeLate(slot, w.at)
		}
		w.meter.saw(s.lateness(w, slot.at, slot.t))
		return sighting{sum: own, news: slot.news}
	case !w.inOrder:
		return sighting{sum: own} // its bot has failed the order already
	case slot.seq > h.seq:
		s.tooLate++
		return sighting{sum: own}
	}
	n, err := readNews(raw, s.room)
	*slot = seen{seq: h.seq, sum: own, t: h.t, at: int64(w.at), news: n}
	s.newest = max(s.newest, h.seq)
	s.updates++
	if w.live {
		s.base.Store(s.schedule.see(h.t, w.at))
	}
	s.keep(slot, raw, w)
	if n != nil {
		s.rounds.apply(n)
	}
	return sighting{first: true, sum: own, news: n, bad: err, problems: s.rounds.takeProblems()}
}

// keep makes an update recent; the one whose place it takes is done. s.mu is held.
func (s *stream) keep(e *seen, raw []byte, w sight) {
	f := &frame{seq: e.seq, t: e.t, at: e.at, raw: bytes.Clone(raw), sum: e.sum, news: e.news}
	if w.live && !w.slow {
		f.last.Store(e.at)
	}
	place := &s.recent[e.seq%recentFrames]
	before := place.Load()
	if before != nil && before.seq > f.seq {
		s.done = append(s.done, f.summary())
		return
	}
	place.Store(f)
	if before != nil {
		s.done = append(s.done, before.summary())
	}
}

// seeLate notes a live sighting of an update that another one already followed:
// the summary of one that is recent no more is told again. s.mu is held.
func (s *stream) seeLate(e *seen, at time.Duration) {
	if f := s.recentAt(e.seq); f != nil {
		f.raise(at)
	} else if len(s.done) < streamRing {
		s.done = append(s.done, updateSummary{Seq: e.seq, Sum: e.sum, First: e.at, Last: int64(at)})
	}
}

// takeDone gives the summaries of updates that are recent no more, of all with
// everything.
func (s *stream) takeDone(everything bool) []updateSummary {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.done
	s.done = nil
	for i := range s.recent {
		if f := s.recent[i].Load(); everything && f != nil {
			out = append(out, f.summary())
		}
	}
	return out
}

// timesAround gives the game time of update seq and of the next one, -1 for what
// is not known.
func (s *stream) timesAround(seq uint64) (this, next int64) {
	this, next = -1, -1
	a, b := s.recentAt(seq), s.recentAt(seq+1)
	if b != nil {
		next = b.t
	}
	if a != nil {
		return a.t, next
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.ring.at(seq); e.seq == seq && seq != 0 {
		this = e.t
	}
	if e := s.ring.at(seq + 1); e.seq == seq+1 {
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

// setMark says which update everybody must have in the end.
func (s *stream) setMark(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = seq
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
	seed  maphash.Seed // static; of sums that stay in the process
	start time.Time    // static

	mu      sync.Mutex
	streams map[streamKey]*stream // guarded by mu
	perRoom map[string]int        // guarded by mu; logs seen of each room
}

// streamKey names a room's log.
type streamKey struct {
	Room string `json:"room"`
	Log  string `json:"log"`
}

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

// known returns a stream that somebody joined, or nil.
func (c *checker) known(k streamKey) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[k]
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
