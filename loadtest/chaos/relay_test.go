package chaos

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// echo answers every byte with itself until the test ends, and gives its address.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func startRelay(t *testing.T, targets ...string) *relay {
	t.Helper()
	r, err := newRelay(targets)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// peer is a connection through a relay.
type peer struct {
	t    *testing.T
	conn net.Conn
}

func connect(t *testing.T, address string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t, conn}
}

func (p *peer) says(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hears(why, want string) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, len(want))
	if _, err := io.ReadFull(p.conn, b); err != nil || string(b) != want {
		p.t.Fatalf("%s: heard %q, %v; want %q", why, b, err, want)
	}
}

// hearsNothing waits a little: what comes too late to be seen does no harm here, the
// next word tells.
func (p *peer) hearsNothing(why string) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := p.conn.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		p.t.Fatalf("%s: %d bytes, %v", why, n, err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// TestRelay cuts connections through a relay: nothing gets through and nothing is closed,
// and when it is mended what was under way arrives, in order.
func TestRelay(t *testing.T) {
	r := startRelay(t, echo(t), echo(t))
	a, b := connect(t, r.addresses()[0]), connect(t, r.addresses()[1])
	a.says("one")
	a.hears("before", "one")
	r.cut()
	r.cut()
	a.says("two")
	b.says("three")
	c := connect(t, r.addresses()[0])
	c.says("four")
	a.hearsNothing("cut, open before")
	b.hearsNothing("cut, unused before")
	c.hearsNothing("cut, opened meanwhile")
	r.mend()
	r.mend()
	a.hears("mended", "two")
	b.hears("mended", "three")
	c.hears("mended", "four")
}

// TestRelayEndsWhileCut: Run returns, whatever waits.
func TestRelayEndsWhileCut(t *testing.T) {
	r := startRelay(t, echo(t))
	a := connect(t, r.addresses()[0])
	a.says("one")
	a.hears("before", "one")
	r.cut()
	a.says("two")
	connect(t, r.addresses()[0]).says("three")
}
