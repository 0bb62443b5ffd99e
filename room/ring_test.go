package room

import (
	"testing"

	"tickcast/wire"
)

// TestUpdatesSince asks for updates behind one that is the ring's, another one under its number, or not kept.
func TestUpdatesSince(t *testing.T) {
	var u updateRing
	for seq := uint64(4); seq <= 6; seq++ {
		u.add(wire.OutRecord{Seq: seq, Message: []byte{byte(seq)}})
	}
	other := wire.UpdateSum([]byte("of the lost tail"))
	for _, c := range []struct {
		why   string
		seq   uint64
		sum   []byte
		n     int
		whole bool
	}{
		{"the asker has the same one", 5, wire.UpdateSum([]byte{5}), 1, true},
		{"he does not say which", 5, nil, 1, true},
		{"he has another one", 5, other, 0, false},
		{"the newest is the same one", 6, wire.UpdateSum([]byte{6}), 0, true},
		{"the newest is another one", 6, other, 0, false},
		{"it is not kept", 3, other, 3, true},
		{"what is behind it is not kept", 2, nil, 0, false},
		{"there is none yet", 7, nil, 0, false},
	} {
		if updates, whole := u.since(c.seq, c.sum, 6); len(updates) != c.n || whole != c.whole {
			t.Errorf("%s: %d updates behind %d, all of them: %v", c.why, len(updates), c.seq, whole)
		}
	}
}
