package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/server"
	"tickcast/wire"
)

// witness is a client in a room whom the mistakes of others do not concern.
type witness struct {
	*client
	w    *world
	room *ownedRoom
}

func (w *world) witness(g *gate, r *ownedRoom) *witness {
	c := g.player("witness")
	c.join(r.id)
	return &witness{c, w, r}
}

// sawNothing checks that the next thing the witness sees is the next update.
func (v *witness) sawNothing() {
	v.t.Helper()
	body := v.w.owner.update(v.room, false)
	if u := v.want("the witness sees the next update only", wire.TypeUpdate); u.text != string(body) {
		v.t.Fatalf("the witness sees %s, want %s", u.text, body)
	}
}

// badInput is something that a client should not send, and what it gets for it.
type badInput struct {
	name  string
	raw   bool // without hello before
	join  bool // of the lobby before
	send  string
	code  wire.Code
	close wire.CloseCode
}

func badInputs() []badInput {
	long := strings.Repeat("x", 600)
	return []badInput{
		{name: "P1.2 not JSON", send: `{"type":`, code: wire.CodeBadMessage},
		{name: "P1.2 no object", send: `[1]`, code: wire.CodeBadMessage},
		{name: "P1.2 null", send: `null`, code: wire.CodeBadMessage},
		{name: "P1.2 no type", send: `{}`, code: wire.CodeBadMessage},
		{name: "P1.2 nothing", send: ``, code: wire.CodeBadMessage},
		{name: "P1.2 two objects", send: `{"type":"ping"}{"type":"ping"}`, code: wire.CodeBadMessage},
		{name: "P1.2 type is a number", send: `{"type":7}`, code: wire.CodeBadMessage},
		{name: "P1.2 no such type", send: `{"type":"tick"}`, code: wire.CodeUnknownType},
		{name: "P1.2 invalid UTF-8", send: "{\"type\":\"p\xff\"}", close: 1007},
		{name: "P1.2 a message that is too long", send: `{"type":"ping","x":"` + strings.Repeat("x", wire.MaxClientMessageBytes) + `"}`, close: 1009},
		{name: "P1.2 a megabyte", send: strings.Repeat("x", 1<<20), close: 1009},
		{name: "P1.3 room is a number", send: `{"type":"join","id":1,"room":7}`, code: wire.CodeBadMessage},
		{name: "P1.3 id is negative", send: `{"type":"join","id":-1,"room":"lobby"}`, code: wire.CodeBadMessage},
		{name: "P1.3 seq is a fraction", send: `{"type":"join","room":"lobby","position":{"log":"l","seq":1.5}}`, code: wire.CodeBadMessage},
		{name: "P1.3 args is a list", send: `{"type":"cmd","room":"lobby","key":"k","op":"bet","args":[]}`, code: wire.CodeBadMessage},
		{name: "P2.1 join before hello", raw: true, send: `{"type":"join","room":"lobby"}`, code: wire.CodeHelloExpected, close: wire.CloseBadRequest},
		{name: "P2.1 rubbish before hello", raw: true, send: `rubbish`, code: wire.CodeHelloExpected, close: wire.CloseBadRequest},
		{name: "P2.2 another version", raw: true, send: `{"type":"hello","protocol":2,"token":"x"}`, code: wire.CodeBadVersion, close: wire.CloseBadRequest},
		{name: "P2.3 no token", raw: true, send: `{"type":"hello","protocol":1}`, code: wire.CodeInvalidToken, close: wire.CloseInvalidToken},
		{name: "P2.3 a bad token", raw: true, send: `{"type":"hello","protocol":1,"token":"a.b.c"}`, code: wire.CodeInvalidToken, close: wire.CloseInvalidToken},
		{name: "P2.3 token is an object", raw: true, send: `{"type":"hello","protocol":1,"token":{}}`, code: wire.CodeBadMessage},
		{name: "P2.6 hello again", send: `{"type":"hello","protocol":1,"token":"x"}`, code: wire.CodeAlreadyHello},
		{name: "P3.9 no room", send: `{"type":"join"}`, code: wire.CodeBadRoom},
		{name: "P3.9 a subject for a room", send: `{"type":"join","room":"a.>"}`, code: wire.CodeBadRoom},
		{name: "P3.9 the cashier", send: `{"type":"join","room":"_"}`, code: wire.CodeBadRoom},
		{name: "P3.9 upper case", send: `{"type":"join","room":"Lobby"}`, code: wire.CodeBadRoom},
		{name: "P3.9 unknown", send: `{"type":"join","id":3,"room":"nowhere"}`, code: wire.CodeUnknownRoom},
		{name: "P3.9 a position without log", send: `{"type":"join","room":"lobby","position":{"seq":1}}`, code: wire.CodeBadPosition},
		{name: "P3.9 a position too large", send: `{"type":"join","room":"lobby","position":{"log":"l","seq":9007199254740992}}`, code: wire.CodeBadPosition},
		{name: "P3.8 leave of a room not joined", send: `{"type":"leave","room":"lobby"}`, code: wire.CodeNotJoined},
		{name: "P4.6 command without join", send: `{"type":"cmd","room":"lobby","key":"k","op":"bet"}`, code: wire.CodeNotJoined},
		{name: "P4.6 no key", join: true, send: `{"type":"cmd","room":"lobby","op":"bet"}`, code: wire.CodeBadKey},
		{name: "P4.6 key with a space", join: true, send: `{"type":"cmd","room":"lobby","key":"a b","op":"bet"}`, code: wire.CodeBadKey},
		{name: "P4.6 key too long", join: true, send: `{"type":"cmd","room":"lobby","key":"` + long[:65] + `","op":"bet"}`, code: wire.CodeBadKey},
		{name: "P4.6 no op", join: true, send: `{"type":"cmd","room":"lobby","key":"k"}`, code: wire.CodeBadOp},
		{name: "P4.6 op with a digit", join: true, send: `{"type":"cmd","room":"lobby","key":"k","op":"bet2"}`, code: wire.CodeBadOp},
		{name: "P4.6 args too large", join: true, send: `{"type":"cmd","room":"lobby","key":"k","op":"bet","args":{"x":"` + long + `"}}`, code: wire.CodeArgsTooLarge},
		{name: "P4.6 room is no room", send: `{"type":"cmd","room":"*","key":"k","op":"bet"}`, code: wire.CodeBadRoom},
		{name: "P5.2 chat without join", send: `{"type":"chat","id":1,"room":"lobby","text":"hi"}`, code: wire.CodeNotJoined},
		{name: "P5.2 no text", join: true, send: `{"type":"chat","id":1,"room":"lobby","text":""}`, code: wire.CodeBadText},
		{name: "P5.2 a control character", join: true, send: `{"type":"chat","id":1,"room":"lobby","text":"a\u0007b"}`, code: wire.CodeBadText},
		{name: "P5.2 too long", join: true, send: `{"type":"chat","id":1,"room":"lobby","text":"` + strings.Repeat("x", 281) + `"}`, code: wire.CodeBadText},
	}
}

// Bad input is answered as documented, and nobody else notices: P1.2, P1.3, P1.6,
// P2.1, P2.2, P2.3, P2.6, P3.9, P4.6, P5.2.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	r := w.owner.create("lobby")
	for i := range wire.MaxRoomsPerSession {
		w.owner.create(fmt.Sprintf("room-%d", i))
	}
	g := w.gateway()
	g.knows("lobby")
	g.knows(fmt.Sprintf("room-%d", wire.MaxRoomsPerSession-1))
	watching := w.witness(g, r)

	for i, c := range badInputs() {
		t.Run(c.name, func(t *testing.T) {
			p := g.dial()
			p.t = t
			p.quiet[wire.TypeUpdate] = true
			if !c.raw {
				p.hello(token(t, fmt.Sprintf("bad-%d", i)), "")
			}
			if c.join {
				p.join("lobby")
			}
			p.sendRaw(websocket.MessageText, []byte(c.send))
			if c.code != "" {
				o := p.next("the refusal")
				code := o.str("code")
				if o.str("type") == wire.TypeAnswer {
					code = o.sub("error").str("code")
				}
				if code != string(c.code) {
					t.Fatalf("want %s, got %s", c.code, o.text)
				}
			}
			switch {
			case c.close != 0:
				p.wantClose("after it", c.close)
			case !c.raw:
				p.send(`{"type":"ping","id":99}`)
				if o := p.want("the connection works (P1.6)", wire.TypePong); o.num("id") != 99 {
					t.Fatalf("pong %s", o.text)
				}
			}
			_ = p.ws.CloseNow()
			watching.t = t
			watching.sawNothing()
		})
	}
	if n := w.owner.records(); n != 0 {
		t.Errorf("%d records in the log of bad input", n)
	}
}

// P1.2: a binary message closes with 1003.
func TestBinaryMessage(t *testing.T) {
	g := newWorld(t).gateway()
	c := g.player("ann")
	c.sendRaw(websocket.MessageBinary, []byte(`{"type":"ping"}`))
	c.wantClose("binary", 1003)
}

// P1.3: fields that a type does not define are ignored, whatever they are.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	g := newWorld(t).gateway()
	c := g.player("ann")
	c.send(`{"type":"ping","id":4,"room":7,"args":[],"extra":{"a":[1]}}`)
	if o := c.want("a ping with odd fields", wire.TypePong); o.num("id") != 4 {
		t.Fatal(o.text)
	}
}

// P1.4: an origin that is not allowed is answered 403.
func TestOrigin(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.Origins = []string{"*.example.com"} })
	host := strings.TrimPrefix(g.http.URL, "http://")
	for origin, want := range map[string]int{
		"":                        http.StatusSwitchingProtocols,
		"http://" + host:          http.StatusSwitchingProtocols,
		"https://www.example.com": http.StatusSwitchingProtocols,
		"https://evil.test":       http.StatusForbidden,
	} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		if _, got := g.tryDial(h, http.DefaultClient); got != want {
			t.Errorf("origin %q: status %d, want %d", origin, got, want)
		}
	}
}

// P1.6: the twentieth malformed message within 10 s closes the connection.
func TestManyMistakes(t *testing.T) {
	g := newWorld(t).gateway()
	c := g.player("ann")
	for range 20 {
		c.send(`{"type":"nonsense"}`)
	}
	for range 20 {
		c.wantError("each is answered", wire.CodeUnknownType)
	}
	c.wantClose("the twentieth", wire.CloseBadRequest)
}

// P2.1: a connection that does not say hello is closed.
func TestNoHello(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.HelloTimeout = 300 * time.Millisecond })
	g.dial().wantClose("no hello", wire.CloseStale)
}

// P2.3: a token that expires while connected closes the connection.
func TestTokenExpires(t *testing.T) {
	g := newWorld(t).gateway()
	var c *client
	eventually(t, "hello comes before the token expires", func() bool { // by the second: half a second at least
		c = g.dial()
		c.send(`{"type":"hello","protocol":1,"token":%q}`, tokenFor(t, "ann", 1500*time.Millisecond))
		o, ok := <-c.in
		return ok && o.str("type") == wire.TypeWelcome
	})
	c.wantClose("expired", wire.CloseExpired)
}

// P2.8: more connections of a player than allowed.
func TestConnectionLimit(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.MaxPerPlayer = 2 })
	first := g.player("ann")
	g.player("ann")
	third := g.dial()
	third.send(`{"type":"hello","protocol":1,"token":%q}`, token(t, "ann"))
	third.wantClose("the third", wire.CloseConnectionLimit)
	g.player("bob")
	_ = first.ws.CloseNow()
	eventually(t, "there is room again", func() bool {
		c := g.dial()
		c.send(`{"type":"hello","protocol":1,"token":%q}`, token(t, "ann"))
		o, ok := <-c.in
		return ok && o.str("type") == wire.TypeWelcome
	})
}

// P2.8: a kicked player is thrown out and refused until the kick ends.
func TestKick(t *testing.T) {
	w := newWorld(t)
	g := w.gateway()
	c, elsewhere := g.player("ann"), w.gateway().player("ann")
	bob := g.player("bob")
	w.owner.sanction(wire.Sanction{Player: "ann", KickedUntil: time.Now().Add(time.Hour).UnixMilli()})
	c.wantClose("kicked", wire.CloseKicked)
	elsewhere.wantClose("kicked at another gateway", wire.CloseKicked)
	again := g.dial()
	again.send(`{"type":"hello","protocol":1,"token":%q}`, token(t, "ann"))
	again.wantClose("refused", wire.CloseKicked)
	w.owner.sanction(wire.Sanction{Player: "ann"})
	eventually(t, "the kick is lifted", func() bool {
		c := g.dial()
		c.send(`{"type":"hello","protocol":1,"token":%q}`, token(t, "ann"))
		o, ok := <-c.in
		return ok && o.str("type") == wire.TypeWelcome
	})
	bob.send(`{"type":"ping","id":1}`)
	bob.want("bob is still there", wire.TypePong)
}

// P6.7: over the rate messages are answered rate_limited, far over it the
// connection is closed.
func TestMessageRate(t *testing.T) {
	w := newWorld(t)
	w.owner.create("lobby")
	g := w.gateway(func(c *server.Config) { c.MessagesPerSecond, c.MessageBurst = 0.001, 5 })
	g.knows("lobby")
	c := g.player("ann") // one message
	c.join("lobby")
	for range 3 {
		c.send(`{"type":"ping","id":1}`)
		c.want("within the burst", wire.TypePong)
	}
	c.send(`{"type":"ping","id":5}`)
	if o := c.wantError("over the rate", wire.CodeRateLimited); o.num("id") != 5 || !o.is("temporary") {
		t.Fatalf("error: %s", o.text)
	}
	c.send(`{"type":"cmd","room":"lobby","key":"k","op":"bet"}`)
	c.wantRefusal("a command is answered as one (P4.6)", wire.CodeRateLimited)
	for range 45 {
		c.send(`{"type":"ping","id":1}`)
	}
	c.wantClose("ten times the burst", wire.CloseTooManyRequests)
}

// P6.7: ping frames count as messages. Over the rate they are not answered, far over it the connection is closed.
func TestPingFrameRate(t *testing.T) {
	g := newWorld(t).gateway(func(c *server.Config) { c.MessagesPerSecond, c.MessageBurst = 0.001, 5 })
	c := g.player("ann") // one message
	for range 4 {
		if err := c.ws.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.ws.Ping(ctx); err == nil {
		t.Error("a ping over the rate was answered")
	}
	c.send(`{"type":"ping","id":5}`)
	c.wantError("pings have used the burst up", wire.CodeRateLimited)

	flood := g.player("bob")
	var pings sync.WaitGroup
	for range 60 {
		pings.Go(func() { _ = flood.ws.Ping(t.Context()) }) // until the connection ends
	}
	flood.wantClose("ten times the burst", wire.CloseTooManyRequests)
	_ = flood.ws.CloseNow()
	pings.Wait()
}

// P3.9: at most 16 rooms.
func TestTooManyRooms(t *testing.T) {
	w := newWorld(t)
	for i := range wire.MaxRoomsPerSession + 1 {
		w.owner.create(fmt.Sprintf("room-%d", i))
	}
	g := w.gateway()
	g.knows(fmt.Sprintf("room-%d", wire.MaxRoomsPerSession))
	c := g.player("ann")
	for i := range wire.MaxRoomsPerSession {
		c.join(fmt.Sprintf("room-%d", i))
	}
	c.send(`{"type":"join","id":9,"room":"room-%d"}`, wire.MaxRoomsPerSession)
	if o := c.wantError("the seventeenth", wire.CodeTooManyRooms); o.num("id") != 9 {
		t.Fatal(o.text)
	}
	c.join("room-3") // again is leaving and joining
}

// P1.5: a token in the URL or a cookie says nothing.
func TestIdentityIsInHello(t *testing.T) {
	g := newWorld(t).gateway()
	g.http.URL += "/ws?token=" + token(t, "ann") + "&x="
	c, _ := g.tryDial(http.Header{"Cookie": {"token=" + token(t, "ann")}, "Authorization": {"Bearer " + token(t, "ann")}}, http.DefaultClient)
	c.send(`{"type":"join","room":"lobby"}`)
	c.wantError("nobody said hello", wire.CodeHelloExpected)
	c.wantClose("nobody said hello", wire.CloseBadRequest)
}
