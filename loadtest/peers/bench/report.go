package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Comparison is a table and what it was made from, as it is written to a file.
type Comparison struct {
	Date        time.Time `json:"date"`
	Machine     string    `json:"machine"`
	Connections int       `json:"connections"`
	Repetitions int       `json:"repetitions"`
	Busy        []Load    `json:"busy"`
	Calm        Load      `json:"calm"`
	Samples     []Samples `json:"peers"`
}

// NewComparison makes the comparison of the samples of a plan.
func NewComparison(p Plan, samples []Samples, at time.Time) Comparison {
	return Comparison{
		Date: at, Machine: machine(), Connections: p.Connections, Repetitions: p.Repetitions,
		Busy: p.Busy, Calm: p.Calm, Samples: samples,
	}
}

// machine is where it was measured.
func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		model = cpuModel(string(b), model)
	}
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address only
	return fmt.Sprintf("%d cores, %s, Linux %s, %s", runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

func cpuModel(cpuinfo, otherwise string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return otherwise
}

// Result is the medians of a peer, and its ratios to the bare loop.
type Result struct {
	Peer       string
	CPU        []time.Duration // per update, by load
	CPURatio   []float64
	Kept       float64 // least of all loads: below 0.99 the machine was overloaded
	PerRead    float64 // updates that a client got at once, most of all loads: over 1 they cost less
	P50, P99   time.Duration
	P999       time.Duration
	P99Ratio   float64
	Sustained  float64 // updates per second
	FlatOut    float64 // the same; of the bare loop only
	Memory     int64   // bytes per idle connection
	Resident   int64   // resident set of the process with all connections, bytes
	AcceptRate float64
	IdleCPU    time.Duration // per second and connection
	StuckP99   float64       // p99 beside clients that do not read, against without
	StuckGrown int64         // bytes
	StuckCount int
	StuckGone  int // of them, closed by the server
	Faults     int // samples in which something went wrong
}

// Results are the medians of all peers that were measured, in the order of the samples.
func (c Comparison) Results() []Result {
	var list []Result
	for _, s := range c.Samples {
		if len(s.List) > 0 {
			list = append(list, c.result(s))
		}
	}
	if len(list) == 0 || list[0].Peer != bare().Name {
		return list
	}
	limit := list[0]
	for i := range list {
		r := &list[i]
		for j := range r.CPU {
			r.CPURatio = append(r.CPURatio, ratio(r.CPU[j], limit.CPU[j]))
		}
		r.P99Ratio = ratio(r.P99, limit.P99)
	}
	return list
}

// Fault is ErrFault if something went wrong with our gateway or the bare loop. What others do wrong is theirs.
func (c Comparison) Fault() error {
	for _, r := range c.Results() {
		if r.Faults > 0 && (r.Peer == ours().Name || r.Peer == bare().Name) {
			return fmt.Errorf("%s: %w", r.Peer, ErrFault)
		}
	}
	return nil
}

func (c Comparison) result(s Samples) Result {
	r := Result{Peer: s.Peer, Kept: 1}
	for i := range c.Busy {
		seen := whole(s.List, func(s Sample) bool { return len(s.Busy) > i })
		r.CPU = append(r.CPU, medianOf(seen, func(s Sample) time.Duration { return s.Busy[i].CPUPerUpdate() }))
		r.Kept = min(r.Kept, medianOf(seen, func(s Sample) float64 { return s.Busy[i].Kept(c.Connections) }))
		r.PerRead = max(r.PerRead, medianOf(seen, func(s Sample) float64 { return ratio(s.Busy[i].Updates, s.Busy[i].Reads) }))
	}
	calm := whole(s.List, func(s Sample) bool { return s.Calm.Updates > 0 })
	r.P50 = medianOf(calm, func(s Sample) time.Duration { return s.Calm.P50 })
	r.P99 = medianOf(calm, func(s Sample) time.Duration { return s.Calm.P99 })
	r.P999 = medianOf(calm, func(s Sample) time.Duration { return s.Calm.P999 })
	r.Sustained = medianOf(calm, func(s Sample) float64 { return s.Sustained })
	r.FlatOut = medianOf(calm, func(s Sample) float64 { return s.FlatOut })
	filled := whole(s.List, func(s Sample) bool { return s.Idle.After > 0 })
	r.Memory = medianOf(filled, func(s Sample) int64 { return s.Idle.PerConnection() })
	r.Resident = medianOf(filled, func(s Sample) int64 { return s.Idle.After })
	r.AcceptRate = medianOf(filled, func(s Sample) float64 { return s.Idle.AcceptRate() })
	r.IdleCPU = medianOf(filled, func(s Sample) time.Duration { return s.Idle.CPUPerSecond() })
	stuck := whole(calm, func(s Sample) bool { return s.Stuck != nil })
	r.StuckP99 = medianOf(stuck, func(s Sample) float64 { return ratio(s.Stuck.Calm.P99, s.Calm.P99) })
	r.StuckGrown = medianOf(stuck, func(s Sample) int64 { return s.Stuck.Grown })
	r.StuckCount = medianOf(stuck, func(s Sample) int { return s.Stuck.Count })
	r.StuckGone = medianOf(stuck, func(s Sample) int { return s.Stuck.Closed })
	r.Faults = len(whole(s.List, func(s Sample) bool { return len(s.Faults) > 0 }))
	return r
}

// whole are the samples that have what is asked for.
func whole(list []Sample, has func(Sample) bool) []Sample {
	var seen []Sample
	for _, s := range list {
		if has(s) {
			seen = append(seen, s)
		}
	}
	return seen
}

// rows are the table: its head, then a row for each peer.
func (c Comparison) rows() [][]string {
	head := []string{"server"}
	for _, l := range c.Busy {
		head = append(head, fmt.Sprintf("µs/update, %v", l), "ratio")
	}
	head = append(head, "in time", "updates/read", fmt.Sprintf("p50/p99/p99.9 ms, %v", c.Calm), "ratio p99", "sustained/s", "flat out/s",
		"B/idle connection", "process MiB", "idle µs/s", "accepts/s", "p99 beside stuck", "stuck closed", "grown KiB", "faults")
	rows := [][]string{head}
	for _, r := range c.Results() {
		row := []string{r.Peer}
		for i, cpu := range r.CPU {
			row = append(row, figure("%.2f", micros(cpu)), figure("%.2f", at(r.CPURatio, i)))
		}
		row = append(row, fmt.Sprintf("%.0f %%", 100*r.Kept), figure("%.2f", r.PerRead),
			fmt.Sprintf("%.1f/%.1f/%.1f", millis(r.P50), millis(r.P99), millis(r.P999)), figure("%.2f", r.P99Ratio),
			figure("%.0f", r.Sustained), figure("%.0f", r.FlatOut), fmt.Sprint(r.Memory), figure("%.1f", float64(r.Resident)/(1<<20)), figure("%.2f", micros(r.IdleCPU)), figure("%.0f", r.AcceptRate),
			figure("%.2f ×", r.StuckP99), r.stuckGone(), figure("%.0f", float64(r.StuckGrown>>10)), fmt.Sprint(r.Faults))
		rows = append(rows, row)
	}
	return rows
}

func (r Result) stuckGone() string {
	if r.StuckCount == 0 {
		return figure("", 0)
	}
	return fmt.Sprintf("%d of %d", r.StuckGone, r.StuckCount)
}

// figure writes a figure down that zero means was not taken.
func figure(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

func at(list []float64, i int) float64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// Text writes the table for a terminal.
func (c Comparison) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range c.rows() {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// Markdown writes the table and what was measured where.
func (c Comparison) Markdown(out io.Writer) {
	fmt.Fprintf(out, "%s, %s. %d connections, medians of %d interleaved repetitions, ratios to the bare loop.\n\n",
		c.Machine, c.Date.Format("2 January 2006"), c.Connections, c.Repetitions)
	for i, row := range c.rows() {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(out, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
	fmt.Fprintln(out)
	for _, s := range c.Samples {
		fmt.Fprintf(out, "- %s: %s", s.Peer, s.About)
		if s.Missing != "" {
			fmt.Fprintf(out, " (not measured: %s)", s.Missing)
		}
		fmt.Fprintln(out)
	}
}

// Save writes peers.md and peers.json into a directory.
func (c Comparison) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var md strings.Builder
	c.Markdown(&md)
	if err := os.WriteFile(filepath.Join(dir, "peers.md"), []byte(md.String()), 0o644); err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "peers.json"), append(b, '\n'), 0o644)
}
