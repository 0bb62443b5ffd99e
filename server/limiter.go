package server

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limitedKeys bounds the keys that one keyedLimiter remembers. Who is forgotten
// starts with a full bucket, so an attacker needs more than so many addresses to gain anything.
const limitedKeys = 10_000

// keyedLimiter is a token bucket per key, for the keys used last.
type keyedLimiter struct {
	limit rate.Limit // Static.
	burst int        // Static.

	mu    sync.Mutex // guards everything below
	byKey map[string]*list.Element
	used  *list.List // of *limitedKey, used last at the front
}

type limitedKey struct {
	key     string
	limiter *rate.Limiter
}

func newKeyedLimiter(perSecond float64, burst int) *keyedLimiter {
	return &keyedLimiter{limit: rate.Limit(perSecond), burst: burst, byKey: map[string]*list.Element{}, used: list.New()}
}

// allow takes one token of key's bucket. It is safe for concurrent use.
func (l *keyedLimiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byKey[key]
	if e == nil {
		e = l.used.PushFront(&limitedKey{key: key, limiter: rate.NewLimiter(l.limit, l.burst)})
		l.byKey[key] = e
		if l.used.Len() > limitedKeys {
			oldest := l.used.Back()
			delete(l.byKey, l.used.Remove(oldest).(*limitedKey).key)
		}
	}
	l.used.MoveToFront(e)
	return e.Value.(*limitedKey).limiter.AllowN(now, 1)
}
