package crash

import (
	"bytes"
	"strings"
	"testing"

	"tickcast/room/game"
)

func TestRestoreRefusesWhatNoSnapshotMade(t *testing.T) {
	tb := newTable(t, crashingAt(231, 231, 100_000), "")
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 150)
	tb.bet("bob", 0, 1000, 0)
	tb.untilPhase(phaseFlying)
	tb.reading(151)
	good := string(tb.room.Snapshot())
	tests := []struct{ why, old, new string }{
		{"a space", `"id":"lobby"`, `"id": "lobby"`},
		{"an unknown field", `"id":"lobby"`, `"id":"lobby","point":231`},
		{"an unknown phase", `"phase":"flying"`, `"phase":"diving"`},
		{"another phase", `"phase":"flying"`, `"phase":"crashed"`},
		{"an unknown state", `"state":"running"`, `"state":"resting"`},
		{"settings out of range", `"rtp_bp":9900`, `"rtp_bp":99000`},
		{"a negative stake", `"stake":1000`, `"stake":-1000`},
		{"an odd stake", `"stake":1000`, `"stake":1050`},
		{"a third slot", `"slot":0`, `"slot":2`},
		{"a payout that is not right", `"payout":1500`, `"payout":1501`},
		{"another multiplier", `"centi":150`, `"centi":151`},
		{"an unknown bet state", `"state":"open"`, `"state":"asleep"`},
		{"a round without a chain", `"fair":{"current":{`, `"fair":{"next":{`},
		{"another place in the chain", `"index":1`, `"index":2`},
		{"a commitment that is none", `"commitment":"`, `"commitment":"x`},
		{"no next round", `"next":{"number":2`, `"next":{"number":3`},
		{"a time out of range", `"totals_at":`, `"totals_at":9223372036854775807,"x":`},
		{"two bets in a slot", `"player":"bob"`, `"player":"alice"`},
	}
	for _, tt := range tests {
		bad := strings.Replace(good, tt.old, tt.new, 1)
		if bad == good {
			t.Fatalf("%s: %s does not occur", tt.why, tt.old)
		}
		if _, err := tb.kind.Restore([]byte(bad)); err == nil {
			t.Errorf("%s: restored", tt.why)
		}
	}
	for _, bad := range []string{"", "{}", "null", "[]", good + "{}", good[:len(good)-1]} {
		if _, err := tb.kind.Restore([]byte(bad)); err == nil {
			t.Errorf("%.20q was restored", bad)
		}
	}
}

// FuzzRestore: whatever can be restored can be used, and is written as it was read.
func FuzzRestore(f *testing.F) {
	tb := newTable(f, crashingAt(231, 231, 100_000), "")
	tb.after = func(string) { f.Add(tb.room.Snapshot()) }
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 150)
	tb.betOnly("bob", 1, 500, 0)
	tb.untilPhase(phaseFlying)
	tb.reading(151)
	tb.bet("bob", 0, 300, 0)
	tb.untilPhase(phaseBetting)
	kind := New(newTestChains(20))
	f.Fuzz(func(t *testing.T, b []byte) {
		room, err := kind.Restore(b)
		if err != nil {
			return
		}
		if !bytes.Equal(room.Snapshot(), b) {
			t.Fatal("it is written differently")
		}
		var fx game.Effects
		at := game.At{Now: room.(*Room).Start}
		for range 50 {
			room.View(at)
			room.You("alice")
			for _, d := range room.Duties(1) {
				if err := room.Fact(at, d.Kind, d.Data, &fx); err != nil {
					return
				}
			}
			if room.Due() == game.Never {
				return
			}
			at.Now = max(at.Now, room.Due())
			room.Advance(at, &fx)
		}
	})
}
