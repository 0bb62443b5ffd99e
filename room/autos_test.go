package room

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/wire"
)

// autosRig is a partition whose first round of the room lobby reaches 2.00x.
func autosRig(t testing.TB) *rig {
	t.Helper()
	for seed := byte(0); ; seed++ {
		cfg := PartitionConfig{ID: 3, Created: 1_700_000_000_000_000_000, Cashier: cashier.Kind{}}
		open := func() *rig {
			cfg.Kinds = []game.Kind{crash.New(crash.NewChains(testSecret, rand.NewChaCha8([32]byte{seed})))}
			r := newRigOf(t, cfg)
			r.create("lobby", "crash", map[string]any{"max_round_win": 100_000_000_000})
			return r
		}
		probe := open()
		probe.until("it crashes", func() bool { return probe.phase("lobby") == "crashed" })
		var v struct{ History []struct{ Centi int64 } }
		probe.decode(probe.p.rooms["lobby"].game.View(game.At{}), &v)
		if v.History[0].Centi >= 300 {
			return open()
		}
	}
}

// flownTo200 is a partition in which as many bets fly as there are players, all with
// the target 2.00x, and the record that carries the clock past it, and past a tick.
func flownTo200(t testing.TB, players int) (*rig, Record) {
	t.Helper()
	r := autosRig(t)
	r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
	for i := range players {
		r.command(fmt.Sprintf("player-%05d", i), "lobby", "bet", "bet", 1, map[string]int64{"slot": 0, "amount": 100, "auto": 200})
	}
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	var v struct{ Start int64 }
	r.decode(r.p.rooms["lobby"].game.View(game.At{}), &v)
	var curve crash.Curve
	target := game.Time(v.Start*1000) + curve.At(200)
	r.until("it is nearly there", func() bool { return r.p.Now() >= target-game.Time(150*time.Millisecond) })
	return r, Record{
		Seq: r.p.Last().Seq + 1, Time: r.now + int64(150*time.Millisecond), Kind: wire.KindOwner,
		Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerTick}),
	}
}

// said is what a speaker published: messages on the rooms' subjects by class,
// messages to a gateway, and bookings.
type said struct {
	classes  map[wire.OutClass]int
	answers  int
	bookings uint64
}

// ear counts what a speaker publishes on a NATS of its own.
type ear struct {
	*stage
	nc       *nats.Conn // the speaker's
	speaker  *speaker
	out, rsp *nats.Subscription
}

func newEar(t *testing.T) *ear {
	t.Helper()
	s := newStageWithoutLedger(t, 4)
	nc := s.connect(bus.RoleRoom)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{stage: s, nc: nc, speaker: newSpeaker(newNATSVoice(nc, 3, "one", newDirectory(js, 4, testkit.Logger(t))))}
	for subject, sub := range map[string]**nats.Subscription{"out.>": &e.out, "rsp.*": &e.rsp} {
		if *sub, err = s.gateway.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.gateway.Flush(); err != nil {
		t.Fatal(err)
	}
	return e
}

// heardSoFar is what has arrived of all that was published before.
func (e *ear) heardSoFar() said {
	e.t.Helper()
	for _, nc := range []*nats.Conn{e.nc, e.gateway} {
		if err := nc.FlushTimeout(patience); err != nil {
			e.t.Fatal(err)
		}
	}
	h := said{classes: map[wire.OutClass]int{}}
	for n, _, _ := e.out.Pending(); n > 0; n-- {
		m, err := e.out.NextMsg(patience)
		if err != nil {
			e.t.Fatal(err)
		}
		h.classes[wire.OutClass(m.Subject[len(m.Subject)-1:])]++
	}
	for n, _, _ := e.rsp.Pending(); n > 0; n-- {
		if _, err := e.rsp.NextMsg(patience); err != nil {
			e.t.Fatal(err)
		}
		h.answers++
	}
	h.bookings = e.queued()
	return h
}

// queued is how many bookings are in the ledger's queue, which takes them a moment
// after they arrived.
func (e *ear) queued() uint64 {
	e.t.Helper()
	js, err := jetstream.New(e.nc)
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.t.Context(), patience) // a busy machine takes longer than the library's five seconds
	defer cancel()
	queue, err := js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		e.t.Fatal(err)
	}
	return queue.CachedInfo().State.Msgs
}

func (e *ear) awaitQueued(n uint64) {
	e.t.Helper()
	testkit.Eventually(e.t, fmt.Sprint(n, " payouts are in the ledger's queue"), patience, func() bool { return e.queued() == n })
}

// TestTicksDoNotWaitForPayouts has 10,000 bets cashed out by one record. What everybody
// is told is out before the first payout, and payouts go out in batches, between which
// the owner's loop does what else there is to do.
func TestTicksDoNotWaitForPayouts(t *testing.T) {
	const players = 10_000
	now := time.Now() // the turns take no time, however long this machine takes for them
	r, rec := flownTo200(t, players)
	if err := r.p.Apply(rec, &r.out); err != nil {
		t.Fatal(err)
	}
	if n := len(r.out.Bookings); n != players {
		t.Fatalf("%d payouts, want %d", n, players)
	}
	e := newEar(t)
	e.speaker.say(&r.out)
	if h := e.heardSoFar(); h.classes[wire.OutTick] != 1 || h.classes[wire.OutUpdate] != 1 || h.classes[wire.OutPrivate] != 0 || h.bookings != 0 {
		t.Fatalf("the record is folded, and out are %+v; want an update, a tick and nothing else", h)
	}
	e.speaker.flush(r.p, now)
	if h := e.heardSoFar(); h.classes[wire.OutPrivate] == 0 || h.classes[wire.OutPrivate] > 10 {
		t.Fatalf("one turn later, out are %+v; want a few lists of notices", h)
	}
	now = now.Add(payoutPause)
	if wait := e.speaker.flush(r.p, now); wait != 0 {
		t.Fatalf("a batch of payouts is out, and the next waits for %v", wait)
	}
	e.awaitQueued(bookBatch)
	turns := 1
	for wait := time.Duration(0); wait == 0; turns++ {
		wait = e.speaker.flush(r.p, now)
	}
	if want := (players + bookBatch - 1) / bookBatch; turns != want {
		t.Errorf("the payouts took %d turns, want %d", turns, want)
	}
	e.awaitQueued(players)
	e.speaker.repeat(r.p, now)
	if len(e.speaker.queue) > 0 {
		t.Errorf("%d payouts are repeated at once", len(e.speaker.queue))
	}
	e.speaker.repeat(r.p, now.Add(2*resendFirst))
	if len(e.speaker.queue) != players {
		t.Errorf("%d payouts without a result are repeated, want %d", len(e.speaker.queue), players)
	}
}

// TestPayoutsWaitForOthers has single bets cashed out one after the other: their payouts wait for one another,
// but not for ever, and not before a stake.
func TestPayoutsWaitForOthers(t *testing.T) {
	r, _ := flownTo200(t, 100)
	e := newEar(t)
	now, out := time.Now(), 0
	cashOut := func() (wait time.Duration) {
		t.Helper()
		r.command(fmt.Sprintf("player-%05d", out), "lobby", "out", "cashout", 1, map[string]int64{"slot": 0})
		out++
		e.speaker.say(&r.out)
		return e.speaker.flush(r.p, now)
	}
	if wait := cashOut(); wait != payoutPause {
		t.Errorf("a payout waits for %v, want %v", wait, payoutPause)
	}
	now = now.Add(payoutPause / 2)
	if wait := e.speaker.flush(r.p, now); wait != payoutPause/2 {
		t.Errorf("it waits for %v more when nothing came for half of that", wait)
	}
	if wait := cashOut(); wait != payoutPause {
		t.Errorf("a second one waits for %v, want %v", wait, payoutPause)
	}
	if n := e.heardSoFar().bookings; n != 0 {
		t.Errorf("%d bookings are out that are to wait", n)
	}
	now = now.Add(payoutPause)
	if wait := e.speaker.flush(r.p, now); wait <= payoutHold {
		t.Errorf("nothing is left, and the next flush is due in %v", wait)
	}
	e.awaitQueued(2)

	const step = 20 * time.Millisecond // less than the pause that ends the wait
	held := time.Duration(0)
	for wait := cashOut(); wait <= payoutPause; wait = cashOut() {
		now, held = now.Add(step), held+step
	}
	if held < payoutHold || held >= payoutHold+step {
		t.Errorf("payouts that come every %v waited for %v, want %v", step, held, payoutHold)
	}
	e.awaitQueued(uint64(out))

	cashOut()
	r.command("player-00099", "lobby", "next", "bet", 2, map[string]int64{"slot": 0, "amount": 100})
	e.speaker.say(&r.out)
	if wait := e.speaker.flush(r.p, now); wait <= payoutHold {
		t.Errorf("a stake, and the payout before it, wait for %v", wait)
	}
	e.awaitQueued(uint64(out) + 1)
}

// TestAnswersOfOneTurnTakeOneMessage folds the taps of 64 players of two gateways.
func TestAnswersOfOneTurnTakeOneMessage(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", longRace())
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	e := newEar(t)
	for i := range foldBatch {
		r.tap(i, fmt.Sprint("gw-", i%2))
		e.speaker.say(&r.out)
	}
	if h := e.heardSoFar(); h.answers != 0 {
		t.Fatalf("%d messages with answers before the turn is over", h.answers)
	}
	e.speaker.flush(r.p, time.Now())
	if h := e.heardSoFar(); h.answers != 2 {
		t.Errorf("%d messages with answers to %d taps by way of two gateways, want 2", h.answers, foldBatch)
	}
	for i := range gatherAnswers {
		r.tap(foldBatch+i, "gw-1")
		e.speaker.say(&r.out)
	}
	if h := e.heardSoFar(); h.answers != 1 {
		t.Errorf("%d messages: more than %d answers wait", h.answers, gatherAnswers)
	}
}

// tap folds the first tap of a player.
func (r *rig) tap(player int, gateway string) {
	r.t.Helper()
	c := wire.Command{Player: fmt.Sprint("player-", player), Gateway: gateway, Key: "tap", Op: "tap", Round: 1, Args: []byte(`{"n":1}`)}
	b, _ := c.AppendBinary(nil)
	r.append(wire.KindCommand, "derby", b)
}
