//go:build long && !race

package sim

import (
	"flag"
	"testing"
	"time"
)

var daysFlag = flag.Duration("sim.days", 12*time.Hour, "play one log for so long in TestDaysOfOneLog")

// TestDaysOfOneLog plays one log for days, with all faults but lost tails. It stays as short as after an hour, a
// server can start from a checkpoint at any time, and in the end the auditor reads all of it, mostly from the archive.
func TestDaysOfOneLog(t *testing.T) {
	w := newWorld(1, config{
		rooms: 1, servers: 3, gateways: 2, players: 3, hostile: true, loss: 0.001,
		trimming: trimming{on: true, checkpoints: 600, keep: 500, segment: 400},
		settings: `{"betting_ms":30000,"lock_ms":1000,"crashed_ms":10000,"tick_ms":1000,"cap":300}`,
	})
	began, longest := time.Now(), uint64(0)
	for hour := time.Duration(0); hour < *daysFlag && w.broken == nil; hour += time.Hour {
		w.run(time.Hour)
		longest = max(longest, w.log.last()+1-w.log.first)
		w.checkBound()
		if w.broken == nil {
			w.startCold()
		}
		if (hour+time.Hour)%(6*time.Hour) == 0 {
			t.Logf("%v: %d rounds, %d records, of which the log had %d at most, %d owners, after %v", hour+time.Hour, w.truth.rounds,
				len(w.log.records), longest, len(w.truth.epochs), time.Since(began).Round(time.Second))
		}
	}
	w.rest()
	if w.broken != nil {
		t.Fatal(w.broken)
	}
}
