package fanout_test

import (
	"fmt"
	"runtime"
	"testing"

	"tickcast/fanout"
)

// Connections whose client is silent have no goroutine, and are heard when it speaks.
func TestSilentClientsHaveNoGoroutine(t *testing.T) {
	const clients = 800
	r := newRig(t, fanout.Config{}, nil)
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = r.dial()
	}
	for round := range 3 {
		for i, p := range peers {
			if err := p.send(text(fmt.Sprint(round, i))); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range peers {
			p.want(t, "echo", message{opText, fmt.Sprint(round, i)})
		}
		eventually(t, "few readers are left", func() bool { return runtime.NumGoroutine() < clients/2 })
	}
	for _, p := range peers {
		_ = p.nc.Close()
	}
	for range clients {
		<-r.ended
	}
}

// A message that comes in pieces, with pauses in which the reader might have gone, is one.
func TestMessageInPieces(t *testing.T) {
	r := newRig(t, fanout.Config{}, nil)
	p := r.dial()
	want := padded("a message", 3000)
	whole := text(want)
	for i := range whole {
		if err := p.send(whole[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i%97 == 0 {
			runtime.Gosched()
		}
	}
	p.want(t, "echo", message{opText, want})
}

// Many messages in one segment are all taken, though the poller tells only once.
func TestManyMessagesInOneSegment(t *testing.T) {
	r := newRig(t, fanout.Config{}, nil)
	p := r.dial(text("early")...)
	p.want(t, "sent behind the handshake", message{opText, "early"})
	var frames [][]byte
	for i := range 500 {
		frames = append(frames, text(fmt.Sprint("m", i)))
	}
	if err := p.send(frames...); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		p.want(t, "in order", message{opText, fmt.Sprint("m", i)})
	}
}
