package server

import "time"

// LoopMessages is how many messages wait for a loop.
const LoopMessages = loopMessages

// Stall has nothing done for the rooms from its return on until release is called.
func (g *Gateway) Stall() (release func()) {
	end := make(chan struct{})
	for _, l := range g.feeds.loops {
		begun := make(chan struct{})
		l.post(event{&feed{}, func(time.Time) { close(begun); <-end }})
		<-begun // a loop takes what waits in any order
	}
	return func() { close(end) }
}
