package web_test

import (
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

func TestPageStandsStillWithTheRoom(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.happen(`{"e":"phase","phase":"flying","round":1,"start":@}`)
	s.rises("the curve rises", 1.02)
	s.fallSilent()
	s.tab.until("P3.5: the page says that the room is not heard", `!document.querySelector('#frozen').hidden`)
	before := eval[string](s.tab, "read the curve", `document.querySelector('#readout-value').textContent`)
	after := eval[string](s.tab, "read it again after 30 frames",
		`new Promise((done) => { let n = 0; (function f() { if (++n > 30) done(document.querySelector('#readout-value').textContent); else requestAnimationFrame(f); })(); })`)
	if before != after {
		t.Fatalf("the curve went on from %s to %s while the room stood still", before, after)
	}
	s.hold(false)
	s.tab.until("it goes on", `document.querySelector('#frozen').hidden && document.querySelector('#readout-value').textContent !== '`+before+`'`)
}

func TestPageOfARaceStandsStillWithTheRoom(t *testing.T) {
	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprint(size.width), func(t *testing.T) {
			s := enterStage(t, size.width, size.height, `{"game":"race","uuid":"u","name":"Lobby","state":"running","phase":"running","round":1,"start":0,"end":3600000000,`+
				`"settings":{"running_ms":3600000,"max_taps_per_s":20},"players":0,"top":[],"history":[]}`)
			s.shows("the clock runs", "#race-clock", " s")
			s.tab.until("and nobody says that it does not", `document.querySelector('#race-frozen').hidden`)
			s.hold(true)
			s.tab.until("P3.5: the page says that the room is not heard", `!document.querySelector('#race-frozen').hidden`)
			s.tab.picture(fmt.Sprintf("frozen-race-%d", size.width))
			s.hold(false)
			s.tab.until("it goes on", `document.querySelector('#race-frozen').hidden`)
		})
	}
}

// watchCurve notes, each frame, what the curve reads and whether the page calls it
// frozen.
const watchCurve = `window.seen = []; (function f() {
  requestAnimationFrame(f);
  const m = /^([\d.,]+)×$/.exec(document.querySelector('#readout-value').textContent);
  if (m && document.querySelector('#stage').dataset.phase === 'flying')
    seen.push([Number(m[1].replaceAll(',', '')), document.querySelector('#stage').dataset.frozen === 'yes']);
})()`

// TestCurveNeverRunsBackwards has a room fall silent in a flight, another owner go on
// with it from a game time before the one that the page drew, and the page's
// connection break and resume.
func TestCurveNeverRunsBackwards(t *testing.T) {
	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprint(size.width), func(t *testing.T) {
			s := newStage(t, size.width, size.height)
			s.happen(`{"e":"phase","phase":"flying","round":1,"start":@}`)
			s.rises("the curve rises", 1.02)
			eval[any](s.tab, "watch", watchCurve)
			s.fallSilent()
			s.tab.until("frozen", `!document.querySelector('#frozen').hidden && document.querySelector('#stage').dataset.frozen === 'yes'`)
			s.tab.picture(fmt.Sprintf("frozen-%d", size.width))
			still := s.reads()
			s.takeOver(20 * time.Millisecond) // the page drew a quarter of a second more
			s.tab.until("P3.6: the new owner is heard", `document.querySelector('#frozen').hidden`)
			s.hold(false)
			s.rises("and goes on", still+0.02)
			s.hold(true)
			s.conn.hangUp(wire.CloseShutdown)
			c := s.next("the page comes back")
			c.welcome("hello")
			m := c.want("join", wire.TypeJoin)
			c.send(fmt.Sprintf(`{"type":"joined","id":%d,"room":"lobby","recovered":true,"position":{"log":"L","seq":%d},"epoch":2,"t":%d,"players":3,"you":{"bets":[]}}`,
				m.ID, s.seq, (s.now - 50*time.Millisecond).Microseconds()))
			s.through(c)
			still = s.reads()
			s.takeOver(10 * time.Millisecond)
			s.hold(false)
			s.rises("and goes on", still+0.02) // a third of a second: more than is drawn of a room that is silent
			s.wantRising()
		})
	}
}

// curve is what the curve reads, NaN where there is none.
const curve = `parseFloat(/^([\d.]+)×$/.exec(document.querySelector('#readout-value').textContent)?.[1])`

func (s *stage) reads() float64 {
	s.t.Helper()
	return eval[float64](s.tab, "read the curve", curve)
}

// rises waits until the curve reads so much or more: a page that has no time jumps over readings.
func (s *stage) rises(why string, to float64) {
	s.t.Helper()
	s.tab.until(why, fmt.Sprintf(`%s >= %.2f`, curve, to))
}

// fallSilent stops the room's clock, and waits until the page has heard all that the room has said.
func (s *stage) fallSilent() {
	s.t.Helper()
	s.hold(true)
	s.happen(`{"e":"totals","round":1,"count":4321,"stake":0,"paid":0,"next_count":0,"next_stake":0}`)
	s.shows("all is heard", "#total-count", "4,321")
}

// through goes on over another connection. The room must be held.
func (s *stage) through(c *peerConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
}

// takeOver lets another owner speak, which has the clock some time behind the last
// tick.
func (s *stage) takeOver(later time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.now += later
	s.conn.send(s.tick(s.now))
}

// wantRising wants what watchCurve saw never to fall.
func (s *stage) wantRising() {
	s.t.Helper()
	seen := eval[[][]any](s.tab, "read what was seen", `window.seen`)
	frozen, before := 0, 0.0
	for i, frame := range seen {
		reads, still := frame[0].(float64), frame[1].(bool)
		if still {
			frozen++
		}
		if reads < before {
			s.t.Fatalf("the curve read %.2f in frame %d of %d, and %.2f in the one before", reads, i, len(seen), before)
		}
		before = reads
	}
	if frozen == 0 || frozen == len(seen) {
		s.t.Fatalf("of %d frames %d were frozen", len(seen), frozen)
	}
}
