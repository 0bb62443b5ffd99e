package room

import (
	"encoding/json"
	"sync"
	"time"

	"tickcast/wire"
)

// members are the room servers that were heard lately.
type members struct {
	// Static after newMembers.
	self  string
	folds wire.Versions // the newest that this node can fold

	mu       sync.Mutex // guards the rest
	seen     map[string]member
	draining bool // this node is no candidate any more
}

// member is what another room server said last.
type member struct {
	at     time.Time
	halted map[int]bool // partitions whose log it cannot fold
	folds  wire.Versions
}

func newMembers(self string, folds wire.Versions) *members {
	return &members{self: self, folds: folds, seen: map[string]member{}}
}

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
	heard := member{at: now, halted: map[int]bool{}, folds: info.Folds}
	if heard.folds == nil {
		heard.folds = firstVersions()
	}
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

// drain makes this node a candidate for nothing.
func (m *members) drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draining = true
}

// common are the newest versions that all nodes can fold which are there, also those
// that halted: they wait for it. It is safe for concurrent use.
func (m *members) common() wire.Versions {
	m.mu.Lock()
	defer m.mu.Unlock()
	common := m.folds
	for _, heard := range m.seen {
		common = common.Least(heard.folds)
	}
	return common
}

// nodes lists the nodes that are there, this one included unless it drains.
func (m *members) nodes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var nodes []string
	if !m.draining {
		nodes = append(nodes, m.self)
	}
	for id := range m.seen {
		nodes = append(nodes, id)
	}
	return nodes
}

// rank is how many better candidates for a partition there are than this node, by
// an order of assign. A node that is dead is none.
func (m *members) rank(partition int, order []string, dead string) (better int) {
	for _, id := range m.better(partition, order) {
		if id != dead {
			better++
		}
	}
	return better
}

// better lists the candidates for a partition that are better than this node, best
// first, by an order of assign: all there are when it drains. A node that halted there
// is none.
func (m *members) better(partition int, order []string) (better []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range order {
		if id == m.self {
			break
		}
		if heard, ok := m.seen[id]; ok && !heard.halted[partition] {
			better = append(better, id)
		}
	}
	return better
}
