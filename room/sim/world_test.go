package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// world is one run. Everything in it happens in the goroutine that calls run.
type world struct {
	cfg    config
	rnd    *rand.Rand
	now    int64 // Unix ns
	begun  int64
	events eventHeap
	order  uint64
	trace  uint64 // FNV-1a over what was stored, said and answered
	dark   int64  // the power is off until then
	broken error  // the first check that failed

	log      *stream
	truth    *truth
	redis    *store
	buckets  [2]*store // of checkpoints
	archive  *segments
	servers  []*server
	gateways []*gateway
	ledger   *ledger
	players  []*player
	operator *operator
	nemesis  *nemesis
	history  history
}

// config is what a run is made from besides its seed.
type config struct {
	rooms, servers, gateways, players int

	races    int     // so many of the rooms are races
	mixed    bool    // some servers are of an older version, for a while
	hostile  bool    // a nemesis is at work
	loss     float64 // of core messages and of what goes to and from the log
	power    bool    // it may be cut, and then the log loses its tail
	trimming trimming
	settings string // of rooms; "" draws them
	idle     bool   // players do nothing by themselves
	broken   string // the rule that is broken, of those in mutation_test.go
}

// drawConfig draws the shape of a run. Where many rooms share a log, a round takes few
// records.
func drawConfig(rnd *rand.Rand) config {
	rooms := 1 + rnd.IntN(8)
	if rnd.IntN(4) == 0 {
		rooms = 20 + rnd.IntN(30)
	}
	races := 0
	if rnd.IntN(2) == 0 {
		races = rnd.IntN(rooms)
	}
	return config{
		rooms: rooms, races: races, mixed: rnd.IntN(4) == 0, servers: 2 + rnd.IntN(2), gateways: 2, players: 2 + rnd.IntN(4),
		hostile: rnd.IntN(8) != 0, loss: []float64{0, 0.001, 0.01, 0.05}[rnd.IntN(4)], trimming: drawTrimming(rnd),
		power: rnd.IntN(4) == 0,
	}
}

// epoch is when every run begins.
const epoch = 1_700_000_000_000_000_000

func newWorld(seed uint64, cfg config) *world {
	w := &world{cfg: cfg, rnd: rand.New(rand.NewPCG(seed, 0x5eed)), now: epoch, begun: epoch, trace: fnvOffset}
	w.truth = newTruth(w)
	w.log = newStream(w)
	w.redis, w.buckets = &store{w: w}, [2]*store{{w: w, cold: true}, {w: w, cold: true}}
	w.archive = newSegments(w)
	w.ledger = newLedger(w)
	for i := range cfg.servers {
		w.servers = append(w.servers, newServer(w, i))
	}
	for i := range cfg.gateways {
		w.gateways = append(w.gateways, newGateway(w, i))
	}
	w.operator = newOperator(w)
	for i := range cfg.players {
		w.players = append(w.players, newPlayer(w, i))
	}
	for _, s := range w.servers {
		s.start()
	}
	w.nemesis = &nemesis{w: w}
	if cfg.hostile {
		w.nemesis.begin()
	}
	return w
}

// event is something that happens at a time; of the same time, in the order of asking.
type event struct {
	at    int64
	order uint64
	f     func()
}

// at has f happen at a time, or next if that has passed.
func (w *world) at(at int64, f func()) {
	w.order++
	w.events.push(event{max(at, w.now), w.order, f})
}

func (w *world) after(d time.Duration, f func()) { w.at(w.now+int64(d), f) }

// step lets the next event happen and reports false when a check has failed.
func (w *world) step() bool {
	e := w.events.pop()
	w.now = e.at
	e.f()
	return w.broken == nil
}

// until lets events happen until ok, which is asked behind each. Within limit it must be.
func (w *world) until(why string, limit time.Duration, ok func() bool) bool {
	for end := w.now + int64(limit); w.broken == nil; {
		if ok() {
			return true
		}
		if w.events[0].at > end {
			w.fail("never within %v: %s", limit, why)
			break
		}
		w.step()
	}
	return false
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + int64(d)
	for w.broken == nil && w.events[0].at <= end {
		w.step()
	}
	w.now = max(w.now, end)
}

func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf("after %v: %w", time.Duration(w.now-w.begun), fmt.Errorf(format, args...))
	}
}

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rnd.Int64N(int64(b-a)))
}

// delay is how long a message is on its way: fractions of a millisecond, now and then
// much longer.
func (w *world) delay() time.Duration {
	switch n := w.rnd.IntN(1000); {
	case n < 980 || !w.cfg.hostile:
		return w.between(50*time.Microsecond, 800*time.Microsecond)
	case n < 999:
		return w.between(time.Millisecond, 40*time.Millisecond)
	}
	return w.between(40*time.Millisecond, 700*time.Millisecond)
}

func (w *world) lost() bool { return w.chance(w.cfg.loss) }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// note makes what happened part of the trace.
func (w *world) note(what string, b []byte) {
	h := (w.trace ^ uint64(w.now)) * fnvPrime
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * fnvPrime
	}
	w.trace = (h ^ sum(b)) * fnvPrime
}

func sum(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
}

// link is what connects a process with the log and with core messaging.
type link struct {
	w    *world
	log  int64 // cut off from the log until then
	core int64 // and from core messaging
	down bool  // the process is dead
}

func (l *link) toLog() bool  { return !l.down && l.w.now >= l.log && !l.w.lost() }
func (l *link) toCore() bool { return l.connected() && !l.w.lost() }

// connected reports whether the process reaches core messaging.
func (l *link) connected() bool { return !l.down && l.w.now >= l.core }

// eventHeap has the earliest event first.
type eventHeap []event

func (h eventHeap) before(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	for i := len(*h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		(*h)[i], (*h)[(i-1)/2] = (*h)[(i-1)/2], (*h)[i]
	}
}

func (h *eventHeap) pop() event {
	old := *h
	first, last := old[0], len(old)-1
	old[0] = old[last]
	old[last] = event{}
	*h = old[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if h.before(c, least) {
				least = c
			}
		}
		if least == i {
			return first
		}
		(*h)[i], (*h)[least] = (*h)[least], (*h)[i]
		i = least
	}
}
