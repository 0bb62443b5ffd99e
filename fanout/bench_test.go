package fanout

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// loopback connects n sockets to h without a handshake, which these tests are
// not about. arrived is called with how many bytes have come to a client; nobody
// reads if it is nil.
func loopback(tb testing.TB, h *Hub, n int, arrived func(int)) []*Conn {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	var readers sync.WaitGroup
	conns := make([]*Conn, n)
	for i := range conns {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		conns[i] = h.newConn(server)
		if err := h.add(conns[i]); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			conns[i].kill()
			_ = client.Close()
		})
		if arrived != nil {
			readers.Go(func() { drainClient(client, arrived) })
		}
	}
	tb.Cleanup(func() {
		for _, c := range conns {
			c.kill()
		}
		readers.Wait()
	})
	return conns
}

func drainClient(nc net.Conn, arrived func(int)) {
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		if arrived(n); err != nil {
			return
		}
	}
}

// A gateway holds tens of thousands of these.
func TestSizePerConnection(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}) + unsafe.Sizeof(subscription{}); n > 320 {
		t.Errorf("a connection in one topic takes %d bytes beside its socket and buffers", n)
	}
}

// BenchmarkBroadcast publishes one update of 128 bytes when every client has got
// the one before; the clients read on the same cores.
func BenchmarkBroadcast(b *testing.B) {
	for _, way := range []string{wayRaw, wayWrite, wayUring} {
		if err := Missing(way); err != nil {
			b.Log(err)
			continue
		}
		for _, n := range []int{1, 2, 4, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", way, n), func(b *testing.B) { broadcast(b, WayConfig(way), n) })
		}
	}
}

func broadcast(b *testing.B, cfg Config, n int) {
	h := NewHub(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	topic := h.Topic("room", 0)
	var missing atomic.Int64
	all := make(chan struct{}, 1)
	arrived := func(n int) {
		if n > 0 && missing.Add(-int64(n)) == 0 {
			all <- struct{}{}
		}
	}
	for _, c := range loopback(b, h, n, arrived) {
		if err := topic.Join(c, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	f := NewFrame(make([]byte, 128))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		missing.Store(int64(n * f.Size()))
		topic.Update(uint64(i+1), f)
		<-all
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/frame")
}
