package serve

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// Queue lengths and write timeouts of the libraries' own chat examples.
const (
	gorillaQueue   = 256
	gorillaTimeout = 10 * time.Second
	coderQueue     = 16
	coderTimeout   = 5 * time.Second
)

// Gorilla is gorilla/websocket: a message is prepared once, a reading and a writing goroutine per connection.
func Gorilla(in io.Reader, out io.Writer) error {
	h := newHub[*gorilla.PreparedMessage](gorillaQueue)
	upgrader := gorilla.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	handler := func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		m := h.join(func() { _ = c.Close() })
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer h.leave(m)
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		}()
		go func() {
			defer func() { _ = c.Close() }()
			for {
				select {
				case <-done:
					return
				case p := <-m.messages:
					if c.SetWriteDeadline(time.Now().Add(gorillaTimeout)) != nil || c.WritePreparedMessage(p) != nil {
						return
					}
				}
			}
		}()
	}
	return serveHTTP(in, out, http.HandlerFunc(handler), func(u Update) error {
		p, err := gorilla.NewPreparedMessage(gorilla.TextMessage, appendPayload(nil, u))
		if err == nil {
			h.broadcast(p)
		}
		return err
	})
}

// Coder is coder/websocket as in its chat example: a goroutine per connection writes with a context each.
func Coder(in io.Reader, out io.Writer) error {
	h := newHub[[]byte](coderQueue)
	handler := func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		m := h.join(func() { _ = c.Close(coder.StatusPolicyViolation, "too slow") })
		defer h.leave(m)
		ctx := c.CloseRead(context.Background())
		write := func(p []byte) error {
			ctx, cancel := context.WithTimeout(ctx, coderTimeout)
			defer cancel()
			return c.Write(ctx, coder.MessageText, p)
		}
		for {
			select {
			case p := <-m.messages:
				if write(p) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
	return serveHTTP(in, out, http.HandlerFunc(handler), func(u Update) error {
		h.broadcast(appendPayload(nil, u))
		return nil
	})
}

// gwsEvents keeps the connections of GWS.
type gwsEvents struct {
	gws.BuiltinEventHandler
	group *group[*gws.Conn]
}

func (e gwsEvents) OnOpen(c *gws.Conn)           { e.group.add(c) }
func (e gwsEvents) OnClose(c *gws.Conn, _ error) { e.group.remove(c) }

// GWS is lxzan/gws with its Broadcaster and, as it recommends, the read loop outside the HTTP server.
func GWS(in io.Reader, out io.Writer) error {
	events := gwsEvents{group: newGroup[*gws.Conn]()}
	upgrader := gws.NewUpgrader(events, nil)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if c, err := upgrader.Upgrade(w, r); err == nil {
			go c.ReadLoop()
		}
	}
	return serveHTTP(in, out, http.HandlerFunc(handler), func(u Update) error {
		b := gws.NewBroadcaster(gws.OpcodeText, appendPayload(nil, u))
		events.group.each(func(c *gws.Conn) { _ = b.Broadcast(c) }) // an error is that of a closed connection
		return b.Close()
	})
}

// Gobwas is gobwas/ws without net/http: the frame is compiled once and written to each connection in a loop,
// without queue or deadline. A client that does not read holds all others up.
func Gobwas(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	clients := newGroup[net.Conn]()
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		if _, err := ws.Upgrade(c); err != nil {
			return
		}
		clients.add(c)
		defer clients.remove(c)
		for {
			if _, _, err := wsutil.ReadClientData(c); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	sayListening(out, l.Addr())
	return Control(in, out, func(u Update) error {
		frame, err := ws.CompileFrame(ws.NewTextFrame(appendPayload(nil, u)))
		clients.each(func(c net.Conn) {
			if _, err := c.Write(frame); err != nil {
				_ = c.Close()
			}
		})
		return err
	})
}
