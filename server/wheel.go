package server

import (
	"context"
	"sync"
	"time"
)

const (
	// wheelStep is how exact the wheel is: the shortest time of the protocol that it keeps is 5 s.
	wheelStep = 250 * time.Millisecond
	// wheelSlots times wheelStep is the longest wait between two visits. A due time further away
	// is reached by way of earlier visits.
	wheelSlots = 128
	// stoodStill is how late a turn is when the process was stopped, or starved: what clients said meanwhile
	// may wait to be read.
	stoodStill = time.Second
)

// wheel visits many timers with one goroutine and one runtime timer. A visit comes up to one
// step late, and early only where the wait was longer than the wheel's turn.
type wheel struct {
	mu    sync.Mutex             // guards everything below, and the fields of its timers
	slots [wheelSlots]wheelTimer // heads of rings
	next  int                    // slot that the next step visits

	awake time.Time // since when it turns without having stood still; for run and visits
}

// wheelTimer is an entry of a wheel. It is embedded in what is visited.
type wheelTimer struct {
	visit      func(now time.Time) (wait time.Duration) // Static. Zero or less: no further visit.
	prev, next *wheelTimer
}

func newWheel() *wheel {
	w := &wheel{}
	for i := range w.slots {
		h := &w.slots[i]
		h.prev, h.next = h, h
	}
	return w
}

// add has t visited after wait. t must not be in a wheel.
func (w *wheel) add(t *wheelTimer, wait time.Duration) {
	steps := min(max(int((wait+wheelStep-1)/wheelStep), 1), wheelSlots-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &w.slots[(w.next+steps)%wheelSlots]
	t.prev, t.next = h.prev, h
	t.prev.next, h.prev = t, t
}

// remove ends the visits of t, but for one that is under way.
func (w *wheel) remove(t *wheelTimer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.unlink()
}

func (t *wheelTimer) unlink() {
	if t.next != nil {
		t.prev.next, t.next.prev = t.next, t.prev
		t.prev, t.next = nil, nil
	}
}

// run turns the wheel until ctx ends. Visits must not block.
func (w *wheel) run(ctx context.Context) {
	tick := time.NewTicker(wheelStep)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := time.Now()
			if now.Sub(last) >= wheelStep+stoodStill {
				w.awake = now
			}
			for ; now.Sub(last) >= wheelStep; last = last.Add(wheelStep) { // a ticker drops what nobody waited for
				w.step(now)
			}
		}
	}
}

func (w *wheel) step(now time.Time) {
	w.mu.Lock()
	due := w.take()
	w.mu.Unlock()
	for _, t := range due {
		if wait := t.visit(now); wait > 0 {
			w.add(t, wait)
		}
	}
}

// take empties the next slot. The caller holds mu.
func (w *wheel) take() []*wheelTimer {
	h := &w.slots[w.next]
	var due []*wheelTimer
	for t := h.next; t != h; t = h.next {
		t.unlink()
		due = append(due, t)
	}
	w.next = (w.next + 1) % wheelSlots
	return due
}
