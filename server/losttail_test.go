package server_test

import (
	"fmt"
	"testing"

	"tickcast/wire"
)

// fiveUpdates is a client in the room who has seen five updates.
func fiveUpdates(w *world, r *ownedRoom, g *gate) *client {
	w.t.Helper()
	c := g.player("ann")
	c.join("lobby")
	for range 5 {
		w.owner.update(r, false)
	}
	c.wantUpdates("before", r, 1, 5)
	return c
}

// P3.12: when the log lost its tail, numbers are used again: everybody gets a snapshot.
func TestLostTail(t *testing.T) {
	w, r, g := lobby(t)
	c := fiveUpdates(w, r, g)
	w.owner.takeOver()
	w.owner.locked(func() { r.seq, r.updates = 3, r.updates[:3] })
	w.owner.tick(r)
	if o := c.until("a snapshot", wire.TypeJoined); o.is("recovered") || o.sub("position").num("seq") != 3 {
		t.Fatal(o.text)
	}
	w.owner.update(r, false)
	c.wantUpdates("the number again", r, 4, 4)
}

// P3.4, P3.12: the numbers are used again before the new owner's first tick.
func TestNumbersUsedAgain(t *testing.T) {
	for _, again := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			w, r, g := lobby(t)
			c := fiveUpdates(w, r, g)
			w.owner.takeOver()
			w.owner.locked(func() { r.seq, r.updates, r.padding = 3, r.updates[:3:3], 10 })
			for range again {
				w.owner.update(r, false)
			}
			o := c.until("a snapshot", wire.TypeJoined)
			at := uint64(o.sub("position").num("seq"))
			if o.is("recovered") || at < 3 {
				t.Fatal(o.text)
			}
			w.owner.update(r, false)
			c.wantUpdates("those of the new owner", r, at+1, uint64(4+again))
		})
	}
}

// P3.12: the owner that noticed is dead before it said so, and the next one has used all numbers again that the
// gateway has. What it says names the log.
func TestLostTailThatNobodyTold(t *testing.T) {
	w, r, g := lobby(t)
	c := fiveUpdates(w, r, g)
	w.owner.takeOver()
	w.owner.locked(func() {
		r.seq, r.updates, r.padding = 3, r.updates[:3:3], 10
		r.log, r.named = "log-lobby-behind", true
	})
	for _, lost := range []bool{true, true, false} {
		w.owner.update(r, lost)
	}
	o := c.want("a snapshot, and no update before it", wire.TypeJoined)
	at := o.sub("position")
	if o.is("recovered") || at.num("seq") != 6 || at.str("log") != "log-lobby-behind" {
		t.Fatal(o.text)
	}
	w.owner.update(r, false)
	c.wantUpdates("those of the new owner", r, 7, 7)
}
