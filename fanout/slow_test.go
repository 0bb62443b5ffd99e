package fanout_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/fanout"
)

// slowConfig bounds the kernel's buffers. The rig leaves only the ladder's step that a test
// is about.
func slowConfig(cfg fanout.Config) fanout.Config {
	cfg.SendBuffer, cfg.SnapshotEvery, cfg.BehindAfter = 8<<10, time.Nanosecond, 100*time.Millisecond
	return cfg
}

// rejoin is what a gateway does for a connection that lost updates.
func rejoin(t *testing.T) func(*fanout.Conn, *fanout.Topic, uint64, uint64) {
	return func(c *fanout.Conn, topic *fanout.Topic, from, to uint64) {
		if err := c.Send(sealed("s", from, to, 0)); err != nil {
			t.Errorf("skip: %v", err)
		}
		at := topic.Newest()
		if err := topic.Join(c, at, sealed("j", at, 0, 0)); err != nil {
			t.Errorf("rejoin: %v", err)
		}
	}
}

// reader is a client whose messages of one topic are judged in the background.
type reader struct {
	*checker
	updates atomic.Uint64 // the newest
	err     chan error    // how it ended
	closed  message
}

func (p *peer) readTopic(c *checker, until uint64) *reader {
	r := &reader{checker: c, err: make(chan error, 1)}
	go func() {
		for c.seq < until {
			m, err := p.next()
			if err == nil && m.op == opClose {
				r.closed = m
				break
			}
			if err == nil {
				err = c.take(m.payload)
			}
			if err != nil {
				r.err <- err
				return
			}
			r.updates.Store(c.seq)
		}
		r.err <- nil
	}()
	return r
}

func (r *reader) wait(t *testing.T, why string) {
	t.Helper()
	select {
	case err := <-r.err:
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", why, patience)
	}
}

func sizeOf(n int) func(uint64) int { return func(uint64) int { return n } }

// One client never reads. The others get every frame while it is stuck, counted
// and not timed; it costs a bounded amount of memory, and when it reads again it is told what it missed.
func TestStuckClientDelaysNobody(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		const others, total, lump = 9, 2000, 20
		cfg = slowConfig(cfg)
		cfg.OnLost = rejoin(t)
		var topic *fanout.Topic
		r := newRig(t, cfg, func(c *fanout.Conn) {
			if err := topic.Join(c, 0, sealed("j", 0, 0, 0)); err != nil {
				t.Error(err)
			}
		})
		topic = r.hub.Topic("room", 64)
		stuck := r.dial()
		stuck.receiveBuffer(16 << 10)
		conn := r.accepted()
		var readers []*reader
		for range others {
			readers = append(readers, r.dial().readTopic(&checker{}, total))
			r.accepted()
		}
		pub := &publisher{topic: topic, size: sizeOf(500)}
		for n := lump; n <= total; n += lump {
			for range lump {
				pub.update()
				pub.tick()
			}
			eventually(t, "the others get everything while one is stuck", func() bool {
				for _, o := range readers {
					if o.updates.Load() < uint64(n) && len(o.err) == 0 {
						return false
					}
				}
				return true
			})
		}
		for _, o := range readers {
			if o.wait(t, "a client that reads"); o.checker.updates != total {
				t.Errorf("a client that reads got %d of %d updates", o.checker.updates, total)
			}
		}
		if n := conn.Unsent(); n > 128<<10 {
			t.Errorf("%d bytes wait for the stuck client", n)
		}
		late := stuck.readTopic(&checker{maySkip: true}, total)
		late.wait(t, "the stuck client reads again")
		if late.skipped == 0 || late.checker.updates+late.skipped != total {
			t.Errorf("%d updates received and %d announced as lost, of %d", late.checker.updates, late.skipped, total)
		}
	})
}

// A client stops reading and goes on: it gets every update, fewer ticks, and
// each frame that it does not get is counted.
func TestDrainResumes(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		const total = 1500
		var topic *fanout.Topic
		r := newRig(t, slowConfig(cfg), func(c *fanout.Conn) {
			if err := topic.Join(c, 0, sealed("j", 0, 0, 0)); err != nil {
				t.Error(err)
			}
		})
		topic = r.hub.Topic("room", 2*total)
		p := r.dial()
		p.receiveBuffer(16 << 10)
		conn := r.accepted()
		pub := &publisher{topic: topic, size: sizeOf(400)}
		for range total {
			pub.update()
			pub.tick()
			pub.chat()
		}
		c := &checker{}
		p.readTopic(c, total).wait(t, "everything is received")
		pub.update()
		pub.tick()
		p.readTopic(c, total+1).wait(t, "the connection keeps up again")
		eventually(t, "nothing waits any more", func() bool {
			return conn.Unsent() == 0 && r.metric("blocked_connections", "") == 0
		})
		if c.tick <= total { // its last tick may come behind the last update
			m, err := p.next()
			if err == nil {
				err = c.take(m.payload)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		// A flush counts when its frames are out already.
		ticks := func() float64 { return float64(c.ticks) + r.metric("dropped_total", "tick_conflated") }
		notices := func() float64 {
			return float64(c.chats) + r.metric("dropped_total", "notice_slow") + r.metric("dropped_total", "notice_gone")
		}
		updates := func() float64 { return r.metric("frames_total", "update") }
		eventually(t, "everything is counted", func() bool { return ticks() >= total+1 && notices() >= total && updates() >= total+1 })
		if n := ticks(); n != total+1 {
			t.Errorf("%d ticks received and %v conflated, of %d", c.ticks, n-float64(c.ticks), total+1)
		}
		if n := notices(); n != total {
			t.Errorf("%d notices received and %v dropped, of %d", c.chats, n-float64(c.chats), total)
		}
		if c.ticks == total+1 {
			t.Error("no tick was conflated: the client was never slow")
		}
		if n := updates(); n != total+1 {
			t.Errorf("%v updates counted, sent %d", n, total+1)
		}
	})
}

func TestOutboxOverflowCloses(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, slowConfig(cfg), nil)
		p := r.dial()
		p.receiveBuffer(16 << 10)
		conn := r.accepted()
		sent := uint64(0)
		for conn.Send(sealed("o", sent+1, 0, 1000)) == nil {
			sent++
		}
		if err := conn.Send(sealed("o", sent+1, 0, 1000)); !errors.Is(err, fanout.ErrClosed) {
			t.Errorf("send behind an overflow: %v", err)
		}
		if n := conn.Unsent(); n > 256<<10 {
			t.Errorf("%d bytes wait", n)
		}
		again := p.readTopic(&checker{}, 1)
		again.wait(t, "what was accepted comes before the close frame")
		if again.closed.code() != 3008 || again.own != sent {
			t.Errorf("%d of %d own messages, then %v", again.own, sent, again.closed)
		}
		if r.metric("slow_closed_total", "outbox_full") != 1 || r.metric("dropped_total", "outbox_full") != 1 {
			t.Error("the overflow was not counted once")
		}
	})
}

func TestStalledConnectionIsClosed(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		cfg = slowConfig(cfg)
		cfg.StallTimeout, cfg.CloseTimeout = time.Millisecond, time.Millisecond
		var topic *fanout.Topic
		r := newRig(t, cfg, func(c *fanout.Conn) {
			if err := topic.Join(c, 0, nil); err != nil {
				t.Error(err)
			}
		})
		topic = r.hub.Topic("room", 1<<20)
		r.dial().receiveBuffer(16 << 10)
		conn := r.accepted()
		pub := &publisher{topic: topic, size: sizeOf(1000)}
		eventually(t, "a connection that takes nothing is closed", func() bool {
			pub.update()
			return conn.Ended() != 0
		})
		<-conn.Done()
		if conn.Ended() != 3008 || r.metric("slow_closed_total", "stalled") != 1 {
			t.Errorf("ended with %d, counted %v", conn.Ended(), r.metric("slow_closed_total", "stalled"))
		}
		if topic.Len() != 0 || r.hub.Connections() != 0 {
			t.Errorf("%d subscriptions, %d connections are left", topic.Len(), r.hub.Connections())
		}
	})
}

// A client that never reads is found out by what its kernel does not acknowledge, long
// before the socket's buffer is full: topics are held back, then it is closed.
func TestHiddenByTheKernel(t *testing.T) {
	cfg := slowConfig(fanout.Config{})
	cfg.SendBuffer = 4 << 20
	cfg.LateAfter, cfg.StallTimeout, cfg.CloseTimeout = time.Millisecond, time.Millisecond, time.Millisecond
	var topic *fanout.Topic
	r := newRig(t, cfg, func(c *fanout.Conn) {
		if err := topic.Join(c, 0, sealed("j", 0, 0, 0)); err != nil {
			t.Error(err)
		}
	})
	topic = r.hub.Topic("room", 1<<20)
	stuck := r.dial()
	stuck.receiveBuffer(4 << 10)
	conn := r.accepted()
	other := r.dial()
	r.accepted()
	read := other.readTopic(&checker{}, 1<<40)
	pub := &publisher{topic: topic, size: sizeOf(1000)}
	eventually(t, "a client that does not read is closed", func() bool {
		pub.update()
		return conn.Ended() != 0
	})
	<-conn.Done()
	if conn.Ended() != 3008 || r.metric("slow_closed_total", "stalled") != 1 {
		t.Errorf("ended with %d, counted %v", conn.Ended(), r.metric("slow_closed_total", "stalled"))
	}
	if n := r.metric("send_blocked_total", ""); n != 0 {
		t.Errorf("the socket was full %v times: the test shows nothing", n)
	}
	last := topic.Newest()
	eventually(t, "the other gets everything", func() bool { return read.updates.Load() == last })
}
