package socket

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errLost ends a connection that was closed without a close frame.
var errLost = errors.New("socket: the connection broke")

func (c *lean) Send(payload []byte) error { return c.write(opText, payload) }

// write sends a frame. What the kernel does not take now is sent when it does.
func (c *lean) write(op byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errClosed
	}
	if len(c.unsent) > 0 {
		if len(c.unsent)+len(payload) > maxUnsent {
			c.shut()
			return errUnsent
		}
		c.unsent = appendFrame(c.unsent, op, payload)
		return nil
	}
	var small [512]byte
	frame := appendFrame(small[:0], op, payload)
	n, err := c.push(frame)
	if err != nil {
		c.shut()
		return err
	}
	if n < len(frame) {
		c.unsent = append([]byte(nil), frame[n:]...)
		return c.arm()
	}
	return nil
}

// push gives the kernel as much as it takes. c.mu is held.
func (c *lean) push(b []byte) (sent int, err error) {
	for sent < len(b) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&b[sent])), uintptr(len(b)-sent),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return sent, nil
		case errno != 0:
			return sent, os.NewSyscallError("send", errno)
		default:
			sent += int(n)
		}
	}
	return sent, nil
}

// flush sends what was kept.
func (c *lean) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	n, err := c.push(c.unsent)
	if err != nil {
		c.shut()
		return
	}
	if c.unsent = c.unsent[n:]; len(c.unsent) == 0 {
		c.unsent = nil
	}
	_ = c.arm()
}

// arm tells the kernel what to wait for. c.mu is held.
func (c *lean) arm() error {
	if !c.started {
		return nil
	}
	return c.loop.control(unix.EPOLL_CTL_MOD, c.fd, c.slot, c.interest())
}

// endEvents tell that nothing will come behind what is there.
const endEvents = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// interest is what to wait for. c.mu is held. What may be read whole is told of once,
// when it comes: the kernel would look at each such connection a second time to find
// that nothing is left, which costs a seventh of what receiving does. For that, the
// end must be told of with what comes before it.
func (c *lean) interest() (events uint32) {
	switch {
	case c.credit.Load() < 0:
		events |= unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	case !c.paused:
		events |= unix.EPOLLIN
	}
	if len(c.unsent) > 0 {
		events |= unix.EPOLLOUT
	}
	return events
}

// again has the kernel tell what there is to read even if it has.
func (c *lean) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.arm() != nil {
		c.shut()
	}
}

// pause stops reading until there is credit.
func (c *lean) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.credit.Load() == 0 {
		c.paused = true
		_ = c.arm()
	}
}

func (c *lean) Allow(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.interest()
	switch {
	case bytes < 0:
		c.credit.Store(Unlimited)
	case c.credit.Load() < 0:
		c.credit.Store(int64(bytes))
	default:
		c.credit.Add(int64(bytes))
	}
	if c.credit.Load() != 0 {
		c.paused = false
	}
	if !c.ended && c.interest() != before {
		_ = c.arm()
	}
}

// shut makes the connection unusable, so that the loop ends it. c.mu is held.
func (c *lean) shut() {
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
}

func (c *lean) CloseNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case c.started:
		c.shut()
	default:
		c.ended = true
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

func (c *lean) Close() {
	c.Allow(Unlimited)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	said := c.closing
	c.closing = true
	if c.done == nil {
		c.done = make(chan struct{})
	}
	done := c.done
	c.mu.Unlock()
	if !said {
		_ = c.write(opClose, []byte{1000 >> 8, 1000 & 0xff})
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	c.CloseNow()
	<-done
}
