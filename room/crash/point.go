package crash

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Seed is one link of a chain: the seed before it is its SHA-256.
type Seed [sha256.Size]byte

// Before is the seed of the round before, or the commitment before the first.
func (s Seed) Before() Seed { return sha256.Sum256(s[:]) }

// Point is the crash point in hundredths that a seed gives under a salt: rtpBP is
// the return to players in basis points (at most 10,000), limit the largest point
// (the room's cap). It is the published formula; anybody can recompute it.
func Point(seed Seed, salt string, rtpBP, limit int64) int64 {
	return pointOf(fraction(seed, salt), rtpBP, limit)
}

// fraction is the first 52 bits of HMAC-SHA256(key = salt, message = seed).
func fraction(seed Seed, salt string) uint64 {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write(seed[:])
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(mac.Sum(sum[:0])) >> 12
}

// pointOf is min(limit, max(100, floor(rtpBP·2^52 / (100·(2^52−r))))) for r below
// 2^52. The division cannot overflow: the high word of the dividend is rtpBP/2^12,
// at most 2, and the divisor at least 100. Floating point is wrong at 171
// boundaries below 200x.
func pointOf(r uint64, rtpBP, limit int64) int64 {
	hi, lo := bits.Mul64(uint64(rtpBP), 1<<52)
	q, _ := bits.Div64(hi, lo, 100*(1<<52-r))
	if q >= uint64(limit) {
		return limit
	}
	return max(minCenti, int64(q))
}
