package server

import "sync"

// lanes runs jobs of the same key one after the other, and of different keys at the
// same time. How many jobs may wait is for the caller to bound.
type lanes struct {
	mu    sync.Mutex         // guards byKey
	byKey map[string][]laned // those that wait, of the keys with a job under way
}

// laned is a job. It is over when it calls the function that it is given, once, which may
// run the next.
type laned func(over func())

func newLanes() *lanes { return &lanes{byKey: map[string][]laned{}} }

// do runs job behind the jobs of its key: at once if there are none, else on the goroutine
// on which the one before is over.
func (l *lanes) do(key string, job laned) {
	l.mu.Lock()
	waiting, busy := l.byKey[key]
	if busy {
		waiting = append(waiting, job)
	}
	l.byKey[key] = waiting
	l.mu.Unlock()
	if !busy {
		job(func() { l.next(key) })
	}
}

func (l *lanes) next(key string) {
	l.mu.Lock()
	waiting := l.byKey[key]
	if len(waiting) == 0 {
		delete(l.byKey, key)
		l.mu.Unlock()
		return
	}
	l.byKey[key] = waiting[1:]
	l.mu.Unlock()
	waiting[0](func() { l.next(key) })
}
