package room

import (
	"time"

	"tickcast/room/game"
)

// maxStep is the most that one record moves the game clock, and the furthest that
// the clock gets past the last record of the owner: without an owner there is no
// time. It is three times the owner's tick interval, so one late tick does not
// freeze a round.
const maxStep = game.Time(300 * time.Millisecond)

// tickSilence is after how much silence of the owner it appends a tick while a
// timer is due, however busy players are: only its own records carry the clock on.
// It is a third of maxStep.
const tickSilence = 100 * time.Millisecond

// clock is the game clock: the sum of the clamped steps of the stored timestamps.
// A stored timestamp is the wall clock of the stream's leader. It may go back when
// the leader changes and jump when a clock is set, so only its steps are used, and
// only within bounds.
type clock struct {
	Now   game.Time `json:"now"`
	Raw   int64     `json:"raw"`   // timestamp of the last record, Unix ns
	Owner game.Time `json:"owner"` // game time of the last record of the owner
}

// advance moves the clock to a record with the timestamp raw.
func (c *clock) advance(raw int64, byOwner bool) {
	if c.Raw != 0 {
		step := min(max(game.Time(raw-c.Raw), 0), maxStep)
		c.Now = max(c.Now, min(c.Now+step, c.Owner+maxStep))
	}
	c.Raw = raw
	if byOwner {
		c.Owner = c.Now
	}
}
