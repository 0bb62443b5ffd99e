package fanout

import "testing"

// A broadcast allocates nothing, however many connections there are.
func TestBroadcastAllocatesNothing(t *testing.T) {
	h := NewHub(Config{Shards: 1})
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
