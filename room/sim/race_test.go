//go:build race

package sim

// The race detector makes a run seven times as long, and finds nothing in one goroutine:
// make test-sim plays without it.
const (
	defaultRounds = 300
	defaultTimes  = 2
)
