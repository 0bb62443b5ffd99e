package fanout

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// Accept upgrades a request to a WebSocket. Options are those of coder/websocket, but for
// compression, which is always off: frames are encoded once for all. On an error the
// response has been written.
//
// The caller has the connection served (Conn.Serve); nothing else notices that a client
// has gone.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, o *websocket.AcceptOptions) (*Conn, error) {
	if h.isStopped() {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return nil, fmt.Errorf("accept websocket: %w", ErrStopped)
	}
	opts := websocket.AcceptOptions{}
	if o != nil {
		opts = *o
	}
	opts.CompressionMode = websocket.CompressionDisabled
	hj := &hijacker{ResponseWriter: w, hub: h}
	ws, err := websocket.Accept(hj, r, &opts)
	if err != nil {
		if hj.conn != nil {
			_ = hj.conn.nc.Close()
		}
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	c := hj.conn
	c.ws = ws
	// Its finalizer would close what nobody closed. The two structs point at each other,
	// and such a cycle with a finalizer is never collected.
	runtime.SetFinalizer(ws, nil)
	ws.SetReadLimit(wire.MaxClientMessageBytes)
	if err := h.add(c); err != nil {
		c.kill()
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	return c, nil
}

// hijacker gives coder/websocket our connection and small buffers instead of what
// net/http would.
type hijacker struct {
	http.ResponseWriter
	hub  *Hub
	conn *Conn
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := h.hub.newConn(nc)
	h.conn = c
	// What the client sent right behind its handshake is in net/http's buffer, which is
	// no larger than an inbox.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.in = h.hub.lend()
	c.in.end = copy(c.in.raw[:], early)
	t := (*transport)(c)
	c.br = bufio.NewReaderSize(t, readBufferBytes)
	return t, bufio.NewReadWriter(c.br, bufio.NewWriterSize(t, writeBufferBytes)), nil
}

// newConn prepares the socket and chooses the way of sending.
func (h *Hub) newConn(nc net.Conn) *Conn {
	c := &Conn{hub: h, nc: nc, fd: -1, shard: int32(h.turn.Add(1) % uint32(len(h.shards)))}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return c
	}
	if h.cfg.SendBuffer > 0 {
		// An error leaves the system's buffer, which works, and shows on the first write
		// if the socket is broken.
		_ = tcp.SetWriteBuffer(h.cfg.SendBuffer)
	}
	if !rawSupported || h.cfg.PlainWrite {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	if raw.Control(func(fd uintptr) { c.fd = int32(fd) }) == nil {
		c.flags |= flagRaw
	}
	return c
}

// way is the label of how c sends.
func (c *Conn) way() string {
	if c.fd >= 0 {
		return c.hub.fdWay
	}
	return wayWrite
}
