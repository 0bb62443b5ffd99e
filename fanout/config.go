package fanout

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickcast/wire"
)

// Config configures a Hub. The zero Config works.
type Config struct {
	// Shards is the number of flushers. One flusher is one core. Zero means one less than
	// GOMAXPROCS, but at least one: a core is left to the kernel's receiving side of what is
	// sent, to NATS, to joins and to readers. Where flushers take every core, what they have
	// sent waits for them, and the last of 5,000 clients gets an update later, not sooner. A
	// flusher that is late brings several updates in one write, so that fewer of them reach as
	// many deliveries.
	Shards int
	// SendBuffer is the size of each socket's kernel send buffer in bytes. It bounds how
	// stale what a stuck client has not read yet can be: a buffer that grows by itself
	// holds half an hour of ticks. Zero means 64 KiB, negative leaves it to the system.
	// The kernel doubles the value for its own bookkeeping.
	SendBuffer int
	// PlainWrite writes through each connection's own Write even where the non-blocking
	// way on the descriptor is possible.
	PlainWrite bool
	// SingleSends makes a system call per socket and broadcast even where many can be made
	// by one (io_uring).
	SingleSends bool
	// OutboxFrames and OutboxBytes bound the own messages that wait for one connection.
	// Zero means 64 frames and 512 KiB (a snapshot with its chat lines is tens of KiB).
	OutboxFrames int
	OutboxBytes  int
	// RingBytes bounds the updates that one topic keeps. Zero means 4 MiB.
	RingBytes int
	// NoticeFrames bounds the notices that one topic keeps for connections whose turn has
	// not come. Zero means 64.
	NoticeFrames int
	// CloseTimeout bounds the end of a connection: sending what is queued, the close
	// frame, and waiting for the peer's. Zero means 2 s.
	CloseTimeout time.Duration
	// BehindAfter: a connection without the non-blocking way is behind when one write took so
	// long; a write in flight alone is no sign of it. Zero means 100 ms.
	BehindAfter time.Duration
	// LateAfter: a connection with an update due that was published so long ago is late.
	// What is due is skipped for a snapshot, and what its kernel buffer holds for so long
	// without an acknowledgement is not added to. Zero means 2 s.
	LateAfter time.Duration
	// SnapshotEvery is the least time between two snapshots of one topic for a connection
	// that is late. Zero means 1 s.
	SnapshotEvery time.Duration
	// SlowLimit: a connection that lives on snapshots for so long, without keeping up for
	// half of that in between, is closed. Zero means 10 s.
	SlowLimit time.Duration
	// StallTimeout: a connection whose socket takes no byte for so long, though frames
	// are due, is closed. Zero means 10 s. It is looked at when something is published,
	// so there is no timer.
	StallTimeout time.Duration
	// OnLost is called when a connection is late in a topic, or has fallen off its ring: the updates
	// from to to were not sent and will not be. The connection has left the topic when it
	// is called, and its socket takes bytes again; the caller sends a skip and joins it
	// again with a snapshot. It runs in a goroutine of its own, which Hub.Run waits for.
	// Nil means that such a connection is closed with wire.CloseSlow.
	OnLost func(c *Conn, t *Topic, from, to uint64)
	// Metrics registers the counters. Nil keeps them unregistered.
	Metrics prometheus.Registerer
}

// Bounds that are not configurable.
const (
	// inboxBytes is the buffer that a connection is lent for reading. It is not smaller
	// than net/http's, from which it takes over what came behind a handshake.
	inboxBytes = 4 << 10
	// readBufferBytes is what coder/websocket's reader keeps per connection above the
	// inbox: the least that bufio allows.
	readBufferBytes = 16
	// writeBufferBytes holds one control frame (at most 127 bytes), so that
	// coder/websocket hands it over in one Write.
	writeBufferBytes = 128
	// batchFrames and batchBytes bound what goes out in one write.
	batchFrames = 128
	batchBytes  = 32 << 10
	// defaultRing is how many updates a topic keeps: as many as a new owner announces
	// again, and some.
	defaultRing = 512
	// maxTopics is how many topics a connection may have joined.
	maxTopics = wire.MaxRoomsPerSession
)

func (c Config) withDefaults() Config {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	wait := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&c.Shards, max(1, runtime.GOMAXPROCS(0)-1))
	if c.SendBuffer == 0 {
		c.SendBuffer = 64 << 10
	}
	set(&c.OutboxFrames, 64)
	set(&c.OutboxBytes, 512<<10)
	set(&c.RingBytes, 4<<20)
	set(&c.NoticeFrames, 64)
	wait(&c.CloseTimeout, 2*time.Second)
	wait(&c.BehindAfter, 100*time.Millisecond)
	wait(&c.LateAfter, 2*time.Second)
	wait(&c.SnapshotEvery, time.Second)
	wait(&c.SlowLimit, 10*time.Second)
	wait(&c.StallTimeout, 10*time.Second)
	return c
}
