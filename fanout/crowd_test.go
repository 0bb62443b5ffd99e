package fanout

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
)

// sink is a connection in memory whose client reads everything at once.
type sink struct {
	net.Conn
	crowd *crowd
}

// crowd are connections beyond the limit of open files, and what has come to them.
type crowd struct {
	missing atomic.Int64 // bytes of the update that is on its way
	all     chan struct{}
}

func (s sink) Write(p []byte) (int, error) {
	if s.crowd.missing.Add(-int64(len(p))) == 0 {
		s.crowd.all <- struct{}{}
	}
	return len(p), nil
}

func (s sink) Close() error { return nil }

// BenchmarkCrowd publishes one update of 128 bytes to more connections than a process may have descriptors: what the
// topic, its parts and the cursors cost grows with the connections and no faster. They are written to by goroutines,
// as TLS connections are; there is no kernel in it.
func BenchmarkCrowd(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := NewHub(Config{})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = h.Run(ctx) }()
			defer func() { cancel(); <-done }()
			topic := h.Topic("room", 0)
			c := &crowd{all: make(chan struct{}, 1)}
			for range n {
				conn := h.newConn(sink{crowd: c})
				if err := h.add(conn); err != nil {
					b.Fatal(err)
				}
				if err := topic.Join(conn, 0, nil); err != nil {
					b.Fatal(err)
				}
			}
			f := NewFrame(make([]byte, 128))
			b.ResetTimer()
			for i := range b.N {
				c.missing.Store(int64(n * f.Size()))
				topic.Update(uint64(i+1), f)
				<-c.all
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/frame")
		})
	}
}
