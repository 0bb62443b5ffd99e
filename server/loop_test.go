package server_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/server"
	"tickcast/wire"
)

// What a loop has no room for is counted, and found missing like what NATS has lost.
func TestMessagesThatALoopCannotHold(t *testing.T) {
	const holds = 16
	change(t, server.LoopMessages, holds)
	reg := prometheus.NewRegistry()
	var nc *nats.Conn
	w, r, g := lobby(t, func(c *server.Config) { c.Metrics, nc = reg, c.Conn })
	c := g.player("ann")
	c.join("lobby")
	c.quiet[wire.TypePing] = true
	release := g.Stall()
	w.owner.update(r, false)
	for range holds {
		w.owner.say(r, wire.OutTick, wire.OutHeader{}, nil) // too old for anybody to get it
	}
	w.owner.update(r, false)
	for _, conn := range []*nats.Conn{w.owner.nc, nc} { // then the gateway's connection has heard everything
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	release()
	c.wantUpdates("in order", r, 1, 2)
	eventually(t, "the tick and the update that were dropped are counted", func() bool { return droppedMessages(t, reg) == 2 })
}

func droppedMessages(t *testing.T, reg *prometheus.Registry) float64 {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "tickcast_dropped_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "message" {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
