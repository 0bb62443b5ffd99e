package socket

import (
	"context"
	"sync"
	"testing"
	"time"
)

// backlog is how many bytes wait for the kernel.
func (c *lean) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsent)
}

// TestIdleConnectionsShareALoop shows that a lean connection has no goroutine and
// keeps no buffer while nothing comes, also behind a frame that came in pieces.
func TestIdleConnectionsShareALoop(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	conn, s, r := connect(t, c, nil)
	b := text("in pieces")
	s.send(b[:3])
	s.send(b[3:])
	r.wantMessages(t, "in pieces", "t:in pieces")
	l := conn.(*lean)
	conn.CloseNow()
	r.wantEnd(t, "closed")
	if l.partial != nil {
		t.Errorf("kept %d bytes", cap(l.partial.bytes))
	}
}

// counter counts messages.
type counter struct {
	n int
}

func (c *counter) Warm(int) int { return 0 }

func (c *counter) Message([]byte, bool, time.Duration) {
	c.n++
}

func (*counter) End(error) {}

// TestReceivingAllocatesNothing counts allocations of a connection that gets whole
// and split frames.
func TestReceivingAllocatesNothing(t *testing.T) {
	l, err := newLoop(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	h := &counter{}
	c := newLean(l, -1, nil)
	c.handler, c.started = h, true
	b := append(text("a frame of a room"), text("another frame")...)
	if n := testing.AllocsPerRun(1000, func() {
		for _, part := range [][]byte{b, b[:5], b[5:], b[:25], b[25:]} {
			if err := c.feed(part); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
	if h.n < 6000 {
		t.Errorf("only %d messages", h.n)
	}
}
