package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "play this seed first; 0 begins with 1")
	roundsFlag = flag.Int("sim.rounds", defaultRounds, "play seeds until so many rounds were played")
	onlyFlag   = flag.Bool("sim.only", false, "play one seed only")
)

// roundsPerRoom is how many rounds one run plays for each of its rooms.
const roundsPerRoom = 30

// runFor is the longest that a run plays before it comes to rest: some rooms are paused,
// or fly far.
const runFor = 10 * time.Minute

// play plays a seed with the shape that it draws.
func play(seed uint64, shape func(*config)) *world {
	rnd := rand.New(rand.NewPCG(seed, 0xc0ffee))
	cfg := drawConfig(rnd)
	if shape != nil {
		shape(&cfg)
	}
	w := newWorld(seed, cfg)
	for end := w.now + int64(runFor); w.broken == nil && w.truth.rounds < roundsPerRoom*cfg.rooms && w.now < end; {
		w.step()
	}
	w.rest()
	return w
}

// TestSimulation plays seeds until -sim.rounds rounds were played. A failing seed is
// played again by -sim.seed and -sim.only.
func TestSimulation(t *testing.T) {
	first := max(*seedFlag, 1)
	rounds, voids, records, operations, epochs, tails := 0, 0, 0, 0, 0, 0
	began, simulated := time.Now(), time.Duration(0)
	seed := first
	for ; rounds < *roundsFlag; seed++ {
		w := play(seed, nil)
		if w.broken != nil {
			t.Fatalf("seed %d: %v\nplay it again: go test ./room/sim -run TestSimulation -sim.seed %d -sim.only", seed, w.broken, seed)
		}
		rounds, voids, records = rounds+w.truth.rounds, voids+w.truth.voids, records+len(w.log.records)
		operations += len(w.history.operations(w.ledger))
		epochs, tails = epochs+len(w.truth.epochs), tails+w.truth.lostTails
		simulated += time.Duration(w.now - w.begun)
		if *onlyFlag {
			break
		}
		if (seed-first)%100 == 99 {
			fmt.Printf("seed %d: %d rounds after %v\n", seed, rounds, time.Since(began).Round(time.Second))
		}
	}
	t.Logf("seeds %d to %d: %d rounds (%d voided), %d records, %d owners, %d lost tails, %d operations on accounts, %v simulated in %v",
		first, seed-1, rounds, voids, records, epochs, tails, operations, simulated.Round(time.Second), time.Since(began).Round(time.Millisecond))
}
