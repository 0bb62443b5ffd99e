//go:build long

package room

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// TestAReplicatedLogSurvivesItsNodes kills each node of three in turn, the leader of
// the log among them, and starts it again.
func TestAReplicatedLogSurvivesItsNodes(t *testing.T) {
	servers, url := startCluster(t)
	h := startLonely(t, url, 3)
	h.wantMore("rounds")
	for i, s := range servers {
		s.Kill()
		h.wantMore(fmt.Sprintf("node %d is dead", i))
		mustStart(t, s)
		h.wantMore(fmt.Sprintf("node %d is back", i))
	}
}

// TestAReplicatedLogIsReadByAConsumer reads a log of three replicas, and goes on while
// the node dies that the consumer may be on.
func TestAReplicatedLogIsReadByAConsumer(t *testing.T) {
	servers, url := startCluster(t)
	nc, err := bus.Connect(t.Context(), url, "reader")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	testkit.Eventually(t, "the streams are made", patience, func() bool {
		return bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: 1, Replicas: 3}) == nil
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	const records = 3 * replayWindow
	for range records {
		if _, err := js.PublishAsync(wire.OwnerSubject(0), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	f, err := openFeed(t.Context(), nc, js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if next, err := f.replay(t.Context(), 1, records, func(Record) error { return nil }); err != nil || next != records+1 {
		t.Fatalf("the consumer came as far as record %d of %d: %v", next, records, err)
	}
	for i, s := range servers {
		read := uint64(0)
		err := f.read(t.Context(), 1, records, func(Record) error {
			if read++; read == replayWindow {
				s.Kill()
			}
			return nil
		})
		if err != nil || read != records {
			t.Fatalf("node %d died: %d records of %d: %v", i, read, records, err)
		}
		mustStart(t, s)
		testkit.Eventually(t, "the log is whole again", patience, func() bool {
			last, err := f.lastSeq(t.Context())
			return err == nil && last == records
		})
	}
}

func mustStart(t *testing.T, s *service.Service) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}
