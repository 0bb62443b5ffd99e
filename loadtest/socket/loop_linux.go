package socket

import (
	"context"
	"fmt"
	"os"
	"runtime"
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
	holds bool      // static; there are more processors than loops, and each may hold one for a while

	mu    sync.Mutex
	conns []*lean // guarded by mu; by slot, nil for a free one
	free  []int32 // guarded by mu; free slots
	over  bool    // guarded by mu; the loop has ended

	// Owned by run.
	buffer  []byte  // what is read
	ready   []*lean // connections of one wait
	spare   []*partial
	gather  bool          // linger lets messages gather
	count   int           // events since counted
	counted time.Duration // since the start
	busy    bool          // the last wait had many events
	warmed  int           // what was read by warm, so that it is
}

const (
	// warmAtOnce is how many connections are brought into the cache together: about what
	// a core can wait for at the same time.
	warmAtOnce = 16
	// warmSteps are Handler.Warm's.
	warmSteps = 3
	// readSize is how much is read at once: the newest frames of a busy room, or a good
	// part of a snapshot.
	readSize  = 64 << 10
	waitAtOne = 256
	wakeSlot  = -1
	busyWait  = 1 // milliseconds
	// At lingerRate events a second, counted over lingerWindow, messages may gather for
	// lingerTime, which the kernel's timers make up to twice as long.
	lingerRate   = 20_000
	lingerWindow = 20 * time.Millisecond
	lingerTime   = 50 * time.Microsecond
	// maxSpare bounds the buffers kept, and keptSpare their size.
	maxSpare  = 64
	keptSpare = 64 << 10
)

func newLoops(n int, start time.Time) ([]*loop, error) {
	var out []*loop
	for range n {
		l, err := newLoop(start)
		if err == nil {
			l.holds = runtime.GOMAXPROCS(0) > n
		}
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
		l.linger()
		n := l.wait(events)
		l.count += n
		l.resolve(events[:n])
		for i, c := range l.ready {
			if i%warmAtOnce == 0 {
				l.warm(l.ready[i:min(i+warmAtOnce, n)])
			}
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

// linger lets messages gather for a moment where many come, so that one wait finds
// several: that saves a fifth of what receiving costs. What is read then is up to a
// tenth of a millisecond old, which is little beside the queues of such a rate.
func (l *loop) linger() {
	now := time.Since(l.start)
	if now-l.counted >= lingerWindow {
		l.gather = l.count > int(lingerRate*(now-l.counted)/time.Second)
		l.counted, l.count = now, 0
	}
	if l.gather && l.holds {
		pause := unix.NsecToTimespec(int64(lingerTime))
		_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	}
}

// wait waits for events. While they keep coming it does not tell the scheduler of
// waits up to a millisecond: otherwise the runtime watches each of them from a thread
// of its own, which costs a tenth of what receiving does. The processor is held
// meanwhile, and a collection of garbage waits for it.
func (l *loop) wait(events []unix.EpollEvent) int {
	if l.busy && l.holds {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), busyWait, 0, 0)
		if errno == 0 && n > 0 {
			return int(n)
		}
	}
	n, err := unix.EpollWait(l.epoll, events, -1)
	if l.busy = err == nil; !l.busy {
		return 0 // interrupted by a signal
	}
	return n
}

// warm brings what connections need into the cache: without it a loop waits for memory
// longer than it works, as each of thousands of bots has its own.
func (l *loop) warm(conns []*lean) {
	for _, c := range conns {
		if c != nil {
			l.warmed += c.fd
		}
	}
	for step := range warmSteps {
		for _, c := range conns {
			if c != nil {
				l.warmed += c.handler.Warm(step)
			}
		}
	}
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

// add takes in a connection. c.mu is held.
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
	err := l.control(unix.EPOLL_CTL_ADD, c.fd, c.slot, c.interest())
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

// partial is what a connection keeps of a message that has not come whole. Most
// messages come whole, so most connections have none.
type partial struct {
	bytes  []byte    // the beginning of a frame
	frames assembler // of the message in fragments
}

func (l *loop) getSpare() *partial {
	if k := len(l.spare); k > 0 {
		p := l.spare[k-1]
		l.spare = l.spare[:k-1]
		return p
	}
	return &partial{bytes: make([]byte, 0, 4<<10)}
}

func (l *loop) putSpare(p *partial) {
	if cap(p.bytes) <= keptSpare && len(l.spare) < maxSpare {
		p.bytes, p.frames = p.bytes[:0], assembler{}
		l.spare = append(l.spare, p)
	}
}

// lean is a connection that a loop reads. It implements Conn.
type lean struct {
	// Owned by the loop. What every message needs takes one line of the cache.
	fd      int // also used under mu to write; -1 once it is closed
	slot    int32
	paused  bool         // guarded by mu
	credit  atomic.Int64 // bytes that may be read, negative for unlimited
	handler Handler
	loop    *loop
	partial *partial      // nil while nothing is
	at      time.Duration // of the read that is handled

	mu      sync.Mutex
	started bool          // guarded by mu
	ended   bool          // guarded by mu; the descriptor is closed
	closing bool          // guarded by mu; a close frame was sent
	unsent  []byte        // guarded by mu
	done    chan struct{} // guarded by mu; closed at the end; nil until somebody waits

	_ [16]byte // to 128 bytes, which the allocator aligns
}

// newLean makes a connection of a descriptor; rest came with the handshake.
func newLean(l *loop, fd int, rest []byte) *lean {
	c := &lean{fd: fd, loop: l}
	if len(rest) > 0 {
		c.partial = &partial{bytes: rest}
	}
	c.credit.Store(Unlimited)
	return c
}

func (c *lean) Start(h Handler) {
	c.handler = h
	if c.partial != nil { // the server spoke before the handshake was read
		c.at = time.Since(c.loop.start)
		if err := c.feedMore(nil); err != nil {
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

// onReady reads once. What is left is told of again: where there is a bound by the
// kernel, elsewhere when it is asked.
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
	credit := c.credit.Load()
	if credit >= 0 {
		if credit == 0 && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 {
			c.pause()
			return
		}
		b = b[:max(1, min(int(credit), len(b)))]
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == unix.EAGAIN:
		return
	case errno == unix.EINTR:
		c.again()
		return
	case errno != 0:
		c.end(os.NewSyscallError("recv", errno))
		return
	case n == 0:
		c.end(errLost)
		return
	}
	if credit > 0 {
		c.credit.Add(-int64(n))
	}
	c.at = time.Since(c.loop.start)
	if err := c.feed(b[:n]); err != nil {
		c.fail(err)
		return
	}
	if credit < 0 && (int(n) == len(b) || events&endEvents != 0) {
		c.again() // there is more, or the end
	}
}

// feed takes in bytes. Those of a message that is not whole are kept.
func (c *lean) feed(b []byte) error {
	if p := c.partial; p != nil {
		err := c.feedMore(b)
		if c.partial == nil {
			c.loop.putSpare(p)
		}
		return err
	}
	var frames assembler
	used, err := frames.take(b, (*leanEvents)(c))
	if err != nil || used == len(b) && frames.op == 0 {
		return err
	}
	c.partial = c.loop.getSpare()
	c.partial.frames = frames
	c.partial.bytes = append(c.partial.bytes, b[used:]...)
	return nil
}

// feedMore takes in bytes behind those that are kept.
func (c *lean) feedMore(b []byte) error {
	p := c.partial
	if f, ok, err := readFrameHead(p.bytes); ok && err == nil && cap(p.bytes) < f.whole() {
		p.bytes = append(make([]byte, 0, f.whole()+readSize), p.bytes...)
	}
	p.bytes = append(p.bytes, b...)
	used, err := p.frames.take(p.bytes, (*leanEvents)(c))
	if err != nil {
		return err
	}
	p.bytes = p.bytes[:copy(p.bytes, p.bytes[used:])]
	if len(p.bytes) == 0 && p.frames.op == 0 {
		c.partial = nil
	}
	return nil
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
	c.partial = nil
	if started {
		c.loop.remove(c)
	}
	c.handler.End(err)
}
