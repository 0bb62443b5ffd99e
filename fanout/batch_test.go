package fanout_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tickcast/fanout"
)

// countedConn counts the writes to a connection.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// What became due of several topics and of its own while a connection could not
// take it goes out in one write, own messages first.
func TestDueFramesGoOutInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fanout.NewHub(fanout.Config{})
		defer runHub(h)()
		client, server := net.Pipe()
		var writes atomic.Int64
		c, p := pipeOver(t, h, client, &countedConn{server, &writes})
		before := writes.Load() // the handshake
		a, b := h.Topic("a", 0), h.Topic("b", 0)
		for _, topic := range []*fanout.Topic{a, b} {
			if err := topic.Join(c, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
		a.Update(1, frame("a1"))
		synctest.Wait() // the write of a1 hangs
		a.Tick(frame("conflated"))
		a.Update(2, frame("a2"))
		a.Notice(frame("a chat"))
		a.Tick(frame("a tick"))
		a.Update(3, frame("a3"))
		b.Update(1, frame("b1"))
		_ = c.Send(frame("own"))
		for _, s := range []string{"a1", "own", "a2", "a chat", "a tick", "a3", "b1"} {
			p.want(t, "in order", message{opText, s})
		}
		synctest.Wait()
		if n := writes.Load() - before; n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
		_ = client.Close()
		serve(c)
		<-c.Done()
	})
}

// The counters of a connection that kept up.
func TestMetrics(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		topic := r.hub.Topic("room", 0)
		p, c := r.dial(), r.accepted()
		if err := topic.Join(c, 0, frame("joined")); err != nil {
			t.Fatal(err)
		}
		publish := []func(){
			func() { topic.Update(1, frame("update")) },
			func() { topic.Tick(frame("tick")) },
			func() { topic.Notice(frame("notice")) },
			func() { _ = p.send(encode(0x80|opPing, nil)) },
		}
		size := 0
		take := func() {
			m, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			size += 2 + len(m.payload)
		}
		take()
		for _, f := range publish {
			f()
			take()
		}
		way := fanout.WayUring
		switch {
		case cfg.PlainWrite:
			way = fanout.WayWrite
		case cfg.SingleSends:
			way = fanout.WayRaw
		}
		eventually(t, "all is counted", func() bool { return r.metric("bytes_total", "") == float64(size) })
		for label, want := range map[string]float64{"update": 1, "tick": 1, "notice": 1, "own": 1, "control": 1} {
			if got := r.metric("frames_total", label); got != want {
				t.Errorf("%v frames of class %s, want %v", got, label, want)
			}
		}
		if got := r.metric("connections", way); got != 1 {
			t.Errorf("%v connections sent to by %s", got, way)
		}
		if got := r.metric("dropped_total", ""); got != 0 {
			t.Errorf("%v frames dropped", got)
		}
		_ = p.nc.Close()
		<-c.Done()
		if got := r.metric("connections", ""); got != 0 {
			t.Errorf("%v connections are left", got)
		}
	})
}
