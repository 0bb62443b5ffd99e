package loadtest

import (
	"encoding/json"
	"time"

	"tickcast/wire"
)

// raceTable plays the game race at one seat: it taps at a steady rate, with
// absolute counts, and checks the points. It implements table.
type raceTable struct {
	*seat
	phase   string
	round   uint64 // of phase
	rules   settings
	began   time.Duration // when tapping was meant to begin in this round
	pace    pace
	sent    uint64        // highest count sent in this round
	acked   uint64        // highest points answered in this round
	ackedAt time.Duration // when
	flying  int           // taps without an answer
	stopped bool
}

const (
	opTap = "tap"
	// tapsInFlight bounds the taps of a bot that wait for an answer. Later ones are
	// put off; counted from their intended time they show as slow, which they are.
	tapsInFlight = 4
	// maxTapCount is the highest count that a tap may carry (P8.3).
	maxTapCount = 100_000
)

func (t *raceTable) onView(v *view, at time.Duration) {
	if v.Settings != nil {
		t.rules = *v.Settings
	}
	t.enter(v.Phase, v.Round, at)
}

func (t *raceTable) onNews(n *news, at time.Duration) {
	for i := range n.events {
		e := &n.events[i]
		switch {
		case e.E == eventVoid:
			t.phase = phaseFinished
		case e.E == eventPhase:
			if e.Settings != nil {
				t.rules = *e.Settings
			}
			if e.Phase == phaseFinished {
				t.checkResult(e)
			}
			t.enter(e.Phase, e.Round, at)
		}
	}
}

// enter begins a phase; a race that runs begins the tapping, at a random offset
// so that the bots do not tap in step.
func (t *raceTable) enter(phase string, round uint64, at time.Duration) {
	if round != t.round {
		t.round, t.sent, t.acked = round, 0, 0
	}
	started := phase == phaseRunning && t.phase != phaseRunning
	t.phase = phase
	rate := t.bot.s.cfg.Behaviour.TapRate
	if t.rules.MaxTaps > 0 {
		rate = min(rate, 0.8*float64(t.rules.MaxTaps))
	}
	if !started || rate <= 0 || t.stopped {
		return
	}
	t.pace = pace{perSecond: rate, offset: between(t.bot.rng, 0, time.Duration(float64(time.Second)/rate))}
	t.began = at
	if t.sent > 0 {
		return // a snapshot in the middle of a race that the bot is in already
	}
	t.bot.at(at+t.pace.at(0), func(at time.Duration) { t.tap(round, 0, at) })
}

// tap sends tap k (from 0), or, when the bot is behind, the newest one that is
// due: its count includes those before it. The intended time is that of tap k.
func (t *raceTable) tap(round, k uint64, at time.Duration) {
	if t.stopped || t.phase != phaseRunning || t.round != round || k >= maxTapCount {
		return
	}
	now := t.bot.s.now()
	if t.flying >= tapsInFlight {
		t.bot.at(now+20*time.Millisecond, func(time.Duration) { t.tap(round, k, at) })
		return
	}
	n := min(maxTapCount, max(k+1, t.pace.due(now-t.began)))
	cmd := t.ask(command{op: opTap, round: round, taps: n, intended: at}, `{"n":%d}`, n)
	if cmd != nil {
		t.flying++
		t.sent = max(t.sent, n)
	}
	t.bot.at(t.began+t.pace.at(n), func(at time.Duration) { t.tap(round, n, at) })
}

// onAnswer checks that points are the highest count so far (P8.3).
func (t *raceTable) onAnswer(cmd *command, m *wire.Answer, at time.Duration) {
	if cmd.op != opTap {
		return
	}
	t.flying--
	if !m.OK || t.round != cmd.round {
		return
	}
	var r struct {
		Points uint64 `json:"points"`
	}
	err := decode(m.Result, &r)
	if t.bot.books.shared {
		return // others tap for the same player
	}
	if err != nil || r.Points < cmd.taps || r.Points > t.sent {
		t.fail(cmd.round, "tap %d answered with %s; up to %d were sent", cmd.taps, m.Result, t.sent)
		return
	}
	if r.Points > t.acked {
		t.acked, t.ackedAt = r.Points, at
	}
	t.bot.s.judged.Add(1)
}

// checkResult looks for the bot in the race's result.
func (t *raceTable) checkResult(e *event) {
	if e.Round != t.round || t.bot.books.shared {
		return
	}
	for _, p := range e.Top {
		if p.Player != t.bot.player {
			continue
		}
		if p.Points < int64(t.acked) || p.Points > int64(t.sent) {
			t.fail(e.Round, "the result says %d points; %d were answered and %d sent", p.Points, t.acked, t.sent)
		}
		return
	}
	const listed = 10
	if t.acked > 0 && (len(e.Top) < listed || int64(t.acked) > e.Top[len(e.Top)-1].Points) {
		t.fail(e.Round, "%d points were answered, but the result of %d does not list them", t.acked, len(e.Top))
	}
}

// onYou checks that no answered point is missing. While the bot has two connections
// an answer on one may overtake a joined message on the other: what was answered
// after the join was asked for proves nothing.
func (t *raceTable) onYou(you json.RawMessage, asked time.Duration) {
	var y struct {
		Points uint64 `json:"points"`
		Round  uint64 `json:"round"`
	}
	if len(you) == 0 || decode(you, &y) != nil || y.Round != t.round || t.bot.books.shared {
		return
	}
	if y.Points < t.acked && t.ackedAt < asked || y.Points > t.sent {
		t.fail(y.Round, "joined again with %d points; %d were answered and %d sent", y.Points, t.acked, t.sent)
	}
}

func (t *raceTable) onNotice(*event)      {}
func (t *raceTable) stop(_ time.Duration) { t.stopped = true }
func (t *raceTable) open() bool           { return t.flying > 0 }
