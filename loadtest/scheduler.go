package loadtest

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// scheduler runs functions at their intended times: one heap of timers and a few
// workers for all bots, instead of a goroutine per bot that sleeps. A function
// that is late still runs; who measures counts from the intended time.
type scheduler struct {
	start   time.Time     // static
	workers int           // static
	wake    chan struct{} // capacity 1

	mu    sync.Mutex
	tasks taskHeap // guarded by mu
	order uint64   // guarded by mu; tasks of the same time run in the order they were added
}

type task struct {
	at    time.Duration
	order uint64
	run   func(at time.Duration)
}

// schedulerWorkers bounds the functions that run at once. They write to sockets,
// so each may be stuck for writeTimeout when a gateway does not read.
const schedulerWorkers = 32

func newScheduler(start time.Time) *scheduler {
	return &scheduler{start: start, workers: schedulerWorkers, wake: make(chan struct{}, 1)}
}

// add runs f at the given time since the start, or as soon as possible behind it.
// It may be called from anywhere, also from tasks.
func (s *scheduler) add(at time.Duration, f func(at time.Duration)) {
	s.mu.Lock()
	s.order++
	heap.Push(&s.tasks, task{at: at, order: s.order, run: f})
	first := s.tasks[0].order == s.order
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Run hands out tasks until ctx ends, and returns when the last one is done.
// Tasks that are not due by then never run.
func (s *scheduler) Run(ctx context.Context) {
	due := make(chan task)
	var wg sync.WaitGroup
	for range s.workers {
		wg.Go(func() {
			for t := range due {
				t.run(t.at)
			}
		})
	}
	defer wg.Wait()
	defer close(due)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait, ok := s.pop(time.Since(s.start))
		if ok {
			select {
			case due <- t:
			case <-ctx.Done():
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

// pop takes the first task if it is due, and otherwise tells how long to wait.
func (s *scheduler) pop(now time.Duration) (t task, wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) == 0 {
		return task{}, time.Hour, false
	}
	if wait = s.tasks[0].at - now; wait > 0 {
		return task{}, wait, false
	}
	return heap.Pop(&s.tasks).(task), 0, true
}

// taskHeap implements heap.Interface: earliest first.
type taskHeap []task

func (h taskHeap) Len() int      { return len(h) }
func (h taskHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h taskHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}
func (h *taskHeap) Push(x any) { *h = append(*h, x.(task)) }
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = task{}
	*h = old[:len(old)-1]
	return t
}
