package fanout

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"tickcast/wire"
)

// ErrStopped tells that the hub's Run has ended.
var ErrStopped = errors.New("fanout: hub has stopped")

// Hub holds the sockets and topics of one gateway. All methods may be called
// concurrently; Run is called once.
type Hub struct {
	cfg     Config   // Static.
	metrics *metrics // Static.
	shards  []*shard // Static.
	fdWay   string   // Static. How what has a descriptor is sent to: wayUring or wayRaw.
	turn    atomic.Uint32
	poller  *poller   // Static; nil where connections have a reading goroutine each
	readers *readers  // Static.
	batches sync.Pool // of *batch
	inboxes sync.Pool // of *inbox

	mu      sync.Mutex // guards everything below. Never taken before a Conn's or a Topic's.
	stopped bool
	conns   []*Conn
	topics  map[string]*Topic
	work    sync.WaitGroup // goroutines of connections; added to under mu, before stopped
}

// NewHub makes a hub. It starts nothing: frames go out once Run is called.
func NewHub(cfg Config) *Hub { return newHub(cfg, openUring) }

func newHub(cfg Config, open func() (sender, error)) *Hub {
	cfg = cfg.withDefaults()
	h := &Hub{cfg: cfg, metrics: newMetrics(cfg.Metrics), topics: map[string]*Topic{}, readers: newReaders()}
	if p, err := newPoller(); err == nil { // where there is none, goroutines read
		h.poller = p
	}
	h.batches.New = func() any { return newBatch() }
	h.inboxes.New = func() any { return new(inbox) }
	senders, way := newSenders(cfg, open)
	h.fdWay = way
	for _, s := range senders {
		h.shards = append(h.shards, newShard(h, s))
	}
	return h
}

// Run flushes topics until ctx ends. Then it drops every connection, without close frames
// (close them before), and returns when its goroutines have, with nil.
func (h *Hub) Run(ctx context.Context) error {
	var flushers sync.WaitGroup
	for _, s := range h.shards {
		flushers.Go(func() { s.run(ctx) })
	}
	<-ctx.Done()
	flushers.Wait()
	for _, s := range h.shards {
		s.sender.close()
	}
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	for _, c := range h.all() {
		c.kill()
	}
	h.work.Wait()
	h.readers.close()
	if h.poller != nil {
		h.poller.close()
	}
	return nil
}

// CloseAll closes every connection as Conn.Close does.
func (h *Hub) CloseAll(code wire.CloseCode, reason string) {
	for _, c := range h.all() {
		c.Close(code, reason)
	}
}

func (h *Hub) all() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Conn(nil), h.conns...)
}

// Topic returns the topic of that name, making it if there is none. size is how many
// updates a new one keeps; zero means 512.
func (h *Hub) Topic(name string, size int) *Topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		t = newTopic(h, name, size)
		h.topics[name] = t
	}
	return t
}

// Connections returns how many connections are open.
func (h *Hub) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *Hub) forget(t *Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics[t.name] == t {
		delete(h.topics, t.name)
	}
}

func (h *Hub) isStopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

func (h *Hub) add(c *Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return ErrStopped
	}
	c.slot = int32(len(h.conns))
	h.conns = append(h.conns, c)
	h.metrics.connections[c.way()].Inc()
	return nil
}

func (h *Hub) remove(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, last := int(c.slot), len(h.conns)-1
	if i > last || h.conns[i] != c {
		return // was never added
	}
	h.conns[i] = h.conns[last]
	h.conns[i].slot = int32(i)
	h.conns[last] = nil
	h.conns = h.conns[:last]
	h.metrics.connections[c.way()].Dec()
}

// spawn starts a goroutine that Run waits for. After Run has ended its connections are
// dropped, and there is nothing left to do.
func (h *Hub) spawn(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.work.Go(f)
	}
}

// begin counts a reader, which tells when it ends, unless the hub has stopped.
func (h *Hub) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.work.Add(1)
	}
	return !h.stopped
}

func (h *Hub) lend() *inbox { return h.inboxes.Get().(*inbox) }

// takeBack returns an inbox to the pool, unless a long message has made it large.
func (h *Hub) takeBack(b *inbox) {
	if b.start, b.end = 0, 0; cap(b.text) <= inboxBytes {
		h.inboxes.Put(b)
	}
}

func (h *Hub) borrow() *batch { return h.batches.Get().(*batch) }

// giveBack counts what b did and returns it to the pool.
func (h *Hub) giveBack(b *batch) {
	h.metrics.add(&b.tally)
	b.reset()
	h.batches.Put(b)
}
