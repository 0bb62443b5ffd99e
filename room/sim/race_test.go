//go:build race

package sim

// The race detector makes a run ten times as long, and finds nothing in one goroutine.
const (
	defaultRounds = 1000
	defaultTimes  = 10
)
