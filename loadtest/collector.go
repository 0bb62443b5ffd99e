package loadtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/coder/websocket"

	"tickcast/wire"
)

// collector puts together what all processes of a run tell: contents are compared
// between them, numbers add up, histograms merge. It is owned by who runs the
// swarm; times are since the run began, on one clock.
type collector struct {
	cfg     Config // static, with defaults
	check   *findings
	last    []sample // newest of each process; its lists are not kept
	rates   []rates  // of each process, between its last two samples
	streams map[streamKey]*joint
	series  *series
	whole   *hdrhistogram.Histogram // first to last sighting of each update
	sums    map[string]*hdrhistogram.Histogram
	totals  Totals
	missing []string // processes that did not report, and why
	dial    string   // first failed dial
	kill    *killing // nil for none

	clocks     string        // how the clocks of the processes were compared
	clockError time.Duration // by how much times of different processes may be off
	parts      []WorkerReport
}

// maxWorkers bounds the processes of a run; joint keeps a bit for each.
const maxWorkers = 64

func newCollector(c Config, workers int) *collector {
	return &collector{
		cfg: c, check: newFindings(), last: make([]sample, workers), rates: make([]rates, workers), streams: map[streamKey]*joint{},
		series: newSeries(workers), whole: newHistogram(), sums: map[string]*hdrhistogram.Histogram{},
		parts: make([]WorkerReport, workers),
	}
}

// joint is what all processes together know of a room's updates in one log.
type joint struct {
	ring     ring[jointUpdate]
	updates  uint64 // distinct ones
	newest   uint64
	compared uint64 // with what another process saw
	tally    roomTally
}

// jointUpdate is one update as the processes saw it.
type jointUpdate struct {
	seq         uint64
	sum         sum
	first, last int64  // sightings, nanoseconds since the run began; last is 0 when none was live
	teller      int    // process that told of it first
	tellers     uint64 // a bit for each process
}

func (u jointUpdate) number() uint64 { return u.seq }

// takeSample takes in a second of one process.
func (c *collector) takeSample(worker int, s *sample) {
	for _, u := range s.Updates {
		j := c.joint(u.streamKey)
		for i := range u.Updates {
			c.compare(j, u.streamKey, worker, &u.Updates[i])
		}
	}
	c.series.add(worker, s)
	c.rates[worker] = ratesOf(&c.last[worker], s)
	c.last[worker] = *s
	c.last[worker].Updates = nil
}

func (c *collector) joint(k streamKey) *joint {
	j := c.streams[k]
	if j == nil {
		j = &joint{ring: newRing[jointUpdate]()}
		c.streams[k] = j
	}
	return j
}

// compare holds what one process saw of an update against what the first one saw.
func (c *collector) compare(j *joint, k streamKey, worker int, u *updateSummary) {
	e, bit := j.ring.makeRoom(u.Seq), uint64(1)<<worker
	switch {
	case e.seq > u.Seq:
		c.check.fail(checkContent, Example{Bot: -1, Room: k.Room, Log: k.Log, Seq: u.Seq, Detail: fmt.Sprintf(
			"process %d told of the update too late to compare it with others", worker)})
		return
	case e.seq < u.Seq:
		c.measure(e)
		*e = jointUpdate{seq: u.Seq, sum: u.Sum, first: u.First, last: u.Last, teller: worker, tellers: bit}
		j.updates++
		j.newest = max(j.newest, u.Seq)
		return
	}
	if e.sum != u.Sum {
		c.check.fail(checkContent, Example{Bot: -1, Room: k.Room, Log: k.Log, Seq: u.Seq, Detail: fmt.Sprintf(
			"content %s in process %d, and %s in process %d", u.Sum, worker, e.sum, e.teller)})
	}
	if e.tellers&bit == 0 {
		j.compared++
	}
	e.tellers |= bit
	e.first, e.last = min(e.first, u.First), max(e.last, u.Last)
}

// measure records how far apart the first and the last sighting of an update were, behind the warm-up.
func (c *collector) measure(e *jointUpdate) {
	if e.seq > 0 && e.last > e.first && e.first >= int64(c.cfg.WarmUp) {
		recordIn(c.whole, time.Duration(e.last-e.first))
	}
}

// takeTally takes in the result of one process.
func (c *collector) takeTally(worker int, t *tally) {
	c.check.absorb(t)
	c.totals.add(&t.Totals)
	for name, h := range t.Latencies {
		sum := c.sums[name]
		mergeInto(&sum, h.Histogram)
		c.sums[name] = sum
	}
	for i := range t.Rooms {
		c.joint(t.Rooms[i].streamKey).tally.add(&t.Rooms[i])
	}
	c.dial = cmp.Or(c.dial, t.DialError)
	c.parts[worker].Messages, c.parts[worker].Reported = t.Totals.Messages, true
}

// lose notes a process that will not report.
func (c *collector) lose(worker int, why error) {
	c.missing = append(c.missing, fmt.Sprintf("process %d did not report: %v", worker, why))
	c.last[worker], c.rates[worker] = sample{At: c.last[worker].At, Settling: true}, rates{}
}

func (t *Totals) add(o *Totals) {
	t.Messages += o.Messages
	t.Bytes += o.Bytes
	t.Commands += o.Commands
	t.Answers += o.Answers
	t.Results += o.Results
	t.ChatLines += o.ChatLines
}

// add sums up sightings. Every process sees the same rounds, so of those the most
// that one has checked counts.
func (t *roomTally) add(o *roomTally) {
	t.Sightings += o.Sightings
	t.Compared += o.Compared
	t.TooLate += o.TooLate
	t.Rounds = max(t.Rounds, o.Rounds)
	t.Linked = max(t.Linked, o.Linked)
	t.Verified = max(t.Verified, o.Verified)
}

// outcome is how a run went besides what was seen in it.
type runEnd struct {
	started        time.Time
	acted, elapsed time.Duration
	interrupted    bool
}

// report draws up the report. Every process has told all.
func (c *collector) report(end runEnd) *Report {
	r := &Report{
		Started: end.started, Acted: end.acted, Elapsed: end.elapsed, Interrupted: end.interrupted, Config: c.cfg,
		Totals: c.totals, DialError: c.dial, Series: c.series.finish(), Clocks: c.clocks, ClockError: c.clockError,
	}
	if len(c.parts) > 1 {
		r.Workers = c.parts
	}
	c.reportRooms(r)
	c.checkCoverage(r)
	c.reportLatencies(r)
	c.checkKill()
	for _, m := range c.missing {
		c.check.fail(checkWorkers, Example{Bot: -1, Detail: m})
	}
	for _, l := range checkList() {
		if !c.applies(checkName(l.name)) {
			continue
		}
		n, examples := c.check.check(checkName(l.name))
		r.Checks = append(r.Checks, Check{Name: l.name, What: l.what, Passed: n == 0, Failures: n, Examples: examples})
	}
	r.Refusals, r.Counts = c.check.split(countRefused)
	r.checkThresholds(c.cfg.Thresholds)
	r.decide()
	return r
}

// applies tells whether a check is one of this run.
func (c *collector) applies(name checkName) bool {
	b := &c.cfg.Behaviour
	switch name {
	case checkSlow:
		return b.Stuck > 0 || b.Crawl > 0
	case checkIdle:
		return b.Idle
	case checkAvalanche:
		return c.cfg.Kill.Expected || c.kill != nil
	case checkWorkers:
		return len(c.parts) > 1
	}
	return true
}

// checkKill fails a run in which a gateway should have been killed, and was not.
// That all bots came back is for the check complete to say.
func (c *collector) checkKill() {
	err := c.kill.end()
	lost := c.check.get(closeName(-1)) + c.check.get(closeName(websocket.StatusGoingAway)) + c.check.get(closeName(websocket.StatusCode(wire.CloseShutdown)))
	switch {
	case err != nil:
		c.check.fail(checkAvalanche, Example{Bot: -1, Detail: err.Error()})
	case c.applies(checkAvalanche) && lost == 0:
		c.check.fail(checkAvalanche, Example{Bot: -1, Detail: "no connection was lost"})
	}
}

func (c *collector) reportRooms(r *Report) {
	for k, j := range c.streams {
		t := &j.tally
		r.Rooms = append(r.Rooms, RoomReport{
			Room: k.Room, Log: k.Log, Newest: j.newest, Updates: j.updates, Sightings: t.Sightings, Compared: t.Compared + j.compared,
			Linked: t.Linked, Verified: t.Verified, Rounds: t.Rounds,
		})
		if t.TooLate > 0 {
			c.check.fail(checkContent, Example{Bot: -1, Room: k.Room, Log: k.Log, Detail: fmt.Sprintf(
				"%d sightings of updates could not be compared: they came more than %d updates late", t.TooLate, streamRing)})
		}
		for i := range j.ring {
			c.measure(&j.ring[i])
		}
	}
	slices.SortFunc(r.Rooms, func(a, b RoomReport) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Log, b.Log))
	})
}

// checkCoverage fails a run that proved nothing: a verdict over no data is none.
func (c *collector) checkCoverage(r *Report) {
	seats := map[string]int{}
	for n := range c.cfg.Bots {
		for i := range c.cfg.RoomsPerBot {
			seats[c.cfg.seat(n, i)]++
		}
	}
	updates, compared := map[string]uint64{}, map[string]uint64{}
	for _, line := range r.Rooms {
		updates[line.Room] += line.Updates
		compared[line.Room] += line.Compared
	}
	for _, room := range c.cfg.Rooms {
		detail := ""
		switch {
		case seats[room] == 0:
			detail = "has no bot; more bots than rooms are needed"
		case updates[room] == 0 && c.cfg.Behaviour.Idle:
			continue
		case updates[room] == 0:
			detail = "not one update was seen"
		case seats[room] > 1 && compared[room] == 0:
			detail = "no update was seen by two bots"
		default:
			continue
		}
		c.check.fail(checkJoined, Example{Bot: -1, Room: room, Detail: detail})
	}
}

func (c *collector) reportLatencies(r *Report) {
	c.sums[latencyWhole] = c.whole
	for name, h := range c.sums {
		if name == latencySlow && h == nil {
			continue
		}
		if h == nil {
			h = newHistogram()
		}
		r.Latencies = append(r.Latencies, summarise(name, h))
	}
	slices.SortFunc(r.Latencies, func(a, b Latency) int { return cmp.Compare(a.Name, b.Name) })
}
