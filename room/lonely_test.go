package room

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// lonelyHost is a host with one partition and a race in it, on NATS servers of their
// own, without ledger, gateways and Redis.
type lonelyHost struct {
	*Host
	t *testing.T
}

func startLonely(t *testing.T, url string, replicas int, configure ...func(*HostConfig)) *lonelyHost {
	t.Helper()
	nc, err := bus.Connect(t.Context(), url, "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	testkit.Eventually(t, "the streams are made", patience, func() bool {
		return bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: 1, Replicas: replicas}) == nil
	})
	cfg := HostConfig{
		Node: "one", Conn: nc, Kinds: []game.Kind{race.Kind{}}, Cashier: cashier.Kind{},
		Partitions: 1, Alone: true, Log: testkit.Logger(t),
	}
	for _, f := range configure {
		f(&cfg)
	}
	h, err := NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	operator, err := bus.Connect(t.Context(), strings.ReplaceAll(url, "//room:", "//operator:"), "operator")
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	js, err := jetstream.New(operator)
	if err != nil {
		t.Fatal(err)
	}
	args := wire.CreateArgs{UUID: "0190a000-0000-7000-8000-000000000001", Game: "race", Settings: game.Encode(fastRace)}
	create := wire.Action{ID: "c", Op: wire.ActionCreate, Args: game.Encode(args)}
	if _, err := js.Publish(t.Context(), wire.ActionSubject(0, "derby"), game.Encode(create)); err != nil {
		t.Fatal(err)
	}
	return &lonelyHost{h, t}
}

// wantMore waits for more records, and wants them to be folded.
func (h *lonelyHost) wantMore(why string) {
	h.t.Helper()
	have := h.Partitions()[0].Seq
	testkit.Eventually(h.t, why, patience, func() bool { return h.Partitions()[0].Seq > have+20 })
	if halted := h.Partitions()[0].Halted; halted != "" {
		h.t.Fatalf("%s: %s", why, halted)
	}
}
