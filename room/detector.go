package room

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/wire"
)

const (
	// askInterval is how often a follower asks who owns a partition; half of it is
	// added at random, so that followers do not ask in step. Nobody answers: askAgain, and
	// half of it at random, is when it asks next. So an owner is known to be dead 10 to
	// 75 ms after a kill −9.
	askInterval = 40 * time.Millisecond
	askAgain    = 10 * time.Millisecond
	// askTimeout is how long an owner may take to answer. Two in a row mean hung.
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
type detector struct {
	nc      *nats.Conn
	subject string
	// rank is how many better candidates there are than this one, the node that is seen
	// dead not counted.
	rank func(dead string) int
	off  atomic.Bool // this replica owns the partition, or must not
	// newest is the epoch that this replica has folded last, 0 before the first. It
	// is what is seen dead, whether or not its owner ever spoke: a candidate may die,
	// or not hear that its claim was stored, before it answers anybody.
	newest atomic.Pointer[claimed]
	deaths chan uint64 // epochs seen dead
}

// claimed is the newest claim that was folded; zero before the first.
type claimed struct {
	epoch uint64
	node  string
}

func newDetector(nc *nats.Conn, p int, rank func(dead string) int) *detector {
	d := &detector{nc: nc, subject: wire.PingSubject(p), rank: rank, deaths: make(chan uint64)}
	d.newest.Store(&claimed{})
	return d
}

// run asks until ctx ends. Unless the owner was heard it holds nobody dead before
// settled.
func (d *detector) run(ctx context.Context, settled time.Time) {
	var seen claimed
	var since time.Time // when the owner did not answer first
	silent := 0         // asks in vain, in a row
	for d.wait(ctx, silent) {
		if d.off.Load() {
			silent, settled = 0, time.Time{}
			continue
		}
		if newest := *d.newest.Load(); newest != seen {
			seen, silent = newest, 0
			if !pause(ctx, claimGrace) {
				return
			}
		}
		asked := time.Now()
		err := d.ask(ctx)
		switch {
		case err == nil:
			silent, settled = 0, time.Time{}
			continue
		case !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, context.DeadlineExceeded):
			silent = 0 // the connection is down: that says nothing about the owner
			continue
		}
		if silent++; silent == 1 {
			since = asked
		}
		now := time.Now()
		if silent < silences || now.Sub(since) < time.Duration(d.rank(seen.node))*rankWait || now.Before(settled) {
			continue
		}
		silent = 0
		select {
		case d.deaths <- seen.epoch:
		case <-ctx.Done():
			return
		}
		if !pause(ctx, claimGrace) {
			return
		}
	}
}

// wait pauses until it is time to ask again.
func (d *detector) wait(ctx context.Context, silent int) bool {
	interval := askInterval
	if silent > 0 {
		interval = askAgain
	}
	return pause(ctx, interval+rand.N(interval/2))
}

func (d *detector) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := d.nc.RequestWithContext(ctx, d.subject, nil)
	return err
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
