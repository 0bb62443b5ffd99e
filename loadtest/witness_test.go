package loadtest

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestWitnessIsTold shows that a witness hears of each command that ended, once, and of
// balances.
func TestWitnessIsTold(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	var answers, granted, balances atomic.Uint64
	var incomplete atomic.Pointer[Answered]
	c.Witness = Witness{
		Answered: func(a Answered) {
			answers.Add(1)
			if a.OK {
				granted.Add(1)
			}
			if a.Player == "" || a.Room != "lobby" || a.Key == "" || a.Op == "" || a.At < a.Asked || !a.Definite || a.OK != (len(a.Result) > 0) || a.OK != (a.Code == "") {
				incomplete.Store(&a)
			}
		},
		Balance: func(b Balance) {
			if b.Player != "" && b.At > 0 {
				balances.Add(1)
			}
		},
	}
	r := runUntil(t, c, func(s *swarm) bool { return granted.Load() > 50 && balances.Load() > 8 && s.allCompared() })
	wantPassed(t, r)
	if answers.Load() != r.Totals.Answers || incomplete.Load() != nil {
		t.Errorf("%d of %d answers; incomplete: %+v", answers.Load(), r.Totals.Answers, incomplete.Load())
	}
}

// TestPauses: a silence counts when it is longer than screens move on, unless the bot was
// away on purpose.
func TestPauses(t *testing.T) {
	var got []time.Duration
	c := Config{URLs: []string{"ws://a/ws"}, Rooms: []string{"lobby"}, Bots: 1}.withDefaults()
	c.Witness.Paused = func(p Pause) { got = append(got, p.To-p.From) }
	s, err := newSwarm(c)
	if err != nil {
		t.Fatal(err)
	}
	b := s.bots[0]
	heard := func(at time.Duration) { b.seats[0].heard(at * time.Millisecond) }
	heard(1000)
	heard(1050)
	heard(1300)
	heard(1551)
	b.link = newLink(b, "ws://a/ws", 0)
	b.breakOff(0, 0)
	heard(4000)
	heard(4300)
	if len(got) != 2 || got[0] != 251*time.Millisecond || got[1] != 300*time.Millisecond {
		t.Errorf("pauses %v", got)
	}
}

func TestWitnessOfOtherProcesses(t *testing.T) {
	c := Config{URLs: []string{"ws://a/ws"}, Rooms: []string{"lobby"}, Fleet: Fleet{Workers: 2, Command: []string{"x"}}}
	c.Witness.Paused = func(Pause) {}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "witness") {
		t.Errorf("a witness of several processes: %v", err)
	}
}

// TestFaultsInReports shows faults and pauses in the text and on the page, and that a check
// which was added decides the verdict.
func TestFaultsInReports(t *testing.T) {
	r := &Report{
		Verdict: verdictPassed, Checks: []Check{{Name: "order", Passed: true}},
		Faults: []Fault{{Kind: "kill gateway", Target: "gateway-1", Began: 12 * time.Second, Took: 2 * time.Second, Pauses: 3, Longest: 1234 * time.Millisecond, Error: "did <not> come back"}},
		Pauses: []Latency{SummarisePauses("kill gateway", []Pause{{From: 0, To: 250 * time.Millisecond}, {From: 1, To: time.Second + 1}})},
	}
	var text, page strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12.0s", "kill gateway", "gateway-1", "1234.00 ms", "250.", "did <not> come back"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	for _, want := range []string{"kill gateway gateway-1", "1234.00 ms", "did &lt;not&gt; come back"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if r.Add(Check{Name: "once", Passed: true}); !r.Passed() {
		t.Error("a check that passed fails the report")
	}
	if r.Add(Check{Name: "ledger"}); r.Passed() {
		t.Error("a check that failed passes")
	}
}
