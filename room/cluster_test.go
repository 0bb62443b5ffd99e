//go:build long

package room

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/archive"
	"tickcast/audit/judge"
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
	js := jetStream(t, nc)
	const records = 3 * replayWindow
	for range records {
		if _, err := js.PublishAsync(wire.OwnerSubject(0), nil, jetstream.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	f, err := openFeed(t.Context(), nc, js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.replayAll(t, records, func(Record) {})
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

// TestAReplicatedLogIsTrimmed kills each node of three in turn while an owner trims, which
// claims again while records of its own are on their way.
func TestAReplicatedLogIsTrimmed(t *testing.T) {
	servers, url := startCluster(t)
	const segment = 20
	h := startLonely(t, url, 3, func(c *HostConfig) {
		js, err := jetstream.New(c.Conn)
		if err != nil {
			t.Fatal(err)
		}
		c.Archive, c.Keep, c.SegmentRecords, c.CheckpointRecords = archive.NewBucket(js), segment, segment, 2*segment
	})
	state := func() jetstream.StreamState {
		s, err := h.js.Stream(t.Context(), wire.PartitionStream(0))
		if err != nil {
			return jetstream.StreamState{}
		}
		return s.CachedInfo().State
	}
	wantTrimmed := func(why string) {
		before := max(state().FirstSeq, 1)
		testkit.Eventually(t, why, 2*patience, func() bool { return state().FirstSeq > before+4*segment })
	}
	wantTrimmed("the log is trimmed")
	for i, s := range servers {
		s.Kill()
		wantTrimmed(fmt.Sprintf("node %d is dead", i))
		mustStart(t, s)
		wantTrimmed(fmt.Sprintf("node %d is back", i))
	}
	h.wantMore("rounds go on")
	r, err := archive.NewReader(h.cfg.Conn, h.cfg.Archive)
	if err != nil {
		t.Fatal(err)
	}
	l := judge.New(judge.Config{Settled: func(*judge.Round) error { return nil }})
	last := state().LastSeq
	err = r.Read(t.Context(), 0, 1, last, func(rec archive.Record) error {
		return l.Feed(judge.Record{Seq: rec.Seq, Time: rec.Time, Subject: rec.Subject, Data: rec.Data, Foreign: rec.Foreign()})
	})
	if err = errors.Join(err, l.Close()); err != nil || l.Judged() != last {
		t.Fatalf("judged %d of %d records: %v", l.Judged(), last, err)
	}
}

func mustStart(t *testing.T, s *service.Service) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}
