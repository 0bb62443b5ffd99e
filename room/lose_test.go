package room

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// TestWhatFollowsFromALostTail has an owner say that the log lost its tail while a round
// flies: the round is void, its stakes come back, orphans are cancelled once, positions
// lead nowhere, and the state can be restored.
func TestWhatFollowsFromALostTail(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 3000})
	r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
	r.command("ann", "lobby", "k", "bet", 1, betArgs{Slot: 0, Amount: 1000})
	r.until("the round flies", func() bool { return r.phase("lobby") == "flying" })
	r.wantOK("the bet", "ann", "lobby", "k")
	log := r.p.rooms["lobby"].log
	say := func(kind string, data any) {
		r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: kind, Data: game.Encode(data)}))
	}
	say(wire.OwnerLost, wire.Lost{Why: "test"})
	if got := r.p.rooms["lobby"].log; got == log || r.p.lost != r.p.last.Seq || r.p.lostAt != r.now/1e6 {
		t.Fatalf("the room's log is %s, it was %s; the tail was lost at %d", got, log, r.p.lost)
	}
	if phase := r.phase("lobby"); phase != "crashed" || r.view("lobby")["history"].([]any)[0].(map[string]any)["voided"] != true {
		t.Fatalf("the round is not void: %s %v", phase, r.view("lobby")["history"])
	}
	for range 2 {
		say(wire.OwnerOrphans, wire.Orphans{Stakes: []wire.OpenStake{{ID: "stake/x", Player: "bob", Room: "lobby", Round: 1, Amount: 500}}})
	}
	if n := r.p.pending.rooms["lobby"]; n != 2 { // and the cancellation of ann's bet
		t.Fatalf("%d bookings are outstanding: %+v", n, r.p.pending.list())
	}
	restored, err := RestorePartition(r.cfg, r.p.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if restored.rooms["lobby"].log != r.p.rooms["lobby"].log || !bytes.Equal(restored.Snapshot(), r.p.Snapshot()) {
		t.Fatal("the restored state is another one")
	}
	r.run(time.Second)
	if ends := r.book.ends; len(ends) != 2 || r.book.balances["ann"] != modelGrant {
		t.Fatalf("ends %v, balance %d", ends, r.book.balances["ann"])
	}
	r.until("the next round", func() bool { return r.phase("lobby") == "betting" })
}

// TestStakesOfALostTail gives an owner answers of the ledger.
func TestStakesOfALostTail(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 3000})
	r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
	r.command("ann", "lobby", "k", "bet", 1, betArgs{Slot: 0, Amount: 1000})
	r.until("the round flies", func() bool { return r.phase("lobby") == "flying" })
	stakes := r.p.stakes()
	if len(stakes) == 0 {
		t.Fatal("no stake is known")
	}
	uuid := r.p.rooms["lobby"].uuid
	var mine string
	for id := range stakes {
		if id != "" {
			mine = id
		}
	}
	for why, c := range map[string]struct {
		reply   wire.StakesReply
		want    bool // it contradicts the fold
		suspect bool
	}{
		"nothing":                {},
		"what the room knows":    {reply: wire.StakesReply{Open: []wire.OpenStake{{ID: mine}}, Archived: map[string]uint64{uuid: 0}}},
		"an end of an open bet":  {reply: wire.StakesReply{Ended: []string{mine}}, want: true},
		"the round that flies":   {reply: wire.StakesReply{Archived: map[string]uint64{uuid: 1}}, want: true},
		"a stake nobody knows":   {reply: wire.StakesReply{Open: []wire.OpenStake{{ID: "stake/x", Player: "bob", Room: "lobby"}}}, suspect: true},
		"an end of another bet":  {reply: wire.StakesReply{Ended: []string{"stake/y"}}},
		"a round of another one": {reply: wire.StakesReply{Archived: map[string]uint64{"other": 7}}},
	} {
		replica := NewReplica(ReplicaConfig{Partition: r.cfg, Rank: func(string) int { return 0 }, Now: time.Now})
		replica.part, replica.claim = r.p, r.p.Epoch()
		if got := replica.contradiction(&c.reply); (got != "") != c.want {
			t.Errorf("%s: contradiction %q, want one: %t", why, got, c.want)
		}
		if got := replica.suspect(c.reply.Open); got != c.suspect || replica.tail.why != "" {
			t.Errorf("%s: suspect %t, want %t; declared %q", why, got, c.suspect, replica.tail.why)
		}
		if again := replica.suspect(c.reply.Open); again || len(replica.tail.orphans) > 0 != c.suspect || (replica.tail.why != "") != c.suspect {
			t.Errorf("%s, again: orphans %v, declared %q", why, replica.tail.orphans, replica.tail.why)
		}
		replica.tail.orphans = nil // they are in the log, and cancelled
		if again := replica.suspect(c.reply.Open); again != c.suspect || len(replica.tail.orphans) > 0 {
			t.Errorf("%s, an answer of before: suspect %t, orphans %v", why, again, replica.tail.orphans)
		}
	}
}

// TestOrphansThatAreSaidTwice: an owner whose append has no answer says them again, and both
// records may be stored, the second one behind the results of the first. It asks for nothing else.
func TestOrphansThatAreSaidTwice(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 3000})
	r.putInForce(recordsVersion)
	r.run(time.Second)
	var asked []wire.Booking
	say := func(kind string, data any) {
		r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: kind, Data: game.Encode(data)}))
	}
	say(wire.OwnerLost, wire.Lost{Why: "test"})
	r.run(time.Second)
	for range 2 {
		say(wire.OwnerOrphans, wire.Orphans{Stakes: []wire.OpenStake{{ID: "stake/x", Player: "bob", Room: "lobby", Round: 1, Amount: 500}}})
		for _, b := range r.p.pending.byNum {
			asked = append(asked, b)
		}
		r.run(time.Second)
	}
	if len(asked) != 2 || !reflect.DeepEqual(asked[0], asked[1]) {
		t.Errorf("asked for %+v", asked)
	}
}

// TestALostWordHasAnotherName loses the record that tells of a lost tail, and another one takes its
// very place: who heard the first one is told that this log is another one, too.
func TestALostWordHasAnotherName(t *testing.T) {
	for version := 1; version <= recordsVersion; version++ {
		r := newRig(t)
		r.create("derby", "race", fastRace)
		r.putInForce(version)
		r.until("a round runs", func() bool { return r.phase("derby") == "running" })
		names := map[string]bool{r.p.rooms["derby"].log: true}
		for _, later := range []time.Duration{time.Millisecond, time.Minute} {
			p, err := RestorePartition(r.cfg, r.p.Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			lost := game.Encode(wire.OwnerRecord{Epoch: p.Epoch(), Kind: wire.OwnerLost, Data: game.Encode(wire.Lost{Why: "test"})})
			if err := p.Apply(Record{Seq: p.last.Seq + 1, Time: p.last.Time + int64(later), Kind: wire.KindOwner, Data: lost}, &r.out); err != nil {
				t.Fatal(err)
			}
			restored, err := RestorePartition(r.cfg, p.Snapshot())
			if err != nil || restored.rooms["derby"].log != p.rooms["derby"].log {
				t.Fatalf("restored: %v", err)
			}
			names[p.rooms["derby"].log] = true
		}
		want := 3
		if version < 3 {
			want = 2
		}
		if len(names) != want {
			t.Errorf("version %d: the log has %d names, want %d", version, len(names), want)
		}
	}
}
