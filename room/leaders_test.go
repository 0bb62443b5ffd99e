package room

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

func TestLeaderOf(t *testing.T) {
	peer := func(name string) *jetstream.PeerInfo { return &jetstream.PeerInfo{Name: name, Current: true} }
	behind, away := peer("c"), peer("c")
	behind.Current, away.Offline = false, true
	for _, c := range []struct {
		why     string
		cluster *jetstream.ClusterInfo
		want    []string // of partitions 0, 1, …
	}{
		{"one server", nil, []string{"", ""}},
		{"one replica", &jetstream.ClusterInfo{Leader: "a"}, []string{"", ""}},
		{"an election", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer("a"), peer("b"), peer("c")}}, []string{"", ""}},
		{"in turn, whoever leads", &jetstream.ClusterInfo{Leader: "b", Replicas: []*jetstream.PeerInfo{peer("c"), peer("a")}}, []string{"a", "b", "c", "a"}},
		{"one is behind", &jetstream.ClusterInfo{Leader: "b", Replicas: []*jetstream.PeerInfo{peer("a"), behind}}, []string{"", ""}},
		{"one is away", &jetstream.ClusterInfo{Leader: "b", Replicas: []*jetstream.PeerInfo{peer("a"), away}}, []string{"", ""}},
	} {
		for p, want := range c.want {
			if got := leaderOf(p, c.cluster); got != want {
				t.Errorf("%s: partition %d: %q, want %q", c.why, p, got, want)
			}
		}
	}
}

// TestLeadersAreSpread brings all leaders to one node of three, by killing the others,
// and spreads them with the rights of a room server.
func TestLeadersAreSpread(t *testing.T) {
	t.Parallel()
	const partitions = 6
	c := testsvc.StartNATSCluster(t, clusterConfig)
	nc, err := bus.Connect(t.Context(), strings.ReplaceAll(c.URL(), "nats://", "nats://room:password@"), "room")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: partitions, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, nc)
	led := func() (by map[string]int) {
		by = map[string]int{}
		for p := range partitions {
			if s, err := js.Stream(t.Context(), wire.PartitionStream(p)); err == nil && s.CachedInfo().Cluster != nil {
				by[s.CachedInfo().Cluster.Leader]++
			}
		}
		return by
	}
	for _, node := range c.Nodes[1:] { // one after the other: two of three are needed
		node.Kill()
		testkit.Eventually(t, "the others lead", patience, func() bool {
			by := led()
			return by[strings.TrimPrefix(node.Name(), "nats-server ")] == 0 && by[""] == 0 && len(by) > 0
		})
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "the cluster is whole", patience, func() bool { return c.Whole() == nil })
	}
	before := led()
	l := leaders{js: js, log: testkit.Logger(t)}
	all := make([]int, partitions)
	for p := range all {
		all[p] = p
	}
	began := time.Now()
	testkit.Eventually(t, "each node leads a third", patience, func() bool {
		l.spread(t.Context(), all)
		by := led()
		return by["n0"] == 2 && by["n1"] == 2 && by["n2"] == 2
	})
	t.Log(fmt.Sprint(before, " was spread in ", time.Since(began).Round(time.Millisecond)))
	testkit.Eventually(t, "leaders that are where they should be are not moved", patience, func() bool {
		return !slices.ContainsFunc(all, func(p int) bool {
			moved, err := l.place(t.Context(), p)
			return moved || err != nil
		})
	})
}
