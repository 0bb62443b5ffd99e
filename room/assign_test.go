package room

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
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
