package fanout

// slot is a frame in a ring. For notices and ticks, after is the newest update when the
// frame was published: its place among the updates.
type slot struct {
	frame *Frame
	after uint64
	at    int64 // of an update: when it was published, Unix ns
}

// ring keeps the frames with the numbers lo to hi-1, bounded in frames and bytes. Its
// memory grows with its content.
type ring struct {
	slots     []slot // a power of two long, indexed by number
	lo, hi    uint64
	bytes     int
	maxFrames int
	maxBytes  int
}

const minRingSlots = 8

func (r *ring) at(n uint64) slot { return r.slots[n&uint64(len(r.slots)-1)] }

func (r *ring) len() int { return int(r.hi - r.lo) }

// push appends a frame as number hi and drops what exceeds the bounds from the other end.
// The newest frame always stays.
func (r *ring) push(s slot) {
	for r.len() > 0 && (r.len() >= r.maxFrames || r.bytes+s.frame.Size() > r.maxBytes) {
		r.drop()
	}
	if r.len() == len(r.slots) {
		r.grow()
	}
	r.slots[r.hi&uint64(len(r.slots)-1)] = s
	r.bytes += s.frame.Size()
	r.hi++
}

func (r *ring) drop() {
	s := &r.slots[r.lo&uint64(len(r.slots)-1)]
	r.bytes -= s.frame.Size()
	*s = slot{}
	r.lo++
}

func (r *ring) grow() {
	next := make([]slot, max(minRingSlots, 2*len(r.slots)))
	for n := r.lo; n < r.hi; n++ {
		next[n&uint64(len(next)-1)] = r.at(n)
	}
	r.slots = next
}

// reset empties the ring; the next frame gets number next.
func (r *ring) reset(next uint64) {
	clear(r.slots)
	r.lo, r.hi, r.bytes = next, next, 0
}
