package server

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limitedKeys bounds the keys that one keyedLimiter remembers. Who is forgotten
// starts anew, so an attacker needs more than so many addresses or players to gain anything.
const limitedKeys = 10_000

// allowance counts an event at a time, unless it is one too many.
type allowance func(now time.Time) bool

// keyedLimiter is an allowance per key, for the keys used last.
type keyedLimiter struct {
	fresh func() allowance // Static.

	mu    sync.Mutex // guards everything below, and is held while an allowance is asked
	byKey map[string]*list.Element
	used  *list.List // of *limitedKey, used last at the front
}

type limitedKey struct {
	key   string
	allow allowance
}

func newKeyedLimiter(fresh func() allowance) *keyedLimiter {
	return &keyedLimiter{fresh: fresh, byKey: map[string]*list.Element{}, used: list.New()}
}

// tokenBuckets makes allowances of so many a second, and of so many at once.
func tokenBuckets(perSecond float64, burst int) func() allowance {
	return func() allowance {
		l := rate.NewLimiter(rate.Limit(perSecond), burst)
		return func(now time.Time) bool { return l.AllowN(now, 1) }
	}
}

// windows makes allowances of limit in any stretch of length.
func windows(limit int, length time.Duration) func() allowance {
	return func() allowance { return (&window{limit: limit, length: length}).allow }
}

// allow asks key's allowance. It is safe for concurrent use.
func (l *keyedLimiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byKey[key]
	if e == nil {
		e = l.used.PushFront(&limitedKey{key: key, allow: l.fresh()})
		l.byKey[key] = e
		if l.used.Len() > limitedKeys {
			oldest := l.used.Back()
			delete(l.byKey, l.used.Remove(oldest).(*limitedKey).key)
		}
	}
	l.used.MoveToFront(e)
	return e.Value.(*limitedKey).allow(now)
}
