package room

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/room/game"
)

func TestClockFollowsTheOwner(t *testing.T) {
	const ms = int64(time.Millisecond)
	c := clock{}
	for i, step := range []struct {
		why     string
		raw     int64
		byOwner bool
		want    int64 // ms
	}{
		{"the first record starts the clock", 1_000_000 * ms, true, 0},
		{"a step is a step", 1_000_100 * ms, true, 100},
		{"a player's record moves it too", 1_000_150 * ms, false, 150},
		{"the leader's clock went back: stand still", 1_000_050 * ms, false, 150},
		{"and go on from there", 1_000_100 * ms, false, 200},
		{"a long silence counts 300 ms at most, and no more than 300 ms past the owner", 1_009_000 * ms, false, 400},
		{"without the owner there is no time", 1_010_000 * ms, false, 400},
		{"the owner is back: at most 300 ms past its last record", 1_011_000 * ms, true, 400},
		{"and on", 1_011_100 * ms, true, 500},
		{"a leap of an hour is a step of 300 ms", 4_611_100 * ms, true, 800},
	} {
		c.advance(step.raw, step.byOwner)
		if got := int64(c.Now) / ms; got != step.want {
			t.Fatalf("step %d, %s: game time %d ms, want %d", i, step.why, got, step.want)
		}
	}
}

func TestClockNeverGoesBackNorFarFromTheOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{}
		raw := int64(1_700_000_000_000_000_000)
		for range rapid.IntRange(1, 200).Draw(t, "records") {
			raw += rapid.Int64Range(-int64(5*time.Second), int64(5*time.Second)).Draw(t, "step")
			before, owner := c.Now, c.Owner
			c.advance(raw, rapid.Bool().Draw(t, "owner"))
			switch {
			case c.Now < before:
				t.Fatalf("game time went back from %d to %d", before, c.Now)
			case c.Now-before > maxStep:
				t.Fatalf("one record moved the clock by %v", time.Duration(c.Now-before))
			case c.Now > max(owner+maxStep, before):
				t.Fatalf("game time is %v past the owner's last record", time.Duration(c.Now-owner))
			case c.Owner > c.Now:
				t.Fatal("the owner is ahead of the clock")
			}
		}
	})
	if maxStep != game.Time(3*tickSilence) {
		t.Fatal("an owner that ticks late once must not freeze its rounds")
	}
}
