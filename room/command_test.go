package room

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"tickcast/wire"
)

// repeated is a command that comes again and again, while others fill the table of keys.
type repeated struct {
	*rig
	first wire.Answer
}

// again sends the bet of round 1 once more, or another command with its key.
func (r *repeated) again(round uint64, amount int64) wire.Answer {
	r.t.Helper()
	r.command("ann", "lobby", "k", "bet", round, betArgs{Amount: amount})
	r.run(10 * time.Millisecond)
	return r.answer("ann", "lobby", "k")
}

// stakes are the bets of a player that were booked.
func (m *modelBook) stakesOf(player string) (n int) {
	for _, b := range m.stakes {
		if b.Player == player {
			n++
		}
	}
	return n
}

// TestACommandTakesEffectOnceForEver: as long as its key is known it gets the answer that it
// had, and later, as it names its round, that this is over. The key is then free for another
// command.
func TestACommandTakesEffectOnceForEver(t *testing.T) {
	t.Parallel()
	r := &repeated{rig: newRig(t)}
	r.create("lobby", "crash", fastCrash)
	round := func() uint64 { return r.p.rooms["lobby"].game.Round() }
	r.until("the first round opens", func() bool { return r.phase("lobby") == "betting" })
	r.first = r.again(1, 1000)
	if !r.first.OK {
		t.Fatalf("refused: %v", r.first.Error)
	}
	for n := uint64(2); n <= wire.KeptRounds+3; n++ {
		r.until("another round opens", func() bool { return round() == n && r.phase("lobby") == "betting" })
		r.command("bob", "lobby", fmt.Sprint(n), "bet", n, betArgs{Amount: 100}) // lets go of what is too old
		r.run(10 * time.Millisecond)
		want, wantOther := wire.CodeConflict, wire.CodeConflict // the codes of refusals
		switch n {
		case wire.KeptRounds + 2:
			want, wantOther = wire.CodeStaleRound, ""
		case wire.KeptRounds + 3: // the other one's key is known
		default:
			want = ""
		}
		if a := r.again(1, 1000); want == "" && !reflect.DeepEqual(a, r.first) || want != "" && (a.OK || a.Error.Code != want) {
			t.Errorf("sent again in round %d: %+v %v", n, a, a.Error)
		}
		if a := r.again(n, 300); a.OK != (wantOther == "") || !a.OK && a.Error.Code != wantOther {
			t.Errorf("another command with its key in round %d: %+v %v", n, a, a.Error)
		}
	}
	if n := r.book.stakesOf("ann"); n != 2 {
		t.Errorf("%d stakes are booked, want the first and the one behind it", n)
	}
}

// TestARefillTakesEffectOnceForEver: the cashier's keys are forgotten behind so many others,
// but the ledger knows each refill.
func TestARefillTakesEffectOnceForEver(t *testing.T) {
	r := newRig(t)
	refill := func(player, key string) wire.Answer {
		t.Helper()
		r.command(player, wire.CashierRoom, key, "refill", 0, nil)
		r.run(3 * time.Millisecond)
		return r.answer(player, wire.CashierRoom, key)
	}
	refill("ann", "open")
	r.book.balances["ann"] = 0
	first := refill("ann", "k")
	if !first.OK || r.book.balances["ann"] == 0 {
		t.Fatalf("refused: %v", first.Error)
	}
	r.book.balances["ann"] = 0
	if again := refill("ann", "k"); !reflect.DeepEqual(again, first) {
		t.Errorf("sent again: %+v %v", again, again.Error)
	}
	for i := range maxRoundlessKeys {
		refill("bob", fmt.Sprint(i))
	}
	before := len(r.p.rooms[wire.CashierRoom].keys.entries)
	if again := refill("ann", "k"); !reflect.DeepEqual(again, first) {
		t.Errorf("sent again when its key was forgotten: %+v %v", again, again.Error)
	}
	if before != maxRoundlessKeys || r.book.balances["ann"] != 0 {
		t.Errorf("with %d keys known the refill had another effect: %d", before, r.book.balances["ann"])
	}
}
