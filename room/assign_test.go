package room

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/room/game"
	"tickcast/wire"
)

func TestAssignIsEvenAndAgreed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 64).Draw(t, "partitions")
		var nodes []string
		for i := range rapid.IntRange(1, 9).Draw(t, "nodes") {
			nodes = append(nodes, fmt.Sprintf("room-%d", i))
		}
		orders := assign(partitions, nodes)
		shuffled := rapid.Permutation(nodes).Draw(t, "shuffled")
		load := map[string]int{}
		for p, order := range assign(partitions, shuffled) {
			if !slices.Equal(order, orders[p]) {
				t.Fatalf("partition %d: hosts disagree: %v, %v", p, order, orders[p])
			}
			if s := slices.Sorted(slices.Values(order)); !slices.Equal(s, nodes) {
				t.Fatalf("partition %d: candidates %v", p, order)
			}
			load[order[0]]++
		}
		for n, l := range load {
			if share := (partitions + len(nodes) - 1) / len(nodes); l > share {
				t.Fatalf("%s is best for %d of %d partitions, its share is %d", n, l, partitions, share)
			}
		}
	})
}

func TestRankCountsWhoCanTakeOver(t *testing.T) {
	m, now := newMembers("c", firstVersions()), time.Now()
	say := func(info wire.NodeInfo) { m.heard(game.Encode(info), now) }
	say(wire.NodeInfo{ID: "a", Partitions: []wire.PartitionInfo{{Partition: 0}, {Partition: 1, Halted: "why"}}})
	say(wire.NodeInfo{ID: "b"})
	say(wire.NodeInfo{ID: "c"})
	order := []string{"a", "b", "c", "d"}
	if nodes := slices.Sorted(slices.Values(m.nodes())); !slices.Equal(nodes, []string{"a", "b", "c"}) {
		t.Fatalf("members: %v", nodes)
	}
	for partition, want := range []int{2, 1} {
		if got := m.rank(partition, order, ""); got != want {
			t.Errorf("partition %d: %d better candidates, want %d", partition, got, want)
		}
	}
	if got := m.rank(0, order, "b"); got != 1 {
		t.Errorf("%d better candidates behind the death of one, want 1", got)
	}
	say(wire.NodeInfo{ID: "b", Draining: true})
	if got := m.rank(0, order, ""); got != 1 {
		t.Errorf("%d better candidates with one that drains, want 1", got)
	}
	m.expire(now.Add(nodeExpiry + 1))
	if got := m.rank(0, order, ""); got != 0 {
		t.Errorf("%d better candidates that are silent, want none", got)
	}
}

// TestVersionsAreWhatAllServersAnnounce also if one of them stopped, but not if it is gone.
func TestVersionsAreWhatAllServersAnnounce(t *testing.T) {
	own := wire.Versions{wire.Records: 3, "crash": 2, "beat": 1}
	m, now := newMembers("own", own), time.Now()
	want := func(why string, want wire.Versions) {
		t.Helper()
		if got := m.common(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", why, got, want)
		}
	}
	say := func(info wire.NodeInfo) { m.heard(game.Encode(info), now) }
	want("alone", own)
	say(wire.NodeInfo{ID: "newer", Folds: wire.Versions{wire.Records: 4, "crash": 2, "beat": 1, "dash": 1}})
	want("beside a newer one", own)
	say(wire.NodeInfo{ID: "older", Folds: wire.Versions{wire.Records: 2, "crash": 1}, Partitions: []wire.PartitionInfo{{Halted: "why"}}})
	want("beside an older one that stopped", wire.Versions{wire.Records: 2, "crash": 1})
	say(wire.NodeInfo{ID: "oldest"})
	want("beside one that announces nothing", wire.Versions{wire.Records: 1, "crash": 1})
	say(wire.NodeInfo{ID: "oldest", Draining: true})
	want("it goes", wire.Versions{wire.Records: 2, "crash": 1})
	m.expire(now.Add(nodeExpiry + 1))
	want("all are silent", own)
}

func TestAssignMovesLittle(t *testing.T) {
	before := assign(64, []string{"a", "b", "c", "d"})
	after := assign(64, []string{"a", "b", "c"})
	moved := 0
	for p := range before {
		if before[p][0] != "d" && before[p][0] != after[p][0] {
			moved++
		}
	}
	if moved > 16 {
		t.Fatalf("%d partitions that d did not have moved when d went", moved)
	}
}
