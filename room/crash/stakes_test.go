package crash

import (
	"maps"
	"testing"

	"tickcast/wire"
)

// TestStakes follows what a room knows of its stakes. One that was refused is not known:
// if the ledger has it all the same, it was booked for a bet that the log lost.
func TestStakes(t *testing.T) {
	tb := newTable(t, crashingAt(200, 300, 100_000), "")
	tb.untilPhase(phaseBetting)
	tb.betOnly("alice", 0, 1000, 0)
	tb.betOnly("bob", 0, 1000, 0)
	want := func(why string, want map[string]bool) {
		t.Helper()
		if s := tb.room.Stakes(); s.Round != 1 || s.Over || !maps.Equal(s.Open, want) {
			t.Errorf("%s: %+v, want %v", why, s, want)
		}
	}
	alice, bob := tb.queue[0].ID, tb.queue[1].ID
	want("they are asked for", map[string]bool{alice: false, bob: false})
	tb.result(wire.BookingResult{ID: alice, Booked: true})
	tb.result(wire.BookingResult{ID: bob, Code: wire.CodeConflict})
	want("one is booked, the other refused", map[string]bool{alice: true})
	tb.command("alice", "cancel", 1, `{"slot":0}`)
	want("it is cancelled", map[string]bool{alice: false})
}
