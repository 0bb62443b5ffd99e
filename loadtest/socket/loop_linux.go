package socket

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop waits for many connections and reads those that have something. One
// goroutine runs it.
type loop struct {
	start time.Time // static
	epoll int       // static
	wake  int       // static; an eventfd that ends the wait

	mu    sync.Mutex
	conns []*lean // guarded by mu; by slot, nil for a free one
	free  []int32 // guarded by mu; free slots
	over  bool    // guarded by mu; the loop has ended

	// Owned by run.
	buffer []byte   // what is read
	ready  []*lean  // connections of one wait
	spare  [][]byte // buffers for frames that are not whole
	busy   bool     // the last wait had many events
}

const (
	// readSize is how much is read at once: the newest frames of a busy room, or a good
	// part of a snapshot.
	readSize  = 64 << 10
	waitAtOne = 256
	wakeSlot  = -1
	// busyEvents in one wait mean that more have come meanwhile.
	busyEvents = 16
	// maxSpare bounds the buffers kept, and keptSpare their size.
	maxSpare  = 64
	keptSpare = 64 << 10
)

func newLoops(n int, start time.Time) ([]*loop, error) {
	var out []*loop
	for range n {
		l, err := newLoop(start)
		if err != nil {
			for _, l := range out {
				l.release()
			}
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func newLoop(start time.Time) (*loop, error) {
	l := &loop{start: start, buffer: make([]byte, readSize), ready: make([]*lean, 0, waitAtOne)}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("socket: make an epoll: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(l.epoll)
		return nil, fmt.Errorf("socket: make an eventfd: %w", err)
	}
	if err := l.control(unix.EPOLL_CTL_ADD, l.wake, wakeSlot, unix.EPOLLIN); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *loop) release() {
	_ = unix.Close(l.wake)
	_ = unix.Close(l.epoll)
}

func (l *loop) control(op, fd int, slot int32, events uint32) error {
	// The slot travels where the C structure has its first 32 bits of user data.
	if err := unix.EpollCtl(l.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: slot}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// run reads connections until ctx ends, and then ends them.
func (l *loop) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, l.interrupt)
	defer stop()
	events := make([]unix.EpollEvent, waitAtOne)
	for ctx.Err() == nil {
		n := l.wait(events)
		l.resolve(events[:n])
		for i, c := range l.ready {
			if c != nil {
				c.onReady(events[i].Events)
			}
		}
	}
	l.mu.Lock()
	l.over = true
	all := l.conns
	l.mu.Unlock()
	for _, c := range all {
		if c != nil {
			c.end(errStopping)
		}
	}
	stop()
	l.mu.Lock() // behind interrupt
	defer l.mu.Unlock()
	l.release()
}

// interrupt ends the wait.
func (l *loop) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// wait waits for events. While many come, the scheduler need not be told of a wait
// that is none.
func (l *loop) wait(events []unix.EpollEvent) int {
	if l.busy {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno == 0 && n > 0 {
			l.busy = n >= busyEvents
			return int(n)
		}
	}
	n, err := unix.EpollWait(l.epoll, events, -1)
	if err != nil {
		return 0 // interrupted by a signal
	}
	l.busy = n >= busyEvents
	return n
}

// resolve finds the connections of events, before one of them can end and leave its
// slot to another.
func (l *loop) resolve(events []unix.EpollEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = l.ready[:0]
	for i := range events {
		var c *lean
		if slot := events[i].Fd; slot != wakeSlot {
			c = l.conns[slot]
		}
		l.ready = append(l.ready, c)
	}
}

// add takes in a connection.
func (l *loop) add(c *lean) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return errStopping
	}
	if n := len(l.free); n > 0 {
		c.slot, l.free = l.free[n-1], l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = int32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	err := l.control(unix.EPOLL_CTL_ADD, c.fd, c.slot, unix.EPOLLIN)
	if err != nil {
		l.conns[c.slot] = nil
		l.free = append(l.free, c.slot)
	}
	return err
}

func (l *loop) remove(c *lean) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
}

// getSpare gives an empty buffer for at least n bytes.
func (l *loop) getSpare(n int) []byte {
	if k := len(l.spare); k > 0 && cap(l.spare[k-1]) >= n {
		b := l.spare[k-1]
		l.spare = l.spare[:k-1]
		return b[:0]
	}
	return make([]byte, 0, max(n, 4<<10))
}

func (l *loop) putSpare(b []byte) {
	if cap(b) <= keptSpare && len(l.spare) < maxSpare {
		l.spare = append(l.spare, b)
	}
}

// lean is a connection that a loop reads. It implements Conn.
type lean struct {
	// Owned by the loop.
	fd      int // also used under mu to write; -1 once it is closed
	slot    int32
	paused  bool         // guarded by mu
	credit  atomic.Int64 // bytes that may be read, negative for unlimited
	handler Handler
	loop    *loop
	part    []byte // the beginning of a frame that is not whole
	frames  assembler
	at      time.Duration // of the read that is handled

	mu      sync.Mutex
	started bool          // guarded by mu
	ended   bool          // guarded by mu; the descriptor is closed
	closing bool          // guarded by mu; a close frame was sent
	unsent  []byte        // guarded by mu
	done    chan struct{} // guarded by mu; closed at the end; nil until somebody waits
}

func newLean(l *loop, fd int, rest []byte) *lean {
	c := &lean{fd: fd, loop: l, part: rest}
	c.credit.Store(Unlimited)
	return c
}

func (c *lean) Start(h Handler) {
	c.handler = h
	rest := c.part
	c.part = nil
	if len(rest) > 0 { // the server spoke before the handshake was read
		c.at = time.Since(c.loop.start)
		if err := c.feed(rest, true); err != nil {
			c.fail(err)
			return
		}
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		h.End(errClosed)
		return
	}
	err := c.loop.add(c)
	c.started = err == nil
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
	}
}

// onReady reads once. What is left is told of again.
func (c *lean) onReady(events uint32) {
	if c.fd < 0 {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	b := c.loop.buffer
	if credit := c.credit.Load(); credit >= 0 {
		if credit == 0 && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 {
			c.pause()
			return
		}
		b = b[:max(1, min(int(credit), len(b)))]
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		c.end(os.NewSyscallError("recv", errno))
		return
	case n == 0:
		c.end(errLost)
		return
	}
	if c.credit.Load() > 0 {
		c.credit.Add(-int64(n))
	}
	c.at = time.Since(c.loop.start)
	if err := c.feed(b[:n], false); err != nil {
		c.fail(err)
	}
}

// feed takes in bytes. Those of a frame that is not whole are kept.
func (c *lean) feed(b []byte, own bool) error {
	joined := len(c.part) > 0
	if joined {
		if cap(c.part)-len(c.part) < len(b) {
			bigger := append(make([]byte, 0, c.room(len(b))), c.part...)
			c.loop.putSpare(c.part)
			c.part = bigger
		}
		c.part = append(c.part, b...)
		b = c.part
	}
	used, err := c.frames.take(b, (*leanEvents)(c))
	if err != nil {
		return err
	}
	rest := b[used:]
	switch {
	case joined && len(rest) == 0:
		c.loop.putSpare(c.part)
		c.part = nil
	case joined:
		c.part = c.part[:copy(c.part, rest)]
	case len(rest) == 0:
	case own: // not on the loop
		c.part = append([]byte(nil), rest...)
	default:
		c.part = append(c.loop.getSpare(len(rest)), rest...)
	}
	return nil
}

// room is how long a buffer must be for the frame under way and n more bytes.
func (c *lean) room(n int) int {
	size := 2 * (len(c.part) + n)
	if f, ok, err := readFrameHead(c.part); ok && err == nil {
		size = max(len(c.part)+n, min(f.whole()+readSize, size))
	}
	return size
}

// leanEvents are what the frames of a lean connection do.
type leanEvents lean

func (c *leanEvents) message(payload []byte, text bool) { c.handler.Message(payload, text, c.at) }

func (c *leanEvents) control(op byte, payload []byte) error {
	switch op {
	case opPing:
		_ = (*lean)(c).write(opPong, payload)
	case opClose:
		return readClose(payload)
	}
	return nil
}

// fail ends the connection because of what came or because it cannot be read, and
// tells the server.
func (c *lean) fail(err error) {
	c.mu.Lock()
	said := c.closing
	c.closing = true
	c.mu.Unlock()
	if !said {
		_ = c.write(opClose, closePayload(err))
	}
	c.end(err)
}

// end closes the descriptor, and tells the handler. It runs on the loop, or where
// the loop does not know the connection.
func (c *lean) end(err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	_ = unix.Close(c.fd)
	c.fd = -1
	c.unsent = nil
	if c.done != nil {
		close(c.done)
	}
	started := c.started
	c.mu.Unlock()
	c.frames, c.part = assembler{}, nil
	if started {
		c.loop.remove(c)
	}
	c.handler.End(err)
}
