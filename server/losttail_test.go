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

// P3.12: nobody noticed that the log lost its tail, and what the new owner said in the place of its updates was lost
// on the way, too. What it says then does not follow what the gateway has, wherever that comes from.
func TestNumbersUsedAgainUnheard(t *testing.T) {
	for _, hears := range []struct {
		what string
		lost []bool // updates of the new owner, from 4 on
	}{
		{"the next update", []bool{true, true, false}},
		{"a gap", []bool{true, true, true, false}},
		{"ticks", []bool{true, true}},
	} {
		t.Run(hears.what, func(t *testing.T) {
			w, r, g := lobby(t)
			c := fiveUpdates(w, r, g)
			late := w.gateway() // has the updates from a snapshot
			late.knows("lobby")
			b := late.player("bob")
			b.join("lobby")
			w.owner.takeOver()
			w.owner.locked(func() { r.seq, r.updates, r.padding = 3, r.updates[:3:3], 10 })
			for _, lost := range hears.lost {
				w.owner.update(r, lost)
			}
			last := uint64(3 + len(hears.lost))
			for _, c := range []*client{c, b} {
				var o object
				if hears.what == "ticks" {
					o = c.amongTicks(w.owner, r)
				} else {
					o = c.next("a snapshot, and no update before it")
				}
				if at := uint64(o.sub("position").num("seq")); o.is("recovered") || at != last || o.str("type") != wire.TypeJoined {
					t.Fatal(o.text)
				}
			}
			w.owner.update(r, false)
			c.wantUpdates("those of the new owner", r, last+1, last+1)
			b.wantUpdates("those of the new owner", r, last+1, last+1)
		})
	}
}

// amongTicks is the next message that is no tick. The owner ticks whenever the client has got one, so that the gateway
// does not ask because the room is silent.
func (c *client) amongTicks(owner *owner, r *ownedRoom) object {
	c.t.Helper()
	delete(c.quiet, wire.TypeTick)
	defer func() { c.quiet[wire.TypeTick] = true }()
	for range 5000 {
		owner.tick(r)
		if o := c.next("a tick, or what ends them"); o.str("type") != wire.TypeTick {
			return o
		}
	}
	c.t.Fatal("5,000 ticks, and nothing else")
	return object{}
}

// wantLate has the owner before say update 6, which the client gets.
func (c *client) wantLate(owner *owner, r *ownedRoom) {
	c.t.Helper()
	late := encodeJSON(wire.Update{Type: wire.TypeUpdate, Room: r.id, Seq: 6})
	owner.say(r, wire.OutUpdate, wire.OutHeader{Epoch: 1, Seq: 6, Time: r.time}, late)
	if u := c.want("the late update", wire.TypeUpdate); u.text != string(late) {
		c.t.Fatal(u.text)
	}
}

// wantSnapshotAt is that the client joins again by a snapshot that ends with update seq.
func (c *client) wantSnapshotAt(seq int64) {
	c.t.Helper()
	if o := c.want("a snapshot, and no update before it", wire.TypeJoined); o.is("recovered") || o.sub("position").num("seq") != seq {
		c.t.Fatal(o.text)
	}
}

// P3.12: likewise, and the owner before has said one more update of the lost tail, for which the new owner's next one
// seemed to wait.
func TestNumbersUsedAgainBehindALateUpdate(t *testing.T) {
	w, r, g := lobby(t)
	c := fiveUpdates(w, r, g)
	w.owner.takeOver()
	w.owner.locked(func() { r.seq, r.updates, r.padding, w.owner.deaf = 3, r.updates[:3:3], 10, true })
	for _, lost := range []bool{true, true, true, false} {
		w.owner.update(r, lost)
	}
	c.wantLate(w.owner, r)
	w.owner.locked(func() { w.owner.deaf = false })
	c.wantSnapshotAt(7)
}

// P3.12: likewise, and that update comes between a question to the new owner and its answer.
func TestNumbersUsedAgainInAnAnswer(t *testing.T) {
	w, r, g := lobby(t)
	c := fiveUpdates(w, r, g)
	w.owner.takeOver()
	held := make(chan struct{})
	w.owner.locked(func() { w.owner.held = held })
	w.owner.update(r, true)
	w.owner.update(r, false)
	c.wantLate(w.owner, r)
	close(held)
	c.wantSnapshotAt(7)
}

// P3.5: what a new owner says first was lost on the way. Nobody gets a snapshot for that: the owner is asked.
func TestTakeoverUnheard(t *testing.T) {
	w, r, g := lobby(t)
	c := fiveUpdates(w, r, g)
	w.owner.takeOver()
	w.owner.update(r, false)
	w.owner.update(r, true)
	w.owner.update(r, false)
	c.wantUpdates("they follow", r, 6, 8)
}

// P3.5, P3.6, P3.12: the newest claim was in the lost tail, and whoever knew of it has died. The epoch of who speaks now
// is an older one, which is nothing to drop: only in a log without that claim is there anything later for him to say.
func TestALostClaim(t *testing.T) {
	for _, first := range []string{"a tick", "an update", "updates unheard"} {
		t.Run(first, func(t *testing.T) {
			w, r, g := lobby(t)
			w.owner.takeOver()
			w.owner.takeOver()
			c := fiveUpdates(w, r, g)
			w.owner.tick(r)
			w.owner.locked(func() {
				w.owner.epoch, r.seq, r.updates, r.padding = 2, 3, r.updates[:3:3], 10
				r.time += 2e9 // the game clock of the log was behind, and has passed what was heard
			})
			switch first {
			case "a tick":
				w.owner.tick(r)
			case "an update":
				w.owner.update(r, false)
			case "updates unheard":
				for range 3 {
					w.owner.update(r, true)
				}
				w.owner.tick(r)
			}
			last := r.seq
			o := c.want("a snapshot, and no update before it", wire.TypeJoined)
			if o.is("recovered") || o.sub("position").num("seq") != int64(last) || o.num("epoch") != 2 {
				t.Fatal(o.text)
			}
			w.owner.update(r, false)
			c.wantUpdates("those of the new owner", r, last+1, last+1)
			delete(c.quiet, wire.TypeTick)
			w.owner.tick(r)
			if o := c.want("its tick", wire.TypeTick); o.num("epoch") != 2 {
				t.Fatal(o.text)
			}
		})
	}
}
