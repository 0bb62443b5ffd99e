package operator

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/wire"
)

// nodeExpiry is after how much silence a node is gone.
const nodeExpiry = 3 * time.Second

// nodes are the processes that were heard lately, and the players they counted.
type nodes struct {
	mu       sync.Mutex // guards both
	seen     map[string]heardNode
	presence map[string]heardPresence // by gateway
}

type heardNode struct {
	info wire.NodeInfo
	at   time.Time
}

type heardPresence struct {
	rooms map[string]int
	at    time.Time
}

func newNodes() *nodes {
	return &nodes{seen: map[string]heardNode{}, presence: map[string]heardPresence{}}
}

// heard takes a heartbeat. A node speaks for itself only.
func (n *nodes) heard(m *nats.Msg, now time.Time) {
	var info wire.NodeInfo
	if json.Unmarshal(m.Data, &info) != nil || wire.NodeSubject(info.Role, info.ID) != m.Subject {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[info.Role+"/"+info.ID] = heardNode{info, now}
}

// counted takes a gateway's counts.
func (n *nodes) counted(m *nats.Msg, now time.Time) {
	var p wire.Presence
	if json.Unmarshal(m.Data, &p) != nil || wire.PresenceSubject(p.Gateway) != m.Subject {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.presence[p.Gateway] = heardPresence{p.Rooms, now}
}

// list returns the nodes by role and ID.
func (n *nodes) list(now time.Time) []wire.NodeInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := []wire.NodeInfo{}
	for key, h := range n.seen {
		if now.Sub(h.at) > nodeExpiry {
			delete(n.seen, key)
			continue
		}
		all = append(all, h.info)
	}
	slices.SortFunc(all, func(a, b wire.NodeInfo) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID)) })
	return all
}

// players counts the connections per room.
func (n *nodes) players(now time.Time) map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := map[string]int{}
	for gateway, h := range n.presence {
		if now.Sub(h.at) > nodeExpiry {
			delete(n.presence, gateway)
			continue
		}
		for room, count := range h.rooms {
			sum[room] += count
		}
	}
	return sum
}

// partition is one partition as its owner and its followers report it.
type partition struct {
	Partition int                `json:"partition"`
	Owner     string             `json:"owner,omitempty"` // node; empty while nobody owns it
	Epoch     uint64             `json:"epoch"`
	Seq       uint64             `json:"seq"`
	Lag       uint64             `json:"lag"` // of the owner
	Rooms     int                `json:"rooms"`
	Replicas  []partitionReplica `json:"replicas"`
}

type partitionReplica struct {
	Node string `json:"node"`
	wire.PartitionInfo
}

// partitionsOf turns what nodes say around: by partition instead of by node.
func partitionsOf(all []wire.NodeInfo) []partition {
	byID := map[int]*partition{}
	for _, node := range all {
		for _, info := range node.Partitions {
			p := byID[info.Partition]
			if p == nil {
				p = &partition{Partition: info.Partition}
				byID[info.Partition] = p
			}
			p.Replicas = append(p.Replicas, partitionReplica{node.ID, info})
			if info.Owner && info.Epoch >= p.Epoch {
				p.Owner, p.Epoch, p.Seq, p.Lag, p.Rooms = node.ID, info.Epoch, info.Seq, info.Lag, info.Rooms
			}
		}
	}
	list := []partition{}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		list = append(list, *byID[id])
	}
	return list
}

// rooms is the API's copy of the directory.
type rooms struct {
	mu     sync.Mutex // guards both
	byID   map[string]wire.RoomInfo
	loaded bool
}

func newRooms() *rooms { return &rooms{byID: map[string]wire.RoomInfo{}} }

func (r *rooms) apply(id string, value []byte) {
	var info wire.RoomInfo
	r.mu.Lock()
	defer r.mu.Unlock()
	if value == nil || json.Unmarshal(value, &info) != nil || info.ID != id {
		delete(r.byID, id)
		return
	}
	r.byID[id] = info
}

func (r *rooms) caughtUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = true
}

func (r *rooms) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded
}

// list returns the rooms by ID, closed ones included.
func (r *rooms) list() []wire.RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.byID), func(a, b wire.RoomInfo) int { return strings.Compare(a.ID, b.ID) })
}
