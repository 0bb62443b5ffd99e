package peer

import (
	"context"
	"time"
)

// Sweeper calls a function at intervals as long as something waits for an answer, and sleeps while nothing
// does. Make it with NewSweeper; Begin may be called concurrently, Run is called once.
type Sweeper struct{ begun chan struct{} }

// NewSweeper makes a Sweeper.
func NewSweeper() *Sweeper { return &Sweeper{begun: make(chan struct{}, 1)} }

// Begin tells that there is something to look after from now on. It does not block.
func (s *Sweeper) Begin() {
	select {
	case s.begun <- struct{}{}:
	default:
	}
}

// Run calls sweep every interval until ctx ends, but for the time between a sweep that reports that
// nothing is left and the next Begin.
func (s *Sweeper) Run(ctx context.Context, interval time.Duration, sweep func(now time.Time) (more bool)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.begun:
		}
		if !s.busy(ctx, interval, sweep) {
			return
		}
	}
}

// busy sweeps until nothing is left. It returns false when ctx ends.
func (s *Sweeper) busy(ctx context.Context, interval time.Duration, sweep func(now time.Time) bool) bool {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			if !sweep(now) {
				return true
			}
		}
	}
}
