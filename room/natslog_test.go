package room

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"

	"tickcast/wire"
)

// clusterConfig renders the configuration of a node; every role's password is "password".
func clusterConfig(n service.NATSNode) string {
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = "password"
	}
	return bus.ServerConfig(passwords, bus.ServerOptions{
		Name: n.Name, Monitor: n.Monitor, ClusterName: "c", ClusterAddr: n.Routes, Routes: n.Others,
	})
}

// startCluster starts three NATS servers and returns them with the URL of all.
func startCluster(t testing.TB) (servers []*service.Service, url string) {
	t.Helper()
	c := testsvc.StartNATSCluster(t, clusterConfig)
	return c.Nodes, strings.ReplaceAll(c.URL(), "nats://", "nats://room:password@")
}

// replicatedLog is the log of a partition with three replicas, and a claim in it.
type replicatedLog struct {
	*natsLog
	t     testing.TB
	nc    *nats.Conn
	epoch uint64
}

func openReplicatedLog(t testing.TB) *replicatedLog {
	t.Helper()
	_, url := startCluster(t)
	nc, err := bus.Connect(t.Context(), url, "owner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: 1, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFeed(t.Context(), nc, js, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	l := &replicatedLog{natsLog: newNATSLog(t.Context(), f, 0), t: t, nc: nc}
	l.claimWithin = patience // what takes longer than an owner waits is no less stored
	l.claimAgain()
	return l
}

// claimAgain writes a claim that replaces the one before.
func (l *replicatedLog) claimAgain() {
	l.t.Helper()
	ack := l.claim(wire.Claim{Node: "owner", Replaces: l.epoch}, l.epoch)
	if ack.err != nil {
		l.t.Fatal(ack.err)
	}
	l.epoch = ack.seq
}

// append appends a tick of an epoch for each of n.
func (l *replicatedLog) ticks(epoch uint64, n int) {
	for range n {
		l.Append(wire.OwnerRecord{Kind: wire.OwnerTick, Epoch: epoch})
	}
}

// A window of records that are appended at once is stored as few writes, in order and
// without a gap, and all of them fail when a newer claim is there, but for those of the
// newer one.
func TestOwnerRecordsGoInBatches(t *testing.T) {
	t.Parallel()
	l := openReplicatedLog(t)
	l.appendWithin = patience
	l.ticks(l.epoch, appendWindow)
	for i := range uint64(appendWindow) {
		if a := <-l.appended; a.err != nil || a.seq != l.epoch+1+i {
			t.Fatalf("record %d: sequence %d, %v; want %d", i, a.seq, a.err, l.epoch+1+i)
		}
	}
	batches := map[string]int{}
	for seq := l.epoch + 1; seq <= l.epoch+appendWindow; seq++ {
		m, err := l.feed.stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		batches[m.Header.Get("Nats-Batch-Id")]++
	}
	if len(batches) > appendWindow/4 {
		t.Errorf("%d records went in %d writes", appendWindow, len(batches))
	}
	old := l.epoch
	l.claimAgain()
	l.ticks(old, 3)
	l.ticks(l.epoch, 3)
	for i := range 6 {
		a := <-l.appended
		if fenced := isFenced(a.err); fenced != (a.rec.Epoch == old) || !fenced && a.err != nil {
			t.Errorf("record %d of epoch %d under epoch %d: %v", i, a.rec.Epoch, l.epoch, a.err)
		}
	}
}

func isFenced(err error) bool { return err != nil && strings.Contains(err.Error(), ErrFenced.Error()) }

// What is acknowledged while the leader of the log steps down again and again is in the
// log at its place, and nothing is there twice.
func TestBatchesWhileTheLeaderStepsDown(t *testing.T) {
	t.Parallel()
	l := openReplicatedLog(t)
	const records = 3000
	stored := map[uint64]string{} // sequence to what was acknowledged
	sent, settled, steps := 0, 0, 0
	settle := func() {
		if a := <-l.appended; a.err == nil {
			stored[a.seq] = a.rec.Room
		}
		settled++
	}
	until := time.Now().Add(4 * patience) // how long it takes depends on how fast leaders are elected here
	for len(stored) < records {
		if time.Now().After(until) {
			t.Fatalf("%d of %d records were acknowledged", len(stored), sent)
		}
		for sent-settled < appendWindow {
			l.Append(wire.OwnerRecord{Kind: wire.OwnerTick, Epoch: l.epoch, Room: fmt.Sprint(sent)})
			sent++
		}
		settle()
		if len(stored)/500 > steps {
			steps++
			if _, err := l.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+l.feed.name, nil, 5*time.Second); err != nil {
				t.Logf("step-down: %v", err)
			}
		}
	}
	for settled < sent {
		settle()
	}
	var last uint64
	testkit.Eventually(t, "the log answers", patience, func() (ok bool) {
		var err error
		last, err = l.Last()
		return err == nil
	})
	seen := map[string]bool{}
	err := l.Read(1, last, func(rec Record) error {
		if rec.Kind != wire.KindOwner {
			return nil
		}
		var o wire.OwnerRecord
		if err := json.Unmarshal(rec.Data, &o); err != nil {
			return err
		}
		if seen[o.Room] {
			t.Errorf("%s is stored twice", o.Room)
		}
		seen[o.Room] = true
		if want, ok := stored[rec.Seq]; ok && want != o.Room {
			t.Errorf("record %d is %s, acknowledged was %s", rec.Seq, o.Room, want)
		}
		delete(stored, rec.Seq)
		return nil
	})
	if err != nil || len(stored) > 0 {
		t.Errorf("%d acknowledged records are not in the log: %v", len(stored), err)
	}
}

// BenchmarkReplicatedAppend measures owner records into a log of three replicas, with
// one and with a window of them on their way: how many a second, and how long each takes.
func BenchmarkReplicatedAppend(b *testing.B) {
	for _, window := range []int{1, 8, appendWindow} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			l := openReplicatedLog(b)
			var began, took []time.Duration
			start, sent := time.Now(), 0
			for b.Loop() {
				for sent-len(took) < window {
					l.ticks(l.epoch, 1)
					began = append(began, time.Since(start))
					sent++
				}
				if a := <-l.appended; a.err != nil {
					b.Fatal(a.err)
				}
				took = append(took, time.Since(start)-began[len(took)])
			}
			slices.Sort(took)
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
