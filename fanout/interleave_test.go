package fanout_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"tickcast/fanout"
)

// Everything that can write to a socket does so at once: broadcasts of all
// classes and sizes, own messages, pongs, and a close in the middle. Each client reads in small pieces
// and checks every byte.
func TestFramesNeverInterleave(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		const clients, updates = 12, 400
		cfg.SendBuffer = 16 << 10 // sockets fill up all the time
		cfg.OutboxFrames, cfg.OutboxBytes = 1<<20, 1<<30
		var topic *fanout.Topic
		r := newRig(t, cfg, func(c *fanout.Conn) {
			if err := topic.Join(c, 0, sealed("j", 0, 0, 0)); err != nil {
				t.Error(err)
			}
		})
		topic = r.hub.Topic("room", 4*updates)
		var conns []*fanout.Conn
		var readers sync.WaitGroup
		for i := range clients {
			p := r.dial()
			p.receiveBuffer(32 << 10)
			conns = append(conns, r.accepted())
			readers.Go(func() { chat(p, i) })
			readers.Go(func() {
				if i%2 == 0 { // these let the kernel's buffers fill first
					eventually(t, "everything is published", func() bool { return topic.Newest() == updates })
				}
				readAll(t, p, i, updates)
			})
		}
		pub := &publisher{topic: topic, size: func(n uint64) int { return int(n*7919) % 2000 }}
		var writers sync.WaitGroup
		writers.Go(func() {
			for range updates {
				pub.update()
			}
		})
		writers.Go(func() {
			for range updates {
				pub.tick()
				pub.chat()
			}
		})
		for _, c := range conns {
			writers.Go(func() {
				for n := range uint64(200) {
					_ = c.Send(sealed("o", n+1, 0, int(n*n)%900))
				}
			})
		}
		// A third are closed in the middle of it all.
		for i := 0; i < clients; i += 3 {
			writers.Go(func() {
				eventually(t, "some updates are out", func() bool { return topic.Newest() > updates/3 })
				conns[i].Close(4101, "move")
			})
		}
		writers.Wait()
		readers.Wait()
		if !cfg.PlainWrite && r.metric("send_blocked_total", "") == 0 {
			t.Error("no socket was ever full: the test tested little")
		}
	})
}

// chat sends pings and fragmented messages until the server ends the connection.
// What the server echoes is judged by readAll.
func chat(p *peer, seed int) {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	for range 300 {
		whole := fmt.Sprintf("e %s", padded("", rng.IntN(300)))
		cut := rng.IntN(len(whole))
		frames := [][]byte{
			encode(opText, []byte(whole[:cut])), encode(0x80|opPing, []byte("ping")), encode(0x80, []byte(whole[cut:])),
		}
		for _, f := range frames {
			if p.send(f) != nil {
				return
			}
		}
	}
}

// readAll reads to the end: all updates and a close by this side, or a close by
// the server.
func readAll(t *testing.T, p *peer, seed int, updates uint64) {
	rng := rand.New(rand.NewPCG(uint64(seed), 2))
	early, _ := p.br.Peek(p.br.Buffered())
	p.br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), &morsels{p.nc, rng}), 16)
	c := &checker{}
	closed := false
	for {
		m, err := p.next()
		switch {
		case closed && (errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)):
			return
		case err != nil:
			t.Errorf("client %d at update %d: %v", seed, c.seq, err)
			return
		case closed:
			t.Errorf("client %d: %v behind a close frame", seed, m)
			return
		case m.op == opPong && m.payload != "ping":
			t.Errorf("client %d: %v", seed, m)
		case m.op == opClose:
			if closed = true; m.code() != 4101 && (m.code() != 1000 || c.seq != updates) {
				t.Errorf("client %d: %v at update %d", seed, m, c.seq)
			}
			_ = p.nc.(*net.TCPConn).CloseWrite()
		case m.op == opText && !strings.HasPrefix(m.payload, "e "):
			if err := c.take(m.payload); err != nil {
				t.Errorf("client %d: %v", seed, err)
				return
			}
			if c.seq == updates && c.own == 200 {
				_ = p.send(closing(1000, ""))
			}
		}
	}
}

// morsels reads a few bytes at a time.
type morsels struct {
	r   io.Reader
	rng *rand.Rand
}

func (m *morsels) Read(p []byte) (int, error) {
	return m.r.Read(p[:min(len(p), 1+m.rng.IntN(700))])
}
