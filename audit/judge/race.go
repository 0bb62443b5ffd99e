package judge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"tickcast/wire"
)

// Phases of a race, besides idle.
const (
	gathering = "gathering"
	racing    = "running"
	finished  = "finished"
)

const (
	maxTaps = 100_000
	second  = 1_000_000_000
)

// raceSettings are what an operator may set.
type raceSettings struct {
	GatheringMS   int64 `json:"gathering_ms"`
	RunningMS     int64 `json:"running_ms"`
	FinishedMS    int64 `json:"finished_ms"`
	MaxTapsPerSec int64 `json:"max_taps_per_s"`
	TickMS        int64 `json:"tick_ms"`
}

func (s raceSettings) with(patch []byte) (raceSettings, bool) {
	d := json.NewDecoder(bytes.NewReader(patch))
	d.DisallowUnknownFields()
	object := bytes.HasPrefix(bytes.TrimLeft(patch, " \t\r\n"), []byte("{"))
	phase := func(n int64) bool { return 100 <= n && n <= 600_000 }
	ok := json.Valid(patch) && object && d.Decode(&s) == nil && phase(s.GatheringMS) && phase(s.RunningMS) && phase(s.FinishedMS) &&
		1 <= s.MaxTapsPerSec && s.MaxTapsPerSec <= 1000 && 50 <= s.TickMS && s.TickMS <= 1000
	return s, ok
}

// race is a room of the game race.
type race struct {
	room       *room
	state      string
	phase      string
	start, end int64
	owes       bool // the next round may open
	settings   raceSettings
	next       *raceSettings
	current    *Round
	racers     map[string]*racer
	taps       int // changes of points, which number who was first
}

type racer struct {
	wire.Score
	reached int
}

func newRace(r *room, args *wire.CreateArgs) *race {
	s, ok := raceSettings{5000, 15_000, 5000, 20, 100}, true
	if len(args.Settings) > 0 {
		if s, ok = s.with(args.Settings); !ok {
			return nil
		}
	}
	c := &race{room: r, state: running, phase: idle, owes: !args.Paused, settings: s, current: r.log.newRound(r, 0, settings{})}
	if args.Paused {
		c.state = paused
	}
	return c
}

func (c *race) mode() string              { return c.state }
func (c *race) keyless(op string) bool    { return op == "tap" }
func (c *race) round() uint64             { return c.current.Number }
func (c *race) settled() bool             { return true }
func (c *race) result(at, *Booking) error { return nil }
func (c *race) enter(phase string, at at, millis int64) {
	c.phase, c.start, c.end = phase, at.now, at.now+millis*ms
}

// due implements rules.
func (c *race) due() int64 {
	if c.phase == idle || c.owes {
		return never
	}
	return c.end
}

// advance implements rules.
func (c *race) advance(at at) (bool, error) {
	switch c.phase {
	case gathering:
		c.enter(racing, at, c.settings.RunningMS)
	case racing:
		c.finish(at)
	case finished:
		if c.state == running {
			c.owes = true
		} else {
			c.state, c.phase = paused, idle
		}
	}
	return false, nil
}

// finish ends the race with a result.
func (c *race) finish(at at) {
	c.enter(finished, at, c.settings.FinishedMS)
	all := make([]*racer, 0, len(c.racers))
	for _, r := range c.racers {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *racer) int {
		return cmp.Or(cmp.Compare(b.Points, a.Points), cmp.Compare(a.reached, b.reached))
	})
	for _, r := range all {
		c.current.Ranking = append(c.current.Ranking, r.Score)
	}
	c.book(at)
	for n := 0; n*wire.MaxScores < len(all); n++ {
		c.current.Scores = append(c.current.Scores, c.room.log.ask(&Booking{
			ID: fmt.Sprintf("scores/%s/%d/%d", c.room.uuid, c.current.Number, n), Kind: wire.BookScores, Room: c.room.id, round: c.current,
		}))
	}
}

func (c *race) book(at at) {
	c.current.done, c.current.Ended = true, at.wall
	c.current.Archive = c.room.log.ask(&Booking{
		ID: fmt.Sprintf("round/%s/%d", c.room.uuid, c.current.Number), Kind: wire.BookRound, Room: c.room.id, round: c.current,
	})
}

// command implements rules.
func (c *race) command(at at, cmd *wire.Command) error {
	var a struct {
		N int64 `json:"n"`
	}
	if cmd.Op != "tap" || json.Unmarshal(cmd.Args, &a) != nil || a.N < 1 || a.N > maxTaps ||
		cmd.Round != c.current.Number || c.phase != racing || a.N > ((at.now-c.start)/second+1)*c.settings.MaxTapsPerSec {
		return nil
	}
	r := c.racers[cmd.Player]
	if r == nil {
		r = &racer{Score: wire.Score{Player: cmd.Player, Name: cmd.Name}}
		c.racers[cmd.Player] = r
	}
	if a.N > r.Points {
		c.taps++
		r.Points, r.reached = a.N, c.taps
	}
	return nil
}

// act implements rules.
func (c *race) act(at at, a *wire.Action) bool {
	switch a.Op {
	case wire.ActionStart, wire.ActionResume:
		if c.state == running {
			return false
		}
		c.state, c.owes = running, c.phase == idle
		return true
	case wire.ActionPause:
		if c.state != running {
			return false
		}
		c.state = pausing
		if c.owes {
			c.state, c.phase, c.owes = paused, idle, false
		}
		return true
	case wire.ActionVoid:
		if c.phase != gathering && c.phase != racing {
			return false
		}
		c.enter(finished, at, c.settings.FinishedMS)
		c.current.Voided, c.racers = true, nil
		c.book(at)
		return true
	case wire.ActionSet:
		return c.set(a.Args)
	}
	return false
}

func (c *race) set(args json.RawMessage) bool {
	base := c.settings
	if c.next != nil {
		base = *c.next
	}
	s, ok := base.with(args)
	if ok {
		c.next = &s
	}
	return ok
}

// fact implements rules: a round opens.
func (c *race) fact(at at, kind string, data []byte) error {
	if kind != factOpen {
		return c.room.differs(c.current, "kind of an owner's record", "a known one", fmt.Sprintf("%q", kind))
	}
	var f openFact
	if json.Unmarshal(data, &f) != nil {
		return c.room.differs(c.current, "an owner's record", "an open", fmt.Sprintf("%.200q", data))
	}
	if !c.owes || f.Round != c.current.Number+1 {
		return nil
	}
	if f.Rules != rulesKnown {
		return c.room.differs(c.current, "version of the rules", fmt.Sprint(rulesKnown), fmt.Sprint(f.Rules))
	}
	c.owes = false
	if c.next != nil {
		c.settings, c.next = *c.next, nil
	}
	c.current = c.room.log.newRound(c.room, f.Round, settings{})
	c.current.Rules, c.current.Started = f.Rules, at.wall
	c.racers, c.taps = map[string]*racer{}, 0
	c.enter(gathering, at, c.settings.GatheringMS)
	return nil
}
