package fanout_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"tickcast/fanout"
)

// pipeWriter is a ResponseWriter whose connection is one end of a net.Pipe: a
// WebSocket without a network, for synctest and for connections that are not TCP.
type pipeWriter struct {
	*httptest.ResponseRecorder
	nc net.Conn
}

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(bufio.NewReader(w.nc), bufio.NewWriter(w.nc)), nil
}

// pipe accepts an upgraded connection and returns both sides of it.
func pipe(t testing.TB, h *fanout.Hub) (*fanout.Conn, *peer) {
	t.Helper()
	client, server := net.Pipe()
	return pipeOver(t, h, client, server)
}

func pipeOver(t testing.TB, h *fanout.Hub, client, server net.Conn) (*fanout.Conn, *peer) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/ws", nil)
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(k, v)
	}
	c, err := h.Accept(&pipeWriter{httptest.NewRecorder(), server}, req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, &peer{nc: client, br: bufio.NewReader(client)}
}

// runHub runs h until the returned function is called.
func runHub(h *fanout.Hub) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	return func() { cancel(); <-done }
}

// What was sent and published before Close comes before the close frame, and
// nothing behind it.
func TestCloseComesLast(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		topic := r.hub.Topic("room", 0)
		for round := range uint64(50) {
			p, c := r.dial(), r.accepted()
			if err := topic.Join(c, round, sealed("j", round, 0, 0)); err != nil {
				t.Fatal(err)
			}
			for n := range uint64(5) {
				_ = c.Send(sealed("o", n+1, 0, 0))
			}
			topic.Update(round+1, sealed("u", round+1, round, 0))
			c.Close(4101, "move")
			topic.Tick(sealed("t", round+1, round+1, 0))
			if err := c.Send(frame("late")); !errors.Is(err, fanout.ErrClosed) {
				t.Fatalf("send behind Close: %v", err)
			}
			check := &checker{}
			for check.own < 5 || check.seq != round+1 {
				m, err := p.next()
				if err == nil {
					err = check.take(m.payload)
				}
				if err != nil {
					t.Fatalf("before the close frame: %v", err)
				}
			}
			p.want(t, "last", message{opClose, "\x10\x05move"})
			if _, err := p.next(); !errors.Is(err, io.EOF) {
				t.Fatalf("behind the close frame: %v", err)
			}
			_ = p.nc.Close()
			<-c.Done()
			if c.Ended() != 4101 {
				t.Fatalf("ended with %d", c.Ended())
			}
		}
	})
}

func TestCloseOnceFromManySides(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		for range 50 {
			p, c := r.dial(), r.accepted()
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { c.Close(3001, "shutdown") })
			}
			all.Go(func() { _ = p.send(closing(1000, "")) })
			m, err := p.next()
			if err != nil || m.op != opClose || m.code() != 3001 && m.code() != 1000 {
				t.Fatalf("%v, %v", m, err)
			}
			if _, err := p.next(); !errors.Is(err, io.EOF) {
				t.Fatalf("behind the close frame: %v", err)
			}
			all.Wait()
			_ = p.nc.Close()
			if err := <-r.ended; int(websocket.CloseStatus(err)) != m.code() {
				t.Fatalf("Read ended with %v, the client saw %v", err, m)
			}
			<-c.Done()
		}
	})
}

func TestCloseReasonIsCut(t *testing.T) {
	r := newRig(t, fanout.Config{}, nil)
	p, c := r.dial(), r.accepted()
	c.Close(3001, strings.Repeat("é", 100))
	m, err := p.next()
	if err != nil || len(m.payload) != 2+122 || !utf8.ValidString(m.payload[2:]) {
		t.Fatalf("%v, %v", m, err)
	}
}

// A peer that does not answer the close frame, or does not even read it, is
// dropped after Config.CloseTimeout, to the nanosecond.
func TestCloseIsBounded(t *testing.T) {
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprintf("reads %v", reads), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := fanout.NewHub(fanout.Config{CloseTimeout: 3 * time.Second})
				defer runHub(h)()
				c, p := pipe(t, h)
				begin := time.Now()
				c.Close(3001, "")
				if reads {
					p.want(t, "close", message{opClose, "\x0b\xb9"})
				}
				<-c.Done()
				if took := time.Since(begin); took != 3*time.Second {
					t.Errorf("took %v", took)
				}
				if err := <-serve(c); websocket.CloseStatus(err) != 3001 {
					t.Errorf("read: %v", err)
				}
			})
		})
	}
}

func TestStallIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fanout.NewHub(fanout.Config{StallTimeout: 10 * time.Second, CloseTimeout: time.Second})
		defer runHub(h)()
		topic := h.Topic("room", 0)
		c, _ := pipe(t, h)
		if err := topic.Join(c, 0, nil); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for c.Ended() == 0 {
			topic.Tick(frame("tick"))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		<-c.Done()
		if took := time.Since(begin); took < 11*time.Second || took > 11*time.Second+200*time.Millisecond {
			t.Errorf("dropped after %v", took)
		}
	})
}

func TestStoppedHub(t *testing.T) {
	h := fanout.NewHub(fanout.Config{})
	stop := runHub(h)
	c, p := pipe(t, h)
	topic := h.Topic("room", 0)
	if err := topic.Join(c, 0, nil); err != nil {
		t.Fatal(err)
	}
	stop()
	<-c.Done()
	if err := c.Send(frame("x")); !errors.Is(err, fanout.ErrClosed) {
		t.Errorf("send: %v", err)
	}
	if c.Unsent() != 0 || h.Connections() != 0 || topic.Len() != 0 {
		t.Errorf("%d bytes, %d connections, %d subscriptions are left", c.Unsent(), h.Connections(), topic.Len())
	}
	if _, err := p.next(); !errors.Is(err, io.EOF) {
		t.Errorf("the client sees %v", err)
	}
	w := httptest.NewRecorder()
	if _, err := h.Accept(w, httptest.NewRequest(http.MethodGet, "/ws", nil), nil); !errors.Is(err, fanout.ErrStopped) {
		t.Errorf("accept: %v", err)
	}
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

// A ping flood from a client that does not read keeps one pong.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fanout.NewHub(fanout.Config{})
		defer runHub(h)()
		c, p := pipe(t, h)
		serve(c)
		for i := range 1000 {
			if err := p.send(encode(0x80|opPing, fmt.Append(nil, i))); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				synctest.Wait() // its pong is being written
			}
		}
		synctest.Wait()
		if n := c.Unsent(); n > 20 {
			t.Errorf("%d bytes wait", n)
		}
		p.want(t, "the one that was being written", message{opPong, "0"})
		p.want(t, "the newest", message{opPong, "999"})
		_ = p.nc.Close()
		<-c.Done()
	})
}

// FuzzClientBytes: whatever a client sends, the server ends the connection by
// the rules, and only text that passed every check is handed on.
func FuzzClientBytes(f *testing.F) {
	for _, tc := range rfcCases() {
		var all []byte
		for _, b := range tc.send {
			all = append(all, b...)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		h := fanout.NewHub(fanout.Config{Shards: 1, CloseTimeout: patience})
		defer runHub(h)()
		c, p := pipe(t, h)
		ended := make(chan error, 1)
		c.Serve(&receiver{ended: ended, message: func(b []byte) {
			if len(b) > 4096 || !utf8.Valid(b) {
				t.Errorf("passed %.60q (%d bytes)", b, len(b))
			}
			_ = c.Send(fanout.NewFrame(b))
		}})
		var all sync.WaitGroup
		all.Go(func() {
			for {
				if _, err := p.next(); err != nil {
					if errors.Is(err, errBadFrame) {
						t.Error(err)
					}
					return
				}
			}
		})
		_ = p.send(input)
		_ = p.nc.Close()
		all.Wait()
		<-ended
		<-c.Done()
	})
}
