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
	// random, so that followers do not ask in step. No responders twice means dead
	// about 50 ms after a kill −9.
	askInterval = 40 * time.Millisecond
	// askTimeout is how long an owner may take to answer. Two in a row mean hung.
	askTimeout = 400 * time.Millisecond
	// silences is how many unanswered asks in a row mean that the owner is dead.
	silences = 2
	// rankSilences is how many more a candidate waits for each better one before it.
	rankSilences = 3
	// claimGrace is how long whoever claimed is left alone until it must answer, by the
	// loser of the claim and by everybody else.
	claimGrace = 300 * time.Millisecond
)

// detector notices the death of a partition's owner by asking. It never looks at
// clocks or leases: a lease in another stream could not fence this one.
type detector struct {
	nc      *nats.Conn
	subject string
	rank    func() int  // how many better candidates there are
	off     atomic.Bool // this replica owns the partition, or must not
	// newest is the epoch that this replica has folded last, 0 before the first. It
	// is what is seen dead, whether or not its owner ever spoke: a candidate may die,
	// or not hear that its claim was stored, before it answers anybody.
	newest atomic.Uint64
	deaths chan uint64 // epochs seen dead
}

func newDetector(nc *nats.Conn, p int, rank func() int) *detector {
	return &detector{nc: nc, subject: wire.PingSubject(p), rank: rank, deaths: make(chan uint64)}
}

// run asks until ctx ends.
func (d *detector) run(ctx context.Context) {
	seen := d.newest.Load()
	silent := 0
	for pause(ctx, askInterval+rand.N(askInterval/2)) {
		if d.off.Load() {
			silent = 0
			continue
		}
		if newest := d.newest.Load(); newest != seen {
			seen, silent = newest, 0
			if !pause(ctx, claimGrace) {
				return
			}
		}
		err := d.ask(ctx)
		switch {
		case err == nil:
			silent = 0
			continue
		case !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, context.DeadlineExceeded):
			silent = 0 // the connection is down: that says nothing about the owner
			continue
		}
		if silent++; silent < silences+rankSilences*d.rank() {
			continue
		}
		silent = 0
		select {
		case d.deaths <- seen:
		case <-ctx.Done():
			return
		}
		if !pause(ctx, claimGrace) {
			return
		}
	}
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
