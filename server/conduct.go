package server

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// floodFactor times the burst beyond what the rate allows is no mistake but an attack (P6.7).
	floodFactor = 10
	// maxStrikes malformed messages within strikeWindow close a connection (P1.6).
	maxStrikes   = 20
	strikeWindow = 10 * time.Second
)

// conduct judges how a connection behaves. Owned by its reading goroutine.
type conduct struct {
	messages *rate.Limiter
	flood    *rate.Limiter // the same rate, a burst floodFactor times as large
	strikes  window
}

// verdict is what a message's mere arrival deserves.
type verdict int

const (
	verdictPass    verdict = iota
	verdictLimited         // answer rate_limited
	verdictFlood           // close with CloseTooManyRequests
)

func newConduct(perSecond float64, burst int) conduct {
	return conduct{
		messages: rate.NewLimiter(rate.Limit(perSecond), burst),
		flood:    rate.NewLimiter(rate.Limit(perSecond), floodFactor*burst),
		strikes:  window{limit: maxStrikes - 1, length: strikeWindow},
	}
}

// arrived judges the arrival of a message.
func (c *conduct) arrived(now time.Time) verdict {
	switch {
	case !c.flood.AllowN(now, 1):
		return verdictFlood
	case !c.messages.AllowN(now, 1):
		return verdictLimited
	}
	return verdictPass
}

// window allows limit events in any stretch of length.
type window struct {
	limit  int
	length time.Duration
	times  []time.Time // of the last limit events that were allowed, oldest first
}

// allow counts an event unless it is one too many.
func (w *window) allow(now time.Time) bool {
	n := 0
	for n < len(w.times) && now.Sub(w.times[n]) >= w.length {
		n++
	}
	w.times = append(w.times[:0], w.times[n:]...)
	if len(w.times) >= w.limit {
		return false
	}
	w.times = append(w.times, now)
	return true
}
