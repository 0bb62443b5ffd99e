package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"tickcast/server/internal/rest"
	"tickcast/wire"
)

// refusal is why a connection was refused before it became a session. It is the
// label "reason" of tickcast_connections_refused_total.
type refusal string

const (
	refusedFull      refusal = "full"
	refusedDraining  refusal = "draining"
	refusedHandshake refusal = "handshake" // no WebSocket handshake, or an origin that is not allowed
)

func refusals() []refusal { return []refusal{refusedFull, refusedDraining, refusedHandshake} }

const (
	// retryAfter is what Retry-After and retry say: about what a balancer needs to
	// notice, or another gateway to start.
	retryAfter = 3 * time.Second
	// inBand bounds the connections that are open only to be told that there is no
	// room for them.
	inBand = 64
	// demandWindow is how long a refused connection counts as demand: it tries again within that time.
	demandWindow = 10
)

// admission decides who gets a connection. It is safe for concurrent use.
type admission struct {
	most int // Static.

	mu       sync.Mutex // guards everything below
	open     int
	told     int // open only to be refused in band
	draining bool
	turned   [demandWindow]int // refused, by second
	second   int64
}

// enter takes one place, or tells why there is none.
func (a *admission) enter(now time.Time) (refusal, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return refusedDraining, false
	case a.open >= a.most:
		a.advance(now)
		a.turned[a.second%demandWindow]++
		return refusedFull, false
	}
	a.open++
	return "", true
}

func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
}

// enterToBeTold takes one of the places for clients that are refused in band.
func (a *admission) enterToBeTold() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told >= inBand {
		return false
	}
	a.told++
	return true
}

func (a *admission) leaveTold() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told--
}

// close refuses everybody from here on.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

func (a *admission) isDraining() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.draining
}

// connections is how many places are taken.
func (a *admission) connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// demand is connections plus those that were refused for lack of room lately: what to scale by. A full gateway's
// connections alone would never ask for another gateway.
func (a *admission) demand(now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now)
	n := a.open
	for _, t := range a.turned {
		n += t
	}
	return n
}

// advance forgets the refusals of seconds that left the window. The caller holds mu.
func (a *admission) advance(now time.Time) {
	s := now.Unix()
	if s-a.second >= demandWindow {
		a.turned = [demandWindow]int{}
	} else {
		for i := a.second + 1; i <= s; i++ {
			a.turned[i%demandWindow] = 0
		}
	}
	a.second = max(a.second, s)
}

// turnAway answers an upgrade that is refused (P1.4).
func turnAway(w http.ResponseWriter, why refusal) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	rest.Error(w, wire.Errorf(wire.CodeUnavailable, "this gateway is %s", why))
}
