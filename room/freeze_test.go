package room

import (
	"bytes"
	"fmt"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

// TestFrozenStatesDoNotChange encodes states in other goroutines while the fold goes
// on with bets, cash-outs, taps and whole rounds.
func TestFrozenStatesDoNotChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 300, "crashed_ms": 200, "cap": 150})
	r.create("derby", "race", map[string]any{"gathering_ms": 100, "running_ms": 200, "max_taps_per_s": 100})
	var want [][]byte
	var have []<-chan []byte
	freeze := func() {
		want = append(want, r.p.Snapshot())
		state, encoded := r.p.freeze(), make(chan []byte, 1)
		go func() { encoded <- state.encode() }()
		have = append(have, encoded)
	}
	for round := uint64(1); round <= 3; round++ {
		r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" && r.p.rooms["lobby"].game.Round() == round })
		for i := range 20 {
			player := fmt.Sprint("p", i)
			r.command(player, "lobby", fmt.Sprint("bet-", round), "bet", round, betArgs{Amount: 100})
			freeze()
			r.command(player, "derby", fmt.Sprint("tap-", round), "tap", r.p.rooms["derby"].game.Round(), map[string]int{"n": 1})
			freeze()
		}
		r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
		for i := range 20 {
			r.command(fmt.Sprint("p", i), "lobby", fmt.Sprint("out-", round), "cashout", round, betArgs{})
			freeze()
		}
		r.until("it is over", func() bool { freeze(); return r.phase("lobby") == "crashed" })
	}
	for i, encoded := range have {
		if got := <-encoded; !bytes.Equal(got, want[i]) {
			t.Fatalf("state %d of %d changed after it was frozen:\n%.2000s\n%.2000s", i, len(want), got, want[i])
		}
	}
}

// TestDigestsOfLargeStatesAreRare folds as many records with one room and with many.
func TestDigestsOfLargeStatesAreRare(t *testing.T) {
	t.Parallel()
	digestsWith := func(rooms int) (taken int) {
		r := newRig(t)
		for i := range rooms {
			r.create(fmt.Sprint("room-", i), "race", nil)
		}
		tick := game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch() + 1, Kind: wire.OwnerTick}) // not the owner's: no time passes
		newest := uint64(0)
		for seq := r.p.Last().Seq + 1; seq <= 8*digestEvery; seq++ {
			if err := r.p.Apply(Record{Seq: seq, Time: r.now, Kind: wire.KindOwner, Data: tick}, &r.out); err != nil {
				t.Fatal(err)
			}
			if r.p.digests.seq != newest {
				newest = r.p.digests.seq
				taken++
			}
		}
		r.p.digests.wait()
		return taken
	}
	if n := digestsWith(1); n != 8 {
		t.Errorf("%d digests in 8 intervals of a small state, want 8", n)
	}
	if n := digestsWith(3 * digestEvery / roomWeight); n != 2 {
		t.Errorf("%d digests in 8 intervals of a state that weighs more than 3, want 2", n)
	}
}
