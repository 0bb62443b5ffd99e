package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"tickcast/wire"
)

// peer is the server's end of the client under test: it accepts sockets at /ws
// and lets the test speak the protocol on each by hand.
type peer struct {
	t     *testing.T
	tab   *tab
	conns chan *peerConn
}

// peerConn is one socket of the client under test.
type peerConn struct {
	t  *testing.T
	ws *websocket.Conn
	in chan wire.ClientMessage // closed when the socket is
}

// newPeer opens testdata/client.js in a tab, with a client that has not connected
// yet; setup is code that may use `client` and `log`.
func newPeer(t *testing.T, setup string) *peer {
	t.Helper()
	p := &peer{t: t, conns: make(chan *peerConn, 8)}
	mux := files()
	mux.HandleFunc("/ws", p.accept)
	url := serve(t, mux)
	p.tab = newTab(t, 800, 600)
	p.tab.do("open a blank page", chromedp.Navigate(url+"/testdata/blank.html"))
	eval[chromedp.Void](p.tab, "load the client", `import('/testdata/client.js').then((m) => void Object.assign(window, m.start()))`)
	eval[chromedp.Void](p.tab, "set up", `(async () => { `+setup+` })()`)
	return p
}

func (p *peer) accept(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	c := &peerConn{t: p.t, ws: ws, in: make(chan wire.ClientMessage, 64)}
	defer close(c.in)
	p.conns <- c
	for {
		_, b, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		var m wire.ClientMessage
		if err := json.Unmarshal(b, &m); err != nil {
			p.t.Errorf("the client sent %q: %v", b, err)
			return
		}
		if m.Type != wire.TypePing { // the client's own measurement; answered by nobody here
			c.in <- m
		}
	}
}

// next waits for the client's next socket.
func (p *peer) next(why string) *peerConn {
	p.t.Helper()
	select {
	case c := <-p.conns:
		return c
	case <-time.After(patience):
		p.t.Fatalf("%s: the client did not connect", why)
		return nil
	}
}

// want waits for the client's next message and checks its type.
func (c *peerConn) want(why, typ string) wire.ClientMessage {
	c.t.Helper()
	select {
	case m, ok := <-c.in:
		if !ok {
			c.t.Fatalf("%s: the client closed the socket, want %s", why, typ)
		}
		if m.Type != typ {
			c.t.Fatalf("%s: got %+v, want type %s", why, m, typ)
		}
		return m
	case <-time.After(patience):
		c.t.Fatalf("%s: no message, want %s", why, typ)
		return wire.ClientMessage{}
	}
}

// wantClosed waits until the client has closed the socket, and fails on messages
// before that.
func (c *peerConn) wantClosed(why string) {
	c.t.Helper()
	select {
	case m, ok := <-c.in:
		if ok {
			c.t.Fatalf("%s: got %+v, want a close", why, m)
		}
	case <-time.After(patience):
		c.t.Fatalf("%s: the client did not close the socket", why)
	}
}

// send sends a message as it is written.
func (c *peerConn) send(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatalf("send %s: %v", message, err)
	}
}

// hangUp closes the socket with a code.
func (c *peerConn) hangUp(code wire.CloseCode) {
	_ = c.ws.Close(websocket.StatusCode(code), "")
}

// welcome takes hello and answers it.
func (c *peerConn) welcome(why string) wire.ClientMessage {
	c.t.Helper()
	m := c.want(why, wire.TypeHello)
	c.send(`{"type":"welcome","protocol":1,"session":"s1","resumed":false,"gateway":"g","player":{"id":"p1","name":"Ann"},"ping_ms":25000,"now":1}`)
	return m
}

// joined takes a join of the lobby and answers it with a snapshot, or as
// recovered.
func (c *peerConn) joined(why string, recovered bool, position wire.Position) wire.ClientMessage {
	c.t.Helper()
	m := c.want(why, wire.TypeJoin)
	j := wire.Joined{
		Type: wire.TypeJoined, ID: m.ID, Room: m.Room, Recovered: recovered, Position: position,
		Epoch: 1, Time: 1_000_000, Players: 3, You: json.RawMessage(`{"bets":[]}`),
	}
	if !recovered {
		j.Snapshot = json.RawMessage(`{"n":0}`)
	}
	b, err := json.Marshal(j)
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(string(b))
	return m
}

func update(seq uint64) string {
	b, _ := json.Marshal(wire.Update{Type: wire.TypeUpdate, Room: "lobby", Seq: seq, Time: int64(seq) * 1000, Events: []json.RawMessage{[]byte(`{"e":"x"}`)}})
	return string(b)
}
