package app

import (
	"slices"
	"testing"
)

// TestDefaultRooms wants a swarm without rooms to play where its game is played.
func TestDefaultRooms(t *testing.T) {
	for game, want := range map[string]string{"": "lobby", "crash": "lobby", "race": "derby"} {
		if got := defaultRooms(game); !slices.Equal(got, []string{want}) {
			t.Errorf("game %q: %v, want %s", game, got, want)
		}
	}
}
