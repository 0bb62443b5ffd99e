package wire

import (
	"strings"
	"testing"
)

// TestPartitionOfNeverChanges: the mapping is part of what is stored.
func TestPartitionOfNeverChanges(t *testing.T) {
	for room, want := range map[string][3]int{
		"lobby": {0, 3, 723}, "derby": {0, 5, 765}, "room-0": {0, 7, 31}, CashierRoom: {0, 6, 366},
	} {
		for i, n := range []int{1, 8, 1024} {
			if got := PartitionOf(room, n); got != want[i] {
				t.Errorf("room %s is in partition %d of %d, want %d", room, got, n, want[i])
			}
		}
	}
}

func TestParseLogSubjectReadsWhatIsBuilt(t *testing.T) {
	for subject, want := range map[string]struct {
		kind Kind
		room string
	}{
		CommandSubject(7, "lobby"):     {KindCommand, "lobby"},
		CommandSubject(7, CashierRoom): {KindCommand, CashierRoom},
		ActionSubject(7, "a_b-9"):      {KindAction, "a_b-9"},
		ClaimSubject(7):                {KindClaim, ""},
		OwnerSubject(7):                {KindOwner, ""},
		ResultSubject(7):               {KindResult, ""},
	} {
		kind, p, room, ok := ParseLogSubject(subject)
		if !ok || kind != want.kind || p != 7 || room != want.room {
			t.Errorf("%s: %s, %d, %q, %v", subject, kind, p, room, ok)
		}
	}
	for _, subject := range []string{
		"", "cmd", "cmd.", "cmd.7", "cmd.7.", "cmd.7.Lobby", "cmd.7._x", "cmd.7.a.b", "cmd.07.lobby", "cmd.-1.lobby",
		"cmd.x.lobby", "own.7.lobby", "evt", "res.7.", "out.7.lobby", "log.7.cmd.7.lobby", "cmd.99999999999999999999.lobby",
	} {
		if kind, p, room, ok := ParseLogSubject(subject); ok {
			t.Errorf("%q was read as %s, %d, %q", subject, kind, p, room)
		}
	}
}

func TestRoomIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "lobby-2_x": true, strings.Repeat("a", 64): true,
		"": false, "_": false, "-a": false, "A": false, "a.b": false, "a*": false, "a b": false, "a>": false, "\u00e4": false, strings.Repeat("a", 65): false,
	} {
		if ValidRoomID(id) != want {
			t.Errorf("%q: %v, want %v", id, !want, want)
		}
	}
}
