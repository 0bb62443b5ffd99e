package loadtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// The shape of the load is made of pure functions: when something is meant to
// happen follows from a number, never from when the thing before it was done. So
// a server that stalls does not slow its own test down, and latencies are
// measured from the intended time.

// rampAt is when bot i of n starts, behind the start of the run, so that n bots
// start evenly within over.
func rampAt(i, n int, over time.Duration) time.Duration {
	if n <= 0 || over <= 0 {
		return 0
	}
	return time.Duration(float64(over) * float64(i) / float64(n))
}

// pace is a steady rate of hits: hit k (from 0) is meant to happen at
// Offset + k / PerSecond.
type pace struct {
	perSecond float64
	offset    time.Duration
}

// at is the intended time of hit k behind the start of the pace.
func (p pace) at(k uint64) time.Duration {
	if p.perSecond <= 0 {
		return math.MaxInt64
	}
	d := float64(k) / p.perSecond * float64(time.Second)
	if d >= float64(math.MaxInt64-p.offset) {
		return math.MaxInt64
	}
	return p.offset + time.Duration(d)
}

// due is how many hits are meant to have happened within elapsed.
func (p pace) due(elapsed time.Duration) uint64 {
	if p.perSecond <= 0 || elapsed < p.offset {
		return 0
	}
	k := uint64((elapsed-p.offset).Seconds()*p.perSecond) + 1
	// Rounding may be off by one in either direction; at is the definition.
	for k > 0 && p.at(k-1) > elapsed {
		k--
	}
	for p.at(k) <= elapsed {
		k++
	}
	return k
}

// between draws a duration from [lo, hi).
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}

// exponential draws a duration with the given mean, cut at eight times the mean.
func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(min(r.ExpFloat64(), 8) * float64(mean))
}

// Bounds of the wait before a reconnect that the server or the network caused.
const (
	backoffLeast  = 500 * time.Millisecond
	backoffFirst  = time.Second
	backoffMost   = 20 * time.Second
	backoffStable = 10 * time.Second // a connection that lasted this long resets the bound
)

// backoff is the wait before the next attempt after so many failures in a row:
// full jitter between half a second and a bound that doubles.
func backoff(r *rand.Rand, failures int) time.Duration {
	bound := backoffMost
	if failures < 5 {
		bound = min(backoffMost, backoffFirst<<max(0, failures))
	}
	return between(r, backoffLeast, bound)
}
