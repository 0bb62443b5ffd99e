package room

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/room/game"
	"tickcast/wire"
)

// fastCrash and fastRace are settings with which a round takes about a second.
var (
	fastCrash = map[string]any{"betting_ms": 300, "crashed_ms": 200, "cap": 110}
	fastRace  = map[string]any{"gathering_ms": 200, "running_ms": 800, "finished_ms": 200}
)

type betArgs struct {
	Slot   int   `json:"slot"`
	Amount int64 `json:"amount,omitempty"`
	Auto   int64 `json:"auto,omitempty"`
}

func TestARoundFromCreationToTheArchive(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.until("the first round opens", func() bool { return r.phase("lobby") == "betting" })
	if got := r.infos["lobby"]; got.State != "running" || got.Game != "crash" || got.Partition != 3 {
		t.Fatalf("the directory says %+v", got)
	}
	r.command("ann", "lobby", "k1", "bet", 1, betArgs{Amount: 1000, Auto: 101})
	r.command("bob", "lobby", "k1", "bet", 1, betArgs{Amount: 500})
	r.run(10 * time.Millisecond)
	r.wantOK("a covered bet", "ann", "lobby", "k1")
	r.wantOK("another player's same key", "bob", "lobby", "k1")
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	r.until("it crashes", func() bool { return r.phase("lobby") == "crashed" })
	r.until("the second round opens", func() bool { return r.phase("lobby") == "betting" })
	if n := r.p.pending.rooms["lobby"]; n != 0 {
		t.Fatalf("%d bookings are outstanding after the round", n)
	}
	if end := r.book.ends["stake/"+betOf(t, r, "ann", "lobby", "k1")]; end != string(wire.BookPayout) && r.book.balances["ann"] != modelGrant-1000 {
		t.Fatalf("ann's bet ended as %q with the balance %d", end, r.book.balances["ann"])
	}
	if len(r.ticks["lobby"]) < 5 {
		t.Fatalf("%d ticks in a round", len(r.ticks["lobby"]))
	}
	checkTicks(t, r.ticks["lobby"])
}

func betOf(t *testing.T, r *rig, player, room, key string) string {
	t.Helper()
	var res struct {
		Bet string `json:"bet"`
	}
	if err := json.Unmarshal(r.wantOK("the bet", player, room, key).Result, &res); err != nil {
		t.Fatal(err)
	}
	return res.Bet
}

func checkTicks(t *testing.T, ticks []wire.Tick) {
	t.Helper()
	for i := 1; i < len(ticks); i++ {
		if ticks[i].Time <= ticks[i-1].Time || ticks[i].Seq < ticks[i-1].Seq {
			t.Fatalf("tick %+v after %+v", ticks[i], ticks[i-1])
		}
	}
}

// TestThousandsLoseAtOnce: everybody is told, in messages that NATS takes.
func TestThousandsLoseAtOnce(t *testing.T) {
	t.Parallel()
	const players = 12_000
	r := newRig(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 1000, "cap": 110, "max_round_win": 100_000_000_000})
	r.until("it takes bets", func() bool { return r.phase("lobby") == "betting" })
	for i := range players {
		r.command(fmt.Sprintf("a-player-with-a-long-name-%d", i), "lobby", "k", "bet", 1, betArgs{Amount: 100})
	}
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	r.private = nil
	r.until("it has crashed", func() bool { return r.phase("lobby") == "crashed" })
	told := map[string]bool{}
	for _, p := range r.private {
		told[p.Player] = true
	}
	if len(told) != players {
		t.Fatalf("%d of %d players were told how their bets ended", len(told), players)
	}
}

func TestOldRoundsAreStale(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", fastRace)
	r.until("many rounds later", func() bool { return r.p.rooms["derby"].game.Round() > wire.KeptRounds+1 })
	r.command("ann", "derby", "k", "tap", 1, map[string]int{"n": 1})
	r.wantError("a tap for round 1", "ann", "derby", "k", wire.CodeStaleRound)
}

func TestCommandsToNoRoom(t *testing.T) {
	r := newRig(t)
	r.command("ann", "nowhere", "k", "bet", 1, nil)
	r.wantError("no such room", "ann", "nowhere", "k", wire.CodeUnknownRoom)
	if a := r.act("nowhere", wire.ActionPause, nil); a.OK || a.Error.Code != wire.CodeNoRoom {
		t.Fatalf("pause of no room: %+v", a)
	}
}

func TestCreateRefusesWhatIsWrong(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", nil)
	const v7 = "0190a000-0000-7000-8000-000000000000"
	for _, c := range []struct {
		why, room string
		args      any
		want      wire.Code
	}{
		{"twice", "lobby", wire.CreateArgs{UUID: v7, Game: "crash"}, wire.CodeRoomExists},
		{"no such game", "new", wire.CreateArgs{UUID: v7, Game: "chess"}, wire.CodeUnknownGame},
		{"a UUIDv4", "new", wire.CreateArgs{UUID: "6ba7b814-9dad-41d1-80b4-00c04fd430c8", Game: "crash"}, wire.CodeBadArgs},
		{"a long name", "new", wire.CreateArgs{UUID: v7, Game: "crash", Name: "an uncommonly long name for a room"}, wire.CodeBadArgs},
		{"a list", "new", []int{1}, wire.CodeBadArgs},
		{"settings out of range", "new", wire.CreateArgs{UUID: v7, Game: "crash", Settings: []byte(`{"rtp_bp":20000}`)}, wire.CodeBadSettings},
	} {
		if a := r.act(c.room, wire.ActionCreate, c.args); a.OK || a.Error.Code != c.want {
			t.Errorf("%s: %+v, want %s", c.why, a, c.want)
		}
	}
	if r.p.Rooms() != 1 {
		t.Fatalf("%d rooms", r.p.Rooms())
	}
}

func TestAnActionIsDoneOnce(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", nil)
	a := game.Encode(wire.Action{ID: "same", Operator: "op", ReplyTo: "api", Op: wire.ActionPause})
	r.append(wire.KindAction, "lobby", a)
	first := r.answer("", "lobby", "same")
	r.append(wire.KindAction, "lobby", a)
	if again := r.answer("", "lobby", "same"); again.OK != first.OK || r.answered[answerID("", "lobby", "same")] != 2 {
		t.Fatalf("repeated: %+v, first %+v", again, first)
	}
}

func TestClosingEndsARoomAfterItsRound(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	if a := r.act("lobby", wire.ActionClose, nil); !a.OK {
		t.Fatal(a.Error)
	}
	if r.p.Rooms() != 1 {
		t.Fatal("the room is gone before its round ended")
	}
	r.until("it is gone", func() bool { return r.p.Rooms() == 0 })
	if got := r.infos["lobby"].State; got != stateClosed {
		t.Fatalf("the directory says %q", got)
	}
	r.create("lobby", "race", fastRace)
	if r.p.Rooms() != 1 {
		t.Fatal("the ID cannot be used again")
	}
}

// TestClosingAPausedRoom: what it waits for is the result of the closing action's own
// audit record.
func TestClosingAPausedRoom(t *testing.T) {
	for _, kind := range []string{"crash", "race"} {
		r := newRig(t)
		r.create("quiet", kind, nil)
		if a := r.act("quiet", wire.ActionPause, nil); !a.OK {
			t.Fatal(a.Error)
		}
		r.run(time.Minute)
		if a := r.act("quiet", wire.ActionClose, nil); !a.OK {
			t.Fatal(a.Error)
		}
		r.run(time.Minute)
		if r.p.Rooms() != 0 || r.infos["quiet"].State != stateClosed {
			t.Errorf("%s: a paused room was closed a minute ago and is still there: %+v", kind, r.infos["quiet"])
		}
	}
}

// TestAClosingRoomDoesNotStartAgain: close is the last word.
func TestAClosingRoomDoesNotStartAgain(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	r.act("lobby", wire.ActionClose, nil)
	for _, op := range []string{wire.ActionResume, wire.ActionStart} {
		if a := r.act("lobby", op, nil); a.OK || a.Error.Code != wire.CodeNotRunning {
			t.Errorf("%s of a room that closes: %+v", op, a)
		}
	}
	if a := r.act("lobby", wire.ActionVoid, nil); !a.OK {
		t.Errorf("void: %v", a.Error)
	}
	r.until("it is gone", func() bool { return r.p.Rooms() == 0 })
}

// TestTheClockGoesOnWhilePlayersAreBusy has commands come so fast that the log is
// never silent: the owner must tick all the same.
func TestTheClockGoesOnWhilePlayersAreBusy(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", map[string]any{"gathering_ms": 200, "running_ms": 10_000})
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	begin := r.p.Now()
	for i := range 20_000 {
		r.command(fmt.Sprintf("p%d", i%1000), "derby", fmt.Sprint(i), "tap", 1, map[string]int{"n": 1 + i/1000})
		r.run(100 * time.Microsecond)
	}
	if passed := time.Duration(r.p.Now() - begin); passed < 1900*time.Millisecond {
		t.Fatalf("in 2 s of the log the game clock went on by %v", passed)
	}
}

// TestRecordsOfAnOlderEpochAreIgnored has a deposed owner write on.
func TestRecordsOfAnOlderEpochAreIgnored(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", fastRace)
	old := r.p.Epoch()
	r.asleep = true
	r.queue = nil
	r.claim("node-2")
	r.queue = nil
	before := r.p.rooms["derby"].game.Round()
	r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: old, Kind: "open", Room: "derby", Data: []byte(`{"round":1,"rules":1}`)}))
	if got := r.p.rooms["derby"].game.Round(); got != before {
		t.Fatal("a deposed owner opened a round")
	}
}

func TestUpdatesAreCutAtMostFiftyTimesASecond(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", fastRace)
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	for i := range 300 {
		r.command(fmt.Sprintf("p%d", i), "derby", "k", "tap", 1, map[string]int{"n": 1})
		r.run(time.Millisecond)
	}
	updates := r.updates["derby"]
	for i := 1; i < len(updates); i++ {
		if gap := updates[i].Time - updates[i-1].Time; gap < game.Time(cutInterval).Micros() {
			t.Fatalf("updates %d and %d are %d µs apart", i, i+1, gap)
		}
	}
}

// TestEveryFoldHasTheSameState folds random histories again, from the start and
// from a snapshot on the way: they end in the same state and say the same.
func TestEveryFoldHasTheSameState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.create("lobby", "crash", fastCrash)
		r.create("derby", "race", fastRace)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		for i := range rapid.IntRange(1, 120).Draw(rt, "steps") {
			randomStep(r, rnd, i)
		}
		want := r.p.Snapshot()
		again, said := foldAgain(t, r, len(r.log))
		if got := again.Snapshot(); !bytes.Equal(got, want) {
			rt.Fatalf("folded again:\n%s\nwant\n%s", got, want)
		}
		middle := rnd.IntN(len(r.log))
		restored, saidThen := foldAgain(t, r, middle)
		if got := restored.Snapshot(); !bytes.Equal(got, want) {
			rt.Fatalf("restored at record %d of %d:\n%s\nwant\n%s", middle, len(r.log), got, want)
		}
		for i := range said {
			if said[i] != saidThen[i] {
				rt.Fatalf("restored at record %d, it says of record %d:\n%s\nwant\n%s", middle, i+1, saidThen[i], said[i])
			}
		}
	})
}

func randomStep(r *rig, rnd *rand.Rand, i int) {
	player := fmt.Sprintf("p%d", rnd.IntN(4))
	key := fmt.Sprintf("k%d", rnd.IntN(i+2))
	lobby, derby := r.p.rooms["lobby"].game.Round(), r.p.rooms["derby"].game.Round()
	switch rnd.IntN(10) {
	case 0, 1:
		r.command(player, "lobby", key, "bet", lobby+uint64(rnd.IntN(2)), betArgs{Slot: rnd.IntN(2), Amount: int64(rnd.IntN(30)) * 100, Auto: int64(rnd.IntN(4)) * 110})
	case 2:
		r.command(player, "lobby", key, "cashout", lobby, betArgs{Slot: rnd.IntN(2)})
	case 3:
		r.command(player, "lobby", key, "cancel", lobby, betArgs{Slot: rnd.IntN(2)})
	case 4:
		r.command(player, "derby", key, "tap", derby, map[string]int{"n": rnd.IntN(20)})
	case 5:
		r.act([]string{"lobby", "derby"}[rnd.IntN(2)], []string{wire.ActionPause, wire.ActionResume, wire.ActionVoid, wire.ActionStart}[rnd.IntN(4)], nil)
	case 6:
		r.command(player, wire.CashierRoom, key, "refill", 0, nil)
	case 7:
		r.claim("node-x")
	case 8:
		args := wire.PlayerArgs{Player: player, Amount: 100, Until: int64(rnd.IntN(3))}
		r.act(wire.CashierRoom, []string{wire.ActionMute, wire.ActionKick, wire.ActionCredit}[rnd.IntN(3)], args)
	case 9:
		r.putInForce(1 + rnd.IntN(recordsVersion))
	}
	r.run(time.Duration(rnd.IntN(250)) * time.Millisecond)
}

// foldAgain folds the log of r, but goes on from a snapshot before the record at
// restoreAt. It returns what was said of each record, too.
func foldAgain(t *testing.T, r *rig, restoreAt int) (p *Partition, said []string) {
	t.Helper()
	p = NewPartition(r.cfg)
	var out Output
	for i, rec := range r.log {
		if i == restoreAt {
			var err error
			if p, err = RestorePartition(r.cfg, p.Snapshot()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Apply(rec, &out); err != nil {
			t.Fatal(err)
		}
		said = append(said, string(game.Encode(out)))
	}
	return p, said
}

func TestSnapshotsOfAnotherLogAreRefused(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	snapshot := r.p.Snapshot()
	other := r.cfg
	other.Created++
	for why, try := range map[string]func() error{
		"another stream": func() error { _, err := RestorePartition(other, snapshot); return err },
		"cut off":        func() error { _, err := RestorePartition(r.cfg, snapshot[:len(snapshot)/2]); return err },
		"another version": func() error {
			_, err := RestorePartition(r.cfg, bytes.Replace(snapshot, fmt.Appendf(nil, `{"v":%d`, snapshotVersion), []byte(`{"v":999`), 1))
			return err
		},
		"empty":             func() error { _, err := RestorePartition(r.cfg, nil); return err },
		"a flipped bit":     func() error { b := seal(snapshot); b[100] ^= 1; _, err := unseal(b); return err },
		"shorter than seal": func() error { _, err := unseal([]byte("x")); return err },
	} {
		if try() == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	if b, err := unseal(seal(snapshot)); err != nil || !bytes.Equal(b, snapshot) {
		t.Fatalf("an honest snapshot is refused: %v", err)
	}
}

func TestADigestThatDiffersHalts(t *testing.T) {
	taken := &digest{done: make(chan struct{}), sum: [32]byte{1}}
	d := digests{seq: digestEvery, newest: taken}
	if _, owed := d.owed(); owed {
		t.Fatal("a digest is owed before it is taken")
	}
	close(taken.done)
	other := wire.Digest{Seq: digestEvery, Version: snapshotVersion, Sum: make([]byte, 32)}
	if err := d.check(game.Encode(other)); err == nil {
		t.Fatal("a fold that disagrees goes on")
	}
	if owed, _ := d.owed(); d.check(game.Encode(owed)) != nil {
		t.Fatal("a fold that agrees halts")
	}
	other.Version++
	if err := d.check(game.Encode(other)); err != nil {
		t.Fatalf("the digest of another format: %v", err)
	}
	if _, owed := d.owed(); owed {
		t.Fatal("a stated digest is still owed")
	}
}
