package room

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/room/cashier"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// TestALostTailIsNoticed gives a running log its state of a while ago, as a power cut
// does: sequences are used again, and a fold that went on would have folded what
// never happened.
func TestALostTailIsNoticed(t *testing.T) {
	log := testsvc.StartNATS(t, "")
	nc, err := bus.Connect(t.Context(), log.URL, "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	h, err := NewHost(HostConfig{
		Node: "one", Conn: nc, Kinds: []game.Kind{race.Kind{}}, Cashier: cashier.Kind{},
		Partitions: 1, Alone: true, Log: testkit.Logger(t),
	})
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
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	create := wire.Action{ID: "c", Op: wire.ActionCreate, Args: game.Encode(wire.CreateArgs{UUID: "0190a000-0000-7000-8000-000000000001", Game: "race"})}
	if _, err := js.Publish(t.Context(), wire.ActionSubject(0, "derby"), game.Encode(create)); err != nil {
		t.Fatal(err)
	}
	foldedMore := func(than uint64) {
		t.Helper()
		testkit.Eventually(t, "rounds go on", patience, func() bool { return h.Partitions()[0].Seq > than+20 })
	}
	foldedMore(0)
	log.Stop()
	store, before := filepath.Join(log.Dir, "store"), filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	log.Start()
	foldedMore(h.Partitions()[0].Seq)
	if why := h.Partitions()[0].Halted; why != "" {
		t.Fatalf("halted by a restart that lost nothing: %s", why)
	}
	log.Kill()
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(store, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	log.Start()
	testkit.Eventually(t, "the lost tail is noticed", patience, func() bool {
		return strings.Contains(h.Partitions()[0].Halted, "lost its tail")
	})
}

func TestRecentRecords(t *testing.T) {
	var r recent
	at := func(seq uint64) Record { return Record{Seq: seq, Time: int64(seq) * int64(time.Second)} }
	for seq := range uint64(2 * recentRecords) {
		r.note(at(seq))
	}
	other := at(recentRecords + 5)
	other.Time++
	switch {
	case !r.agrees(at(recentRecords+5)) || !r.agrees(at(2*recentRecords-1)):
		t.Error("the record that was folded is another one")
	case r.agrees(other):
		t.Error("another record is the one that was folded")
	case !r.agrees(Record{Seq: 5, Time: 77}) || !r.agrees(at(2*recentRecords)):
		t.Error("what is not known is another record")
	}
}
