package room

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/wire"
)

// TestScenarios: what the fold makes of the log in corners, each case named by its
// sentence. Those that only the rules of crash decide are in its package.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		sentence string
		show     func(*testing.T)
	}{
		{"a cash-out stored before the crash record but folded later is judged by its own time", storedBeforeTheCrash},
		{"nobody who answers the crash frame wins", answersTheCrashFrame},
		{"the same command id from two tabs", sameCommandFromTwoTabs},
		{"two tabs bet the whole balance", wholeBalanceTwice},
		{"the command key of another player", keyOfAnotherPlayer},
		{"the same key with another body", sameKeyAnotherBody},
		{"the answer lost and asked for again", answerLost},
		{"no owner at all for 5 s", noOwner},
		{"clock of the NATS leader stepped ±5 s", leaderClockStepped},
		{"a stall of 500 ms at 100x", stallAtHundred},
		{"version N+1 folds the log of version N to the same digest", goldenLogs},
		{"an unknown record stops a replica and does not fork it", unknownRecord},
		{"a server with another secret never becomes owner", anotherSecret},
	} {
		t.Run(s.sentence, s.show)
	}
}

// flight is a rig with a room whose first round has a known crash point.
type flight struct {
	*rig
	curve crash.Curve
	point int64
}

type chosenSalt struct {
	*crash.SecretChains
	salt string
}

func (c chosenSalt) Salt() string { return c.salt }

// newFlight is in the first betting phase of the room lobby. Its crash point is from
// low to high.
func newFlight(t *testing.T, low, high int64) *flight {
	t.Helper()
	const limit, rtp = 100_000, 9900
	chains := chosenSalt{SecretChains: crash.NewChains(testSecret, rand.NewChaCha8([32]byte{1}))}
	f := &flight{}
	seed, _ := chains.Seed(roomUUID(1), 0, 1)
	for i := 0; f.point < low || f.point > high; i++ {
		chains.salt = fmt.Sprintf("%032d", i)
		f.point = crash.Point(seed, chains.salt, rtp, limit)
	}
	f.rig = newRigOf(t, PartitionConfig{
		ID: 3, Created: 1_700_000_000_000_000_000, Kinds: []game.Kind{crash.New(chains)}, Cashier: cashier.Kind{},
	})
	f.create("lobby", "crash", map[string]any{
		"betting_ms": 1000, "cap": limit, "rtp_bp": rtp, "max_win": 100_000_000, "max_round_win": 1_000_000_000,
	})
	f.until("bets are taken", func() bool { return f.phase("lobby") == "betting" })
	return f
}

// bet places a bet and waits until it is on.
func (f *flight) bet(player string, amount, auto int64) {
	f.t.Helper()
	f.command(player, "lobby", "bet", "bet", 1, betArgs{Amount: amount, Auto: auto})
	f.run(5 * time.Millisecond)
	f.wantOK("the bet", player, "lobby", "bet")
}

// takeOff waits for the flight and returns its first moment.
func (f *flight) takeOff() game.Time {
	f.t.Helper()
	f.until("it flies", func() bool { return f.phase("lobby") == "flying" })
	start, ok := f.view("lobby")["start"].(float64)
	if !ok {
		f.t.Fatal("the view has no start")
	}
	return game.Time(start) * 1000
}

// runTo lets stored time pass until a record stored then has the game time at.
func (f *flight) runTo(at game.Time) {
	f.t.Helper()
	last := f.log[len(f.log)-1].Time
	f.run(time.Duration(at-f.p.Now()) - time.Duration(f.now-last))
}

func (f *flight) cashOut(player string) { f.cashOutAs(player, "out") }

func (f *flight) cashOutAs(player, key string) {
	f.t.Helper()
	f.command(player, "lobby", key, "cashout", 1, betArgs{})
}

func (f *flight) wantPaid(why, player string, centi int64) {
	f.t.Helper()
	var got struct{ Centi int64 }
	f.decode(f.wantOK(why, player, "lobby", "out").Result, &got)
	if got.Centi != centi {
		f.t.Fatalf("%s: %s is paid %d, want %d", why, player, got.Centi, centi)
	}
}

func storedBeforeTheCrash(t *testing.T) {
	f := newFlight(t, 200, 300)
	f.bet("ann", 1000, 0)
	f.bet("bob", 1000, 0)
	end := f.takeOff() + f.curve.At(f.point+1)
	f.runTo(end - 1)
	f.cashOut("ann")
	f.wantPaid("the last moment", "ann", f.point)
	f.now++
	crashed := len(f.log)
	f.cashOut("bob") // the record that the fold decides the crash on; what reveals it is stored behind it
	f.wantError("the crash record is not in the log yet", "bob", "lobby", "out", wire.CodeTooLate)
	f.run(5 * time.Millisecond)
	if !slices.ContainsFunc(f.log[crashed+1:], func(r Record) bool { return bytes.Contains(r.Data, []byte(`"k":"reveal"`)) }) {
		t.Fatal("the crash record is not behind both")
	}
	_, late := foldAgain(t, f.rig, 0) // by a follower that has slept meanwhile
	if said := strings.Join(late, "\n"); !strings.Contains(said, fmt.Sprintf(`"centi":%d`, f.point)) || said != strings.Join(f.said(), "\n") {
		t.Fatal("a later fold judges otherwise")
	}
}

// said folds the log record by record, as it was stored.
func (r *rig) said() (said []string) {
	p, out := NewPartition(r.cfg), Output{}
	for _, rec := range r.log {
		if err := p.Apply(rec, &out); err != nil {
			r.t.Fatal(err)
		}
		said = append(said, string(game.Encode(out)))
	}
	return said
}

func answersTheCrashFrame(t *testing.T) {
	for _, step := range []time.Duration{0, 1, -100 * time.Millisecond, -5 * time.Second} {
		f := newFlight(t, 200, 300)
		f.bet("ann", 1000, 0)
		f.takeOff()
		for seen := len(f.updates["lobby"]); !f.toldSince(seen, `"phase":"crashed"`); {
			f.run(time.Millisecond)
		}
		f.now += int64(step) // the answer may be stored by another leader, whose clock is behind
		f.cashOut("ann")
		f.wantError(fmt.Sprint("stored ", step, " later"), "ann", "lobby", "out", wire.CodeTooLate)
		f.run(time.Second)
		if got := f.book.balances["ann"]; got != modelGrant-1000 {
			t.Fatalf("ann has %d", got)
		}
	}
}

// toldSince reports whether an update of the lobby behind the first n contains text.
func (f *flight) toldSince(n int, text string) bool {
	for _, u := range f.updates["lobby"][n:] {
		if strings.Contains(string(game.Encode(u.Events)), text) {
			return true
		}
	}
	return false
}

// from stores a command that came through a gateway.
func (f *flight) from(gateway, player, key string, amount int64) {
	f.t.Helper()
	c := wire.Command{
		Player: player, Name: player, Gateway: gateway, Key: key, Op: "bet", Round: 1, Args: game.Encode(betArgs{Amount: amount}), Guest: true,
	}
	b, _ := c.AppendBinary(nil)
	f.append(wire.KindCommand, "lobby", b)
}

func sameCommandFromTwoTabs(t *testing.T) {
	f := newFlight(t, 200, 300)
	f.from("gw-1", "ann", "k", 1000)
	f.from("gw-2", "ann", "k", 1000)
	f.run(5 * time.Millisecond)
	first := f.wantOK("the bet", "ann", "lobby", "k")
	if n := f.answered[answerID("ann", "lobby", "k")]; n != 1 {
		t.Fatalf("%d answers while it was pending, want one", n)
	}
	f.from("gw-1", "ann", "k", 1000)
	if len(f.out.Answers) != 1 || f.out.Answers[0].Node != "gw-1" {
		t.Fatalf("the other tab asks as well, and is told %+v", f.out.Answers)
	}
	if again := f.wantOK("repeated", "ann", "lobby", "k"); !bytes.Equal(again.Result, first.Result) {
		t.Fatalf("the second answer %s is not the first %s", again.Result, first.Result)
	}
	if got := f.book.balances["ann"]; got != modelGrant-1000 {
		t.Fatalf("ann paid %d for one bet of 1000", modelGrant-got)
	}
}

func wholeBalanceTwice(t *testing.T) {
	f := newFlight(t, 200, 300)
	f.command("ann", "lobby", "tab-1", "bet", 1, betArgs{Slot: 0, Amount: modelGrant})
	f.command("ann", "lobby", "tab-2", "bet", 1, betArgs{Slot: 1, Amount: modelGrant})
	f.run(5 * time.Millisecond)
	f.wantOK("the first", "ann", "lobby", "tab-1")
	f.wantError("nothing is left", "ann", "lobby", "tab-2", wire.CodeInsufficientFunds)
	if got := f.book.balances["ann"]; got != 0 {
		t.Fatalf("ann has %d", got)
	}
}

func keyOfAnotherPlayer(t *testing.T) {
	f := newFlight(t, 200, 300)
	f.from("gw", "ann", "k", 1000)
	f.from("gw", "bob", "k", 3000)
	f.run(5 * time.Millisecond)
	f.wantOK("its first user", "ann", "lobby", "k")
	f.wantOK("another player", "bob", "lobby", "k")
	if ann, bob := f.book.balances["ann"], f.book.balances["bob"]; ann != modelGrant-1000 || bob != modelGrant-3000 {
		t.Fatalf("ann has %d and bob %d after a bet each under the same key", ann, bob)
	}
}

func sameKeyAnotherBody(t *testing.T) {
	f := newFlight(t, 200, 300)
	f.from("gw", "ann", "k", 1000)
	f.run(5 * time.Millisecond)
	f.from("gw", "ann", "k", 2000)
	f.wantError("the same key with another body", "ann", "lobby", "k", wire.CodeConflict)
	if got := f.book.balances["ann"]; got != modelGrant-1000 {
		t.Fatalf("ann paid %d for one bet of 1000", modelGrant-got)
	}
}

// answerLost asks as a gateway does that heard nothing, at first too early.
func answerLost(t *testing.T) {
	f := newFlight(t, 200, 300)
	c := wire.Command{Player: "ann", Name: "ann", Gateway: "gw", Key: "k", Op: "bet", Round: 1, Args: game.Encode(betArgs{Amount: 1000}), Guest: true}
	body := c.BodyHash()
	ask := wire.Ask{Op: wire.AskAnswer, Room: "lobby", Player: "ann", Key: "k", Body: body[:]}
	if r := f.p.answerAsk(ask); r.Pending || r.Answer != nil {
		t.Fatalf("it is not known yet: %+v", r)
	}
	f.from("gw", "ann", "k", 1000)
	if r := f.p.answerAsk(ask); !r.Pending || r.Answer != nil {
		t.Fatalf("its stake is not booked yet: %+v", r)
	}
	f.run(5 * time.Millisecond)
	var told wire.Answer
	f.decode(f.p.answerAsk(ask).Answer, &told)
	if want := f.wantOK("the bet", "ann", "lobby", "k"); !told.OK || !bytes.Equal(told.Result, want.Result) {
		t.Fatalf("asked for: %+v, said: %+v", told, want)
	}
	ask.Body = []byte("8 others")
	f.decode(f.p.answerAsk(ask).Answer, &told)
	if told.OK || told.Error.Code != wire.CodeConflict {
		t.Fatalf("of another body: %+v", told)
	}
}

// noOwner: game time stands still, and what is cashed out meanwhile is paid at the
// frozen time.
func noOwner(t *testing.T) {
	f := newFlight(t, 300, 1000)
	f.bet("ann", 1000, 0)
	f.bet("bob", 1000, 0)
	start := f.takeOff()
	f.runTo(start + f.curve.At(200))
	frozen := f.p.Now()
	f.asleep, f.queue = true, nil
	f.now += int64(5 * time.Second)
	f.cashOut("ann")
	if moved := f.p.Now() - frozen; moved > maxStep {
		t.Fatalf("game time went on for %v without an owner", time.Duration(moved))
	}
	f.wantPaid("at the frozen time", "ann", f.curve.Centi(f.p.Now()-start))
	still := f.p.Now()
	f.now += int64(time.Second)
	f.cashOutAs("ann", "again")
	if f.p.Now() != still {
		t.Fatal("time goes on without an owner")
	}
	f.asleep = false
	f.claim("node-2")
	f.until("the round goes on", func() bool { return f.phase("lobby") == "crashed" })
	f.wantCrash("by the next owner")
	if got := f.book.balances["bob"]; got != modelGrant-1000 {
		t.Fatalf("bob has %d", got)
	}
}

// wantCrash wants the round to have ended at its crash point.
func (f *flight) wantCrash(why string) {
	f.t.Helper()
	if !f.toldSince(0, `"phase":"crashed","round":1,`) || !f.toldSince(0, fmt.Sprintf(`"centi":%d,"seed"`, f.point)) {
		f.t.Fatalf("%s: the round did not crash at %d", why, f.point)
	}
}

func leaderClockStepped(t *testing.T) {
	for _, step := range []time.Duration{5 * time.Second, -5 * time.Second} {
		f := newFlight(t, 300, 1000)
		f.bet("ann", 1000, 0)
		f.bet("bob", 1000, 250)
		start := f.takeOff()
		f.runTo(start + f.curve.At(200))
		before := f.p.Now()
		f.now += int64(step)
		f.cashOut("ann")
		moved := f.p.Now() - before
		if moved < 0 || moved > maxStep {
			t.Fatalf("%v: game time moved by %v", step, time.Duration(moved))
		}
		f.wantPaid(fmt.Sprint("at game time, ", step), "ann", f.curve.Centi(f.p.Now()-start))
		f.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: f.p.Epoch(), Kind: wire.OwnerTick}))
		f.until("the round goes on", func() bool { return f.phase("lobby") == "crashed" })
		f.wantCrash(fmt.Sprint(step))
		if got := f.book.balances["bob"]; got != modelGrant-1000+2500 {
			t.Fatalf("%v: bob has %d with a target of 2.50x", step, got)
		}
		checkTicks(t, f.ticks["lobby"])
	}
}

// stallAtHundred: 300 ms of it are time. A target in them is paid exactly, and who
// cashes out behind the stall is paid what the curve reads then.
func stallAtHundred(t *testing.T) {
	f := newFlight(t, 12_000, 100_000)
	const target = 10_100 // reached 166 ms into the stall
	f.bet("ann", 1000, 0)
	f.bet("bob", 1000, target)
	start := f.takeOff()
	f.runTo(start + f.curve.At(10_000))
	f.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: f.p.Epoch(), Kind: wire.OwnerTick}))
	before := f.p.Now()
	f.now += int64(500 * time.Millisecond)
	f.cashOut("ann")
	if moved := f.p.Now() - before; moved != maxStep {
		t.Fatalf("game time moved by %v in a stall of 500 ms", time.Duration(moved))
	}
	f.wantPaid("behind the stall", "ann", f.curve.Centi(before+maxStep-start))
	f.run(5 * time.Millisecond)
	if got := f.book.balances["bob"]; got != modelGrant-1000+1000*target/100 {
		t.Fatalf("bob has %d with a target of %d", got, target)
	}
	f.until("it crashes", func() bool { return f.phase("lobby") == "crashed" })
	f.wantCrash("behind a stall")
}

// unknownRecord has the owner write what only a later version knows: a kind of record of
// the log, of the owner and of a game, and rules of a round.
func unknownRecord(t *testing.T) {
	for why, later := range map[string]func(*rig) Record{
		"a kind of record": func(*rig) Record { return Record{Kind: "new", Data: []byte(`{}`)} },
		"a fact of a game": func(r *rig) Record {
			return Record{Kind: wire.KindOwner, Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: "jackpot", Room: "lobby", Data: []byte(`{}`)})}
		},
		"a fact of another game": func(r *rig) Record {
			return Record{Kind: wire.KindOwner, Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: "jackpot", Room: "derby", Data: []byte(`{}`)})}
		},
		"a fact of the cashier": func(r *rig) Record {
			return Record{Kind: wire.KindOwner, Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: "jackpot", Room: wire.CashierRoom, Data: []byte(`{}`)})}
		},
		"a fact of no room": func(r *rig) Record {
			return Record{Kind: wire.KindOwner, Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: "jackpot", Data: []byte(`{}`)})}
		},
		"rules of a round": func(r *rig) Record {
			return Record{Kind: wire.KindOwner, Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: "open", Room: "lobby", Data: json.RawMessage(`{"round":1,"rules":99}`)})}
		},
	} {
		r := newRig(t)
		r.create("lobby", "crash", fastCrash)
		r.create("derby", "race", fastRace)
		r.run(2 * time.Millisecond) // the chain is committed to, its salt drawn, and no round open
		rec := later(r)
		rec.Seq, rec.Time = r.p.Last().Seq+1, r.now
		if err := r.p.Apply(rec, &r.out); err == nil {
			t.Errorf("%s: the fold went on", why)
		}
	}
}
