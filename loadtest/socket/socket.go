package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Handler gets what comes on a connection. On the lean way it is called by a loop
// that has other connections to read, so it must not block.
type Handler interface {
	// Message gives a whole message. It is valid during the call only. at is when it was
	// read, since the client's start.
	Message(payload []byte, text bool, at time.Duration)
	// Warm reads something of what Message needs and nobody writes: in step 0 of the handler
	// itself, in steps 1 and 2 of what it points to. A loop calls each step for several
	// connections before it reads them, so that their memory comes into the cache at the
	// same time and not one behind the other.
	Warm(step int) int
	// End tells that the connection has ended and why, as a websocket.CloseError if
	// the other side said so.
	End(err error)
}

// Conn is one connection. There are two kinds: one that a loop reads and one with a
// goroutine of its own. All methods may be called concurrently, also by the Handler,
// but for Close, which waits for it.
type Conn interface {
	// Start begins to deliver to h. It must be called once, or CloseNow instead.
	Start(h Handler)
	// Send sends a text message. An error has ended the connection.
	Send(payload []byte) error
	// Allow lets the connection read so many more bytes and then no more, until it is
	// called again. Unlimited, which is how a connection begins, takes that back.
	Allow(bytes int)
	// Close says goodbye, and waits until the other side has, at most five seconds.
	// Messages are delivered until then.
	Close()
	// CloseNow ends the connection without a word.
	CloseNow()
}

// Unlimited allows a connection to read whatever comes.
const Unlimited = -1

// Bounds of a connection.
const (
	// maxMessage is the largest message accepted: a snapshot of a big room is some ten
	// kilobytes.
	maxMessage = 4 << 20
	// maxUnsent bounds what is kept for a server that does not read: far more than a bot
	// has to say.
	maxUnsent    = 256 << 10
	closeTimeout = 5 * time.Second
	writeTimeout = 5 * time.Second
)

// Options say how a Client connects. The zero value works.
type Options struct {
	Start time.Time // from when times of messages count; zero: when the client is made
	Loops int       // that read, on the lean way; 0: one
	Plain bool      // never use the lean way
}

// Client makes connections. Run must be running for them to deliver.
type Client struct {
	start   time.Time // static
	loops   []*loop   // static; empty without the lean way
	readers sync.WaitGroup
}

// New makes a client. Its loops start with Run.
func New(o Options) (*Client, error) {
	c := &Client{start: o.Start}
	if c.start.IsZero() {
		c.start = time.Now()
	}
	if o.Plain {
		return c, nil
	}
	loops, err := newLoops(max(1, o.Loops), c.start)
	if err != nil {
		return nil, err
	}
	c.loops = loops
	return c, nil
}

// Lean reports whether connections without TLS are read by loops.
func (c *Client) Lean() bool { return len(c.loops) > 0 }

// Run delivers messages until ctx ends, then ends what is still connected, and
// returns after everything that the client started. Nothing may be dialled then.
func (c *Client) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, l := range c.loops {
		running.Go(func() { l.run(ctx) })
	}
	running.Wait()
	<-ctx.Done()
	c.readers.Wait()
}

// Target is what to connect to, and how.
type Target struct {
	URL  string     // ws:// or wss://
	From netip.Addr // local address; the zero value leaves it to the kernel
	Loop int        // which loop reads, modulo their number
	// ReceiveBuffer is the size of the kernel's buffer in bytes; 0 leaves it to the
	// kernel. A small one lets the server feel at once that nothing is read.
	ReceiveBuffer int
}

// Refused is an answer to the handshake that is no success.
type Refused struct {
	Status int
	Header http.Header
}

// Error names the status.
func (r *Refused) Error() string { return fmt.Sprintf("HTTP %d", r.Status) }

// Dial opens a connection. It may be called concurrently.
func (c *Client) Dial(ctx context.Context, t Target) (Conn, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	if c.Lean() && u.Scheme == "ws" {
		return c.dialLean(ctx, u, t)
	}
	return c.dialPlain(ctx, t)
}

func (t *Target) dialer() *net.Dialer {
	d := &net.Dialer{KeepAlive: -1, Control: t.control}
	if t.From.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.From, 0))
	}
	return d
}

// plain is a connection with a goroutine that reads. It implements Conn.
type plain struct {
	client *Client
	conn   *websocket.Conn
	gate   *gate
}

func (c *Client) dialPlain(ctx context.Context, t Target) (Conn, error) {
	p := &plain{client: c, gate: newGate()}
	dialer := t.dialer()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &gated{Conn: conn, gate: p.gate}, nil
		},
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, DisableKeepAlives: true,
	}
	conn, resp, err := websocket.Dial(ctx, t.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, &Refused{Status: resp.StatusCode, Header: resp.Header}
		}
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	p.conn = conn
	return p, nil
}

func (p *plain) Start(h Handler) {
	p.client.readers.Go(func() {
		err := p.read(h)
		p.CloseNow()
		h.End(err)
	})
}

// read delivers messages until the connection ends. It reads without a deadline:
// closing the connection is what ends it.
func (p *plain) read(h Handler) error {
	for {
		typ, payload, err := p.conn.Read(context.Background())
		if err != nil {
			return err
		}
		h.Message(payload, typ == websocket.MessageText, time.Since(p.client.start))
	}
}

func (p *plain) Send(payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return p.conn.Write(ctx, websocket.MessageText, payload)
}

func (p *plain) Allow(bytes int) { p.gate.allow(bytes) }

func (p *plain) Close() {
	p.gate.allow(Unlimited)
	_ = p.conn.Close(websocket.StatusNormalClosure, "")
}

func (p *plain) CloseNow() {
	p.gate.allow(Unlimited)
	_ = p.conn.CloseNow()
}

// gate lets so many bytes through. It is safe for concurrent use.
type gate struct {
	mu     sync.Mutex
	open   sync.Cond
	credit int // guarded by mu; negative for unlimited
}

func newGate() *gate {
	g := &gate{credit: Unlimited}
	g.open.L = &g.mu
	return g
}

func (g *gate) allow(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case bytes < 0:
		g.credit = Unlimited
	case g.credit < 0:
		g.credit = bytes
	default:
		g.credit += bytes
	}
	g.open.Broadcast()
}

// wait waits until something may be read, and gives how much of n.
func (g *gate) wait(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.credit == 0 {
		g.open.Wait()
	}
	if g.credit < 0 {
		return n
	}
	return min(n, g.credit)
}

func (g *gate) used(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.credit > 0 {
		g.credit = max(0, g.credit-n)
	}
}

// gated is a connection behind a gate.
type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:c.gate.wait(len(b))])
	c.gate.used(n)
	return n, err
}

var (
	errClosed   = errors.New("socket: closed on this side")
	errUnsent   = errors.New("socket: the server does not read what is sent to it")
	errStopping = errors.New("socket: the client stops")
)
