package loadtest

// numbered is an entry of a ring. The zero value has number 0 and stands for an
// empty place.
type numbered interface{ number() uint64 }

// ring keeps the newest entries of a numbered sequence, at the position of their
// number modulo its length. It starts small and grows to streamRing entries: more
// than five minutes of the fastest room (50 updates a second), far more than any
// gateway keeps for a resume.
type ring[E numbered] []E

const (
	streamRingFirst = 256
	streamRing      = 1 << 14
)

func newRing[E numbered]() ring[E] { return make(ring[E], streamRingFirst) }

// at is the place of a number. Another one may stand there.
func (r ring[E]) at(seq uint64) *E { return &r[seq%uint64(len(r))] }

// makeRoom is like at, but first lets the ring grow while another entry that is
// not newer stands there.
func (r *ring[E]) makeRoom(seq uint64) *E {
	for len(*r) < streamRing {
		old := (*r.at(seq)).number()
		if old == 0 || old >= seq {
			break
		}
		bigger := make(ring[E], 2*len(*r))
		for _, e := range *r {
			*bigger.at(e.number()) = e
		}
		*r = bigger
	}
	return r.at(seq)
}
