package room

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"tickcast/wire"
)

// members are the room servers that were heard lately.
type members struct {
	self string

	mu   sync.Mutex // guards seen
	seen map[string]member
}

// member is what another room server said last.
type member struct {
	at     time.Time
	halted map[int]bool // partitions whose log it cannot fold
}

func newMembers(self string) *members { return &members{self: self, seen: map[string]member{}} }

func (m *members) heard(data []byte, now time.Time) {
	var info wire.NodeInfo
	if json.Unmarshal(data, &info) != nil || !wire.ValidNode(info.ID) || info.ID == m.self {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if info.Draining {
		delete(m.seen, info.ID)
		return
	}
	heard := member{at: now, halted: map[int]bool{}}
	for _, p := range info.Partitions {
		if p.Halted != "" {
			heard.halted[p.Partition] = true
		}
	}
	m.seen[info.ID] = heard
}

// expire forgets the nodes that were not heard for nodeExpiry.
func (m *members) expire(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, heard := range m.seen {
		if now.Sub(heard.at) > nodeExpiry {
			delete(m.seen, id)
		}
	}
}

// nodes lists the nodes that are there, this one included.
func (m *members) nodes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes := []string{m.self}
	for id := range m.seen {
		nodes = append(nodes, id)
	}
	return nodes
}

// rank is how many better candidates for a partition there are than this node, by
// an order of assign. A node that halted there is none, however good its place, and
// neither is dead.
func (m *members) rank(partition int, order []string, dead string) (better int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range order[:slices.Index(order, m.self)] {
		if heard, ok := m.seen[id]; ok && id != dead && !heard.halted[partition] {
			better++
		}
	}
	return better
}
