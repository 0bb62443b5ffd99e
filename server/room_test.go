package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tickcast/cache"
	"tickcast/server"
	"tickcast/wire"
)

// lobby is a world with one room, a gateway that knows it, and a client in it.
func lobby(t *testing.T, options ...func(*server.Config)) (*world, *ownedRoom, *gate) {
	t.Helper()
	w := newWorld(t)
	r := w.owner.create("lobby")
	g := w.gateway(options...)
	g.knows("lobby")
	return w, r, g
}

// wantUpdates wants the updates from to to of the room, byte for byte.
func (c *client) wantUpdates(why string, r *ownedRoom, from, to uint64) {
	c.t.Helper()
	for seq := from; seq <= to; seq++ {
		if u := c.want(why, wire.TypeUpdate); u.text != string(r.updates[seq-1].Message) {
			c.t.Fatalf("%s: want update %d, got %s", why, seq, u.text)
		}
	}
}

func (c *client) rejoin(room, log string, seq uint64) object {
	c.t.Helper()
	c.send(`{"type":"join","id":8,"room":%q,"position":{"log":%q,"seq":%d}}`, room, log, seq)
	return c.until("resume is answered", wire.TypeJoined)
}

// P3.3, P3.4: lost messages are noticed and filled, in order; clients of two
// gateways get the same bytes.
func TestGapIsFilled(t *testing.T) {
	w, r, g := lobby(t)
	g2 := w.gateway()
	g2.knows("lobby")
	a, b := g.player("ann"), g2.player("bob")
	a.join("lobby")
	b.join("lobby")
	w.owner.update(r, false)
	w.owner.update(r, true)
	w.owner.update(r, true)
	w.owner.update(r, false) // shows the gap
	w.owner.update(r, true)
	w.owner.tick(r) // shows the next
	for _, c := range []*client{a, b} {
		c.wantUpdates("in order", r, 1, 5)
	}
}

// P3.3: a loss that nothing shows is noticed as well.
func TestLossBeforeSilence(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	w.owner.update(r, true)
	c.wantUpdates("after a silence", r, 1, 1)
}

// P3.2: a gap that nobody can fill gives everybody a snapshot.
func TestGapThatCannotBeFilled(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	w.owner.locked(func() { r.kept = 1 })
	for range 5 {
		w.owner.update(r, true)
	}
	w.owner.update(r, false)
	o := c.want("a snapshot comes", wire.TypeJoined)
	if o.has("id") || o.is("recovered") || o.sub("position").num("seq") != 6 || o.sub("snapshot").num("n") != 6 {
		t.Fatalf("joined: %s", o.text)
	}
	w.owner.update(r, false)
	c.wantUpdates("it goes on", r, 7, 7)
}

// P3.2, P3.12: a position is resumed from the gateway's ring.
func TestResumeFromRing(t *testing.T) {
	w, r, g := lobby(t)
	watching := g.player("bob")
	watching.join("lobby")
	for range 10 {
		w.owner.update(r, false)
	}
	watching.wantUpdates("all are there", r, 1, 10)
	since := w.owner.resumes(r)
	for _, seq := range []uint64{0, 4, 10} {
		c := g.player("ann")
		o := c.rejoin("lobby", r.log, seq)
		p := o.sub("position")
		if !o.is("recovered") || !o.is("was_recovering") || o.str("source") != string(wire.SourceRing) || uint64(p.num("seq")) != seq || p.str("log") != r.log || o.has("snapshot") || !o.has("you") || o.num("id") != 8 {
			t.Fatalf("joined: %s", o.text)
		}
		first := int64(1 << 62)
		if seq < 10 {
			first = r.updates[seq].Time / 1000
		}
		if o.num("t") > first {
			t.Fatalf("time goes back: %s before an update at %d", o.text, first)
		}
		c.wantUpdates("every update behind it", r, seq+1, 10)
	}
	if n := w.owner.resumes(r); n != since {
		t.Errorf("%d resumes reached the owner", n-since)
	}
}

// P3.2: a gateway whose ring does not reach back asks the owner.
func TestResumeFromOwner(t *testing.T) {
	w, r, g := lobby(t)
	for range 30 {
		w.owner.update(r, false)
	}
	first := g.player("bob")
	first.join("lobby") // the copy begins at 30
	c := g.player("ann")
	if o := c.rejoin("lobby", r.log, 5); !o.is("recovered") || o.str("source") != string(wire.SourceOwner) || o.sub("position").num("seq") != 5 {
		t.Fatalf("joined: %s", o.text)
	}
	c.wantUpdates("from the owner", r, 6, 30)
	later := g.player("cid")
	if o := later.rejoin("lobby", r.log, 12); !o.is("recovered") || o.str("source") != string(wire.SourceRing) {
		t.Fatalf("joined: %s", o.text)
	}
	later.wantUpdates("from the ring that was filled", r, 13, 30)
	w.owner.update(r, false)
	for _, x := range []*client{first, c, later} {
		x.wantUpdates("all go on", r, 31, 31)
	}
}

// P3.2: what this gateway did not keep another one did, which spares the owner.
func TestResumeFromAnotherGateway(t *testing.T) {
	change(t, server.RingTimeout, deadline)
	w, r, g := lobby(t)
	watching := g.player("bob")
	watching.join("lobby")
	for range 30 {
		w.owner.update(r, false)
	}
	watching.wantUpdates("all are there", r, 1, 30)
	other := inTheRoomToo(w)
	w.owner.locked(func() { r.kept = 0 })
	since := w.owner.resumes(r)
	c := other.player("ann")
	if o := c.rejoin("lobby", r.log, 5); !o.is("recovered") || o.str("source") != string(wire.SourceGateway) {
		t.Fatalf("joined: %s", o.text)
	}
	c.wantUpdates("from the other gateway", r, 6, 30)
	if n := w.owner.resumes(r); n != since {
		t.Errorf("%d questions reached the owner", n-since)
	}
	later := other.player("cid")
	if o := later.rejoin("lobby", r.log, 12); !o.is("recovered") || o.str("source") != string(wire.SourceRing) {
		t.Fatalf("joined: %s", o.text)
	}
	later.wantUpdates("from the ring that was filled", r, 13, 30)
	w.owner.update(r, false)
	for _, x := range []*client{watching, c, later} {
		x.wantUpdates("all go on", r, 31, 31)
	}
}

// inTheRoomToo is another gateway in the lobby that has heard of the first.
func inTheRoomToo(w *world) *gate {
	w.t.Helper()
	g := w.gateway()
	g.knows("lobby")
	g.player("eve").join("lobby")
	eventually(w.t, "the gateway has heard of the other", func() bool {
		_, lobby := g.get("/api/rooms/lobby", "")
		return lobby.num("players") == 2
	})
	return g
}

// P3.2: another gateway that kept as little, and one that is gone, are asked in vain.
func TestResumeWithoutAnotherGateway(t *testing.T) {
	for _, gone := range []bool{false, true} {
		w, r, g := lobby(t)
		for range 30 {
			w.owner.update(r, false)
		}
		g.player("bob").join("lobby") // the copies begin at 30
		other := inTheRoomToo(w)
		if gone {
			g.stop()
		}
		c := other.player("ann")
		if o := c.rejoin("lobby", r.log, 5); !o.is("recovered") || o.str("source") != string(wire.SourceOwner) {
			t.Fatalf("joined: %s", o.text)
		}
		c.wantUpdates("from the owner", r, 6, 30)
	}
}

// P3.2: a follower answers while no owner does.
func TestResumeFromFollower(t *testing.T) {
	w, r, g := lobby(t)
	for range 30 {
		w.owner.update(r, false)
	}
	g.player("bob").join("lobby") // the copy begins at 30
	w.owner.locked(func() { w.owner.deaf = true })
	w.owner.follow()
	c := g.player("ann")
	if o := c.rejoin("lobby", r.log, 5); !o.is("recovered") || o.str("source") != string(wire.SourceFollower) {
		t.Fatalf("joined: %s", o.text)
	}
	c.wantUpdates("from a follower", r, 6, 30)
	if o := g.player("cid").join("lobby"); o.is("was_recovering") || o.str("source") != string(wire.SourceSnapshot) {
		t.Fatalf("joined: %s", o.text)
	}
}

// P3.2: a follower that does not have the client's position yet is behind; what it lacks
// is not taken for lost.
func TestResumeFromFollowerThatIsBehind(t *testing.T) {
	w, r, g := lobby(t)
	for range 28 {
		w.owner.update(r, false)
	}
	g.player("bob").join("lobby")
	w.owner.follow()
	w.owner.hide()
	c := g.player("ann")
	c.send(`{"type":"join","id":8,"room":"lobby","position":{"log":%q,"seq":30}}`, r.log)
	eventually(t, "the follower is asked again", func() (again bool) {
		w.owner.locked(func() { again = w.owner.newer >= 2 })
		return again
	})
	for range 3 {
		w.owner.update(r, false)
	}
	if o := c.until("resume is answered", wire.TypeJoined); !o.is("recovered") || o.sub("position").num("seq") != 30 {
		t.Fatalf("joined: %s", o.text)
	}
	c.wantUpdates("behind the position", r, 31, 31)
}

// P3.2: what the owner does not have any more is a snapshot, never a part.
func TestResumeOfWhatIsGone(t *testing.T) {
	w, r, g := lobby(t)
	w.owner.locked(func() { r.kept = 10 })
	for range 30 {
		w.owner.update(r, false)
	}
	c := g.player("ann")
	if o := c.rejoin("lobby", r.log, 5); o.is("recovered") || !o.is("was_recovering") || o.str("source") != string(wire.SourceSnapshot) || o.sub("position").num("seq") != 30 {
		t.Fatalf("joined: %s", o.text)
	}
	other := g.player("bob")
	if o := other.rejoin("lobby", r.log, 22); !o.is("recovered") {
		t.Fatalf("joined: %s", o.text)
	}
	other.wantUpdates("the part that is there", r, 23, 30)
}

// P3.12: a position of another log, or one that the log does not have, is a
// snapshot.
func TestResumeOfAnotherLog(t *testing.T) {
	w, r, g := lobby(t)
	w.owner.update(r, false)
	for _, p := range []wire.Position{{Log: "another", Seq: 1}, {Log: r.log, Seq: 7}} {
		c := g.player("ann")
		if o := c.rejoin("lobby", p.Log, p.Seq); o.is("recovered") || o.sub("position").num("seq") != 1 || o.sub("position").str("log") != r.log {
			t.Fatalf("joined with %v: %s", p, o.text)
		}
	}
}

// P3.2: a client that is ahead of this gateway waits for it, and is not set back.
func TestResumeAheadOfTheGateway(t *testing.T) {
	w, r, g := lobby(t)
	g.player("bob").join("lobby")
	w.owner.update(r, true)
	w.owner.update(r, true)
	c := g.player("ann")
	if o := c.rejoin("lobby", r.log, 2); !o.is("recovered") || o.sub("position").num("seq") != 2 {
		t.Fatalf("joined: %s", o.text)
	}
	w.owner.update(r, false)
	c.wantUpdates("it goes on", r, 3, 3)
}

// P3.5, P3.6: another owner says the last updates again; nothing is repeated, the
// epoch grows, and time does not go back.
func TestTakeover(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	for range 3 {
		w.owner.update(r, false)
	}
	c.wantUpdates("the first owner", r, 1, 3)
	since := w.owner.asks(wire.AskSince)
	w.owner.takeOver()
	for _, u := range r.updates {
		w.owner.say(r, wire.OutUpdate, wire.OutHeader{Epoch: 2, Seq: u.Seq, Time: u.Time}, u.Message)
	}
	w.owner.tick(r)
	if k := c.want("the tick of the new owner", wire.TypeTick); k.num("epoch") != 2 {
		t.Fatal(k.text)
	}
	// The old owner still speaks, of nothing later than what the new one began with.
	w.owner.say(r, wire.OutTick, wire.OutHeader{Epoch: 1, Seq: 3, Time: r.time - 1e6}, []byte(`{"type":"tick","room":"lobby","seq":3,"t":1,"epoch":1}`))
	w.owner.say(r, wire.OutTick, wire.OutHeader{Epoch: 1, Seq: 3, Time: r.time}, []byte(`{"type":"tick","room":"lobby","seq":3,"t":2,"epoch":1}`))
	w.owner.update(r, false)
	delete(c.quiet, wire.TypeTick)
	c.wantUpdates("nothing of the old one", r, 4, 4)
	if n := w.owner.asks(wire.AskSince); n != since {
		t.Errorf("it said the newest update, and was asked %d times whether it has it", n-since)
	}
	if o := g.player("bob").rejoin("lobby", r.log, 4); o.num("epoch") != 2 {
		t.Fatal(o.text)
	}
}

// P3.6: who joins between the new owner's first words and its first tick gets the tick of the old one, and is told
// of an epoch that does not go back.
func TestJoinDuringATakeover(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	w.owner.update(r, false)
	c.wantUpdates("the first owner", r, 1, 1)
	w.owner.tick(r)
	c.want("its tick", wire.TypeTick)
	w.owner.takeOver()
	u := r.updates[0]
	w.owner.say(r, wire.OutUpdate, wire.OutHeader{Epoch: 2, Seq: u.Seq, Time: u.Time}, u.Message)
	w.owner.tell("lobby", r.p, wire.Private{Player: "ann", Message: json.RawMessage(`{"type":"notice","room":"lobby","event":{"e":"x"}}`)})
	c.until("the new owner is heard", wire.TypeNotice)
	for _, join := range []func(*client) object{
		func(b *client) object { return b.rejoin("lobby", r.log, 1) },
		func(b *client) object { return b.join("lobby") },
	} {
		b := g.player("bob")
		joined := join(b)
		if k := b.until("the newest tick", wire.TypeTick); k.num("epoch") < joined.num("epoch") {
			t.Errorf("%s, then %s", joined.text, k.text)
		}
	}
}

// P3.12: a room made again under its name has another log.
func TestRoomMadeAgain(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	w.owner.update(r, false)
	c.wantUpdates("before", r, 1, 1)
	again := w.owner.createAs("lobby", "another-log")
	w.owner.say(again, wire.OutMeta, wire.OutHeader{Epoch: 1}, nil)
	if o := c.want("a snapshot", wire.TypeJoined); o.sub("position").str("log") != "another-log" || o.sub("position").num("seq") != 0 {
		t.Fatal(o.text)
	}
	w.owner.update(again, false)
	c.wantUpdates("of the other log", again, 1, 1)
}

// P3.8: leave ends the room's messages; a closed room says left by itself.
func TestLeaveAndClose(t *testing.T) {
	w, r, g := lobby(t)
	other := w.owner.create("other")
	g.knows("other")
	c := g.player("ann")
	c.join("lobby")
	c.join("other")
	c.send(`{"type":"leave","id":3,"room":"lobby"}`)
	if o := c.want("left", wire.TypeLeft); o.num("id") != 3 || o.str("room") != "lobby" {
		t.Fatal(o.text)
	}
	w.owner.update(r, false)
	w.owner.tell("lobby", r.p, wire.Private{Player: "ann", Message: json.RawMessage(`{"type":"notice","room":"lobby","event":{"e":"x"}}`)})
	w.owner.update(other, false)
	c.wantUpdates("nothing of the room that was left", other, 1, 1)

	c.join("lobby")
	c.wantUpdates("the tail", r, 1, 1)
	w.owner.close("lobby")
	if o := c.want("the room is closed", wire.TypeLeft); o.has("id") || o.str("room") != "lobby" {
		t.Fatal(o.text)
	}
	c.send(`{"type":"join","id":4,"room":"lobby"}`)
	c.wantError("it is gone", wire.CodeUnknownRoom)
	w.owner.update(other, false)
	c.wantUpdates("the other room goes on (P3.9)", other, 2, 2)
}

// P3.9: a room that is closed while a client joins it refuses the client, and says no left to it.
func TestARoomIsClosedWhileAClientJoins(t *testing.T) {
	w, _, g := lobby(t)
	there := g.player("bob")
	there.join("lobby")
	c := g.player("ann")
	join := g.Enter("ann", "lobby")
	w.owner.close("lobby")
	there.want("the room is closed", wire.TypeLeft)
	join()
	if o := c.wantError("it is gone", wire.CodeUnknownRoom); o.num("id") != 7 || o.str("room") != "lobby" {
		t.Fatal(o.text)
	}
}

// P3.9: nobody answers for the room.
func TestJoinWithoutOwner(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.locked(func() { w.owner.deaf = true })
	c := g.player("ann")
	c.send(`{"type":"join","id":5,"room":"lobby"}`)
	if o := c.wantError("no owner", wire.CodeUnavailable); !o.is("temporary") || o.num("id") != 5 || o.str("room") != "lobby" {
		t.Fatal(o.text)
	}
	w.owner.locked(func() { w.owner.deaf = false })
	c.join("lobby")
}

// A herd of joins asks the owner for one snapshot and a few private parts.
func TestHerdOfJoins(t *testing.T) {
	w, r, g := lobby(t, func(c *server.Config) { c.MaxPerPlayer = 100 })
	const herd = 150
	var all []*client
	for i := range herd {
		p := fmt.Sprintf("p%d", i)
		w.owner.locked(func() { r.you[p] = []byte(fmt.Sprintf(`{"n":%d}`, i)) })
		all = append(all, g.player(p))
	}
	release := g.Stall()
	for _, c := range all {
		c.send(`{"type":"join","id":1,"room":"lobby"}`)
		c.send(`{"type":"ping","id":2}`)
	}
	for _, c := range all {
		c.until("the join was read", wire.TypePong)
	}
	release()
	for i, c := range all {
		if o := c.until("joined", wire.TypeJoined); o.sub("you").num("n") != int64(i) {
			t.Fatalf("somebody else's private part: %s", o.text)
		}
	}
	if n := w.owner.asks(wire.AskSnapshot); n != 1 {
		t.Errorf("%d snapshots were asked for", n)
	}
	if n := w.owner.asks(wire.AskYou); n > herd/4 {
		t.Errorf("%d requests for private parts", n)
	}
}

// A long tail behind the snapshot makes a join ask for a newer one.
func TestSnapshotIsRefreshed(t *testing.T) {
	w, r, g := lobby(t)
	c := g.player("ann")
	c.join("lobby")
	for range 600 {
		w.owner.update(r, false)
	}
	c.wantUpdates("all", r, 1, 600)
	eventually(t, "joins get a fresh snapshot", func() bool {
		o := g.player(fmt.Sprintf("p%d", time.Now().UnixNano())).join("lobby")
		return o.sub("position").num("seq") == 600
	})
}

// P2.7, P4.9: what concerns one player reaches all his connections, a notice only
// where the room is joined, and older balances nobody.
func TestPrivateMessages(t *testing.T) {
	w, r, g := lobby(t)
	in, out, other := g.player("ann"), g.player("ann"), g.player("bob")
	for _, c := range []*client{in, out, other} {
		if b := c.want("the first balance", wire.TypeBalance); b.num("version") != 1 {
			t.Fatal(b.text)
		}
		c.quiet[wire.TypeBalance] = false
	}
	in.join("lobby")
	other.join("lobby")
	private := func(format string, args ...any) wire.Private {
		return wire.Private{Player: "ann", Message: json.RawMessage(fmt.Sprintf(format, args...))}
	}
	notice := private(`{"type":"notice","room":"lobby","event":{"e":"out","slot":0}}`)
	w.owner.tell("lobby", r.p, notice, private(`{"type":"balance","amount":5,"version":3}`), private(`{"type":"balance","amount":4,"version":2}`))
	if o := in.want("the notice", wire.TypeNotice); o.text != string(notice.Message) {
		t.Fatal(o.text)
	}
	wantVersion := func(v int64) {
		t.Helper()
		for _, c := range []*client{in, out} {
			if o := c.want("the balance", wire.TypeBalance); o.num("version") != v {
				t.Fatal(o.text)
			}
		}
	}
	wantVersion(3)
	w.owner.tell(wire.CashierRoom, 1, private(`{"type":"balance","amount":6,"version":4}`))
	wantVersion(4)
	w.owner.update(r, false)
	other.wantUpdates("bob hears nothing of it", r, 1, 1)
}

// What the ledger says of an account is copied to the cache, which is asked first; nothing is kept of
// a guest who has none.
func TestBalancesAreCopied(t *testing.T) {
	w := newWorld(t)
	g := w.gateway()
	g.player("ann").want("the ledger's", wire.TypeBalance)
	eventually(t, "it is in the cache", func() bool {
		b, err := w.cache.Balance(t.Context(), "ann")
		return err == nil && b == cache.Balance{Player: "ann", Amount: 100_000, Version: 1}
	})
	w.ledger.set(wire.QueryBalance, wire.Balance{Amount: 7, Version: 0})
	if b := g.player("ann").want("the copy", wire.TypeBalance); b.num("amount") != 100_000 {
		t.Fatal(b.text)
	}
	if b := g.player("bob").want("no account", wire.TypeBalance); b.num("amount") != 7 {
		t.Fatal(b.text)
	}
	g.stop()
	if _, err := w.cache.Balance(t.Context(), "bob"); !errors.Is(err, cache.ErrNotFound) {
		t.Error(err)
	}
}

// P3.10: a client that does not read is told what it misses and gets a snapshot;
// the others notice nothing.
func TestSlowClient(t *testing.T) {
	t.Run("updates left the ring", func(t *testing.T) { slowClient(t, 1<<20, time.Hour) })
	t.Run("updates are late", func(t *testing.T) { slowClient(t, 1<<24, 3*time.Second) })
}

func slowClient(t *testing.T, ringBytes int, lateAfter time.Duration) {
	w, r, g := lobby(t, func(c *server.Config) {
		c.PingInterval = time.Hour // the fast one says nothing
		c.Fanout.SendBuffer, c.Fanout.RingBytes = 4096, ringBytes
		c.Fanout.LateAfter, c.Fanout.StallTimeout, c.Fanout.SlowLimit = lateAfter, time.Minute, time.Hour
	})
	slow, _ := g.tryDial(nil, narrow)
	slow.hello(token(t, "slow"), "")
	fast := g.player("fast")
	slow.join("lobby")
	fast.join("lobby")
	w.owner.locked(func() { r.padding = 16 << 10 })
	slow.reading.Lock()
	resume := sync.OnceFunc(slow.reading.Unlock)
	t.Cleanup(resume)
	for seq := uint64(1); seq <= 304; seq++ {
		w.owner.update(r, false)
		if seq%8 == 0 {
			fast.wantUpdates("the fast one gets all", r, seq-7, seq)
		}
	}
	if lateAfter < time.Minute {
		published := time.Now()
		eventually(t, "what the slow one has not got is late", func() bool { return time.Since(published) > lateAfter })
	}
	resume()
	skip := slow.until("what was skipped", wire.TypeSkip)
	if skip.str("room") != "lobby" || skip.num("from") < 1 || skip.num("to") < skip.num("from") || skip.num("to") > 304 {
		t.Fatal(skip.text)
	}
	o := slow.until("the snapshot", wire.TypeJoined)
	if o.has("id") || o.is("recovered") || o.sub("position").num("seq") < skip.num("to") {
		t.Fatalf("joined: %s", o.text)
	}
	slow.wantUpdates("the rest", r, uint64(o.sub("position").num("seq"))+1, 304)
}
