package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickcast/internal/testkit"
)

// bareLoop starts the bare loop.
func bareLoop(t *testing.T) (c *child, port int) {
	t.Helper()
	c, err := startChild("bare", exec.Command(program(t, "bare"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	if port, err = listening(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c, port
}

func tell(t *testing.T, c *child, line string) {
	t.Helper()
	if err := c.say("%s", line); err != nil {
		t.Fatal(err)
	}
}

// readText reads a text frame of a size as a server must send it.
func readText(t *testing.T, r io.Reader, size int) []byte {
	t.Helper()
	h, err := ws.ReadHeader(r)
	if err != nil || h.OpCode != ws.OpText || !h.Fin || h.Masked || h.Rsv != 0 || h.Length != int64(size) {
		t.Fatalf("%+v, %v", h, err)
	}
	p := make([]byte, size)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestBareLoopSpeaksWebSocket has a strict client shake hands, and reads frames of each form of length.
func TestBareLoopSpeaksWebSocket(t *testing.T) {
	for _, size := range []int{100, 125, 126, 1024, 65_535} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c, port := bareLoop(t)
			conn, early, _, err := ws.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/", port)) // checks Sec-WebSocket-Accept
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if early != nil {
				t.Error("something came before anything was published")
			}
			tell(t, c, fmt.Sprintf("publish 200 %d", size))
			_ = conn.SetReadDeadline(time.Now().Add(deadline))
			for seq := 1; seq <= 3; seq++ {
				var u struct {
					Seq int
					TS  int64
				}
				p := readText(t, conn, size)
				if err := json.Unmarshal(p, &u); err != nil || u.Seq != seq || u.TS == 0 {
					t.Errorf("%.100s: %v", p, err)
				}
			}
		})
	}
}

// TestBareLoopSkipsWhoDoesNotRead fills the buffers of one client; the other gets everything, and the frames of
// the first stay whole.
func TestBareLoopSkipsWhoDoesNotRead(t *testing.T) {
	c, port := bareLoop(t)
	dial := func() net.Conn {
		conn, _, _, err := ws.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(3 * deadline))
		return conn
	}
	stuck, reads := dial(), dial()
	tell(t, c, "publish 2000 60000")
	last := 0
	next := func(r *bufio.Reader) (seq int) {
		p := readText(t, r, 60_000)
		if _, err := fmt.Sscanf(string(p[:30]), `{"seq":%d,`, &seq); err != nil || !bytes.HasSuffix(p, []byte(`x"}`)) {
			t.Fatalf("%.50q (%v)", p, err)
		}
		return seq
	}
	for r := bufio.NewReaderSize(reads, 1<<16); last < 500; { // 30 MB, more than the buffers of the other
		last = next(r)
	}
	tell(t, c, "stop")
	go func() { _, _ = io.Copy(io.Discard, reads) }()
	var seq, sent, skipped int
	rest, err := c.expect(t.Context(), "stopped ")
	if _, err2 := fmt.Sscan(rest, &seq, &sent, &skipped); err != nil || err2 != nil || skipped == 0 || sent+skipped != 2*seq {
		t.Fatalf("stopped %q: %v, %v", rest, err, err2)
	}
	r := bufio.NewReader(stuck)
	before := next(r)
	gap := false
	for range 3 {
		got := next(r)
		gap = gap || got != before+1
		before = got
	}
	if gap {
		t.Error("the first frames in the buffers are not in order")
	}
}

func TestBareLoopLeavesOutWhoIsGone(t *testing.T) {
	c, port := bareLoop(t)
	f := &feeder{t: t, port: port}
	gone := f.crowdOf(3, 0, Dialect{})
	ready(t, gone)
	gone.kill()
	stays := f.crowdOf(3, 0, Dialect{})
	ready(t, stays)
	if res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)); err == nil {
		_ = res.Body.Close()
		t.Errorf("a request without a handshake was answered %s", res.Status)
	}
	tell(t, c, "publish 200 128")
	testkit.Eventually(t, "all who are there get updates", deadline, func() bool {
		r, err := stays.end(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Missing+r.Duplicate+r.Reordered+r.Closed != 0 {
			t.Fatalf("%+v", r)
		}
		return r.LastMin > 10
	})
}
