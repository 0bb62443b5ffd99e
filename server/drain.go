package server

import (
	"context"
	"math/rand/v2"
	"time"

	"tickcast/fanout"
	"tickcast/wire"
)

const (
	// drainPace is how long closing those who did not move is spread over.
	drainPace = 2 * time.Second
	// sessionsPoll is how often a drain looks who is still there.
	sessionsPoll = 50 * time.Millisecond
	// partTime bounds the wait for sessions whose connections were closed; the
	// sockets' own bound is shorter.
	partTime = 5 * time.Second
	// restartTime is within which time clients are asked to come back after a shutdown.
	restartTime = 2 * time.Second
)

// Drain moves the clients elsewhere: nobody is admitted any more, everybody is asked to
// move within Config.DrainWindow, and who has not by then is closed with
// wire.CloseMove, a few at a time. It returns when nobody is left or ctx ends; end Run's
// context after it.
func (g *Gateway) Drain(ctx context.Context) {
	g.admission.close()
	g.sayInfo()
	move := fanout.NewFrame(encode(wire.Move{Type: wire.TypeMove, WithinMS: g.cfg.DrainWindow.Milliseconds()}))
	for _, s := range g.sessions() {
		s.tell("", move)
	}
	g.awaitEmpty(ctx, g.cfg.DrainWindow)
	rest := g.sessions()
	for i, s := range rest {
		if ctx.Err() != nil {
			return
		}
		s.conn.Close(wire.CloseMove, "this gateway drains")
		if i+1 < len(rest) {
			pause(ctx, drainPace/time.Duration(len(rest)))
		}
	}
	g.awaitEmpty(ctx, partTime)
}

// sessions lists those who said hello.
func (g *Gateway) sessions() []*session {
	g.players.mu.Lock()
	defer g.players.mu.Unlock()
	var all []*session
	for _, list := range g.players.byID {
		all = append(all, list...)
	}
	return all
}

// closeAll tells everybody when to come back, and closes; who has not said hello is only closed.
func (g *Gateway) closeAll(code wire.CloseCode, reason string) {
	for _, s := range g.sessions() {
		wait := rand.N(restartTime) // not all at once
		s.send(wire.Retry{Type: wire.TypeRetry, AfterMS: wait.Milliseconds()})
		s.conn.Close(code, reason)
	}
	g.hub.CloseAll(code, reason)
}

// waitForSessions gives closed connections time to end properly.
func (g *Gateway) waitForSessions() { g.awaitEmpty(context.Background(), partTime) }

// awaitEmpty returns when nobody is connected, after most, or when ctx ends.
func (g *Gateway) awaitEmpty(ctx context.Context, most time.Duration) {
	deadline := time.Now().Add(most)
	for g.admission.connections() > 0 && time.Now().Before(deadline) && ctx.Err() == nil {
		pause(ctx, sessionsPoll)
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
