//go:build !race

package sim

import "testing"

const (
	defaultRounds = 6000
	defaultTimes  = 100
)

// TestTheSameSeedIsTheSameRun plays seeds twice and compares what was stored, said and
// answered, and when.
func TestTheSameSeedIsTheSameRun(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := uint64(1); seed <= 5; seed++ {
		a, b := play(seed, nil), play(seed, nil)
		if a.trace != b.trace || a.order != b.order {
			t.Errorf("seed %d: traces %x and %x, %d and %d events", seed, a.trace, b.trace, a.order, b.order)
		}
		if other, taken := seen[a.trace]; taken {
			t.Errorf("seeds %d and %d are the same run", other, seed)
		}
		seen[a.trace] = seed
	}
}

// TestEveryCheckCanFail breaks one rule at a time; a few seeds must show it.
func TestEveryCheckCanFail(t *testing.T) {
	for _, rule := range []string{noFence, skipsRecords, ownClock, booksTwice, noTombstones, booksOnce, ignoresGaps, givesUp, forgetsKeys, tellsSeeds, purgesClaim, purgesUnarchived, losesSegments, losesCheckpoints, noOrphans, staleWitness, paysAgain, staysAstray} {
		t.Run(rule, func(t *testing.T) {
			for seed := uint64(1); seed <= 50; seed++ {
				w := play(seed, func(c *config) { c.broken, c.hostile, c.loss, c.trimming.on, c.power = rule, true, 0.01, true, true })
				if w.broken != nil {
					t.Logf("seed %d: %v", seed, w.broken)
					return
				}
			}
			t.Error("50 seeds do not show it")
		})
	}
}
