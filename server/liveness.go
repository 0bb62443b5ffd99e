package server

import (
	"sync/atomic"
	"time"

	"tickcast/fanout"
	"tickcast/wire"
)

// liveness tells when a client must be pinged or given up (P2.1, P6.1). Only heard
// may be called concurrently with the rest, which belongs to the wheel.
type liveness struct {
	hello, interval, timeout time.Duration // Static.

	last    atomic.Int64 // when the client last said something, Unix ns
	greeted atomic.Bool  // hello was accepted

	opened time.Time // Static.
	pinged time.Time // when the ping that waits for an answer went out; zero for none
}

// duty is what liveness asks for.
type duty int

const (
	dutyNone  duty = iota
	dutyPing       // send a ping
	dutyStale      // no hello in time
	dutyMute       // no pong in time
)

// pings are the pings that the wheel has sent. They belong to it.
type pings struct {
	last  uint64 // its ID
	time  time.Time
	frame *fanout.Frame
}

// at is the ping of a step of the wheel: one for all that are due.
func (p *pings) at(now time.Time) *fanout.Frame {
	if !now.Equal(p.time) {
		p.last++
		p.time, p.frame = now, fanout.NewFrame(encode(wire.Ping{Type: wire.TypePing, ID: p.last, Now: now.UnixMilli()}))
	}
	return p.frame
}

// heard notes that the client said something.
func (l *liveness) heard(now time.Time) { l.last.Store(now.UnixNano()) }

// next tells what is to be done now and after which time to ask again. The times that a client has begin anew
// when the gateway is awake again after it stood still.
func (l *liveness) next(now, awake time.Time) (duty, time.Duration) {
	if !l.greeted.Load() {
		if wait := later(l.opened, awake).Add(l.hello).Sub(now); wait > 0 {
			return dutyNone, wait
		}
		return dutyStale, 0
	}
	last := time.Unix(0, l.last.Load())
	if !l.pinged.IsZero() && last.After(l.pinged) {
		l.pinged = time.Time{}
	}
	if !l.pinged.IsZero() {
		if wait := later(l.pinged, awake).Add(l.timeout).Sub(now); wait > 0 {
			return dutyNone, wait
		}
		return dutyMute, 0
	}
	if wait := last.Add(l.interval).Sub(now); wait > 0 {
		return dutyNone, wait
	}
	l.pinged = now
	return dutyPing, l.timeout
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
