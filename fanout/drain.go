package fanout

import (
	"net"
	"time"
)

// arm starts the goroutine that brings out the backlog; only connections with one have
// it. The caller holds mu, and flagArmed is not set.
func (c *Conn) arm() {
	work := c.drain
	if c.flags&flagRaw == 0 {
		work = c.pump
		c.moved = time.Now().UnixNano()
	}
	c.flags |= flagArmed
	c.hub.spawn(work)
}

// drain waits in the runtime's poller until the kernel takes bytes again, as often as
// needed, and writes the backlog.
func (c *Conn) drain() {
	c.hub.metrics.blocked.Inc()
	defer c.hub.metrics.blocked.Dec()
	raw, err := c.nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.kill()
		return
	}
	out := failed
	err = raw.Write(func(uintptr) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		b := c.hub.borrow()
		defer c.hub.giveBack(b)
		if out = c.flush(b); out == blocked {
			return false
		}
		c.flags &^= flagArmed
		return true
	})
	if err != nil {
		out = failed
	}
	c.settle(out)
}

// pump writes what is due through the connection's own Write, which blocks, and goes away
// when nothing is due.
func (c *Conn) pump() {
	b := c.hub.borrow()
	defer c.hub.giveBack(b)
	took := time.Duration(0)
	for {
		p, parted := c.load(b, took)
		if parted {
			c.endWriting()
		}
		if len(p) == 0 {
			return
		}
		begin := time.Now()
		_, err := c.nc.Write(p)
		took = time.Since(begin)
		c.mu.Lock()
		c.flight = 0
		c.moved = begin.Add(took).UnixNano()
		c.mu.Unlock()
		if err != nil {
			c.kill()
			return
		}
	}
}

// load takes what is due for one Write, behind one that took so long. Without anything it
// disarms the connection, and parted tells that the close frame is out.
func (c *Conn) load(b *batch, took time.Duration) (p []byte, parted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&flagDead != 0 {
		return nil, false
	}
	if took >= c.hub.cfg.BehindAfter {
		c.fallBehind()
	}
	c.collect(b)
	if len(b.due) == 0 {
		c.flags &^= flagArmed | flagBehind
		return nil, c.flags&flagParted != 0
	}
	p = b.bytes()
	b.tally.bytes += len(p)
	c.commit(b, len(p))
	c.flight = int32(len(p))
	c.hub.metrics.add(&b.tally)
	return p, false
}
