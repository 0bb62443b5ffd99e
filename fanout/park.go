package fanout

// park ends the reading goroutine until the client sends something. It returns false if
// the goroutine has to go on reading: the connection has ended, or nothing would wake it.
func (c *Conn) park() bool {
	p := c.hub.poller
	if p == nil || c.fd < 0 {
		return false
	}
	in := c.in
	c.mu.Lock()
	if c.flags&flagDead != 0 {
		c.mu.Unlock()
		return false
	}
	c.in = nil
	c.flags |= flagIdle
	if p.await(c) != nil {
		c.flags &^= flagIdle
		c.in = in
		c.mu.Unlock()
		return false
	}
	c.mu.Unlock()
	c.hub.takeBack(in) // from here on the connection may have another reader
	return true
}

// wake has a goroutine read if none does.
func (c *Conn) wake() {
	c.mu.Lock()
	idle := c.flags&flagIdle != 0
	c.flags &^= flagIdle
	c.mu.Unlock()
	if idle {
		c.hub.readers.read(c)
	}
}
