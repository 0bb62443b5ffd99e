package server_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testsvc"
	"tickcast/server"
	"tickcast/wire"
)

// P6.1: a silent client is pinged, and closed when it does not answer; any message
// is an answer.
func TestPing(t *testing.T) {
	pings := func(timeout time.Duration) func(*server.Config) {
		return func(c *server.Config) { c.PingInterval, c.PongTimeout = 300*time.Millisecond, timeout }
	}
	w := newWorld(t)
	silent := w.gateway(pings(300 * time.Millisecond)).player("bob")
	// Whether an answer has counted is looked at when its time is over: no longer than a test
	// can wait for that, and longer than a machine stands still.
	c := w.gateway(pings(3 * time.Second)).player("ann")
	first := c.want("a ping", wire.TypePing)
	if first.num("id") == 0 || first.num("now") == 0 {
		t.Fatal(first.text)
	}
	c.send(`{"type":"pong","id":%d,"applied":{"lobby":3}}`, first.num("id"))
	c.want("another ping", wire.TypePing)
	c.send(`{"type":"leave","room":"nowhere"}`)
	c.wantError("any message", wire.CodeNotJoined)
	c.want("another ping", wire.TypePing)
	silent.want("a ping", wire.TypePing)
	silent.wantClose("no answer", wire.CloseNoPong)
}

// P6.2: a client measures its round trip.
func TestClientPing(t *testing.T) {
	g := newWorld(t).gateway()
	c := g.player("ann")
	c.send(`{"type":"ping","id":5}`)
	if o := c.want("pong", wire.TypePong); o.num("id") != 5 || o.num("now") == 0 {
		t.Fatal(o.text)
	}
}

// P2.5: nothing comes before the welcome, whatever happens to the player meanwhile.
func TestWelcomeComesFirst(t *testing.T) {
	w, _, g := lobby(t, func(c *server.Config) { c.MaxPerPlayer = 1000 })
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for version := int64(2); ; version++ {
			select {
			case <-stop:
				return
			default:
			}
			w.owner.tell(wire.CashierRoom, 1, wire.Private{Player: "ann", Message: encodeJSON(wire.Balance{Type: wire.TypeBalance, Version: version})})
			if w.owner.nc.Flush() != nil {
				return
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	for range 100 {
		c := g.dial()
		c.quiet = map[string]bool{}
		c.hello(token(t, "ann"), "")
		_ = c.ws.CloseNow()
	}
}

// P2.5: a session goes on at another gateway, with its positions; another player
// cannot take it.
func TestSessionGoesOn(t *testing.T) {
	w, r, g := lobby(t)
	g2 := w.gateway()
	for range 4 {
		w.owner.update(r, false)
	}
	c := g.dial()
	session := c.hello(token(t, "ann"), "").str("session")
	c.join("lobby")
	c.send(`{"type":"pong","applied":{"lobby":4}}`)
	c.send(`{"type":"ping","id":1}`)
	c.want("all was read", wire.TypePong)
	_ = c.ws.CloseNow()
	eventually(t, "the session is stored with its position", func() bool {
		s, err := w.cache.GetSession(t.Context(), session)
		return err == nil && s.Positions["lobby"] == wire.Position{Log: r.log, Seq: 4}
	})
	c2 := g2.dial()
	o := c2.hello(token(t, "ann"), session)
	if !o.is("resumed") || o.str("session") != session || o.sub("rooms").sub("lobby").num("seq") != 4 || o.str("gateway") != g2.ID() {
		t.Fatal(o.text)
	}
	if o := g2.dial().hello(token(t, "eve"), session); o.is("resumed") || o.str("session") == session {
		t.Fatal(o.text)
	}
	if o := g2.dial().hello(token(t, "ann"), "unknown"); o.is("resumed") {
		t.Fatal(o.text)
	}
	_ = c2.ws.CloseNow()
	wantEvents(t, w, []string{"login", "end", "resume"})
}

// wantEvents wants events of those kinds in the stream of sessions.
func wantEvents(t *testing.T, w *world, kinds []string) {
	t.Helper()
	eventually(t, "session events", func() bool {
		s, err := w.owner.js.Stream(t.Context(), wire.StreamSessions)
		if err != nil {
			return false
		}
		cons, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
		if err != nil {
			return false
		}
		batch, err := cons.FetchNoWait(100)
		if err != nil {
			return false
		}
		var text strings.Builder
		for m := range batch.Messages() {
			text.Write(m.Data())
		}
		return !slices.ContainsFunc(kinds, func(k string) bool { return !strings.Contains(text.String(), `"kind":"`+k+`"`) })
	})
}

// Redis is away: players see nothing of it.
func TestWithoutRedis(t *testing.T) {
	w, r, g := lobby(t)
	w.redis.Close()
	c := g.player("ann")
	if b := c.want("the balance comes from the ledger", wire.TypeBalance); b.num("version") != 1 {
		t.Fatal(b.text)
	}
	c.join("lobby")
	w.owner.update(r, false)
	c.wantUpdates("updates", r, 1, 1)
}

// Players who come back while Redis is away get sessions of their own, and the log is not
// flooded with it.
func TestSessionsCannotBeLookedUp(t *testing.T) {
	w := newWorld(t)
	var said bytes.Buffer // written under the handler's lock, and read when the gateway has stopped
	g := w.gateway(func(c *server.Config) { c.Log = slog.New(slog.NewTextHandler(&said, nil)) })
	w.redis.Close()
	for range 5 {
		if o := g.dial().hello(token(t, "ann"), "a session of before"); o.is("resumed") {
			t.Fatal(o.text)
		}
	}
	g.stop()
	if n := strings.Count(said.String(), "sessions cannot be looked up"); n != 1 {
		t.Errorf("it is said %d times, want once a minute:\n%s", n, &said)
	}
}

// P1.4: a full gateway answers 503 with Retry-After, and is not ready.
func TestFull(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.MaxConnections = 2 })
	first := g.dial()
	g.dial()
	if _, status := g.tryDial(nil, http.DefaultClient); status != http.StatusServiceUnavailable {
		t.Fatalf("status %d", status)
	}
	res, err := g.http.Client().Get(g.http.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if ok, why := g.Ready(); ok || !slices.Contains(why, "full") {
		t.Errorf("ready: %v %v", ok, why)
	}
	_ = first.ws.CloseNow()
	eventually(t, "there is room again", func() bool {
		_, status := g.tryDial(nil, http.DefaultClient)
		return status == http.StatusSwitchingProtocols
	})
}

// P6.4: without a balancer a full gateway says so in band.
func TestFullInBand(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.MaxConnections, c.RefuseInBand = 1, true })
	g.dial()
	c := g.dial()
	if o := c.want("retry", wire.TypeRetry); o.num("after_ms") <= 0 {
		t.Fatal(o.text)
	}
	c.wantClose("full", wire.CloseOverCapacity)
}

// P6.3: draining asks to move, admits nobody, and is over when nobody is left.
func TestDrain(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.DrainWindow = time.Hour })
	moves, stays := g.player("ann"), g.player("bob")
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.Drain(t.Context())
	}()
	for _, c := range []*client{moves, stays} {
		if o := c.want("move", wire.TypeMove); o.num("within_ms") != time.Hour.Milliseconds() {
			t.Fatal(o.text)
		}
	}
	if ok, why := g.Ready(); ok || !slices.Contains(why, "draining") {
		t.Errorf("ready: %v %v", ok, why)
	}
	if _, status := g.tryDial(nil, http.DefaultClient); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	_ = moves.ws.CloseNow()
	stays.send(`{"type":"ping","id":1}`)
	stays.want("it works to the end", wire.TypePong)
	_ = stays.ws.CloseNow()
	<-drained
}

// P6.3: who has not moved when the window ends is closed.
func TestDrainClosesWhoStays(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.DrainWindow = time.Millisecond })
	stays := g.player("bob")
	g.Drain(t.Context())
	stays.want("move", wire.TypeMove)
	stays.wantClose("it has not moved", wire.CloseMove)
}

// P6.4, P6.5: a gateway that stops says when to come back.
func TestShutdown(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.HelloTimeout = time.Hour })
	c, silent := g.player("ann"), g.dial()
	go g.stop()
	c.want("when to come back", wire.TypeRetry)
	c.wantClose("shutdown", wire.CloseShutdown)
	silent.wantClose("shutdown before hello", wire.CloseShutdown)
	g.stop()
}

// The heartbeat tells the console who holds how many connections.
func TestHeartbeat(t *testing.T) {
	w := newWorld(t)
	sub, err := w.connect("operator").SubscribeSync("node.gateway.*")
	if err != nil {
		t.Fatal(err)
	}
	g := w.gateway(func(c *server.Config) { c.MaxConnections, c.Address = 7, "127.0.0.1:9" })
	g.player("ann")
	eventually(t, "the heartbeat counts", func() bool {
		m, err := sub.NextMsg(deadline)
		if err != nil {
			t.Fatal(err)
		}
		text := string(m.Data)
		return strings.Contains(text, `"connections":1,"capacity":7,"address":"127.0.0.1:9"`) && strings.Contains(text, g.ID())
	})
}

// NATS dies and comes back: nobody's connection ends, commands that came meanwhile
// are done once, and updates that were missed are filled.
func TestNATSRestarts(t *testing.T) {
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = string(r) + "-password"
	}
	config := bus.ServerConfig(passwords, bus.ServerOptions{})
	s := testsvc.StartNATS(t, config[strings.Index(config, "authorization"):]) // the rest is set by StartNATS
	w := newWorldOn(t, func(r bus.Role) (*nats.Conn, error) {
		return bus.Connect(t.Context(), strings.Replace(s.URL, "//", "//"+string(r)+":"+passwords[r]+"@", 1), "test")
	})
	r := w.owner.create("lobby")
	g := w.gateway()
	g.knows("lobby")
	c := g.player("ann")
	c.join("lobby")
	w.owner.update(r, false)
	c.wantUpdates("before", r, 1, 1)

	s.Kill()
	eventually(t, "the gateway is not ready", func() bool {
		ok, why := g.Ready()
		return !ok && slices.Contains(why, "not connected to NATS")
	})
	c.command("k", "bet", `{}`)
	c.send(`{"type":"ping","id":1}`)
	c.want("the connection lives", wire.TypePong)
	w.owner.update(r, true)
	s.Start()
	seen := map[string]bool{}
	for len(seen) < 2 {
		o := c.next("the update that was missed, and the answer")
		seen[o.str("type")] = true
		if o.str("type") == wire.TypeAnswer && !o.is("ok") || o.str("type") == wire.TypeUpdate && o.num("seq") != 2 {
			t.Fatal(o.text)
		}
	}
	if n := w.owner.records(); n != 1 {
		t.Errorf("%d records", n)
	}
	eventually(t, "the gateway is ready", func() bool { ok, _ := g.Ready(); return ok })
}
