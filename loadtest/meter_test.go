package loadtest

import (
	"testing"
	"time"
)

// What was late before the warm-up is over is told of its second, and does not count in the end.
func TestMeterForgetsTheWarmUp(t *testing.T) {
	m := newMeter()
	late := func(d time.Duration) { m.saw(lateness{spread: d, delivery: d, live: true, bytes: 10}) }
	second := func(why string, want int64) {
		t.Helper()
		var sum sightings
		m.collect(&sum)
		if got := sum.spread; want > 0 && got.TotalCount() != want || want == 0 && got != nil {
			t.Errorf("%s: %d sightings in the second, want %d", why, got.TotalCount(), want)
		}
	}
	late(time.Second)
	second("before", 1)
	late(time.Second)
	m.sawTick(time.Second)
	m.warm()
	late(time.Millisecond)
	second("with the warm-up's end in it", 2)
	second("nothing came", 0)
	late(time.Millisecond)
	var all sightings
	m.all(&all)
	if n := all.spread.TotalCount(); n != 2 || all.spread.Max() > 1000 || all.delivery.TotalCount() != 2 {
		t.Errorf("%d sightings count, the latest %d µs; %d deliveries", n, all.spread.Max(), all.delivery.TotalCount())
	}
	if frames, bytes := m.counted(); frames != 4 || bytes != 40 {
		t.Errorf("%d messages of %d bytes", frames, bytes)
	}
}

// Between processes as well.
func TestCollectorForgetsTheWarmUp(t *testing.T) {
	c := newCollector(Config{WarmUp: time.Second}, 1)
	for _, u := range []jointUpdate{{seq: 1, first: 1, last: 2e9}, {seq: 2, first: 1e9, last: 1e9 + 1e6}} {
		c.measure(&u)
	}
	if n := c.whole.TotalCount(); n != 1 || c.whole.Max() > 1100 {
		t.Errorf("%d updates count, the latest %d µs", n, c.whole.Max())
	}
}
