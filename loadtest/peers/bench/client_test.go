package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/loadtest/peers/serve"
)

// deadline bounds waits for what takes milliseconds on a free machine.
const deadline = 20 * time.Second

// built is where the tests build the programs, once for all.
var built = filepath.Join(os.TempDir(), fmt.Sprintf("tickcast-peers-test-%d", os.Getpid()))

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

func program(t *testing.T, name string) string {
	t.Helper()
	testsvc.Require(t, "cc")
	path, err := Programs{Sources: os.DirFS(".."), Dir: built}.C(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// feeder is a server that sends its one client what the test says.
type feeder struct {
	t    *testing.T
	port int
	conn chan net.Conn // of clients whose handshake is done
}

func newFeeder(t *testing.T) *feeder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &feeder{t: t, port: l.Addr().(*net.TCPAddr).Port, conn: make(chan net.Conn, 10)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := ws.Upgrade(c); err == nil {
				f.conn <- c
			}
		}
	}()
	return f
}

// accept returns the next client's connection.
func (f *feeder) accept() net.Conn {
	f.t.Helper()
	select {
	case c := <-f.conn:
		f.t.Cleanup(func() { _ = c.Close() })
		return c
	case <-time.After(deadline):
		f.t.Fatal("no client connected")
		return nil
	}
}

// crowdOf starts a client with connections to the feeder.
func (f *feeder) crowdOf(connections, stuck int, d Dialect) *client {
	f.t.Helper()
	if d.Path == "" {
		d.Path = "/"
	}
	c, err := startClient(context.Background(), crowd{program(f.t, "client"), f.t.TempDir(), f.port, connections, stuck}, d)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.kill)
	return c
}

// ready waits until the client is.
func ready(t *testing.T, c *client) {
	t.Helper()
	if _, err := c.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// seen waits until the client has so many updates and returns its report.
func seen(t *testing.T, c *client, updates uint64) (r Report) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("the client has %d updates", updates), deadline, func() bool {
		var err error
		if r, err = c.end(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.Updates >= updates
	})
	return r
}

func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func update(seq uint64) string {
	return fmt.Sprintf(`{"seq":%d,"ts":%d,"x":""}`, seq, serve.Monotonic())
}

func textFrame(s string) []byte { return ws.MustCompileFrame(ws.NewTextFrame([]byte(s))) }

func TestClientCountsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		why                           string
		seqs                          []uint64
		missing, duplicate, reordered uint64
	}{
		{"in order", []uint64{1, 2, 3}, 0, 0, 0},
		{"begun anywhere", []uint64{7, 8}, 0, 0, 0},
		{"one missing", []uint64{1, 3}, 1, 0, 0},
		{"many missing", []uint64{1, 101, 102}, 99, 0, 0},
		{"the newest twice", []uint64{1, 2, 2, 3}, 0, 1, 0},
		{"an older one twice", []uint64{1, 2, 3, 1}, 0, 1, 0},
		{"two in the wrong order", []uint64{1, 3, 2, 4}, 0, 0, 1},
		{"late and then again", []uint64{1, 3, 2, 2}, 0, 1, 1},
		{"all of it", []uint64{1, 3, 2, 2, 6, 5}, 1, 1, 2},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFeeder(t)
			cl := f.crowdOf(1, 0, Dialect{})
			conn := f.accept()
			ready(t, cl)
			for _, seq := range c.seqs {
				send(t, conn, textFrame(update(seq)))
			}
			r := seen(t, cl, uint64(len(c.seqs)))
			if r.Missing != c.missing || r.Duplicate != c.duplicate || r.Reordered != c.reordered {
				t.Errorf("%v: %d missing, %d twice, %d out of order; want %d, %d, %d", c.seqs, r.Missing, r.Duplicate, r.Reordered, c.missing, c.duplicate, c.reordered)
			}
		})
	}
}

// TestClientFindsUpdates shows them however they come: several in a message, a message in several reads, in
// frames of every length.
func TestClientFindsUpdates(t *testing.T) {
	long := func(size int) []byte {
		return textFrame(`{"type":"update","seq":2,"x":"` + strings.Repeat("y", size) + fmt.Sprintf(`","ts":%d}`, serve.Monotonic()))
	}
	for _, c := range []struct {
		why   string
		bytes []byte
		want  uint64
	}{
		{"one", textFrame(update(2)), 1},
		{"three in one message", textFrame(update(2) + "\n" + update(3) + update(4)), 3},
		{"binary", ws.MustCompileFrame(ws.NewBinaryFrame([]byte("\x00\xff" + update(2)))), 1},
		{"length of 16 bits", long(1000), 1},
		{"length of 64 bits", long(100_000), 1},
		{"no update: no ts", textFrame(`{"seq":2}`), 0},
		{"no update: no seq", textFrame(`{"ts":2}`), 0},
		{"between control frames", append(append(ws.MustCompileFrame(ws.NewPongFrame(nil)), textFrame(update(2))...), ws.MustCompileFrame(ws.NewPongFrame(nil))...), 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFeeder(t)
			cl := f.crowdOf(1, 0, Dialect{})
			conn := f.accept()
			ready(t, cl)
			send(t, conn, textFrame(update(1)))
			seen(t, cl, 1)
			half := len(c.bytes) / 2
			send(t, conn, c.bytes[:half])
			if _, err := cl.end(t.Context()); err != nil { // it has read what is there
				t.Fatal(err)
			}
			send(t, conn, c.bytes[half:])
			send(t, conn, textFrame(update(c.want+2)))
			if r := seen(t, cl, c.want+2); r.Updates != c.want+2 || r.Missing != 0 {
				t.Errorf("%d updates, %d missing; want %d, 0", r.Updates, r.Missing, c.want+2)
			}
		})
	}
}

func TestClientMeasuresFromWhenAnUpdateWasDue(t *testing.T) {
	f := newFeeder(t)
	cl := f.crowdOf(1, 0, Dialect{})
	conn := f.accept()
	ready(t, cl)
	for i, late := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour} {
		send(t, conn, textFrame(fmt.Sprintf(`{"seq":%d,"ts":%d}`, i+1, serve.Monotonic()-int64(late))))
	}
	r := seen(t, cl, 3)
	within := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want || got > want+want/50+deadline {
			t.Errorf("%s is %v, want about %v", what, got, want)
		}
	}
	within("median", r.P50, 2*time.Hour)
	within("p99", r.P99, 3*time.Hour)
	within("worst", r.Max, 3*time.Hour)
}

func TestClientBeginsAnew(t *testing.T) {
	f := newFeeder(t)
	cl := f.crowdOf(1, 0, Dialect{})
	conn := f.accept()
	ready(t, cl)
	send(t, conn, textFrame(update(1)))
	send(t, conn, textFrame(update(3)))
	seen(t, cl, 2)
	if err := cl.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := seen(t, cl, 0); r.Updates != 0 || r.Missing != 0 {
		t.Errorf("after begin: %+v", r)
	}
	send(t, conn, textFrame(update(5)))
	if r := seen(t, cl, 1); r.Updates != 1 || r.Missing != 1 || r.LastMin != 5 {
		t.Errorf("a gap across begin: %+v", r)
	}
	if err := cl.beginAfter(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{6, 7, 9} {
		send(t, conn, textFrame(update(seq)))
	}
	if r := seen(t, cl, 1); r.Updates != 1 || r.Missing != 1 || r.LastMin != 9 {
		t.Errorf("updates after 7, of 6, 7 and 9: %+v", r)
	}
}

// TestClientSpeaks shows what a peer's dialect makes a client say.
func TestClientSpeaks(t *testing.T) {
	f := newFeeder(t)
	cl := f.crowdOf(2, 0, Dialect{
		Messages: [][]string{{"hello", `a\r\n\\\x41`}, {strings.Repeat("z", 500)}},
		Ready:    `\x7bwelcome`, Ping: "ping", Pong: `p\x6fng`,
	})
	want := map[string]bool{"hello": true, strings.Repeat("z", 500): true}
	for range 2 {
		conn := f.accept()
		hear := func() string {
			t.Helper()
			_ = conn.SetReadDeadline(time.Now().Add(deadline))
			b, op, err := wsutil.ReadClientData(conn) // unmasks
			if err != nil || op != ws.OpText {
				t.Fatalf("%v %v", op, err)
			}
			return string(b)
		}
		first := hear()
		if !want[first] {
			t.Errorf("a client said %.20q first", first)
		}
		delete(want, first)
		if first == "hello" {
			if second := hear(); second != "a\r\n\\A" {
				t.Errorf("and then %q", second)
			}
		}
		send(t, conn, textFrame("ping 1"))
		if pong := hear(); pong != "pong" {
			t.Errorf("it answered ping with %q", pong)
		}
		send(t, conn, ws.MustCompileFrame(ws.NewPingFrame([]byte("are you there"))))
		if h, err := ws.ReadHeader(conn); err != nil || h.OpCode != ws.OpPong || !h.Masked || h.Length != 13 {
			t.Errorf("it answered a ping frame with %+v (%v)", h, err)
		} else if _, err := io.CopyN(io.Discard, conn, h.Length); err != nil {
			t.Fatal(err)
		}
		send(t, conn, textFrame("{welcome}"))
	}
	ready(t, cl)
}

func TestStuckClientDoesNotRead(t *testing.T) {
	f := newFeeder(t)
	cl := f.crowdOf(2, 1, Dialect{Messages: [][]string{{"stuck"}, {"reads"}}, Ready: "welcome"})
	byName := map[string]net.Conn{}
	for range 2 {
		conn := f.accept()
		name, _, err := wsutil.ReadClientData(conn)
		if err != nil {
			t.Fatal(err)
		}
		byName[string(name)] = conn
		send(t, conn, textFrame("welcome"))
	}
	ready(t, cl)
	frame := textFrame(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	full := func(conn net.Conn, patience time.Duration) bool {
		for range 64 { // more than any buffer holds
			_ = conn.SetWriteDeadline(time.Now().Add(patience))
			if _, err := conn.Write(frame); err != nil {
				return true
			}
		}
		return false
	}
	if full(byName["reads"], deadline) {
		t.Error("the client that reads did not take what it was sent")
	}
	if !full(byName["stuck"], time.Second) {
		t.Error("the client that is stuck took everything")
	}
}

func TestClientSaysWhyItCannot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Full\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	f := &feeder{t: t, port: l.Addr().(*net.TCPAddr).Port}
	_, err = f.crowdOf(1, 0, Dialect{}).awaitReady(t.Context())
	if err == nil || !strings.Contains(err.Error(), "503 Full") {
		t.Errorf("error %v", err)
	}
}
