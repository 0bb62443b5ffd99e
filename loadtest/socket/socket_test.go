package socket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits; what works does not wait so long.
const patience = 20 * time.Second

// ways are both kinds of connections. Where there is only one, both are that one.
func ways(t *testing.T, f func(t *testing.T, c *Client)) {
	for _, w := range []struct {
		name  string
		plain bool
	}{{"lean", false}, {"plain", true}} {
		t.Run(w.name, func(t *testing.T) { f(t, run(t, Options{Plain: w.plain, Loops: 2})) })
	}
}

// run runs a client for the time of a test.
func run(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

// server is one end of a connection, in bytes.
type server struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// listen accepts connections and shakes hands; early is sent in the same write.
func listen(t *testing.T, early []byte) (url string, servers chan *server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	servers = make(chan *server, 16)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s := &server{t, conn, bufio.NewReader(conn)}
			r, err := http.ReadRequest(s.in)
			if err != nil {
				t.Error(err)
				return
			}
			sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
				base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
			if _, err := conn.Write(append([]byte(answer), early...)); err != nil {
				t.Error(err)
			}
			servers <- s
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return "ws://" + l.Addr().String() + "/ws", servers
}

func (s *server) send(chunks ...[]byte) {
	for _, c := range chunks {
		if _, err := s.conn.Write(c); err != nil {
			s.t.Log(err) // the client may have hung up
		}
	}
}

// wantFrame reads one frame of the client, which must be masked.
func (s *server) wantFrame(why string, op byte, payload string) {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, 2)
	if _, err := io.ReadFull(s.in, head); err != nil {
		s.t.Errorf("%s: %v", why, err)
		return
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		long := make([]byte, 2)
		_, _ = io.ReadFull(s.in, long)
		n = int(binary.BigEndian.Uint16(long))
	} else if n == 127 {
		long := make([]byte, 8)
		_, _ = io.ReadFull(s.in, long)
		n = int(binary.BigEndian.Uint64(long))
	}
	b := make([]byte, 4+n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		s.t.Errorf("%s: %v", why, err)
		return
	}
	for i := range b[4:] {
		b[4+i] ^= b[i&3]
	}
	if head[0] != finBit|op || head[1]&maskBit == 0 || string(b[4:]) != payload {
		s.t.Errorf("%s: a frame % x with %.80q, want opcode %d with %.80q", why, head, b[4:], op, payload)
	}
}

// frame is a frame of a server.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func text(payload string) []byte { return frame(finBit|opText, payload) }

// recorder is a Handler.
type recorder struct {
	mu       sync.Mutex
	messages []string
	ended    chan error // capacity 1
	changed  chan struct{}
}

func newRecorder() *recorder {
	return &recorder{ended: make(chan error, 1), changed: make(chan struct{}, 1)}
}

func (r *recorder) Warm(int) int { return 0 }

func (r *recorder) Message(payload []byte, isText bool, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := "b:"
	if isText {
		kind = "t:"
	}
	if at <= 0 {
		kind = "no time:"
	}
	r.messages = append(r.messages, kind+string(payload))
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) End(err error) { r.ended <- err }

func (r *recorder) wantMessages(t *testing.T, why string, want ...string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		got := append([]string(nil), r.messages...)
		r.mu.Unlock()
		if len(got) >= len(want) {
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("%s: got %.200q, want %.200q", why, got, want)
			}
			return
		}
		select {
		case <-r.changed:
		case <-timeout:
			t.Fatalf("%s: got %.200q, want %.200q", why, got, want)
		}
	}
}

func (r *recorder) wantEnd(t *testing.T, why string) error {
	t.Helper()
	select {
	case err := <-r.ended:
		if err == nil {
			t.Errorf("%s: ended with nil", why)
		}
		return err
	case <-time.After(patience):
		t.Fatalf("%s: did not end", why)
		return nil
	}
}

// connect dials a listening server.
func connect(t *testing.T, c *Client, early []byte) (Conn, *server, *recorder) {
	t.Helper()
	url, servers := listen(t, early)
	conn, err := c.Dial(context.Background(), Target{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	s := <-servers
	t.Cleanup(func() { _ = s.conn.Close() })
	r := newRecorder()
	conn.Start(r)
	t.Cleanup(conn.CloseNow)
	return conn, s, r
}

func TestMessages(t *testing.T) {
	long, longer := strings.Repeat("x", 70_000), strings.Repeat("y", 300_000)
	ways(t, func(t *testing.T, c *Client) {
		for _, m := range []struct {
			name string
			sent []byte
			want []string
		}{
			{"one", text("hi"), []string{"t:hi"}},
			{"empty", text(""), []string{"t:"}},
			{"several", bytes.Join([][]byte{text("a"), text("b"), frame(finBit|opBinary, "c")}, nil), []string{"t:a", "t:b", "b:c"}},
			{"16 bits", text(long[:126]), []string{"t:" + long[:126]}},
			{"64 bits", append(text(long), text("end")...), []string{"t:" + long, "t:end"}},
			{"over the read size", append(text(longer), text("end")...), []string{"t:" + longer, "t:end"}},
			{"fragments", bytes.Join([][]byte{frame(opText, "a"), frame(opContinuation, "b"), frame(finBit, "c"), text("d")}, nil), []string{"t:abc", "t:d"}},
			{"binary fragments", bytes.Join([][]byte{frame(opBinary, ""), frame(finBit, "c")}, nil), []string{"b:c"}},
			{"pong is nothing", append(frame(finBit|opPong, "p"), text("a")...), []string{"t:a"}},
		} {
			t.Run(m.name, func(t *testing.T) {
				_, s, r := connect(t, c, nil)
				s.send(m.sent)
				r.wantMessages(t, "in one write", m.want...)
			})
			t.Run(m.name+" early", func(t *testing.T) {
				_, _, r := connect(t, c, m.sent)
				r.wantMessages(t, "with the handshake", m.want...)
			})
			if len(m.sent) < 1000 {
				t.Run(m.name+" split", func(t *testing.T) {
					_, s, r := connect(t, c, nil)
					for _, b := range m.sent {
						s.send([]byte{b})
					}
					r.wantMessages(t, "byte by byte", m.want...)
				})
			}
		}
	})
}

func TestControlFrames(t *testing.T) {
	ways(t, func(t *testing.T, c *Client) {
		_, s, r := connect(t, c, nil)
		s.send(frame(opText, "a"), frame(finBit|opPing, "within"), frame(finBit, "b"))
		s.wantFrame("ping within a message", opPong, "within")
		r.wantMessages(t, "around a ping", "t:ab")
		s.send(frame(finBit|opClose, "\x0b\xbbbye"))
		s.wantFrame("the answer to a close", opClose, "\x0b\xbbbye")
		if err := r.wantEnd(t, "closed"); websocket.CloseStatus(err) != 3003 {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestBrokenFramesEndTheConnection(t *testing.T) {
	huge := binary.BigEndian.AppendUint64([]byte{finBit | opText, 127}, maxMessage+1)
	ways(t, func(t *testing.T, c *Client) {
		for name, sent := range map[string][]byte{
			"reserved bit":              {finBit | 0x40 | opText, 0},
			"masked":                    {finBit | opText, maskBit, 0, 0, 0, 0},
			"opcode":                    {finBit | 3, 0},
			"control opcode":            {finBit | 0xB, 0},
			"fragmented ping":           {opPing, 0},
			"long ping":                 {finBit | opPing, 126, 0, 126},
			"continuation of nothing":   {finBit | opContinuation, 0},
			"text within a message":     {opText, 0, finBit | opText, 0},
			"too long":                  huge,
			"too long in fragments":     bytes.Join([][]byte{frame(opText, strings.Repeat("x", maxMessage)), frame(finBit, "x")}, nil),
			"close code of one byte":    frame(finBit|opClose, "\x03"),
			"close code that is no one": frame(finBit|opClose, "\x03\xed"),
		} {
			if !c.Lean() && (name == "masked" || name == "too long") {
				continue // the library unmasks, and waits for what is too long
			}
			t.Run(name, func(t *testing.T) {
				_, s, r := connect(t, c, nil)
				s.send(sent)
				err := r.wantEnd(t, name)
				var told websocket.CloseError
				if errors.As(err, &told) {
					t.Errorf("ended with %v, as if the server had closed it", err)
				}
			})
		}
	})
}

func TestSend(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	ways(t, func(t *testing.T, c *Client) {
		conn, s, _ := connect(t, c, nil)
		for _, m := range []string{"a", "", long[:125], long[:126], long} {
			if err := conn.Send([]byte(m)); err != nil {
				t.Fatal(err)
			}
			s.wantFrame("sent", opText, m)
		}
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for range 50 {
					_ = conn.Send([]byte("together"))
				}
			})
		}
		for range 200 {
			s.wantFrame("sent at the same time", opText, "together")
		}
		senders.Wait()
	})
}

// TestServerThatDoesNotRead shows that what the kernel does not take is sent when
// it does, and that there is a bound.
func TestServerThatDoesNotRead(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Lean() {
		t.Skip("SKIPPED: there is no lean way on this system")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	conn, s, r := connect(t, c, nil)
	payload := strings.Repeat("z", 60_000)
	sent := 0
	for ; sent < 1000; sent++ {
		l := conn.(interface{ backlog() int })
		if l.backlog() > len(payload) {
			break
		}
		if err := conn.Send([]byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	for range sent {
		s.wantFrame("late", opText, payload)
	}
	for sent = 0; conn.Send([]byte(payload)) == nil; sent++ {
		if sent > 10_000 {
			t.Fatal("no bound")
		}
	}
	r.wantEnd(t, "over the bound")
}

func TestEnds(t *testing.T) {
	ways(t, func(t *testing.T, c *Client) {
		t.Run("the server hangs up", func(t *testing.T) {
			_, s, r := connect(t, c, nil)
			_ = s.conn.Close()
			if err := r.wantEnd(t, "lost"); websocket.CloseStatus(err) != -1 {
				t.Errorf("ended with %v", err)
			}
		})
		t.Run("close", func(t *testing.T) {
			conn, s, r := connect(t, c, nil)
			closed := make(chan struct{})
			go func() { conn.Close(); close(closed) }()
			s.wantFrame("goodbye", opClose, "\x03\xe8")
			s.send(frame(finBit|opClose, "\x03\xe8"))
			<-closed
			r.wantEnd(t, "closed")
			if conn.Send([]byte("x")) == nil {
				t.Error("a closed connection sends")
			}
		})
		t.Run("close now", func(t *testing.T) {
			conn, _, r := connect(t, c, nil)
			conn.CloseNow()
			r.wantEnd(t, "closed now")
		})
		t.Run("close now while paused", func(t *testing.T) {
			conn, s, r := connect(t, c, nil)
			conn.Allow(0)
			s.send(text("never read"))
			conn.CloseNow()
			r.wantEnd(t, "closed now")
		})
	})
}

func TestClientEndsWithItsContext(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	conn, _, r := connect(t, c, nil)
	if c.Lean() {
		cancel()
	} else {
		conn.CloseNow()
	}
	r.wantEnd(t, "the client stopped")
	cancel()
	running.Wait()
}

// TestAllow shows that a connection reads no more than it may, and all of it in
// the end.
func TestAllow(t *testing.T) {
	ways(t, func(t *testing.T, c *Client) {
		url, servers := listen(t, nil)
		conn, err := c.Dial(context.Background(), Target{URL: url, ReceiveBuffer: 4096})
		if err != nil {
			t.Fatal(err)
		}
		s := <-servers
		t.Cleanup(func() { _ = s.conn.Close() })
		t.Cleanup(conn.CloseNow)
		conn.Allow(2 * len(text("1")))
		r := newRecorder()
		conn.Start(r)
		s.send(text("1"), text("2"), text("3"), text("4"), text("5"), text("6"))
		r.wantMessages(t, "as much as is allowed", "t:1", "t:2")
		conn.Allow(len(text("3")))
		r.wantMessages(t, "one more", "t:1", "t:2", "t:3")
		conn.Allow(Unlimited)
		r.wantMessages(t, "unlimited", "t:1", "t:2", "t:3", "t:4", "t:5", "t:6")
	})
}

func TestRefusals(t *testing.T) {
	ways(t, func(t *testing.T, c *Client) {
		mux := http.NewServeMux()
		mux.HandleFunc("/full", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		mux.HandleFunc("/odd", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Accept", "x")
			w.WriteHeader(http.StatusSwitchingProtocols)
		})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: mux}
		var serving sync.WaitGroup
		serving.Go(func() { _ = srv.Serve(l) })
		t.Cleanup(func() { _ = srv.Close(); serving.Wait() })
		_, err = c.Dial(context.Background(), Target{URL: "ws://" + l.Addr().String() + "/full"})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") != "7" {
			t.Errorf("a full server: %v", err)
		}
		if _, err := c.Dial(context.Background(), Target{URL: "ws://" + l.Addr().String() + "/odd"}); err == nil || errors.As(err, &refused) && refused.Status == 101 {
			t.Errorf("an answer to another key: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Dial(ctx, Target{URL: "ws://" + l.Addr().String() + "/full"}); err == nil {
			t.Error("dialled without a context")
		}
	})
}

// FuzzFrames feeds any bytes to the assembler, whole and split: nothing panics,
// and both ways say the same.
func FuzzFrames(f *testing.F) {
	f.Add(text("hi"), uint8(1))
	f.Add(bytes.Join([][]byte{frame(opText, "a"), frame(finBit|opPing, "p"), frame(finBit, "b"), frame(finBit|opClose, "\x03\xe8")}, nil), uint8(3))
	f.Add([]byte{finBit | opText, 127, 0, 0, 0, 0, 0, 1, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var whole, split seen
		var a assembler
		_, err := a.take(b, &whole)
		var parts assembler
		var kept []byte
		var splitErr error
		for i := 0; i < len(b) && splitErr == nil; i += int(step%7) + 1 {
			kept = append(kept, b[i:min(len(b), i+int(step%7)+1)]...)
			var used int
			used, splitErr = parts.take(kept, &split)
			kept = append([]byte(nil), kept[used:]...)
		}
		if whole.log.String() != split.log.String() || (err == nil) != (splitErr == nil) {
			t.Errorf("whole: %q, %v; split: %q, %v", whole.log.String(), err, split.log.String(), splitErr)
		}
	})
}

// seen writes down what frames meant.
type seen struct{ log strings.Builder }

func (s *seen) message(payload []byte, isText bool) {
	s.log.WriteString(map[bool]string{true: "t", false: "b"}[isText] + string(payload) + ";")
}

func (s *seen) control(op byte, payload []byte) error {
	s.log.WriteString(string([]byte{'c', op}) + string(payload) + ";")
	if op == opClose {
		return readClose(payload)
	}
	return nil
}
