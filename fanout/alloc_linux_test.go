package fanout

import "testing"

// A broadcast allocates nothing, however many connections there are.
func TestBroadcastAllocatesNothing(t *testing.T) {
	for _, way := range []string{wayRaw, wayUring} {
		t.Run(way, func(t *testing.T) {
			if err := Missing(way); err != nil {
				t.Skip("SKIPPED: ", err)
			}
			cfg := WayConfig(way)
			cfg.Shards = 1
			broadcastAllocations(t, cfg)
		})
	}
}

func broadcastAllocations(t *testing.T, cfg Config) {
	h := NewHub(cfg)
	topic := h.Topic("room", 16)
	for _, c := range loopback(t, h, 50, nil) {
		if err := topic.Join(c, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	update, tick := NewFrame(make([]byte, 50)), NewFrame(make([]byte, 20))
	seq := uint64(0)
	perRun := testing.AllocsPerRun(100, func() {
		seq++
		topic.Update(seq, update)
		topic.Tick(tick)
		h.shards[0].sweep(0)
	})
	if perRun != 0 {
		t.Errorf("%v allocations for 50 connections", perRun)
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	c := loopback(t, NewHub(Config{}), 1, nil)[0]
	f := NewFrame(make([]byte, 50))
	if n := testing.AllocsPerRun(100, func() { _ = c.Send(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Connections that keep up get the same bytes, joined once, whether their client is silent
// or not.
func TestSilentConnectionsGetTheCommonBytes(t *testing.T) {
	h := NewHub(Config{Shards: 1})
	topic := h.Topic("room", 16)
	c := loopback(t, h, 1, nil)[0]
	if err := topic.Join(c, 0, nil); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []connFlags{0, flagIdle} {
		c.mu.Lock()
		c.flags |= extra
		quiet := c.quiet()
		c.flags &^= extra
		c.mu.Unlock()
		if !quiet {
			t.Errorf("not with flags %b", extra)
		}
	}
}
