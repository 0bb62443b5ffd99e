package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"
)

// Step is one fault of a plan.
type Step struct {
	At     time.Duration `json:"at_ns"` // since the bots began
	Kind   Kind          `json:"kind"`
	Target int           `json:"target"` // member of the group; a partition for StepDown, a room for VoidRound
	Length time.Duration `json:"length_ns"`
}

// Plan is what goes wrong in a run, and when. It is a function of its seed and
// duration.
type Plan struct {
	Seed     uint64        `json:"seed"`
	Duration time.Duration `json:"duration_ns"`
	Steps    []Step        `json:"steps"` // in the order of time
}

// Shape of a plan.
const (
	planLead = 8 * time.Second  // the bots have joined by then
	planTail = 12 * time.Second // everything is whole again, and played in, before the end
	// planPace is the time between faults on average: a takeover can be told from the
	// next one.
	planPace  = 4500 * time.Millisecond
	minFaults = 32
	// faultsAtOnce bounds the faults that overlap, PostgreSQL's half minute aside.
	faultsAtOnce = 3
	// planStream tells the draws of a plan from others of the same seed: "tickcast".
	planStream = 0x7469636b63617374
	// groupShare of the time is the most that faults of one group may fill, in percent.
	groupShare = 80
)

// NewPlan draws the plan of a seed. Of each kind there is at least one fault. The
// duration is one of a valid Config.
func NewPlan(seed uint64, duration time.Duration) Plan {
	r := rand.New(rand.NewPCG(seed, planStream))
	for {
		// Steps that wait for one another, say five gateways' deaths drawn for the end, may
		// come too late: about one plan in 500. It is drawn anew.
		if p := drawPlan(r, seed, duration); p.isInTime() {
			return p
		}
	}
}

// isInTime tells whether everything is whole again before the end.
func (p *Plan) isInTime() bool {
	return !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.over() > p.Duration })
}

// drawPlan draws what happens and gives each step the first time at which it fits.
func drawPlan(r *rand.Rand, seed uint64, duration time.Duration) Plan {
	p := Plan{Seed: seed, Duration: duration}
	todo := drawSteps(r, duration)
	n := len(todo)
	gap := (duration - planLead - planTail) / time.Duration(n)
	for i, at := 0, planLead; len(todo) > 0; i++ {
		at = max(at, planLead+time.Duration(i)*gap) + time.Duration(r.Int64N(int64(gap/3)))
		k := slices.IndexFunc(todo, func(s Step) bool { return p.fits(s, at) })
		for k < 0 {
			at += gap / 4
			k = slices.IndexFunc(todo, func(s Step) bool { return p.fits(s, at) })
		}
		todo[k].At = at
		p.Steps = append(p.Steps, todo[k])
		todo = slices.Delete(todo, k, k+1)
	}
	return p
}

// drawSteps draws what happens, in no order but for what lasts long, which comes in the
// first half.
func drawSteps(r *rand.Rand, duration time.Duration) []Step {
	var steps []Step
	busy := map[group]time.Duration{}
	add := func(k kindInfo) {
		members := groups[k.group].members
		if k.kind == StepDown {
			members = partitions
		} else if k.kind == VoidRound {
			members = crashRooms
		}
		s := Step{Kind: k.kind, Target: r.IntN(members), Length: k.least}
		if k.most > k.least {
			s.Length += time.Duration(r.Int64N(int64(k.most - k.least))).Round(10 * time.Millisecond)
		}
		busy[k.group] += s.Length + k.recovery
		steps = append(steps, s)
	}
	all := kinds()
	weights := 0
	for _, k := range all {
		add(k)
		weights += k.weight
	}
	room := (duration - planLead - planTail) * groupShare / 100
	for len(steps) < max(minFaults, int((duration-planLead-planTail)/planPace)) {
		w, k := r.IntN(weights), 0
		for ; w >= all[k].weight; k++ {
			w -= all[k].weight
		}
		if g := all[k].group; busy[g]+all[k].most+all[k].recovery <= room*time.Duration(groups[g].atOnce) {
			add(all[k])
		}
	}
	r.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for i := len(steps) / 2; i < len(steps); i++ {
		// There are fewer long ones than a third, so that one with which to change places is
		// soon found.
		for early := r.IntN(len(steps) / 2); steps[i].isLong(); early = r.IntN(len(steps) / 2) {
			if !steps[early].isLong() {
				steps[i], steps[early] = steps[early], steps[i]
			}
		}
	}
	return steps
}

// isLong tells of a step that would not be over before the end if it were among the
// last.
func (s Step) isLong() bool { return s.Length+infoOf(s.Kind).recovery > planTail }

// over is when everything is whole again after a step, as the plan sees it.
func (s Step) over() time.Duration { return s.At + s.Length + infoOf(s.Kind).recovery }

// fits tells whether a step may happen at a time, by what is planned already.
func (p *Plan) fits(s Step, at time.Duration) bool {
	g, inGroup, inAll := infoOf(s.Kind).group, 0, 0
	for _, o := range p.Steps {
		if o.over() <= at {
			continue
		}
		og := infoOf(o.Kind).group
		if og == g {
			inGroup++
			if o.Target == s.Target || inGroup >= groups[g].atOnce {
				return false
			}
		}
		if og != postgres {
			inAll++
		}
	}
	return inAll < faultsAtOnce
}

// Target names what a step is done to.
func (s Step) target() string {
	switch infoOf(s.Kind).group {
	case rooms:
		return fmt.Sprintf("room-%d", s.Target)
	case gateways:
		return fmt.Sprintf("gateway-%d", s.Target)
	case ledgers:
		return fmt.Sprintf("ledger-%d", s.Target)
	case log:
		if s.Kind == StepDown {
			return fmt.Sprintf("partition %d", s.Target)
		}
		return fmt.Sprintf("nats-%d", s.Target)
	case players:
		return roomNames()[s.Target]
	}
	return ""
}

// String tells the step in a line.
func (s Step) String() string {
	text := string(s.Kind)
	if t := s.target(); t != "" {
		text += " " + t
	}
	if s.Length > 0 {
		text += fmt.Sprintf(" for %s", s.Length)
	}
	return text
}

// WriteText prints the plan for people.
func (p *Plan) WriteText(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "seed %d, %s, %d faults of %d kinds\n", p.Seed, p.Duration, len(p.Steps), len(kinds()))
	for _, s := range p.Steps {
		length := ""
		if s.Length > 0 {
			length = s.Length.String()
		}
		fmt.Fprintf(tab, "%7.2fs\t%s\t%s\t%s\n", s.At.Seconds(), s.Kind, s.target(), length)
	}
	return tab.Flush()
}
