package room

import (
	"math/rand/v2"
	"time"
)

const (
	// askInterval is how often a follower asks who owns a partition; half of it is
	// added at random, so that followers do not ask in step. Nobody answers: askAgain, and
	// half of it at random, is when it asks next. So an owner is known to be dead 10 to
	// 75 ms after a kill −9.
	askInterval = 40 * time.Millisecond
	askAgain    = 10 * time.Millisecond
	// askTimeout is how long an owner may take to answer. Two in a row mean hung. Meanwhile it
	// is pinged each askInterval: a ping may have reached an owner as it died, and what tells
	// that is that nobody listens to the next.
	askTimeout = 400 * time.Millisecond
	// silences is how many unanswered asks in a row mean that the owner is dead.
	silences = 2
	// rankWait is how much longer a candidate waits for each better one before it: as long
	// as that one may take to notice.
	rankWait = 80 * time.Millisecond
	// claimGrace is how long whoever claimed is left alone until it must answer, by the
	// loser of the claim and by everybody else.
	claimGrace = 300 * time.Millisecond
)

// detector notices the death of a partition's owner by asking. It never looks at
// clocks or leases: a lease in another stream could not fence this one.
//
// It is a state machine: due is called at at, pong with each answer.
type detector struct {
	// Static after newDetector.
	rank func(dead string) int // better candidates than this one, the node that is seen dead not counted
	rand *rand.Rand

	seen    claimed   // whose owner is asked for
	silent  int       // asks in vain, in a row
	since   time.Time // when the owner did not answer first
	settled time.Time // unless the owner was heard, nobody is held dead before
	at      time.Time // when due is called next
	asked   time.Time // when the ask that is under way began; zero if none is
	first   uint64    // number of its first ping: any since then may be answered
	n       uint64    // number of the newest ping
}

// claimed is the newest claim that was folded; zero before the first. It is what is
// seen dead, whether or not its owner ever spoke: a candidate may die, or not hear that
// its claim was stored, before it answers anybody.
type claimed struct {
	epoch uint64
	node  string
}

// start begins to ask.
func (d *detector) start(now, settled time.Time) {
	d.settled = settled
	d.wait(now)
}

// rest is called instead of due while this replica owns the partition, or must not.
func (d *detector) rest(now time.Time) {
	d.silent, d.settled, d.asked = 0, time.Time{}, time.Time{}
	d.wait(now)
}

// due asks who owns the partition, asks again, or gives up waiting for an answer. dead tells
// that the owner of d.seen is to be replaced.
func (d *detector) due(now time.Time, newest claimed, ping func(n uint64) error) (dead bool) {
	switch {
	case !d.asked.IsZero() && now.Sub(d.asked) >= askTimeout:
		return d.unanswered(now)
	case !d.asked.IsZero():
		d.ping(now, ping)
		return false
	case newest != d.seen:
		d.seen, d.silent = newest, 0
		d.at = now.Add(claimGrace)
		return false
	}
	d.asked, d.first = now, d.n+1
	d.ping(now, ping)
	return false
}

// ping sends a ping of the ask that is under way.
func (d *detector) ping(now time.Time, ping func(n uint64) error) {
	d.n++
	if ping(d.n) != nil {
		d.silent, d.asked = 0, time.Time{} // the connection is down: that says nothing about the owner
		d.wait(now)
		return
	}
	d.at = d.asked.Add(min(now.Sub(d.asked)+askInterval, askTimeout))
}

// pong takes the answer to the n-th ping: of the owner, or that there is none.
func (d *detector) pong(now time.Time, n uint64, owner bool) (dead bool) {
	switch {
	case n < d.first || n > d.n || d.asked.IsZero():
		return false
	case !owner:
		return d.unanswered(now)
	}
	d.silent, d.settled, d.asked = 0, time.Time{}, time.Time{}
	d.wait(now)
	return false
}

func (d *detector) unanswered(now time.Time) (dead bool) {
	if d.silent++; d.silent == 1 {
		d.since = d.asked
	}
	d.asked = time.Time{}
	if d.silent < silences || now.Sub(d.since) < time.Duration(d.rank(d.seen.node))*rankWait || now.Before(d.settled) {
		d.wait(now)
		return false
	}
	d.silent = 0
	d.wait(now.Add(claimGrace))
	return true
}

// wait sets when it is time to ask again.
func (d *detector) wait(now time.Time) {
	interval := askInterval
	if d.silent > 0 {
		interval = askAgain
	}
	d.at = now.Add(interval + time.Duration(d.rand.Int64N(int64(interval/2))))
}
