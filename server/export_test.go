package server

import "time"

// LoopMessages is how many messages wait for a loop.
const LoopMessages = loopMessages

// Stall has nothing done for the rooms until release is called.
func (g *Gateway) Stall() (release func()) {
	end := make(chan struct{})
	for _, l := range g.feeds.loops {
		l.post(event{&feed{}, func(time.Time) { <-end }})
	}
	return func() { close(end) }
}
