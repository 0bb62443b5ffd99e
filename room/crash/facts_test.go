package crash

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

func kinds(duties []game.Duty) (names []string) {
	for _, d := range duties {
		names = append(names, d.Kind)
	}
	return names
}

func wantDuties(t *testing.T, why string, tb *table, want ...string) []game.Duty {
	t.Helper()
	duties := tb.room.Duties(1)
	if got := kinds(duties); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: duties %v, want %v", why, got, want)
	}
	return duties
}

func TestOrderOfFacts(t *testing.T) {
	tb := newTable(t, newTestChains(1000), "")
	tb.manual = true
	commit := wantDuties(t, "a fresh room", tb, factCommit)[0]
	tb.fact(game.Duty{Kind: factSalt, Data: []byte(`{"chain":0,"salt":"0123456789abcdef","source":"server"}`)})
	wantDuties(t, "a salt before the commitment has no effect", tb, factCommit)
	tb.fact(commit)
	salt := wantDuties(t, "committed", tb, factSalt)[0]
	tb.fact(commit)
	tb.fact(salt)
	open := wantDuties(t, "salted", tb, factOpen)[0]
	tb.fact(salt)
	tb.wantPhase("not opened yet", phaseIdle)
	tb.fact(open)
	tb.wantPhase("opened", phaseBetting)
	tb.fact(open)
	wantDuties(t, "betting", tb)
	tb.untilPhase(phaseFlying)
	wantDuties(t, "flying", tb)
	tb.untilPhase(phaseCrashed)
	reveal := wantDuties(t, "crashed", tb, factReveal)[0]
	tb.until(tb.room.End)
	wantDuties(t, "the seed has to be in the log before the next round", tb, factReveal)
	tb.fact(reveal)
	open = wantDuties(t, "revealed", tb, factOpen)[0]
	tb.fact(reveal)
	tb.fact(open)
	if tb.room.Current.Number != 2 {
		t.Fatalf("round %d", tb.room.Current.Number)
	}
	tb.fact(reveal)
}

func TestFalseFacts(t *testing.T) {
	tb := newTable(t, newTestChains(1000), "")
	tb.manual = true
	refuse := func(why, kind, data string) {
		t.Helper()
		if err := tb.tryFact(game.Duty{Kind: kind, Data: []byte(data)}); err == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	refuse("an unknown kind", "rumour", `{}`)
	refuse("a broken commitment", factCommit, `{"chain":0,"commitment":"00","rounds":5}`)
	refuse("a chain without rounds", factCommit, fmt.Sprintf(`{"chain":0,"commitment":"%064d","rounds":0}`, 0))
	tb.fact(tb.room.Duties(1)[0])
	refuse("a broken salt", factSalt, `{"chain":0,"salt":"short","source":"server"}`)
	refuse("a salt of somebody else", factSalt, `{"chain":0,"salt":"0123456789abcdef","source":"me"}`)
	tb.fact(tb.room.Duties(1)[0])
	refuse("unknown rules", factOpen, `{"round":1,"rules":2}`)
	for _, kind := range []string{factCommit, factSalt, factOpen, factReveal} {
		refuse("no JSON", kind, `{`)
	}
	tb.fact(tb.room.Duties(1)[0])
	tb.untilPhase(phaseCrashed)
	owed := tb.room.revealOwed()
	for _, f := range []func(*revealFact){
		func(f *revealFact) { f.Seed = strings.Repeat("00", 32) },
		func(f *revealFact) { f.Seed = strings.ToUpper(f.Seed) },
		func(f *revealFact) { f.Index++ },
		func(f *revealFact) { f.Chain++ },
	} {
		bad := owed
		f(&bad)
		refuse("a false seed", factReveal, string(game.Encode(bad)))
	}
	tb.fact(game.Duty{Kind: factReveal, Data: game.Encode(owed)})
}

func TestChainsFollowEachOther(t *testing.T) {
	const rounds = 7
	chains := newTestChains(rounds)
	tb := newTable(t, chains, `{"betting_ms":100,"crashed_ms":100,"cap":200}`)
	for range 3 * rounds {
		tb.untilPhase(phaseCrashed)
		tb.untilPhase(phaseBetting)
	}
	if len(tb.room.History) != 3*rounds {
		t.Fatalf("%d rounds", len(tb.room.History))
	}
	for _, h := range tb.room.History {
		wantChain, wantIndex := uint32((h.Round-1)/rounds), (h.Round-1)%rounds+1
		if h.Chain != wantChain || h.Index != wantIndex {
			t.Errorf("round %d is chain %d, index %d", h.Round, h.Chain, h.Index)
		}
		seed := seedOf(t, h.Seed)
		if want, _ := chains.Seed(testUUID, h.Chain, h.Index); Seed(want) != seed {
			t.Errorf("round %d has a wrong seed", h.Round)
		}
		before := seed.Before()
		if h.Index == 1 {
			commitment, _ := chains.Commitment(testUUID, h.Chain)
			if Seed(commitment) != before {
				t.Errorf("round %d does not fit the commitment", h.Round)
			}
		}
		if got := Point(seed, chains.salt, 9900, 200); got != h.Centi {
			t.Errorf("round %d crashed at %d, its seed says %d", h.Round, h.Centi, got)
		}
	}
}

func TestNextChainIsCommittedAhead(t *testing.T) {
	tb := newTable(t, newTestChains(commitAhead+3), `{"betting_ms":100,"crashed_ms":100,"cap":200}`)
	tb.twin = nil
	for tb.room.Fair.Next == nil || tb.room.Current.Number == 0 {
		tb.untilPhase(phaseCrashed)
		tb.untilPhase(phaseBetting)
	}
	if left := tb.room.Fair.left(tb.room.Current.Number); left != commitAhead {
		t.Fatalf("committed %d rounds ahead", left)
	}
	if !tb.hasEvent(`"e":"commit","chain":1`) || !tb.hasEvent(`"e":"salt","chain":1`, `"salt_source":"server"`) {
		t.Fatal("the next chain was not told")
	}
	if v := string(tb.room.View(tb.at())); !strings.Contains(v, `"next":{"chain":1,"commitment":"`) {
		t.Fatal(v)
	}
}

func TestBlindRoom(t *testing.T) {
	chains := newTestChains(20)
	tb := newTable(t, chains, "")
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 150)
	blind := *chains
	blind.blind = true
	restored, err := New(&blind).Restore(tb.room.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	room := restored.(*Room)
	if room.Informed() || !tb.room.Informed() {
		t.Fatal("the wrong room is informed")
	}
	tb.room, tb.twin = room, nil
	tb.untilPhase(phaseFlying)
	if room.Due() != game.Never {
		t.Fatal("a blind room is due in a flight")
	}
	tb.pass(60_000_000_000)
	ref := tb.command("alice", "cashout", 1, `{"slot":0}`)
	tb.wantPending("it cannot be judged", ref)
	if len(room.Duties(1)) != 0 {
		t.Fatalf("duties: %v", kinds(room.Duties(1)))
	}
	seed, _ := chains.Seed(testUUID, 0, 1)
	data := game.Encode(revealFact{Round: 1, Chain: 0, Index: 1, Seed: hex.EncodeToString(seed[:])})
	if err := tb.tryFact(game.Duty{Kind: factReveal, Data: data}); err == nil {
		t.Fatal("a blind room went on")
	}
}

func TestWrongSecretIsBlind(t *testing.T) {
	tb := newTable(t, newTestChains(20), "")
	tb.untilPhase(phaseBetting)
	other := newTestChains(20)
	other.secret = []byte("another secret")
	restored, err := New(other).Restore(tb.room.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	tb.room, tb.twin = restored.(*Room), nil
	if tb.room.Informed() {
		t.Fatal("a room with another secret is informed")
	}
	tb.untilPhase(phaseFlying)
	if !tb.room.blind() || tb.room.Due() != game.Never {
		t.Fatal("a room with another secret flies")
	}
}

// TestVoidOfABlindRoom: the refunds do not need the seed, the reveal halts it.
func TestVoidOfABlindRoom(t *testing.T) {
	chains := newTestChains(20)
	tb := newTable(t, chains, "")
	tb.untilPhase(phaseBetting)
	b := tb.bet("alice", 0, 1000, 150)
	chains.blind = true
	if e := tb.action("void", ""); e != nil {
		t.Fatal(e)
	}
	tb.wantState("refunded", b, betRefunded)
	if err := tb.tryFact(game.Duty{Kind: factReveal, Data: []byte(`{"round":1}`)}); err == nil {
		t.Fatal("a blind room went on")
	}
}

func TestArchive(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), `{"crashed_ms":100,"betting_ms":100}`)
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 150)
	tb.bet("bob", 0, 2000, 0)
	tb.untilPhase(phaseCrashed)
	if n := len(tb.room.History); n != 1 {
		t.Fatal("the history waits for the archive")
	}
	payout := tb.queue[0]
	tb.queue = nil
	tb.untilPhase(phaseBetting) // round 2 begins, the payout is still on its way
	if len(tb.room.Closing) != 1 || len(tb.room.Closing[0].Bets) != 1 || tb.room.Settled() {
		t.Fatalf("closing: %+v", tb.room.Closing)
	}
	tb.result(wire.BookingResult{ID: "payout/unknown", Booked: true})
	if len(tb.queue) != 0 {
		t.Fatal("a foreign result closed the round")
	}
	tb.result(wire.BookingResult{ID: payout.ID, Booked: true})
	tb.result(wire.BookingResult{ID: payout.ID, Booked: true})
	if len(tb.queue) != 1 || len(tb.room.Closing) != 0 {
		t.Fatalf("bookings: %+v", tb.queue)
	}
	got := tb.queue[0]
	if got.ID != "round/"+testUUID+"/1" || got.Kind != wire.BookRound || got.Partition != 3 || got.Room != "lobby" {
		t.Fatalf("booking: %+v", got)
	}
	var o outcome
	if err := json.Unmarshal(got.Round.Outcome, &o); err != nil {
		t.Fatal(err)
	}
	f := tb.room.Fair.Current
	want := outcome{
		Centi: 231, Seed: o.Seed, Salt: f.Salt, Chain: 0, Index: 1, Commitment: f.Commitment,
		RTPBP: 9900, Cap: 100_000, Count: 2, Stake: 3000, Paid: 1500, Rules: 1,
	}
	if o != want || Point(seedOf(t, o.Seed), o.Salt, o.RTPBP, o.Cap) != 231 {
		t.Fatalf("outcome: %+v", o)
	}
	if r := got.Round; r.Voided || r.Round != 1 || r.Game != "crash" || r.Ended <= r.Started {
		t.Fatalf("record: %+v", r)
	}
}

func TestArchiveOfAnEmptyRound(t *testing.T) {
	tb := newTable(t, crashingAt(100, 200, 100_000), "")
	tb.untilPhase(phaseCrashed)
	if len(tb.queue) != 1 || tb.queue[0].Kind != wire.BookRound {
		t.Fatalf("bookings: %+v", tb.queue)
	}
}

// TestRoundsWaitForTheLedger has it be away for thirty rounds: what waits for it is
// bounded, the rounds go on, and bets are taken again when it is back.
func TestRoundsWaitForTheLedger(t *testing.T) {
	tb := newTable(t, newTestChains(1000), `{"betting_ms":100,"crashed_ms":100,"lock_ms":100,"cap":200}`)
	for i := range 30 {
		tb.untilPhase(phaseBetting)
		before := string(tb.room.Snapshot())
		ref := tb.betOnly(fmt.Sprintf("p%d", i), 0, 1000, 0)
		if i > maxClosing {
			tb.wantCode("the ledger is away", ref, wire.CodeTemporarilyUnavailable)
			if string(tb.room.Snapshot()) != before {
				t.Fatal("a refused bet changed something")
			}
		}
		tb.untilPhase(phaseCrashed)
	}
	tb.untilPhase(phaseBetting)
	if n := len(tb.room.Closing); n != maxClosing {
		t.Fatalf("%d rounds wait, want %d", n, maxClosing)
	}
	tb.settle()
	if n := len(tb.room.Closing); n != 0 {
		t.Fatalf("%d rounds wait still", n)
	}
	tb.wantPending("the ledger is back", tb.betOnly("alice", 0, 1000, 0))
	rounds := 0
	for _, b := range tb.booked {
		if b.Kind == wire.BookRound {
			rounds++
		}
	}
	if rounds != 30 {
		t.Fatalf("%d rounds were archived", rounds)
	}
}
