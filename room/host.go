package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/archive"
	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// heartbeatInterval is how often a node says that it is there; nodeExpiry is after
	// how much silence it is gone.
	heartbeatInterval = time.Second
	nodeExpiry        = 3 * time.Second
	// settleIn is how long a fresh room server listens for others before it claims
	// anything, so that servers that start together share the partitions.
	settleIn = 1200 * time.Millisecond
)

// HostConfig configures a Host. Conn, Kinds, Cashier and Node are needed.
type HostConfig struct {
	Node       string        // this process's ID, a subject token, unique in the deployment
	Version    string        // build version, for people
	Conn       *nats.Conn    // as the room role
	Snapshots  SnapshotStore // fast store of snapshots (Redis); nil uses checkpoints only
	Kinds      []game.Kind   // the games that rooms can be of
	Cashier    game.Kind     // the game of the room wire.CashierRoom
	Partitions int           // 0 means wire.DefaultPartitions; as fixed at the first start
	// Alone tells that no other room server can exist (embedded): partitions are
	// claimed at once, and nobody is asked first.
	Alone   bool
	Archive archive.Store         // where records go that are trimmed from the logs; nil keeps the whole logs
	Keep    uint64                // newest records of each log that stay in any case
	Address string                // internal listener, for the console
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil keeps none

	// SegmentRecords is how many records are trimmed at once, as a segment of the archive; 0
	// means archive.MaxSegmentRecords, which is the most.
	SegmentRecords uint64
	// A checkpoint is due CheckpointRecords records behind the one before, or
	// CheckpointInterval if there are any; 0 means 500,000, and five minutes.
	CheckpointRecords  uint64
	CheckpointInterval time.Duration
}

func (c *HostConfig) validate() error {
	switch {
	case !wire.ValidNode(c.Node):
		return fmt.Errorf("room host: node %q is not 1 to 64 letters, digits, _ and -", c.Node)
	case c.Conn == nil:
		return errors.New("room host: no NATS connection")
	case len(c.Kinds) == 0 || c.Cashier == nil:
		return errors.New("room host: no games")
	case c.SegmentRecords > archive.MaxSegmentRecords:
		return fmt.Errorf("room host: segments of %d records, want at most %d", c.SegmentRecords, archive.MaxSegmentRecords)
	case c.Partitions < 0 || c.Partitions > wire.MaxPartitions:
		return fmt.Errorf("room host: %d partitions, want 1 to %d", c.Partitions, wire.MaxPartitions)
	}
	return nil
}

// Host folds all partitions in this process and owns its share of them.
type Host struct {
	// Static after NewHost.
	cfg       HostConfig
	js        jetstream.JetStream
	log       *slog.Logger
	metrics   *metrics
	keeper    *keeper
	trimmer   *Trimmer // nil when nothing is trimmed
	directory *directory
	members   *members
	orders    atomic.Pointer[[][]string] // candidates of each partition, best first
	replicas  []*loop
	started   time.Time
	ready     chan struct{} // closed when every replica has caught up
	draining  chan struct{} // closed when this node is a candidate for nothing any more
}

// NewHost makes a Host; Run starts it.
func NewHost(cfg HostConfig) (*Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = wire.DefaultPartitions
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("room host: %w", err)
	}
	h := &Host{cfg: cfg, js: js, log: cfg.Log, metrics: newMetrics(cfg.Metrics), started: time.Now(), ready: make(chan struct{}), draining: make(chan struct{})}
	h.keeper = newKeeper(cfg.Snapshots, []CheckpointStore{checkpoints{js, 0}, checkpoints{js, 1}}, h.log)
	if cfg.Archive != nil {
		if h.trimmer, err = newTrimmer(cfg.Conn, js, h); err != nil {
			return nil, fmt.Errorf("room host: %w", err)
		}
	}
	fold := PartitionConfig{Kinds: cfg.Kinds, Cashier: cfg.Cashier}
	h.members = newMembers(cfg.Node, fold.versions())
	h.directory = newDirectory(js, cfg.Partitions, h.log)
	for p := range cfg.Partitions {
		h.replicas = append(h.replicas, newLoop(h, p))
	}
	return h, nil
}

// Run folds and owns until ctx ends, then hands over what it owns, and saves what
// nobody takes. A log that cannot be read is tried again until then. It returns after every
// goroutine it started; the error is that of a connection on which nothing can be heard.
func (h *Host) Run(ctx context.Context) error {
	var background, replicas sync.WaitGroup
	after, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the replicas, which hand over and save at their end
	background.Go(func() { h.keeper.run(after) })
	background.Go(func() { h.directory.run(after) })
	sub, err := h.cfg.Conn.Subscribe(wire.NodeSubject("room", "*"), func(m *nats.Msg) { h.members.heard(m.Data, time.Now()) })
	if err != nil {
		stop()
		return fmt.Errorf("room host: listen for other hosts: %w", err)
	}
	background.Go(func() { h.beat(ctx, after) })
	if h.trimmer != nil {
		background.Go(func() { h.trimmer.run(ctx) })
	}
	if !h.cfg.Alone {
		background.Go(func() { leaders{js: h.js, log: h.log}.run(ctx, h.owned) })
	}
	opened := make(chan struct{}, len(h.replicas))
	for _, r := range h.replicas {
		replicas.Go(func() { r.run(ctx, opened) })
	}
	h.awaitOpen(ctx, opened)
	replicas.Wait()
	_ = sub.Unsubscribe()
	stop()
	background.Wait()
	return nil
}

func (h *Host) awaitOpen(ctx context.Context, opened <-chan struct{}) {
	for range h.replicas {
		select {
		case <-ctx.Done():
			return
		case <-opened:
		}
	}
	close(h.ready)
}

// Ready is closed when every replica has folded its log.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Partitions tells the state of every replica. It is safe for concurrent use.
func (h *Host) Partitions() []wire.PartitionInfo {
	infos := make([]wire.PartitionInfo, len(h.replicas))
	for i, r := range h.replicas {
		infos[i] = r.Status()
	}
	return infos
}

// owned are the partitions that this process speaks for.
func (h *Host) owned() (list []int) {
	for _, p := range h.Partitions() {
		if p.Owner {
			list = append(list, p.Partition)
		}
	}
	return list
}

// beat tells the others that this node is there, from when it can take a partition
// over at once, and orders the candidates of each partition among those that are. When
// ctx ends it tells that this node drains, until after ends.
func (h *Host) beat(ctx, after context.Context) {
	t := time.NewTicker(heartbeatInterval)
	defer t.Stop()
	ready, drain := h.ready, ctx.Done()
	for {
		if ready == nil || drain == nil {
			h.announce(drain == nil)
		}
		h.members.expire(time.Now())
		h.order()
		select {
		case <-drain:
			drain = nil
			h.members.drain()
			h.order()
			close(h.draining)
		case <-after.Done():
			return
		case <-ready:
			ready = nil
		case <-t.C:
		}
	}
}

func (h *Host) order() {
	orders := assign(h.cfg.Partitions, h.members.nodes())
	h.orders.Store(&orders)
}

// rank is how many better candidates for a partition there are than this node, a dead
// one not counted. It is safe for concurrent use.
func (h *Host) rank(partition int, dead string) int {
	orders := h.orders.Load()
	if orders == nil {
		return 0
	}
	return h.members.rank(partition, (*orders)[partition], dead)
}

// better lists the better candidates for a partition than this node, best first. It is
// safe for concurrent use.
func (h *Host) better(partition int) []string {
	if orders := h.orders.Load(); orders != nil {
		return h.members.better(partition, (*orders)[partition])
	}
	return nil
}

func (h *Host) announce(draining bool) {
	_ = h.cfg.Conn.Publish(wire.NodeSubject("room", h.cfg.Node), game.Encode(wire.NodeInfo{
		ID: h.cfg.Node, Role: "room", Version: h.cfg.Version, Started: h.started.UnixMilli(), Draining: draining,
		Address: h.cfg.Address, Partitions: h.Partitions(), Folds: h.members.folds,
	}))
}
