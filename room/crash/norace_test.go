//go:build !race

package crash

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The race detector makes a game ten times as long, and finds nothing in one goroutine:
// make test-sim plays without it.

// TestAnyInterleaving plays random games. The table compares the room with a twin
// that is restored from its snapshot before every input, so the property "a
// restored room goes on alike" is checked at every step of every game.
func TestAnyInterleaving(t *testing.T) {
	chains := newTestChains(30)
	kind := New(chains)
	rapid.Check(t, func(rt *rapid.T) {
		chains.salt = fmt.Sprintf("%020d", rapid.IntRange(0, 1000).Draw(rt, "salt"))
		settings := rapid.SampledFrom([]string{
			`{"betting_ms":1000,"crashed_ms":500,"lock_ms":300}`,
			`{"betting_ms":300,"crashed_ms":100,"lock_ms":100,"cap":200}`,
			`{"max_win":2000,"max_round_win":3000}`,
		}).Draw(rt, "settings")
		p := &play{table: newTable(rt, chains, settings), rt: rt, book: newBook()}
		p.kind, p.room.kind, p.twin.kind = kind, kind, kind
		for i := range rapid.SampledFrom([]int{3, 25}).Draw(rt, "players") {
			p.names = append(p.names, fmt.Sprintf("p%02d", i))
		}
		p.client = client{phase: "idle", state: stateRunning}
		heard := 0
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			p.step()
			for ; heard < len(p.events); heard++ {
				p.client.hear(rt, json.RawMessage(p.events[heard]))
			}
			p.client.check(rt, p.table)
		}
		p.finish()
		p.judge()
	})
}
