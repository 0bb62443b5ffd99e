package room

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// assign orders the candidates of each partition, best first: rendezvous hashing,
// in which nobody is best for more than his even share. Every host computes the
// same from the same nodes, and few partitions move when a node comes or goes.
func assign(partitions int, nodes []string) [][]string {
	if len(nodes) == 0 {
		return make([][]string, partitions)
	}
	share := (partitions + len(nodes) - 1) / len(nodes)
	load := map[string]int{}
	orders := make([][]string, partitions)
	for p := range partitions {
		order := slices.Clone(nodes)
		slices.SortFunc(order, func(a, b string) int {
			return cmp.Or(cmp.Compare(weight(p, b), weight(p, a)), cmp.Compare(a, b))
		})
		best := slices.IndexFunc(order, func(n string) bool { return load[n] < share })
		first := order[best]
		load[first]++
		orders[p] = append([]string{first}, slices.Delete(order, best, best+1)...)
	}
	return orders
}

func weight(p int, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node + "/" + strconv.Itoa(p)))
	// FNV's low bits differ little between neighbours; a multiply and a shift mix them.
	x := h.Sum64() * 0x9e3779b97f4a7c15
	return x ^ x>>29
}
