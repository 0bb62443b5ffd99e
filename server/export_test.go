package server

import (
	"time"

	"tickcast/server/internal/peer"
)

// What tests change.
var (
	LoopMessages = &loopMessages
	RingTimeout  = &peer.RingTimeout
)

// BePatient has what no test is about wait for a slow machine.
func BePatient() { resumeTimeout, chatLoadTimeout = time.Minute, time.Minute }

// Enter has the player's session become a member of a room, and returns what asks for its place: the rest of a join.
func (g *Gateway) Enter(player, room string) (join func()) {
	info, _ := g.directory.room(room)
	m := g.players.of(player)[0].enter(info)
	return func() { m.feed.join(&joining{m: m, id: 7, since: time.Now()}) }
}

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
