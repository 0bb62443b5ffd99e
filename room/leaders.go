package room

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// spreadEvery is how often owners look which node leads their logs: a node that
	// came back leads nothing until then.
	spreadEvery = time.Minute
	// spreadPause lies between two moves, each of which stops a log for some 20 ms.
	spreadPause = time.Second
)

// leaders spreads the leaders of the partitions' logs over the nodes that replicate
// them, so that a node which dies stops its share of the rooms and not all of them.
// JetStream places leaders by chance, and after restarts one node may lead all. Each
// owner looks after its own partitions; which node is to lead follows from the
// partition, so that owners need not agree on anything.
type leaders struct {
	js  jetstream.JetStream
	log *slog.Logger
}

// run spreads the leaders of the owned partitions' logs until ctx ends.
func (l leaders) run(ctx context.Context, owned func() []int) {
	t := time.NewTicker(spreadEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.spread(ctx, owned())
		}
	}
}

// spread moves, one after the other, the leaders of partitions that another node is to
// lead.
func (l leaders) spread(ctx context.Context, partitions []int) {
	for _, p := range partitions {
		moved, err := l.place(ctx, p)
		if err != nil && ctx.Err() == nil {
			l.log.Warn("cannot move the leader of a partition's log", "partition", p, "err", err)
		}
		if moved && !pause(ctx, spreadPause) {
			return
		}
	}
}

// place moves the leader of one partition's log, unless the right node leads it or one
// that replicates it is away or behind.
func (l leaders) place(ctx context.Context, p int) (moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	name := wire.PartitionStream(p)
	stream, err := l.js.Stream(ctx, name)
	if err != nil {
		return false, fmt.Errorf("look up stream %s: %w", name, err)
	}
	cluster := stream.CachedInfo().Cluster
	node := leaderOf(p, cluster)
	if node == "" || node == cluster.Leader {
		return false, nil
	}
	var request struct {
		Placement struct {
			Preferred string `json:"preferred"`
		} `json:"placement"`
	}
	request.Placement.Preferred = node
	m, err := l.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+name, game.Encode(request))
	if err != nil {
		return false, fmt.Errorf("ask %s to step down: %w", cluster.Leader, err)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return false, fmt.Errorf("ask %s to step down: %w", cluster.Leader, err)
	}
	if answer.Error != nil {
		return false, fmt.Errorf("ask %s to step down: %w", cluster.Leader, answer.Error)
	}
	l.log.Info("moved the leader of a partition's log", "partition", p, "from", cluster.Leader, "to", node)
	return true, nil
}

// leaderOf is the node that is to lead a partition's log: they take partitions in turn.
// It is none while a node is away or behind, or when there is one only.
func leaderOf(partition int, c *jetstream.ClusterInfo) string {
	if c == nil || c.Leader == "" || len(c.Replicas) == 0 {
		return ""
	}
	nodes := []string{c.Leader}
	for _, peer := range c.Replicas {
		if peer.Offline || !peer.Current {
			return ""
		}
		nodes = append(nodes, peer.Name)
	}
	slices.Sort(nodes)
	return nodes[partition%len(nodes)]
}
