package fanout

// sender gives the same bytes to many sockets: the common bytes of a flush. Each shard has
// one, used by its goroutine only.
//
// send brings p to every descriptor of fds, of which there are at most most, and sets in
// took how many bytes each socket took: fewer than p has, or none, when its buffer is
// full, and -1 when it is broken. It waits for no socket, keeps nothing of its arguments
// once it returns, and gives each socket p once, in one piece. The caller holds the mu of
// every connection meanwhile, so that no other bytes come between and no descriptor is
// closed. calls is the number of system calls.
type sender interface {
	most() int
	send(p []byte, fds, took []int32) (calls int)
	close()
}

// plainSender makes one system call per socket.
type plainSender struct{}

func (plainSender) most() int { return 1 }

func (plainSender) send(p []byte, fds, took []int32) int {
	for i, fd := range fds {
		n, err := sendNow(fd, p)
		if err != nil {
			n = -1
		}
		took[i] = int32(n)
	}
	return len(fds)
}

func (plainSender) close() {}

// newSenders makes one sender per shard and tells which way they are. Where open fails, as
// in containers whose profile refuses io_uring, all are plain.
func newSenders(cfg Config, open func() (sender, error)) ([]sender, string) {
	senders := make([]sender, cfg.Shards)
	for i := range senders {
		senders[i] = plainSender{}
	}
	if cfg.SingleSends || cfg.PlainWrite {
		return senders, wayRaw
	}
	for i := range senders {
		s, err := open()
		if err != nil {
			for j, opened := range senders[:i] {
				opened.close()
				senders[j] = plainSender{}
			}
			return senders, wayRaw
		}
		senders[i] = s
	}
	return senders, wayUring
}

// lot is the connections that get the common bytes next. Their mu is held.
type lot struct {
	conns []*Conn
	fds   []int32
	took  []int32
}

func newLot(most int) lot {
	return lot{make([]*Conn, 0, most), make([]int32, 0, most), make([]int32, most)}
}

func (l *lot) full() bool { return len(l.conns) == cap(l.conns) }

func (l *lot) add(c *Conn) {
	l.conns = append(l.conns, c)
	l.fds = append(l.fds, c.fd)
}

func (l *lot) reset() {
	clear(l.conns)
	l.conns, l.fds = l.conns[:0], l.fds[:0]
}
