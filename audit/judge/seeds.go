package judge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
)

// commitAhead is how many rounds before its end a chain may have a successor.
const commitAhead = 100

// seed is one link of a chain.
type seed [sha256.Size]byte

// parseSeed reads 32 bytes in lower-case hex.
func parseSeed(s string) (seed, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size || hex.EncodeToString(b) != s {
		return seed{}, false
	}
	return seed(b), true
}

// follows reports whether the seed hashes to the one before, or the commitment.
func (s seed) follows(before seed) bool { return seed(sha256.Sum256(s[:])) == before }

// crashPoint is the published formula in hundredths:
//
//	r = first 52 bits of HMAC-SHA256(key = salt, message = seed)
//	min(cap, max(100, floor(rtp_bp·2^52 / (100·(2^52−r)))))
func crashPoint(s seed, salt string, rtpBP, limit int64) int64 {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write(s[:])
	r := new(big.Int).SetBytes(mac.Sum(nil))
	r.Rsh(r, 256-52)
	whole := new(big.Int).Lsh(big.NewInt(1), 52)
	divisor := new(big.Int).Sub(whole, r)
	divisor.Mul(divisor, big.NewInt(100))
	q := new(big.Int).Mul(big.NewInt(rtpBP), whole)
	q.Quo(q, divisor)
	if q.Cmp(big.NewInt(limit)) >= 0 {
		return limit
	}
	return max(firstCenti, q.Int64())
}

// chain is a committed seed chain of a room.
type chain struct {
	number     uint32
	rounds     uint64
	first      uint64 // round of index 1; 0 before
	commitment seed
	salt       string
	byServer   bool // the salt may be replaced by an operator's

	last      seed   // revealed last
	lastIndex uint64 // 0: none, last is the commitment
}

func (c *chain) index(round uint64) uint64 { return round - c.first + 1 }

// chains are the one in use and the one behind it.
type chains struct {
	current, next *chain
}

// left is how many rounds the chain in use has behind the given one.
func (c *chains) left(round uint64) uint64 {
	if c.current == nil {
		return 0
	}
	return c.current.rounds - c.current.index(round)
}

// ready reports whether the round behind the given one has a salted chain.
func (c *chains) ready(round uint64) bool {
	return c.left(round) > 0 || c.next != nil && c.next.salt != ""
}

// begin is the chain of a round that opens.
func (c *chains) begin(round uint64) *chain {
	if c.left(round-1) == 0 {
		c.current, c.next = c.next, nil
		c.current.first = round
	}
	return c.current
}

// wantsCommit reports which chain may be committed to behind a round.
func (c *chains) wantsCommit(round uint64) (number uint32, ok bool) {
	switch {
	case c.next != nil:
		return 0, false
	case c.current == nil:
		return 0, true
	}
	return c.current.number + 1, c.left(round) <= commitAhead
}

// back is the seed of an earlier index of the chain, which the last one gives away.
func (c *chain) back(index uint64) (seed, bool) {
	if index == 0 || index > c.lastIndex {
		return seed{}, false
	}
	s := c.last
	for i := c.lastIndex; i > index; i-- {
		s = sha256.Sum256(s[:])
	}
	return s, true
}
