package room

import (
	"bytes"
	"fmt"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

func filedEntry(player, key string, round uint64) *keyEntry {
	return &keyEntry{Ref: game.Ref{Player: player, Key: key}, Round: round}
}

func TestKeysAreKeptForTwentyRounds(t *testing.T) {
	k := newKeyTable()
	first := filedEntry("ann", "a", 1)
	k.file(first)
	for round := uint64(2); round <= 1+wire.KeptRounds; round++ {
		k.file(filedEntry("bob", fmt.Sprint(round), round))
		if k.find(first.Ref) == nil {
			t.Fatalf("the key of round 1 is forgotten in round %d", round)
		}
	}
	k.file(filedEntry("bob", "last", 2+wire.KeptRounds))
	if k.find(first.Ref) != nil {
		t.Fatal("the key of round 1 is kept for ever")
	}
}

func TestKeysOfOnePlayerAreBounded(t *testing.T) {
	k := newKeyTable()
	for i := range maxCommandsPerRound {
		if !k.file(filedEntry("ann", fmt.Sprint(i), 7)) {
			t.Fatalf("key %d was refused", i)
		}
	}
	if k.file(filedEntry("ann", "more", 7)) {
		t.Fatal("there is no bound")
	}
	if !k.file(filedEntry("bob", "one", 7)) {
		t.Fatal("one player's keys used up another's")
	}
	if !k.file(filedEntry("ann", "again", 8)) {
		t.Fatal("the bound is not per round")
	}
}

func TestKeysWithoutRoundsAreBounded(t *testing.T) {
	k := newKeyTable()
	for i := range maxRoundlessKeys + 10 {
		k.file(filedEntry("ann", fmt.Sprint(i), 0))
	}
	if len(k.entries) != maxRoundlessKeys || len(k.filed) != maxRoundlessKeys {
		t.Fatalf("%d entries, %d filed, want %d", len(k.entries), len(k.filed), maxRoundlessKeys)
	}
}

func TestKeylessKeepsTheNewest(t *testing.T) {
	k := newKeyTable()
	k.fileKeyless(filedEntry("ann", "1", 3))
	k.fileKeyless(filedEntry("ann", "2", 3))
	if k.find(game.Ref{Player: "ann", Key: "1"}) != nil || k.find(game.Ref{Player: "ann", Key: "2"}) == nil {
		t.Fatal("of a player's keyless commands not just the newest is kept")
	}
}

// TestKeylessForgetsWhoIsGone has other players in every round.
func TestKeylessForgetsWhoIsGone(t *testing.T) {
	k := newKeyTable()
	const perRound = 3
	for round := uint64(1); round <= 100; round++ {
		for i := range perRound {
			k.fileKeyless(filedEntry(fmt.Sprint("p", round, "-", i), "k", round))
		}
	}
	if want := perRound * (wire.KeptRounds + 1); len(k.newest) != want {
		t.Fatalf("the commands of %d players are kept, want %d", len(k.newest), want)
	}
	if again, err := restoreKeys(k.freeze().save()); err != nil || len(again.newest) != len(k.newest) || again.round != k.round {
		t.Fatalf("restored: %d players in round %d, want %d in %d (%v)", len(again.newest), again.round, len(k.newest), k.round, err)
	}
}

func TestRepliesFitAMessage(t *testing.T) {
	const third = maxListBytes/3 + 1
	for sizes, want := range map[[4]int]int{
		{1, 1, 1, 1}:             4,
		{third, third, third, 1}: 2,
		{2 * maxListBytes, 1}:    1,
		{maxListBytes}:           4,
		{maxListBytes, 1}:        1,
	} {
		if got, _ := fitting(sizes[:], func(n int) int { return n }); got != want {
			t.Errorf("%d of %v bytes go out in one message, want %d", got, sizes, want)
		}
	}
	if n, _ := fitting(nil, updateBytes); n != 0 {
		t.Error("nothing became something")
	}
}

// TestFrozenKeysDoNotChange answers, moves, replaces and forgets entries that were
// frozen.
func TestFrozenKeysDoNotChange(t *testing.T) {
	k := newKeyTable()
	k.file(filedEntry("ann", "a", 1))
	k.file(filedEntry("bob", "b", 1))
	k.fileKeyless(filedEntry("cid", "c", 1))
	want := k.freeze().save()
	early, late := k.freeze(), k.freeze()
	for _, ref := range []game.Ref{{Player: "ann", Key: "a"}, {Player: "cid", Key: "c"}} {
		k.change(k.find(ref)).Gateway = "elsewhere"
		k.change(k.find(ref)).Answer = []byte("{}")
		if e := k.find(ref); e.Gateway != "elsewhere" || string(e.Answer) != "{}" {
			t.Errorf("%v was not changed: %+v", ref, e)
		}
	}
	if got := early.save(); !bytes.Equal(got, want) {
		t.Errorf("changed with an entry:\n%q\n%q", got, want)
	}
	k.fileKeyless(filedEntry("cid", "d", 2))
	k.file(filedEntry("ann", "e", 2+wire.KeptRounds))
	if k.find(game.Ref{Player: "bob", Key: "b"}) != nil {
		t.Error("the keys of round 1 are kept for ever")
	}
	k.change(k.find(game.Ref{Player: "ann", Key: "e"})).Answer = []byte("{}")
	if got := late.save(); !bytes.Equal(got, want) {
		t.Errorf("changed when entries were replaced and forgotten:\n%q\n%q", got, want)
	}
}

func FuzzRestoreKeys(f *testing.F) {
	k := newKeyTable()
	e := filedEntry("ann", "k", 3)
	e.Answer, e.Gateway, e.Body = []byte(`{"ok":true}`), "g1", [8]byte{1, 2}
	k.file(e)
	k.file(filedEntry("bob", "l", 4))
	k.fileKeyless(filedEntry("cid", "m", 4))
	f.Add(k.freeze().save())
	f.Add(k.freeze().save()[1:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := restoreKeys(b)
		if err != nil {
			return
		}
		again, err := restoreKeys(k.freeze().save())
		if err != nil || !bytes.Equal(again.freeze().save(), k.freeze().save()) {
			t.Fatalf("saved again: %v", err)
		}
	})
}
