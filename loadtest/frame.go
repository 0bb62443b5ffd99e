package loadtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
)

// sum identifies the bytes of an update, the same in every process: the first
// sixteen bytes of their SHA-256, for which no server can make two updates collide.
type sum [16]byte

func sumOf(raw []byte) sum {
	full := sha256.Sum256(raw)
	return sum(full[:16])
}

// String is short; it is for people who compare two.
func (s sum) String() string { return fmt.Sprintf("%016x", binary.BigEndian.Uint64(s[:8])) }

// frame is a new update as it was first seen, with its bytes, so that another
// sighting costs a comparison of memory and no decoding. It is immutable but for
// last, and read without a lock.
type frame struct {
	seq  uint64
	t    int64 // game time, microseconds
	at   int64 // first sighting, nanoseconds since the run began
	raw  []byte
	sum  sum
	news *news        // what the bots react to; nil for most updates
	last atomic.Int64 // newest live sighting, nanoseconds since the run began; 0 for none
}

// raise keeps the newest live sighting.
func (f *frame) raise(at time.Duration) {
	for {
		last := f.last.Load()
		if int64(at) <= last || f.last.CompareAndSwap(last, int64(at)) {
			return
		}
	}
}

// recentFrames is for how many updates behind the newest one the bytes are kept:
// five seconds of the fastest room (50 updates a second). Older ones are compared
// by their sums.
const recentFrames = 256

// recentAt finds a new update without a lock, nil when it is not there.
func (s *stream) recentAt(seq uint64) *frame {
	if f := s.recent[seq%recentFrames].Load(); f != nil && f.seq == seq {
		return f
	}
	return nil
}

// tickFrame is a tick as it was first seen, with its bytes.
type tickFrame struct {
	head   head // its strings are not kept
	number uint64
	at     int64 // first sighting, nanoseconds since the run began
	raw    []byte
}

// recentTicks is among how many of the newest ticks one is looked for by its bytes.
const recentTicks = 16

// tick finds a new tick by its bytes, nil when it is not there. It needs no lock.
func (s *stream) tick(raw []byte) *tickFrame {
	newest := s.newestTick.Load()
	for n := newest; n > 0 && n+recentTicks > newest; n-- {
		if f := s.ticks[n%recentTicks].Load(); f != nil && f.number == n && bytes.Equal(f.raw, raw) {
			return f
		}
	}
	return nil
}

// meetTick takes in a tick that was not seen before and numbers it, nil when newer
// ones are known already.
func (s *stream) meetTick(h head, raw []byte, at time.Duration) *tickFrame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.tick(raw); f != nil {
		return f
	}
	n := s.newestTick.Load()
	if before := s.ticks[n%recentTicks].Load(); before != nil && before.head.t >= h.t {
		return nil
	}
	if h.epoch > s.epoch {
		s.epoch, s.schedule, s.ticking = h.epoch, schedule{}, schedule{}
	}
	s.tickBase.Store(s.ticking.see(h.t, at))
	h.kind, h.room = nil, nil
	f := &tickFrame{head: h, number: n + 1, at: int64(at), raw: bytes.Clone(raw)}
	s.ticks[f.number%recentTicks].Store(f)
	s.newestTick.Store(f.number)
	return f
}

// schedule relates game time to the clock of the run: the least difference seen
// between an arrival and the game time of what arrived. What comes later than
// that was held up on its way. Since game time stands still while a room has no
// owner, only the last ten to twenty seconds count.
type schedule struct {
	began     time.Duration
	now, then int64 // least differences of this window and the one before, nanoseconds
	known     bool
}

const scheduleWindow = 10 * time.Second

// see takes in a first sighting, and returns the least difference.
func (w *schedule) see(t int64, at time.Duration) int64 {
	d := int64(at) - t*1000
	switch {
	case !w.known:
		*w = schedule{began: at, now: d, then: d, known: true}
	case at-w.began > scheduleWindow:
		w.began, w.then, w.now = at, w.now, d
	default:
		w.now = min(w.now, d)
	}
	return min(w.now, w.then)
}
