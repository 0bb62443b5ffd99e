//go:build long

package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// replicas are three NATS servers with a work queue and the log of one partition.
type replicas struct {
	*queue
	*service.NATSCluster
	passwords map[bus.Role]string
}

func startReplicas(t *testing.T) *replicas {
	t.Helper()
	r := &replicas{passwords: map[bus.Role]string{}}
	for _, role := range bus.Roles() {
		r.passwords[role] = "password"
	}
	r.NATSCluster = testsvc.StartNATSCluster(t, func(n service.NATSNode) string {
		return bus.ServerConfig(r.passwords, bus.ServerOptions{
			Name: n.Name, Monitor: n.Monitor, ClusterName: "c", ClusterAddr: n.Routes, Routes: n.Others,
		})
	})
	r.queue = &queue{t: t, room: dial(t, r.as(bus.RoleRoom)), results: map[string][]wire.BookingResult{}, sent: map[string]wire.Booking{}}
	if err := bus.EnsureStreams(t.Context(), r.room, bus.Layout{Partitions: 1, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.js, err = jetstream.New(r.room); err != nil {
		t.Fatal(err)
	}
	if _, err := r.room.Subscribe(wire.FeedSubject(0), r.heard); err != nil {
		t.Fatal(err)
	}
	return r
}

// as is where a role reaches the servers.
func (r *replicas) as(role bus.Role) string {
	return strings.ReplaceAll(r.URL(), "nats://", fmt.Sprintf("nats://%s:%s@", role, r.passwords[role]))
}

func (r *replicas) worker(b *Book) *runner {
	r.t.Helper()
	return r.start(Config{Book: b, Conn: dial(r.t, r.as(bus.RoleLedger)), AckWait: longAckWait})
}

// stakes queues stakes, however long the servers take, and returns their IDs.
func (r *replicas) stakes(name string, n int) (ids []string) {
	r.t.Helper()
	for i := range n {
		s := stakeOf(fmt.Sprint(name, i), "ann", 100)
		body, err := json.Marshal(s)
		if err != nil {
			r.t.Fatal(err)
		}
		testkit.Eventually(r.t, "the queue takes "+s.ID, patience, func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, err := r.js.Publish(ctx, wire.LedgerSubject(0), body)
			return err == nil
		})
		ids = append(ids, s.ID)
	}
	return ids
}

// remember copies what the nodes have stored of the queue: of a queue that was emptied since
// there is nothing in their files that could be cut off.
func (r *replicas) remember() (since time.Time) {
	r.t.Helper()
	since = time.Now()
	for i := range r.Nodes {
		if err := os.CopyFS(r.remembered(i), os.DirFS(r.stored(i))); err != nil {
			r.t.Fatal(err)
		}
	}
	return since
}

func (r *replicas) remembered(i int) string { return filepath.Join(r.Nodes[i].Dir(), "remembered") }

// stored is where a node has the messages of the queue.
func (r *replicas) stored(i int) string {
	r.t.Helper()
	found, err := filepath.Glob(filepath.Join(r.Nodes[i].Dir(), "store", "jetstream", "*", "streams", wire.StreamLedger, "msgs"))
	if err != nil || len(found) != 1 {
		r.t.Fatalf("the queue's messages of node %d: %q, %v", i, found, err)
	}
	return found[0]
}

// loseTail cuts the power of all nodes, which lose what they wrote since they were to
// remember it, but not where their consumer stands, until w has noticed.
func (r *replicas) loseTail(since time.Time, w *runner) {
	r.t.Helper()
	end := r.last(wire.StreamLedger)
	for _, n := range r.Nodes {
		n.Kill()
	}
	for i, n := range r.Nodes {
		testsvc.CutPower(r.t, filepath.Join(n.Dir(), "store"), since)
		dir := r.stored(i)
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(r.remembered(i))), n.Start()); err != nil {
			r.t.Fatal(err)
		}
	}
	testkit.Eventually(r.t, "all are one", patience, func() bool { return r.Whole() == nil })
	if now := r.last(wire.StreamLedger); now >= end {
		r.t.Fatalf("the queue ended at %d, and has lost nothing: it ends at %d", end, now)
	}
	testkit.Eventually(r.t, "the consumer stands where it stood, or did", patience, func() bool {
		return r.position() == end || w.rewound(wire.StreamLedger) > 0
	})
}

// position is the sequence up to which the workers' consumer has delivered; 0 when nobody
// tells.
func (r *replicas) position() uint64 {
	r.t.Helper()
	c, err := r.js.Consumer(r.t.Context(), wire.StreamLedger, bookingsConsumer)
	if err != nil {
		return 0
	}
	return c.CachedInfo().Delivered.Stream
}

// TestAllThreeLoseTheQueuesTail cuts the power of three nodes under a worker that has
// acknowledged the tail of its queue. What rooms ask for then, and ask for again while it
// has no result, is booked; it need not be so much as what was lost.
func TestAllThreeLoseTheQueuesTail(t *testing.T) {
	r, b := startReplicas(t), openBook(t, sqliteURL(t))
	w := r.worker(b)
	r.wantResults("booked", r.stakes("before", 10)...)
	r.wantEmpty()
	since := r.remember()
	r.wantResults("booked, and acknowledged", r.stakes("lost", 300)...)
	r.wantEmpty()
	r.loseTail(since, w)
	testkit.Eventually(t, "what comes after is booked", patience, func() bool {
		if len(r.of("after0"))+len(r.of("after1")) >= 2 {
			return true
		}
		r.stakes("after", 2)
		<-time.After(time.Second)
		return false
	})
	r.wantEmpty()
	if n := w.rewound(wire.StreamLedger); n != 1 {
		t.Errorf("the consumer was begun again %v times", n)
	}
	if got, err := b.Balance(t.Context(), "ann"); err != nil || got.Amount != DefaultInitialCredit-312*100 {
		t.Errorf("a balance of %d behind 312 stakes of 100, %v", got.Amount, err)
	}
	wantSound(t, b)
}
