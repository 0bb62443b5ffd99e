package server

import "sync"

// lanes runs jobs of the same key one after the other, and of different keys at the
// same time. A key has a goroutine while it has jobs. How many jobs may wait is
// for the caller to bound.
type lanes struct {
	spawn func(func()) bool // Static. Starts a goroutine, or tells that it is too late.

	mu    sync.Mutex // guards byKey
	byKey map[string][]func()
}

func newLanes(spawn func(func()) bool) *lanes {
	return &lanes{spawn: spawn, byKey: map[string][]func(){}}
}

// do has job run behind the jobs of its key.
func (l *lanes) do(key string, job func()) {
	l.mu.Lock()
	jobs, running := l.byKey[key]
	l.byKey[key] = append(jobs, job)
	l.mu.Unlock()
	if !running && !l.spawn(func() { l.run(key) }) {
		l.mu.Lock()
		delete(l.byKey, key)
		l.mu.Unlock()
	}
}

func (l *lanes) run(key string) {
	for {
		job := l.take(key)
		if job == nil {
			return
		}
		job()
	}
}

func (l *lanes) take(key string) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs := l.byKey[key]
	if len(jobs) == 0 {
		delete(l.byKey, key)
		return nil
	}
	l.byKey[key] = jobs[1:]
	return jobs[0]
}
