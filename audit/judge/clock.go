package judge

// maxStep is the most that a record moves the game clock, and how far the clock gets
// past the owner's last record: 300 ms.
const maxStep = 300_000_000

// clock is the game clock in nanoseconds, from stored timestamps alone.
type clock struct {
	now   int64
	raw   int64 // timestamp of the last record
	owner int64 // game time of the owner's last record
}

func (c *clock) pass(raw int64, byOwner bool) {
	if c.raw != 0 {
		step := raw - c.raw
		if step < 0 {
			step = 0
		}
		if step > maxStep {
			step = maxStep
		}
		if limit := c.owner + maxStep; c.now+step > limit {
			step = limit - c.now
		}
		if step > 0 {
			c.now += step
		}
	}
	c.raw = raw
	if byOwner {
		c.owner = c.now
	}
}

// at is where in the log something happens.
type at struct {
	now  int64  // game time, ns
	wall int64  // of the record that brought it, Unix ms
	seq  uint64 // of that record
}
