package crash

import (
	"container/list"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"sync"
)

// ChainRounds is how many rounds a chain lasts.
const ChainRounds = 65_536

const (
	// markDistance is the distance of the seeds kept per chain: any other costs at
	// most 1,023 hashes (0.1 ms), and a chain of 65,536 takes 2 KB.
	markDistance = 1024
	// keptChains bounds the chains kept by one process, 4 KB each, to more than it has
	// rooms: a chain that was dropped costs up to 65,536 hashes (6 ms) when it is needed
	// again, and of a room more than fit every round would need one again.
	keptChains = 1 << 16
)

// Chains is the source of a room server's secrets. It behaves like a function:
// the same arguments give the same answer, except for Salt. Implementations are
// safe for concurrent use and never log what they return.
//
// ok is false when this process does not know the secret (an auditor, say); see
// the package's non-guarantees.
type Chains interface {
	// Length is how many rounds a chain that is committed now will last.
	Length() uint64
	// Commitment is the hash before the first seed of a room's chain.
	Commitment(roomUUID string, chain uint32) (commitment [32]byte, ok bool)
	// Seed is the seed of the index-th round of a chain, from 1 to Length.
	Seed(roomUUID string, chain uint32, index uint64) (seed [32]byte, ok bool)
	// Salt draws a fresh salt, or returns "" if it cannot.
	Salt() string
}

// SecretChains derives the chains of all rooms from one secret. The last seed of
// chain c of a room is
//
//	HMAC-SHA256(key = secret, message = room UUID as text ‖ c as 4 bytes, big endian)
//
// and seed[n-1] = SHA-256(seed[n]) over the raw bytes. It is safe for concurrent
// use and never prints its secret.
type SecretChains struct {
	// Rounds is the length of a chain; NewChains sets it to ChainRounds. It is part
	// of what the commitment means: changed only before the first use, by tests.
	Rounds uint64

	secret []byte // static after NewChains

	mu    sync.Mutex // guards the fields below
	rand  io.Reader
	known map[chainID]*list.Element // of *chain
	used  list.List                 // most recently used first
}

type chainID struct {
	room  string
	chain uint32
}

// chain is a walk from the last seed downwards that remembers marks on its way.
type chain struct {
	id     chainID // static, as the next two
	length uint64
	last   Seed // the seed of index length

	mu    sync.Mutex      // guards the fields below; held while hashing
	marks map[uint64]Seed // every markDistance-th seed walked over
	index uint64          // the lowest index walked to; 0 is the commitment
	seed  Seed            // the seed there
}

// NewChains makes the chains of a secret. Salts are drawn from rand
// (crypto/rand.Reader in production), one read at a time.
func NewChains(secret []byte, rand io.Reader) *SecretChains {
	return &SecretChains{
		Rounds: ChainRounds,
		secret: append([]byte(nil), secret...),
		rand:   rand,
		known:  make(map[chainID]*list.Element),
	}
}

// String implements fmt.Stringer without the secret.
func (s *SecretChains) String() string { return "crash.SecretChains" }

// GoString implements fmt.GoStringer without the secret.
func (s *SecretChains) GoString() string { return s.String() }

// Length implements Chains.
func (s *SecretChains) Length() uint64 { return s.Rounds }

// Commitment implements Chains. The first call for a chain costs Length hashes.
func (s *SecretChains) Commitment(roomUUID string, n uint32) ([32]byte, bool) {
	return s.chain(chainID{roomUUID, n}).at(0), true
}

// Seed implements Chains. ok is false for an index out of range.
func (s *SecretChains) Seed(roomUUID string, n uint32, index uint64) ([32]byte, bool) {
	if index == 0 || index > s.Rounds {
		return [32]byte{}, false
	}
	return s.chain(chainID{roomUUID, n}).at(index), true
}

// Salt implements Chains: 32 random bytes in hex.
func (s *SecretChains) Salt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b [32]byte
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return ""
	}
	return hex.EncodeToString(b[:])
}

func (s *SecretChains) chain(id chainID) *chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[id]; ok {
		s.used.MoveToFront(e)
		return e.Value.(*chain)
	}
	if s.used.Len() >= keptChains {
		oldest := s.used.Back()
		delete(s.known, oldest.Value.(*chain).id)
		s.used.Remove(oldest)
	}
	c := &chain{id: id, length: s.Rounds, last: s.last(id), marks: make(map[uint64]Seed)}
	c.index, c.seed = c.length, c.last
	s.known[id] = s.used.PushFront(c)
	return c
}

func (s *SecretChains) last(id chainID) Seed {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(id.room))
	mac.Write(binary.BigEndian.AppendUint32(nil, id.chain))
	return Seed(mac.Sum(nil))
}

// at is the seed of an index, at most the chain's length; 0 is the commitment.
func (c *chain) at(index uint64) Seed {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.index > index {
		c.index, c.seed = c.index-1, c.seed.Before()
		if c.index%markDistance == 0 {
			c.marks[c.index] = c.seed
		}
	}
	from, seed := c.length, c.last
	if mark := (index + markDistance - 1) / markDistance * markDistance; mark < c.length {
		from, seed = mark, c.marks[mark]
	}
	for ; from > index; from-- {
		seed = seed.Before()
	}
	return seed
}
