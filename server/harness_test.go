package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/internal/testkit"
	"tickcast/server"
	"tickcast/wire"
)

const (
	deadline   = 20 * time.Second
	partitions = 2
)

var secret = []byte("a secret for tests of 32 bytes!!")

func TestMain(m *testing.M) {
	server.BePatient()
	goleak.VerifyTestMain(m)
}

// change sets what a test wants otherwise, before it starts a gateway.
func change[T any](t *testing.T, what *T, to T) {
	was := *what
	*what = to
	t.Cleanup(func() { *what = was })
}

// world is a deployment without the parts that are tested elsewhere: a real NATS,
// a Redis, and peers that speak the wire contract of owners and ledger workers.
type world struct {
	t      *testing.T
	dial   func(bus.Role) (*nats.Conn, error)
	cache  *cache.Client
	redis  *cache.Embedded
	owner  *owner
	ledger *ledger
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// nats-server 2.15 has a data race when a stream's first sync comes while the stream is being made.
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	return newWorldOn(t, func(r bus.Role) (*nats.Conn, error) { return e.Connect(r, "test-"+string(r)) })
}

// newWorldOn is a world with another NATS.
func newWorldOn(t *testing.T, dial func(bus.Role) (*nats.Conn, error)) *world {
	t.Helper()
	w := &world{t: t, dial: dial}
	nc := w.connect(bus.RoleRoom)
	var err error
	if err := bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	if w.redis, err = cache.StartEmbedded(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.redis.Close)
	if w.cache, err = cache.Open(w.redis.URL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cache.Close() })
	w.owner = newOwner(t, nc)
	w.ledger = newLedger(t, w.connect(bus.RoleLedger))
	return w
}

func (w *world) connect(r bus.Role) *nats.Conn {
	w.t.Helper()
	nc, err := w.dial(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	return nc
}

// gate is a running gateway with a listener.
type gate struct {
	*server.Gateway
	t    *testing.T
	http *httptest.Server
	stop func()
}

// gateway starts a gateway. The options change its configuration.
func (w *world) gateway(options ...func(*server.Config)) *gate {
	w.t.Helper()
	cfg := server.Config{
		Conn: w.connect(bus.RoleGateway), Cache: w.cache, Partitions: partitions, Secret: secret, Guests: true,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, o := range options {
		o(&cfg)
	}
	g, err := server.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	s := httptest.NewServer(g.PublicHandler())
	var once sync.Once
	gt := &gate{Gateway: g, t: w.t, http: s}
	gt.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("gateway ended with %v", err)
			}
			s.Close()
		})
	}
	w.t.Cleanup(gt.stop)
	testkit.Eventually(w.t, "the gateway is ready", deadline, func() bool {
		ok, _ := g.Ready()
		return ok
	})
	return gt
}

// knows waits until the gateway has heard of a room.
func (g *gate) knows(room string) {
	g.t.Helper()
	testkit.Eventually(g.t, "the room is in the directory", deadline, func() bool {
		status, _ := g.get("/api/rooms/"+room, "")
		return status == http.StatusOK
	})
}

func (g *gate) get(path, token string) (int, object) { return g.call("GET", path, token, "") }

func (g *gate) call(method, path, token, body string) (int, object) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.http.URL+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := g.http.Client().Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var o object
	if err := json.NewDecoder(res.Body).Decode(&o); err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, o
}

func token(t *testing.T, player string) string { return tokenFor(t, player, time.Hour) }

func tokenFor(t *testing.T, player string, life time.Duration) string {
	t.Helper()
	s, err := server.SignToken(secret, wire.Player{ID: player, Name: "The " + player}, time.Now().Add(life))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// object is a decoded message. Its text is kept as it came.
type object struct {
	fields map[string]json.RawMessage
	text   string
}

func (o *object) UnmarshalJSON(b []byte) error {
	o.text = string(b)
	return json.Unmarshal(b, &o.fields)
}

func (o object) str(field string) string {
	var s string
	_ = json.Unmarshal(o.fields[field], &s)
	return s
}

func (o object) num(field string) int64 {
	var n int64
	_ = json.Unmarshal(o.fields[field], &n)
	return n
}

func (o object) is(field string) bool { return string(o.fields[field]) == "true" }

func (o object) has(field string) bool { return o.fields[field] != nil }

func (o object) sub(field string) object {
	var s object
	_ = json.Unmarshal(o.fields[field], &s)
	return s
}

// client is a player's connection.
type client struct {
	t      *testing.T
	ws     *websocket.Conn
	in     chan object
	closed chan websocket.CloseError
	quiet  map[string]bool // types that want does not stop at

	reading sync.Mutex // held: the client does not read
}

// narrow connects with a small receive buffer, so that a client which does not
// read is noticed soon.
var narrow = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(4096)
	}
	return c, err
}}}

// dial opens a connection without hello.
func (g *gate) dial() *client {
	g.t.Helper()
	c, status := g.tryDial(nil, http.DefaultClient)
	if c == nil {
		g.t.Fatalf("the upgrade was answered with %d", status)
	}
	return c
}

func (g *gate) tryDial(h http.Header, by *http.Client) (*client, int) {
	g.t.Helper()
	ws, res, err := websocket.Dial(g.t.Context(), "ws"+strings.TrimPrefix(g.http.URL, "http")+"/ws", &websocket.DialOptions{HTTPHeader: h, HTTPClient: by})
	if err != nil {
		if res == nil {
			g.t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	ws.SetReadLimit(1 << 20)
	c := &client{
		t: g.t, ws: ws, in: make(chan object, 4096), closed: make(chan websocket.CloseError, 1),
		quiet: map[string]bool{wire.TypeBalance: true, wire.TypePresence: true, wire.TypeTick: true},
	}
	go c.read()
	g.t.Cleanup(func() {
		_ = ws.CloseNow()
		for range c.in { // until read has ended
		}
	})
	return c, http.StatusSwitchingProtocols
}

func (c *client) read() {
	defer close(c.in)
	for {
		c.reading.Lock()
		//lint:ignore SA2001 it waits while a test holds it
		c.reading.Unlock()
		_, b, err := c.ws.Read(context.Background())
		if err != nil {
			e := websocket.CloseError{Code: websocket.CloseStatus(err), Reason: err.Error()}
			c.closed <- e
			return
		}
		var o object
		if err := json.Unmarshal(b, &o); err != nil {
			c.t.Errorf("not JSON: %q", b)
			continue
		}
		c.in <- o
	}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	c.sendRaw(websocket.MessageText, []byte(fmt.Sprintf(format, args...)))
}

// sendRaw ignores errors: the gateway may have closed, which the test looks at.
func (c *client) sendRaw(kind websocket.MessageType, b []byte) {
	_ = c.ws.Write(context.Background(), kind, b)
}

// next is the next message that is not of a quiet type.
func (c *client) next(why string) object {
	c.t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	for {
		select {
		case o, ok := <-c.in:
			if !ok {
				c.t.Fatalf("%s: the connection ended: %v", why, <-c.closed)
			}
			if !c.quiet[o.str("type")] {
				return o
			}
		case <-timeout.C:
			c.t.Fatalf("%s: nothing came", why)
		}
	}
}

// want is the next message, which must be of that type.
func (c *client) want(why, messageType string) object {
	c.t.Helper()
	loud := c.quiet[messageType]
	if loud {
		c.quiet[messageType] = false
		defer func() { c.quiet[messageType] = true }()
	}
	o := c.next(why)
	if o.str("type") != messageType {
		c.t.Fatalf("%s: want %s, got %s", why, messageType, o.text)
	}
	return o
}

// until is the next message of that type, whatever comes before.
func (c *client) until(why, messageType string) object {
	c.t.Helper()
	delete(c.quiet, messageType)
	for {
		if o := c.next(why); o.str("type") == messageType {
			return o
		}
	}
}

func (c *client) wantError(why string, code wire.Code) object {
	c.t.Helper()
	o := c.want(why, wire.TypeError)
	if o.str("code") != string(code) {
		c.t.Fatalf("%s: want %s, got %s", why, code, o.text)
	}
	return o
}

func (c *client) wantRefusal(why string, code wire.Code) object {
	c.t.Helper()
	o := c.want(why, wire.TypeAnswer)
	if o.is("ok") || o.sub("error").str("code") != string(code) {
		c.t.Fatalf("%s: want a refusal %s, got %s", why, code, o.text)
	}
	return o
}

func (c *client) wantClose(why string, code wire.CloseCode) {
	c.t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	for {
		select {
		case _, ok := <-c.in:
			if ok {
				continue
			}
			if e := <-c.closed; e.Code != websocket.StatusCode(code) {
				c.t.Fatalf("%s: closed with %d, want %d", why, e.Code, code)
			}
			return
		case <-timeout.C:
			c.t.Fatalf("%s: not closed", why)
		}
	}
}

// hello says hello and returns the welcome.
func (c *client) hello(tok, session string) object {
	c.t.Helper()
	c.send(`{"type":"hello","protocol":1,"token":%q,"session":%q}`, tok, session)
	return c.want("hello is answered", wire.TypeWelcome)
}

// player connects and says hello.
func (g *gate) player(id string) *client {
	g.t.Helper()
	c := g.dial()
	c.hello(token(g.t, id), "")
	return c
}

// join joins a room and returns joined.
func (c *client) join(room string) object {
	c.t.Helper()
	c.send(`{"type":"join","id":7,"room":%q}`, room)
	o := c.until("join is answered", wire.TypeJoined)
	if o.num("id") != 7 || o.str("room") != room {
		c.t.Fatalf("joined another request: %s", o.text)
	}
	return o
}

func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, why, deadline, ok)
}
