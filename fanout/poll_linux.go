package fanout

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// poller tells of connections whose client has sent something. Each is asked for once and
// told of once.
type poller struct {
	ep   int      // Static.
	file *os.File // Static. Holds ep, and lets the runtime's own poller wait for it.

	once    sync.Once // starts run for the first connection that is waited for
	waiting sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns []*Conn    // by descriptor
}

// pollEvents is how many connections are told of by one system call.
const pollEvents = 256

func newPoller() (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fanout: epoll: %w", err)
	}
	if err := unix.SetNonblock(ep, true); err != nil { // makes os.NewFile register it with the runtime
		_ = unix.Close(ep)
		return nil, fmt.Errorf("fanout: epoll: %w", err)
	}
	return &poller{ep: ep, file: os.NewFile(uintptr(ep), "epoll")}, nil
}

// await has c.wake called once when the socket has bytes, or an end. The caller holds
// c.mu, and c is not dead.
func (p *poller) await(c *Conn) error {
	p.once.Do(func() { p.waiting.Go(p.run) })
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: c.fd}
	err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, int(c.fd), &ev)
	if err == unix.ENOENT {
		p.put(c)
		err = unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, int(c.fd), &ev)
	}
	if err != nil {
		return fmt.Errorf("fanout: epoll: %w", err)
	}
	return nil
}

func (p *poller) put(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.conns) <= int(c.fd) {
		p.conns = append(p.conns, nil)
	}
	p.conns[c.fd] = c
}

// forget drops c, unless another connection has its descriptor by now.
func (p *poller) forget(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(c.fd) < len(p.conns) && p.conns[c.fd] == c {
		p.conns[c.fd] = nil
	}
}

func (p *poller) at(fd int32) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[fd]
}

// close is called when no connection is left, and returns when the poller has ended.
func (p *poller) close() {
	_ = p.file.Close()
	p.waiting.Wait()
}

// run waits for events until close. It waits in the runtime's poller, not in a system
// call, which would hold a thread.
func (p *poller) run() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return // closed already
	}
	events := make([]unix.EpollEvent, pollEvents)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0) // an error is an interruption
			return n > 0
		})
		if err != nil {
			return
		}
		for i := range events[:n] {
			// An event may be of a connection that has gone, and find another one with
			// its descriptor: that reads in vain, and waits again.
			if c := p.at(events[i].Fd); c != nil {
				c.wake()
			}
		}
	}
}
