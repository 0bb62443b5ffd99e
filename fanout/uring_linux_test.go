package fanout

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// tryUring returns a uring, or skips the test where the system refuses it.
func tryUring(t *testing.T) *uring {
	t.Helper()
	s, err := openUring()
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	t.Cleanup(s.close)
	return s.(*uring)
}

// socket returns a descriptor whose send buffer is small, and the other end. Nothing of it is blocking.
func socket(t *testing.T) (fd, peer int32) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(pair[0])
		_ = unix.Close(pair[1])
	})
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	return int32(pair[0]), int32(pair[1])
}

func received(t *testing.T, peer int32) int {
	t.Helper()
	buf, all := make([]byte, 64<<10), 0
	for {
		n, err := unix.Read(int(peer), buf)
		if errors.Is(err, unix.EAGAIN) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all += n
	}
}

// A sender's contract, for each of them: sockets that take all, some, none and are broken.
func TestSenders(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) sender{
		"plain": func(*testing.T) sender { return plainSender{} },
		"uring": func(t *testing.T) sender { return tryUring(t) },
		"uring that the kernel refuses": func(t *testing.T) sender {
			u := tryUring(t)
			u.fd = ^uintptr(0)
			return u
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			free, freePeer := socket(t)
			tight, tightPeer := socket(t)
			full, _ := socket(t)
			broken, brokenPeer := socket(t)
			if err := unix.Shutdown(int(brokenPeer), unix.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
			piece := make([]byte, 64)
			for n := 0; ; n++ {
				if took, err := sendNow(full, piece); err != nil || took == 0 {
					break
				}
			}
			fds := []int32{free, full, broken, tight, -1}
			took := make([]int32, len(fds))
			send := func(p []byte) {
				for i := range fds {
					took[i] = 1 << 20
				}
				for at := 0; at < len(fds); at += min(s.most(), len(fds)) {
					end := min(at+s.most(), len(fds))
					s.send(p, fds[at:end], took[at:end])
				}
			}
			for range 3 {
				send(piece)
				if want := []int32{64, 0, -1, 64, -1}; fmt.Sprint(took) != fmt.Sprint(want) {
					t.Fatalf("took %v, want %v", took, want)
				}
			}
			if n := received(t, freePeer); n != 3*64 {
				t.Errorf("%d bytes arrived", n)
			}
			received(t, tightPeer)
			// Stream sockets of this family take a large write in parts.
			send(make([]byte, 1<<20))
			if n := received(t, tightPeer); took[3] <= 0 || took[3] >= 1<<20 || n != int(took[3]) {
				t.Errorf("a part: took %d, %d arrived", took[3], n)
			}
		})
	}
}

// A full batch, many times round the ring.
func TestUringGoesRound(t *testing.T) {
	u := tryUring(t)
	fds, peers := make([]int32, u.most()), make([]int32, u.most())
	for i := range fds {
		fds[i], peers[i] = socket(t)
	}
	took := make([]int32, len(fds))
	for n := range 20 {
		part := len(fds) - n*7
		if calls := u.send(make([]byte, 10+n), fds[:part], took[:part]); calls != 1 {
			t.Fatalf("%d system calls", calls)
		}
		for i := range part {
			if got := received(t, peers[i]); took[i] != int32(10+n) || got != 10+n {
				t.Fatalf("round %d, socket %d: took %d, %d arrived", n, i, took[i], got)
			}
		}
	}
}

// Where io_uring is refused, at once or for a later shard only, all is sent by plain calls.
func TestRefusedUring(t *testing.T) {
	for after := range 3 {
		left, closed := after, 0
		h := newHub(Config{Shards: 3}, func() (sender, error) {
			if left == 0 {
				return nil, unix.EPERM
			}
			left--
			return closeCounter{closed: &closed}, nil
		})
		if closed != after {
			t.Errorf("%d of %d senders closed", closed, after)
		}
		topic := h.Topic("room", 0)
		c := loopback(t, h, 1, nil)[0]
		if c.way() != wayRaw {
			t.Errorf("way %s", c.way())
		}
		if err := topic.Join(c, 0, nil); err != nil {
			t.Fatal(err)
		}
		topic.Update(1, NewFrame([]byte("x")))
		h.shards[c.shard].sweep(0)
		if c.kernel.sent != 3 {
			t.Errorf("%d bytes sent", c.kernel.sent)
		}
	}
}

type closeCounter struct {
	plainSender
	closed *int
}

func (c closeCounter) close() { *c.closed++ }

// System calls per broadcast, counted: one for each connection, or for each 256.
func TestCallsPerBroadcast(t *testing.T) {
	tryUring(t)
	for way, want := range map[string]int{wayRaw: 600, wayUring: 3} {
		h := NewHub(WayConfig(way))
		s := h.shards[0]
		topic := h.Topic("room", 0)
		for _, c := range loopback(t, h, 600, nil) {
			c.shard = 0
			if err := topic.Join(c, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
		calls := 0
		s.sender = callCounter{s.sender, &calls}
		for n := range 10 {
			topic.Update(uint64(n+1), NewFrame([]byte("x")))
			s.sweep(0)
		}
		if calls != 10*want {
			t.Errorf("%s: %d system calls for ten broadcasts", way, calls)
		}
	}
}

type callCounter struct {
	sender
	calls *int
}

func (c callCounter) send(p []byte, fds, took []int32) int {
	n := c.sender.send(p, fds, took)
	*c.calls += n
	return n
}

// While a lot is being sent its connections are locked: who kills one waits, and its
// descriptor, which a new socket may get at once, is not written to afterwards.
func TestKilledDuringBroadcasts(t *testing.T) {
	tryUring(t)
	const rounds, clients = 30, 20
	h := NewHub(Config{Shards: 1})
	topic := h.Topic("room", 0)
	for round := range rounds {
		conns := loopback(t, h, clients, func(int) {})
		for _, c := range conns {
			if err := topic.Join(c, topic.Newest(), nil); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			for range 100 {
				topic.Update(topic.Newest()+1, NewFrame([]byte("secret")))
				h.shards[0].sweep(0)
			}
		})
		var ears [clients / 2]int32
		all.Go(func() {
			for i := range ears {
				conns[i].kill()
				_, ears[i] = socket(t) // one of the two has the lowest free descriptor
			}
		})
		all.Wait()
		for _, ear := range ears {
			if n := received(t, ear); n > 0 {
				t.Fatalf("round %d: a stranger got %d bytes", round, n)
			}
		}
		for _, c := range conns {
			c.kill()
		}
	}
}
