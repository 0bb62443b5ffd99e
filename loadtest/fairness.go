package loadtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// chains is what is known in public of a room's seed chains, written from
// docs/protocol.md ("Checking a round") alone, so that it is a second opinion.
type chains struct {
	salts    map[uint64]string    // by chain
	seeds    map[seedPlace]string // hex; index 0 is the commitment
	verified uint64               // rounds whose crash point was recomputed
	linked   uint64               // seeds that were checked against the one before
}

type seedPlace struct{ chain, index uint64 }

// maxSeeds bounds the seeds kept: only the neighbours of the newest are needed.
const maxSeeds = 256

func (c *chains) learn(f *fairness) {
	if f == nil {
		return
	}
	c.salt(f.Chain, f.Salt)
	c.commit(f.Chain, f.Commitment)
	if f.LastSeed != "" && f.Index > 0 && f.LastSeed != f.Commitment {
		c.keep(seedPlace{f.Chain, f.Index - 1}, f.LastSeed)
	}
}

func (c *chains) salt(chain uint64, salt string) {
	if c.salts == nil {
		c.salts = map[uint64]string{}
	}
	if salt != "" && len(c.salts) < maxSeeds {
		c.salts[chain] = salt
	}
}

func (c *chains) commit(chain uint64, commitment string) {
	if commitment != "" {
		c.keep(seedPlace{chain, 0}, commitment)
	}
}

func (c *chains) keep(p seedPlace, seed string) {
	if c.seeds == nil {
		c.seeds = map[seedPlace]string{}
	}
	if len(c.seeds) >= maxSeeds {
		for k := range c.seeds {
			if k.index != 0 && k.index+8 < p.index {
				delete(c.seeds, k)
			}
		}
	}
	if len(c.seeds) < 2*maxSeeds {
		c.seeds[p] = seed
	}
}

// reveal checks a revealed seed: it must hash to the seed before, and give the
// crash point under the round's settings. What is not known is not checked.
func (c *chains) reveal(p past, s *settings) error {
	seed, err := hex.DecodeString(p.Seed)
	if err != nil || len(seed) != sha256.Size {
		return fmt.Errorf("seed %q is not 32 bytes in hex", p.Seed)
	}
	if p.Index == 0 {
		return fmt.Errorf("seed has index 0, but they count from 1")
	}
	c.keep(seedPlace{p.Chain, p.Index}, p.Seed)
	if before, known := c.seeds[seedPlace{p.Chain, p.Index - 1}]; known {
		if sum := sha256.Sum256(seed); hex.EncodeToString(sum[:]) != before {
			return fmt.Errorf("seed %s of index %d does not hash to %s before it", p.Seed, p.Index, before)
		}
		c.linked++
	}
	salt, known := c.salts[p.Chain]
	if p.Voided || !known || s == nil || s.RTP == 0 || s.Cap == 0 {
		return nil
	}
	if want := crashPoint(salt, seed, s); want != p.Centi {
		return fmt.Errorf("seed %s with salt %q gives %d, but the round crashed at %d", p.Seed, salt, want, p.Centi)
	}
	c.verified++
	return nil
}

// crashPoint is min(cap, max(100, floor(rtp_bp · 2^52 / (100 · (2^52 − r))))),
// with r the first 52 bits of HMAC-SHA256(salt, seed).
func crashPoint(salt string, seed []byte, s *settings) int64 {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write(seed)
	r := binary.BigEndian.Uint64(mac.Sum(nil)) >> 12
	hi, lo := bits.Mul64(uint64(max(0, min(s.RTP, 10_000))), 1<<52)
	// The divisor is at least 100, and hi is at most 2^14·2^52 / 2^64 < 4.
	q, _ := bits.Div64(hi, lo, 100*(1<<52-r))
	return min(s.Cap, max(100, int64(min(q, 1<<62))))
}
