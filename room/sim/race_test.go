//go:build race

package sim

// The race detector makes a run seven times as long, and finds nothing in one goroutine:
// make test-sim plays without it, and has the tests that play the same run twice and runs
// that are broken.
const (
	defaultRounds = 300
	defaultTimes  = 2
)
