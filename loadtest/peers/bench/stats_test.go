package bench

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := len(c.values)
		if got := median(c.values); got != c.want || len(c.values) != before {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	values := []int64{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("median sorts what it was given")
	}
}

func TestRatio(t *testing.T) {
	if got := ratio(3, 2); got != 1.5 {
		t.Errorf("3 to 2 is %v", got)
	}
	if got := ratio(3.0, 0); got != 0 {
		t.Errorf("3 to 0 is %v", got)
	}
}

func TestParseRSS(t *testing.T) {
	got, err := parseRSS("55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:    1234 kB\nPss:  99 kB\n")
	if err != nil || got != 1234<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "Pss: 3 kB\n", "Rss: x kB\n"} {
		if _, err := parseRSS(bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

// TestKernelKnowsThisProcess compares with what a process can find out about itself.
func TestKernelKnowsThisProcess(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for x, n := 1.0, 0; n < 20_000_000; n++ {
		x = math.Sqrt(x + 1)
	}
	after, err := cpuOf(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("CPU time went from %v to %v (%v)", before, after, err)
	}
	rss, err := rssOf(os.Getpid())
	if err != nil || rss < 1<<20 {
		t.Errorf("resident set %d (%v)", rss, err)
	}
	if files, err := filesOf(os.Getpid()); err != nil || files < 3 {
		t.Errorf("%d files (%v)", files, err)
	}
	if _, err := cpuOf(1 << 22); err == nil {
		t.Error("no error for a process that cannot be")
	}
}

func TestFault(t *testing.T) {
	good := Window{Report: Report{Updates: 10, LastMin: 5}, Published: 5}
	if f := good.Fault(); f != "" {
		t.Errorf("fault %q", f)
	}
	for why, spoil := range map[string]func(*Window){
		"closed":       func(w *Window) { w.Closed = 1 },
		"no update":    func(w *Window) { w.Updates = 0 },
		"missing":      func(w *Window) { w.Missing = 1 },
		"twice":        func(w *Window) { w.Duplicate = 1 },
		"out of order": func(w *Window) { w.Reordered = 1 },
		"only those":   func(w *Window) { w.LastMin = 4 },
	} {
		w := good
		spoil(&w)
		if f := w.Fault(); !strings.Contains(f, why) {
			t.Errorf("fault %q, want %q", f, why)
		}
	}
}

func TestKept(t *testing.T) {
	w := Window{Load: Load{20, 128}, Report: Report{Updates: 9_900, Took: 10 * time.Second}}
	for connections, want := range map[int]float64{50: 0.995, 49: 1, 100: 0.5} {
		if got := w.Kept(connections); got != want {
			t.Errorf("%d updates to %d connections in 10 s of 20 Hz: %v in time, want %v", w.Updates, connections, got, want)
		}
	}
}

func TestIdle(t *testing.T) {
	i := Idle{Connections: 1000, Ready: 2 * time.Second, Before: 1000, After: 6_001_000, CPU: 30 * time.Millisecond, Took: 10 * time.Second}
	if got := i.PerConnection(); got != 6000 {
		t.Errorf("%d bytes per connection", got)
	}
	if got := i.AcceptRate(); got != 500 {
		t.Errorf("%v accepts per second", got)
	}
	if got := i.CPUPerSecond(); got != 3*time.Microsecond {
		t.Errorf("%v per second and connection", got)
	}
}

func TestShares(t *testing.T) {
	report := "# head\n#\n\n    93.57%  [kernel.kallsyms]\n     6.43%  tickcast  -   -  \n\n"
	if got := shares(report); got != "    93.57%  [kernel.kallsyms]\n     6.43%  tickcast\n" {
		t.Errorf("%q", got)
	}
}

func sample(cpu, p99 time.Duration, rss int64) Sample {
	w := Window{Load: Load{20, 128}, Report: Report{Updates: 1000, Took: time.Second}, ServerCPU: 1000 * cpu}
	return Sample{
		Idle: Idle{Connections: 10, Ready: time.Second, After: 10 * rss},
		Busy: []Window{w}, Calm: Window{Report: Report{Updates: 1, P99: p99}},
	}
}

func TestResults(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	c := Comparison{Connections: 50, Busy: []Load{{20, 128}}, Samples: []Samples{
		{Peer: "bare", List: []Sample{sample(4*us, 9*ms, 10), sample(5*us, 10*ms, 20), sample(90*us, 90*ms, 900)}},
		{Peer: "other", List: []Sample{sample(10*us, 15*ms, 1000), sample(10*us, 25*ms, 3000), {Faults: []string{"did not start"}}}},
		{Peer: "absent", Missing: "no Node"},
	}}
	list := c.Results()
	if len(list) != 2 {
		t.Fatalf("%d results", len(list))
	}
	limit, other := list[0], list[1]
	if limit.CPU[0] != 5*us || limit.CPURatio[0] != 1 || limit.P99 != 10*ms || limit.Memory != 20 || limit.AcceptRate != 10 || limit.Faults != 0 {
		t.Errorf("bare: %+v", limit)
	}
	if other.CPURatio[0] != 2 || other.P99 != 20*ms || other.P99Ratio != 2 || other.Memory != 2000 || other.Faults != 1 {
		t.Errorf("other: %+v", other)
	}
	if err := c.Fault(); err != nil {
		t.Errorf("what another server did wrong is an error: %v", err)
	}
	c.Samples[0].List[1].Faults = []string{"lost"}
	if err := c.Fault(); !errors.Is(err, ErrFault) {
		t.Errorf("the bare loop lost updates: %v", err)
	}
	var md, text strings.Builder
	c.Markdown(&md)
	if err := c.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| other | 10.00 | 2.00 |", "- absent:  (not measured: no Node)"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("%q is not in\n%s", want, md.String())
		}
	}
	if rows := strings.Count(text.String(), "\n"); rows != 3 {
		t.Errorf("%d lines of text:\n%s", rows, text.String())
	}
}

func TestSelect(t *testing.T) {
	if list, err := Select(nil); err != nil || len(list) != len(Peers()) || list[0].Name != "bare" {
		t.Errorf("%d peers, %v", len(list), err)
	}
	if list, err := Select([]string{"gws"}); err != nil || len(list) != 2 || list[0].Name != "bare" || list[1].Name != "gws" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Select([]string{"gwss"}); err == nil || !strings.Contains(err.Error(), "gws") {
		t.Errorf("error %v", err)
	}
}

func TestProgramsSayWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := Programs{Sources: os.DirFS(".."), Dir: t.TempDir()}
	if _, err := p.C(t.Context(), "client"); err != ErrNoCompiler {
		t.Errorf("error %v", err)
	}
	if _, err := p.Node(t.Context()); err != ErrNoNode {
		t.Errorf("error %v", err)
	}
}
