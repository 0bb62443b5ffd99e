package socket

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/internal/testkit"
)

// backlog is how many bytes wait for the kernel.
func (c *lean) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsent)
}

// TestIdleConnectionsShareALoop shows that a lean connection has no goroutine and
// keeps no buffer while nothing comes, also behind a frame that came in pieces.
func TestIdleConnectionsShareALoop(t *testing.T) {
	conn, s, r := connect(t, run(t, Options{}), nil)
	b := text("in pieces")
	s.send(b[:3])
	s.send(b[3:])
	r.wantMessages(t, "in pieces", "t:in pieces")
	l := conn.(*lean)
	conn.CloseNow()
	r.wantEnd(t, "closed")
	if l.partial != nil {
		t.Errorf("kept %d bytes", cap(l.partial.bytes))
	}
}

// waiting connects, and returns when the kernel has all that the server sent and nobody
// reads yet.
func waiting(t *testing.T, c *Client, sent []byte) (*lean, *server) {
	t.Helper()
	url, servers := listen(t, nil)
	conn, err := c.Dial(t.Context(), Target{URL: url, ReceiveBuffer: 4 * readSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.CloseNow)
	s := <-servers
	t.Cleanup(func() { _ = s.conn.Close() })
	s.send(sent)
	l := conn.(*lean)
	testkit.Eventually(t, "all is there", patience, func() bool {
		n, err := unix.IoctlGetInt(l.fd, unix.SIOCINQ)
		return err == nil && n == len(sent)
	})
	return l, s
}

// TestWhatIsToldOfOnceIsReadWhole has a loop find more than one read takes, more than it
// may read, and an end behind a message: the kernel tells of none of them a second time
// unless it is asked.
func TestWhatIsToldOfOnceIsReadWhole(t *testing.T) {
	c := run(t, Options{})
	t.Run("more than a read takes", func(t *testing.T) {
		long := strings.Repeat("x", readSize)
		conn, _ := waiting(t, c, text(long))
		r := newRecorder()
		conn.Start(r)
		r.wantMessages(t, "all", "t:"+long)
	})
	t.Run("more than is allowed", func(t *testing.T) {
		conn, s := waiting(t, c, append(text("1"), append(text("2"), text("3")...)...))
		conn.Allow(len(text("1")))
		r := newRecorder()
		conn.Start(r)
		r.wantMessages(t, "one", "t:1")
		conn.Allow(len(text("2")))
		r.wantMessages(t, "two", "t:1", "t:2")
		conn.Allow(Unlimited)
		r.wantMessages(t, "all", "t:1", "t:2", "t:3")
		conn.Allow(len(text("4")))
		s.send(append(text("4"), text("5")...))
		r.wantMessages(t, "a bound again", "t:1", "t:2", "t:3", "t:4")
		conn.Allow(Unlimited)
		r.wantMessages(t, "all again", "t:1", "t:2", "t:3", "t:4", "t:5")
	})
	t.Run("the end behind a message", func(t *testing.T) {
		conn, s := waiting(t, c, text("last words"))
		_ = s.conn.Close()
		testkit.Eventually(t, "the end is there", patience, func() bool {
			info, err := unix.GetsockoptTCPInfo(conn.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			return err == nil && info.State == tcpCloseWait
		})
		r := newRecorder()
		conn.Start(r)
		r.wantMessages(t, "before the end", "t:last words")
		r.wantEnd(t, "the server hung up")
	})
}

// tcpCloseWait is TCP_CLOSE_WAIT: the other side has ended.
const tcpCloseWait = 8

// counter counts messages.
type counter struct {
	n int
}

func (c *counter) Warm(int) int { return 0 }

func (c *counter) Message([]byte, bool, time.Duration) {
	c.n++
}

func (*counter) End(error) {}

// TestReceivingAllocatesNothing counts allocations of a connection that gets whole
// and split frames.
func TestReceivingAllocatesNothing(t *testing.T) {
	l, err := newLoop(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	h := &counter{}
	c := newLean(l, -1, nil)
	c.handler, c.started = h, true
	b := append(text("a frame of a room"), text("another frame")...)
	if n := testing.AllocsPerRun(1000, func() {
		for _, part := range [][]byte{b, b[:5], b[5:], b[:25], b[25:]} {
			if err := c.feed(part); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
	if h.n < 6000 {
		t.Errorf("only %d messages", h.n)
	}
}
