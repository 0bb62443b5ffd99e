package room

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/wire"
)

// crashPoint is the published formula, written again.
func crashPoint(seed [32]byte, salt string) int64 {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write(seed[:])
	first52 := binary.BigEndian.Uint64(mac.Sum(nil)) >> 12
	hi, lo := bits.Mul64(9900, 1<<52)
	centi, _ := bits.Div64(hi, lo, 100*(1<<52-first52))
	return min(max(int64(centi), 100), 100_000)
}

// rigWithUnusualRound is a rig whose room lobby flies a first round that crashes at
// 655.36x or later, found by trying sources of salts.
func rigWithUnusualRound(t *testing.T) (*rig, testkit.Secret) {
	t.Helper()
	seed, _ := crash.NewChains(testSecret, nil).Seed(lobbyUUID, 0, 1)
	for try := range byte(250) {
		for again := range byte(250) {
			source := [32]byte{try, again}
			centi := crashPoint(seed, crash.NewChains(nil, rand.NewChaCha8(source)).Salt())
			if centi < 1<<16 || centi == 100_000 {
				continue
			}
			r := newRigOf(t, PartitionConfig{
				ID: 3, Created: 1_700_000_000_000_000_000, Cashier: cashier.Kind{},
				Kinds: []game.Kind{crash.New(crash.NewChains(testSecret, rand.NewChaCha8(source)))},
			})
			return r, testkit.Secret{Seed: seed, Centi: centi}
		}
	}
	t.Fatal("no source of salts gives an unusual round")
	return nil, testkit.Secret{}
}

// lobbyUUID is the UUID of the first room that a rig makes.
const lobbyUUID = "0190a000-0000-7000-8000-000000000001"

// TestNothingLeavesBeforeTheCrash flies a round with an unusual crash point and
// searches everything that the partition says, stores and asks for.
func TestNothingLeavesBeforeTheCrash(t *testing.T) {
	r, s := rigWithUnusualRound(t)
	r.create("lobby", "crash", map[string]any{"betting_ms": 300, "crashed_ms": 200, "tick_ms": 1000})
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	// The first nanosecond at which the curve reads one more than the crash point; the
	// exact one has tests of its own, and here a microsecond more or less is found too.
	takeoff := int64(r.view("lobby")["start"].(float64)) * 1000
	s.End = takeoff + int64(math.Log(float64(s.Centi+1)/100)/0.06*1e9)
	var said []byte
	tap := func() {
		for _, m := range r.out.Messages {
			said = wire.AppendOut(said, m.Header, m.Body)
		}
		for _, a := range r.out.Answers {
			said = append(said, game.Encode(a)...)
		}
		said = append(said, game.Encode(r.out.Bookings)...)
		said = append(said, game.Encode(r.out.Directory)...)
		for _, ask := range []wire.Ask{
			{Op: wire.AskSnapshot, Room: "lobby"}, {Op: wire.AskYou, Room: "lobby", Players: []string{"ann"}}, {Op: wire.AskSince, Room: "lobby"},
		} {
			said = append(said, game.Encode(r.p.answerAsk(ask))...)
		}
		said = append(said, r.p.Snapshot()...)
	}
	from := len(r.log)
	for r.p.Now() < game.Time(s.End)-game.Time(2*time.Second) {
		r.run(time.Second)
		tap()
	}
	if r.phase("lobby") != "flying" {
		t.Fatalf("the round of %d is %s early: %v", s.Centi, r.phase("lobby"), r.view("lobby")["history"])
	}
	for _, rec := range r.log[from:] {
		said = append(said, rec.Data...)
	}
	if found := s.Find(said); len(found) > 0 {
		t.Fatalf("%d bytes say the secret of a flying round of %d: %s", len(said), s.Centi, strings.Join(found, ", "))
	}
	said, from = nil, len(r.log)
	r.until("it has crashed", func() bool { tap(); return r.phase("lobby") == "crashed" })
	r.run(10 * time.Millisecond)
	tap()
	for _, rec := range r.log[from:] {
		said = append(said, rec.Data...)
	}
	for _, want := range []string{"seed, hex", "crash point, decimal"} {
		if !slices.Contains(s.Find(said), want) {
			t.Errorf("after the crash the same search does not find %q (seed %s, crash point %d)", want, hex.EncodeToString(s.Seed[:]), s.Centi)
		}
	}
	if !json.Valid(r.p.Snapshot()) {
		t.Fatal("the snapshot is not JSON")
	}
}
