//go:build !race

package sim

const (
	defaultRounds = 6000
	defaultTimes  = 100
)
