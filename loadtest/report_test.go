package loadtest

import (
	"strings"
	"testing"
	"time"
)

func TestThresholds(t *testing.T) {
	measured := []Latency{{Name: opTap, Count: 9, P99: 20 * time.Millisecond}, {Name: opCashOut}, {Name: latencySpread, Count: 1, P99: time.Millisecond}}
	for _, c := range []struct {
		name   string
		bounds Thresholds
		passed string // names of checks, "!" before those that failed
	}{
		{"none", Thresholds{}, ""},
		{"kept", Thresholds{AnswerP99: 20 * time.Millisecond, SpreadP99: time.Second}, "answer p99, spread p99"},
		{"broken", Thresholds{AnswerP99: 19 * time.Millisecond}, "!answer p99"},
		{"never measured", Thresholds{JoinP99: time.Hour}, "!join p99"},
		{"some degraded", Thresholds{Degraded: 3}, "degraded"},
		{"too many degraded", Thresholds{Degraded: 2}, "!degraded"},
		{"none may be degraded", Thresholds{Degraded: -1}, "!degraded"},
	} {
		r := &Report{Latencies: measured, Counts: map[string]uint64{countDegraded: 3}}
		r.checkThresholds(c.bounds)
		var got []string
		for _, check := range r.Checks {
			mark := "!"
			if check.Passed {
				mark = ""
			}
			got = append(got, mark+check.Name)
		}
		if g := strings.Join(got, ", "); g != c.passed {
			t.Errorf("%s: %q, want %q", c.name, g, c.passed)
		}
	}
}

func TestReportForPeople(t *testing.T) {
	r := &Report{
		Acted: 30 * time.Second, Elapsed: 31 * time.Second, Config: Config{Bots: 12, URLs: []string{"ws://a/ws"}, Rooms: []string{"lobby"}},
		Verdict: verdictFailed,
		Checks: []Check{
			{Name: "order", What: "no gap", Passed: true},
			{Name: "content", What: "same bytes", Failures: 3, Examples: []Example{{Bot: 4, Gateway: "ws://a/ws", Room: "lobby", Seq: 42, Detail: "differs"}}},
		},
		Latencies: []Latency{{Name: "join", Count: 12, P99: 1500 * time.Microsecond}},
		Refusals:  map[string]uint64{"bet wrong_phase": 2},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Swarm of 12 bots", "ok         order", "FAILED 3×  content", "bot 4 at ws://a/ws: room lobby: seq 42: differs",
		"1.50 ms", "2 × bet wrong_phase", "verdict: FAILED",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

// TestPageForPeople shows that the page is one file that needs no network, says the
// verdict without JavaScript, and that nothing of a report is taken for markup.
func TestPageForPeople(t *testing.T) {
	r := &Report{
		Acted: 30 * time.Second, Config: Config{Bots: 12_000, Scenario: "slow", URLs: []string{"ws://a/ws"}, Rooms: []string{"lobby"}},
		Verdict: verdictFailed,
		Checks:  []Check{{Name: "content", What: "same bytes", Failures: 3, Examples: []Example{{Bot: 4, Detail: "</script><b>differs"}}}},
		Latencies: []Latency{{
			Name: "join</script>", Count: 12, P99: 1500 * time.Microsecond, Curve: []Quantile{{50, time.Millisecond}, {99, 1500 * time.Microsecond}},
		}},
		Series: []Point{{At: 1, Width: 1, Messages: 77}},
	}
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"Swarm of 12\u202f000 bots", ">slow<", "FAILED", "same bytes", "1.50 ms", `"messages_per_s":77`, "uPlot=function", "Leon Sorokin",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"</script><b>", "join</script>", "src=", "<link", "ZgotmplZ", "url("} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if n := strings.Count(page, "</script>"); n != 3 {
		t.Errorf("%d scripts", n)
	}
}
