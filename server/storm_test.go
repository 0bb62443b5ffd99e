package server

import "testing"

func TestStorm(t *testing.T) {
	var s storm
	for i, c := range []struct {
		connections int
		over        bool
	}{
		{0, false}, {100, false}, {100, false}, // too few
		{400, false}, {900, false}, {900, true}, {900, false}, // once, when it is calm
		{1100, false}, {1100, false}, {1156, false}, {1156, true}, // what came in small numbers adds up
		{0, false}, {0, false}, {300, false}, {299, true}, // all have gone and come back
	} {
		if over := s.over(c.connections); over != c.over {
			t.Errorf("look %d, %d connections: %v", i, c.connections, over)
		}
	}
}
