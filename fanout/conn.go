package fanout

import (
	"bufio"
	"net"
	"sync"

	"github.com/coder/websocket"
)

type connFlags uint16

const (
	flagRaw     connFlags = 1 << iota // the non-blocking way; static after Accept
	flagArmed                         // a goroutine waits for the socket or writes to it, and owns the backlog
	flagBehind                        // the socket refused bytes and has not caught up yet
	flagClosing                       // a close frame is queued: nothing is queued behind it
	flagParted                        // the close frame is out
	flagDead                          // the socket is closed or being closed; its descriptor must not be used
	flagGone                          // the hub has forgotten it
	flagIdle                          // nobody reads: the poller wakes a reader when bytes arrive
	flagHeld                          // the kernel's buffer is late: nothing of topics is added to it
)

// Conn is one client's WebSocket. All methods may be called concurrently; Serve is called
// once.
type Conn struct {
	hub   *Hub            // Static.
	nc    net.Conn        // Static.
	ws    *websocket.Conn // Static after Accept.
	fd    int32           // Static. Used under mu and before flagDead only.
	shard int32           // Static.
	slot  int32           // guarded by hub.mu: index in its conns

	// Owned by whoever reads. A reader hands over by flagIdle.
	receiver Receiver
	br       *bufio.Reader // what coder/websocket reads from: the smallest there is, above in
	in       *inbox        // nil while nobody reads
	remote   error         // why reading from the socket failed

	mu      sync.Mutex // guards everything below, and keeps frames whole on the socket
	flags   connFlags
	flight  int32         // bytes handed to the connection's own Write that has not returned
	rest    []byte        // tail of a frame whose head is on the socket
	out     outbox        // own messages that wait
	subs    *subscription // joined topics
	moved   int64         // when the socket last took bytes or first refused them, Unix ns; while armed or held
	parting *parting      // how it ends; nil until then
	kernel  kernelLag
	falls   map[string]fall // by topic name; of a connection that lost updates lately
	done    chan struct{}   // made on demand
	bound   any
}

// Send writes f, or queues it until the socket takes it. Own messages are never skipped
// and keep their order; they go out between the frames of topics. The frame may reach the
// socket before those of a topic that were published earlier.
//
// The error is ErrClosed, or ErrOverflow, upon which the connection is closed with
// wire.CloseSlow.
func (c *Conn) Send(f *Frame) error {
	c.mu.Lock()
	if c.flags&(flagClosing|flagDead) != 0 {
		c.mu.Unlock()
		return ErrClosed
	}
	var err error
	var out outcome
	if c.flags&(flagRaw|flagArmed) == flagRaw && len(c.rest) == 0 && len(c.out.letters) == 0 {
		out = c.sendAtOnce(f)
	} else {
		err = c.queue(letter{frame: f})
		out = c.push()
	}
	c.mu.Unlock()
	c.settle(out)
	return err
}

// Done is closed when the connection is dead: nothing can be read or sent, and the hub
// has forgotten it.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.flags&flagGone != 0 {
			close(c.done)
		}
	}
	return c.done
}

// Unsent returns the bytes that wait for this connection: queued here, and in the
// kernel's send buffer without an acknowledgement where the system tells. Frames of
// topics that are due but not begun do not count.
func (c *Conn) Unsent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&flagDead != 0 {
		return 0
	}
	n := len(c.rest) + c.out.bytes + int(c.flight)
	if c.flags&flagRaw != 0 {
		n += unacknowledged(c.fd)
	}
	return n
}

// Bind keeps a value of the caller's with the connection, so that OnLost can find its
// session. It is meant to be called once, before the first Join.
func (c *Conn) Bind(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = v
}

// Bound returns what Bind was given, nil before.
func (c *Conn) Bound() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bound
}

// RemoteAddr returns the address of the peer, which may be a proxy.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }
