package loadtest

import (
	"fmt"
	"strings"
	"sync"
)

// checkName names one of the checks of the verdict. The names are part of the
// JSON report.
type checkName string

const (
	checkJoined   checkName = "joined"
	checkOrder    checkName = "order"
	checkContent  checkName = "content"
	checkRecovery checkName = "recovery"
	checkClock    checkName = "clock"
	checkComplete checkName = "complete"
	checkAnswers  checkName = "answers"
	checkRules    checkName = "rules"
	checkFairness checkName = "fairness"
	checkBooks    checkName = "books"
	checkProtocol checkName = "protocol"

	// Those of some runs only.
	checkSlow      checkName = "slow"
	checkIdle      checkName = "idle"
	checkAvalanche checkName = "avalanche"
	checkWorkers   checkName = "workers"
)

// checkOrderList is the order of the report, with what each check says when it
// passed.
func checkList() []struct{ name, what string } {
	return []struct{ name, what string }{
		{string(checkJoined), "every bot joined its rooms, and what it saw was compared with others"},
		{string(checkOrder), "each sequence had no gap and no repetition, from the joined position on"},
		{string(checkContent), "the same update was the same bytes for every bot, gateway and reconnect"},
		{string(checkRecovery), "each resume gave everything behind the position, or a snapshot and said so"},
		{string(checkClock), "game time and epoch never went back, and ticks fit the updates around them"},
		{string(checkComplete), "in the end every bot was connected and had the newest update"},
		{string(checkAnswers), "each command had exactly one answer, and a repeated one the same again"},
		{string(checkRules), "results agreed with the rounds: payouts, targets, crash points, points"},
		{string(checkFairness), "each revealed seed fits its chain and gives the round's crash point"},
		{string(checkBooks), "balances agreed with what the answers and rounds said, to the cent"},
		{string(checkProtocol), "every message was well formed and expected, every close allowed"},
		{string(checkSlow), "bots that read slowly on purpose were told what they missed, and had it all in the end"},
		{string(checkIdle), "every idle connection lasted, and answered in the end"},
		{string(checkAvalanche), "a gateway was lost, and every bot came back"},
		{string(checkWorkers), "every process of the swarm reported"},
	}
}

// Example is one failure of a check, told so that it can be found again in logs.
type Example struct {
	Bot     int    `json:"bot"` // -1 when it concerns no single bot
	Gateway string `json:"gateway,omitempty"`
	Room    string `json:"room,omitempty"`
	Log     string `json:"log,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Detail  string `json:"detail"`
}

// String tells the failure in one line, from the general to the particular.
func (e Example) String() string {
	s := e.Detail
	if e.Seq > 0 {
		s = fmt.Sprintf("seq %d: %s", e.Seq, s)
	}
	if e.Room != "" {
		s = "room " + e.Room + ": " + s
	}
	if e.Bot < 0 {
		return s
	}
	if e.Gateway != "" {
		s = "at " + e.Gateway + ": " + s
	}
	return fmt.Sprintf("bot %d %s", e.Bot, s)
}

// maxExamples bounds the examples kept of each check: enough to see a pattern.
const maxExamples = 5

// findings collects failures of checks and counts of what is merely worth
// telling. It is safe for concurrent use.
type findings struct {
	mu       sync.Mutex
	failures map[checkName]uint64    // guarded by mu
	examples map[checkName][]Example // guarded by mu
	counts   map[string]uint64       // guarded by mu
}

func newFindings() *findings {
	return &findings{failures: map[checkName]uint64{}, examples: map[checkName][]Example{}, counts: map[string]uint64{}}
}

// fail counts a failure and keeps it as an example while there are few.
func (f *findings) fail(c checkName, e Example) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[c]++
	if len(f.examples[c]) < maxExamples {
		f.examples[c] = append(f.examples[c], e)
	}
}

// count counts something that is no failure. Names are constants of this
// package, or stable codes behind a prefix, so there are few.
func (f *findings) count(name string, n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.counts[name]; known || len(f.counts) < maxCounts {
		f.counts[name] += n
	}
}

// maxCounts bounds the counters, since codes come from the server.
const maxCounts = 512

func (f *findings) total() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n uint64
	for _, k := range f.failures {
		n += k
	}
	return n
}

func (f *findings) check(c checkName) (failures uint64, examples []Example) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures[c], append([]Example(nil), f.examples[c]...)
}

// split separates the counters with a prefix from the others.
func (f *findings) split(prefix string) (with, without map[string]uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	with, without = map[string]uint64{}, map[string]uint64{}
	for name, n := range f.counts {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			with[rest] = n
		} else {
			without[name] = n
		}
	}
	return with, without
}

func (f *findings) get(name string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[name]
}
