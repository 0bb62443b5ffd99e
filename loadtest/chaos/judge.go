package chaos

import (
	"fmt"
	"slices"

	"tickcast/loadtest"
)

// Names of the checks that chaos adds to those of the swarm.
const (
	checkExtent       = "extent"
	checkFaults       = "faults"
	checkAcknowledged = "acknowledged"
	checkOnce         = "once"
	checkLedger       = "ledger"
	checkAudit        = "audit"
	checkLinear       = "linearizable"
	checkTrimmed      = "trimmed"
)

// leastGranted is how many commands a run must have had acknowledged to say anything.
const leastGranted = 10_000

// ruling collects what one check found wrong.
type ruling struct{ loadtest.Check }

func newRuling(name, what string) *ruling {
	return &ruling{loadtest.Check{Name: name, What: what}}
}

// maxExamples is as many as the swarm keeps.
const maxExamples = 5

func (r *ruling) fail(format string, args ...any) {
	r.Failures++
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, loadtest.Example{Bot: -1, Detail: fmt.Sprintf(format, args...)})
	}
}

func (r *ruling) done() loadtest.Check {
	r.Passed = r.Failures == 0
	return r.Check
}

// judgeFaults checks that everything that was planned went wrong, and came back.
func judgeFaults(p *Plan, faults []loadtest.Fault) loadtest.Check {
	r := newRuling(checkFaults, "every fault of the plan was inflicted, each kind at least once, and what it harmed came back")
	seen := map[string]bool{}
	for i := range faults {
		f := &faults[i]
		if seen[f.Kind] = true; f.Error != "" {
			r.fail("%s %s at %s: %s", f.Kind, f.Target, f.Began, f.Error)
		}
	}
	for _, k := range kinds() {
		if !seen[string(k.kind)] {
			r.fail("no %s", k.kind)
		}
	}
	if len(faults) < min(minFaults, len(p.Steps)) {
		r.fail("%d faults", len(faults))
	}
	return r.done()
}

// judgeExtent checks that the run was long enough to say something.
func judgeExtent(granted int) loadtest.Check {
	r := newRuling(checkExtent, fmt.Sprintf("at least %d commands were acknowledged", leastGranted))
	if granted < leastGranted {
		r.fail("%d commands were acknowledged", granted)
	}
	return r.done()
}

// judgeAcknowledged checks that what was acknowledged is in the log, and what moved
// money in the ledger; and that nothing is there that its player was not told of.
func judgeAcknowledged(answers []answer, log *records, b *book) loadtest.Check {
	r := newRuling(checkAcknowledged, "every acknowledged command is in the log, and its effect in the ledger; what was refused is in neither")
	told := map[string]bool{} // bets whose players know them, or cannot
	bets := map[place]string{}
	for i := range answers {
		a := &answers[i]
		if a.OK && log.commands[commandKey{a.Player, a.Room, a.Key}] == 0 {
			r.fail("%s of %s (key %s) in room %s, round %d: not in the log", a.Op, a.Player, a.Key, a.Room, a.Round)
		}
		if a.Op == opBet {
			id := betID(b.rooms[a.Room], a)
			told[id] = a.OK || !a.Definite
			if a.OK {
				bets[a.place()] = id
			}
		}
	}
	for i := range answers {
		if wrong := wrongIn(&answers[i], bets, b); wrong != "" {
			a := &answers[i]
			r.fail("%s of %s (key %s) in room %s, round %d, slot %d: %s", a.Op, a.Player, a.Key, a.Room, a.Round, a.Slot, wrong)
		}
	}
	for id, t := range b.bets {
		if !told[id] && t.end != "cancel" {
			r.fail("%s of %s in room %s, round %d, slot %d stands in the ledger (end %q), and its player was not told of it", id, t.player, t.room, t.round, t.slot, t.end)
		}
	}
	return r.done()
}

// wrongIn tells what the ledger lacks of an answer, "" for nothing.
func wrongIn(a *answer, bets map[place]string, b *book) string {
	if !a.OK {
		return ""
	}
	t, booked := b.bets[bets[a.place()]]
	switch a.Op {
	case opBet:
		if !booked || t.place != a.place() || t.stake != a.result.Stake || t.auto != a.result.Auto {
			return fmt.Sprintf("acknowledged with %+v, the ledger has %+v", a.result, t)
		}
	case opCancel:
		if t.end != "cancel" {
			return fmt.Sprintf("acknowledged, the ledger has %+v", t)
		}
	case opCashOut:
		if t.end != "payout" || t.amount != a.result.Payout || t.centi != a.result.Centi {
			return fmt.Sprintf("acknowledged with %+v, the ledger has %+v", a.result, t)
		}
	case opRefill:
		if b.refills[refillID(a)] != a.result.Amount {
			return fmt.Sprintf("acknowledged with %d, the ledger has %d", a.result.Amount, b.refills[refillID(a)])
		}
	}
	return ""
}

// judge makes a check of a list of what is wrong.
func judge(name, what string, wrong []string, err error) loadtest.Check {
	r := newRuling(name, what)
	if err != nil {
		r.fail("could not be checked: %v", err)
	}
	for _, w := range wrong {
		r.fail("%s", w)
	}
	return r.done()
}

// pausesByKind sums up the pauses that players saw, by the kind of fault that they are
// put down to: first those of all, then those of no fault, then the kinds. The longest
// pause of each fault is noted with it.
func pausesByKind(pauses []loadtest.Pause, faults []loadtest.Fault) []loadtest.Latency {
	by := make([][]loadtest.Pause, len(faults)+1) // the last ones are nobody's
	for _, p := range pauses {
		i := blame(p, faults)
		if i < 0 {
			i = len(faults)
		} else {
			f := &faults[i]
			f.Pauses++
			f.Longest = max(f.Longest, p.To-p.From)
		}
		by[i] = append(by[i], p)
	}
	out := []loadtest.Latency{loadtest.SummarisePauses("all", pauses), loadtest.SummarisePauses("no fault", by[len(faults)])}
	for _, k := range kinds() {
		var of []loadtest.Pause
		for i := range faults {
			if faults[i].Kind == string(k.kind) {
				of = slices.Concat(of, by[i])
			}
		}
		out = append(out, loadtest.SummarisePauses(string(k.kind), of))
	}
	return out
}
