package fanout

import "sync"

// parkedReaders is how many reading goroutines are kept for connections from which bytes arrive next. A fresh
// goroutine would first have to grow its stack to what reading a frame takes, which costs more than reading a short one.
// The poller tells of as many connections at once; they keep 2 MB of stacks at most.
const parkedReaders = 256

// readers are the goroutines that read from connections. As many read as there are connections to read from; those
// that have nothing to read wait for more, or end when enough wait.
type readers struct {
	next    chan *Conn    // Static. Without a buffer: who sends finds a goroutine that waits, or none.
	parked  chan struct{} // Static. A token for each that waits.
	end     chan struct{} // Static.
	running sync.WaitGroup
}

func newReaders() *readers {
	return &readers{next: make(chan *Conn), parked: make(chan struct{}, parkedReaders), end: make(chan struct{})}
}

// read has c.read called by a goroutine that is there, or by another one. It does not wait.
func (r *readers) read(c *Conn) {
	select {
	case r.next <- c:
	default:
		r.running.Go(func() { r.run(c) })
	}
}

// run reads from one connection after the other.
func (r *readers) run(c *Conn) {
	for {
		c.read()
		select {
		case r.parked <- struct{}{}:
		default:
			return // enough wait
		}
		select {
		case c = <-r.next:
			<-r.parked
		case <-r.end:
			return
		}
	}
}

// close ends those that wait. It is called once, when there is no connection left.
func (r *readers) close() {
	close(r.end)
	r.running.Wait()
}
