package room

import (
	"context"
	"encoding/json"
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
	// claimGrace is how long the loser of a claim leaves the winner alone.
	claimGrace = 300 * time.Millisecond
)

// detector notices the death of a partition's owner by asking. It never looks at
// clocks or leases: a lease in another stream could not fence this one.
type detector struct {
	nc      *nats.Conn
	subject string
	rank    func() int  // how many better candidates there are
	off     atomic.Bool // this replica owns the partition, or must not
	deaths  chan uint64 // epochs seen dead, 0 if none was ever seen
}

func newDetector(nc *nats.Conn, p int, rank func() int) *detector {
	return &detector{nc: nc, subject: wire.PingSubject(p), rank: rank, deaths: make(chan uint64)}
}

// run asks until ctx ends.
func (d *detector) run(ctx context.Context) {
	var seen uint64
	silent := 0
	for pause(ctx, askInterval+rand.N(askInterval/2)) {
		if d.off.Load() {
			silent = 0
			continue
		}
		epoch, err := d.ask(ctx)
		switch {
		case err == nil:
			seen, silent = epoch, 0
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

func (d *detector) ask(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := d.nc.RequestWithContext(ctx, d.subject, nil)
	if err != nil {
		return 0, err
	}
	var pong wire.OwnerPong
	if err := json.Unmarshal(m.Data, &pong); err != nil {
		return 0, err
	}
	return pong.Epoch, nil
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
