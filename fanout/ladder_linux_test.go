package fanout

import (
	"testing"
	"time"
)

func TestKernelLag(t *testing.T) {
	const s = int64(time.Second)
	type look struct {
		at      int64
		sent    uint64 // in all
		unacked int
		late    int64
		moved   bool
	}
	for name, looks := range map[string][]look{
		"keeps up":      {{1 * s, 100, 0, 0, true}, {2 * s, 200, 0, 0, true}, {3 * s, 200, 0, 0, true}},
		"always some":   {{1 * s, 100, 50, 0, true}, {2 * s, 200, 50, 0, true}, {3 * s, 300, 50, 0, true}},
		"stops":         {{1 * s, 100, 0, 0, true}, {2 * s, 200, 100, 0, false}, {3 * s, 300, 200, 1 * s, false}, {5 * s, 300, 200, 3 * s, false}},
		"trickles":      {{1 * s, 1000, 0, 0, true}, {2 * s, 2000, 900, 0, true}, {3 * s, 3000, 1800, 1 * s, true}},
		"catches up":    {{1 * s, 100, 0, 0, true}, {2 * s, 200, 100, 0, false}, {3 * s, 300, 200, 1 * s, false}, {4 * s, 300, 0, 0, true}},
		"more than all": {{1 * s, 10, 99, 0, false}},
	} {
		var k kernelLag
		for i, l := range looks {
			k.sent = l.sent
			if late, moved := k.look(l.at, l.unacked); late != l.late || moved != l.moved {
				t.Errorf("%s, look %d: late %v, moved %v, want %v, %v", name, i+1, time.Duration(late), moved, time.Duration(l.late), l.moved)
			}
		}
	}
}
