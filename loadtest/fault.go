package loadtest

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Fault is something that went wrong on purpose during a run. Times are since the run
// began.
type Fault struct {
	Kind    string        `json:"kind"`
	Target  string        `json:"target,omitempty"`
	Planned time.Duration `json:"planned_ns"`
	Length  time.Duration `json:"length_ns,omitempty"` // as planned
	Began   time.Duration `json:"began_ns"`
	Took    time.Duration `json:"took_ns"` // until everything was whole again
	Pauses  int           `json:"pauses"`  // that players saw
	Longest time.Duration `json:"longest_pause_ns"`
	Error   string        `json:"error,omitempty"`
}

// SummarisePauses turns pauses into a distribution of how long they were.
func SummarisePauses(name string, pauses []Pause) Latency {
	h := newHistogram()
	for _, p := range pauses {
		recordIn(h, p.To-p.From)
	}
	return summarise(name, h)
}

// Add adds checks that others made of the run to its verdict.
func (r *Report) Add(checks ...Check) {
	r.Checks = append(r.Checks, checks...)
	r.decide()
}

// writeFaults prints what went wrong on purpose, and what players saw of it.
func (r *Report) writeFaults(b *strings.Builder) {
	if len(r.Faults) == 0 {
		return
	}
	tab := tabwriter.NewWriter(b, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tab, "\nbegan\ttook\tfault\t\tpauses\tlongest")
	for i := range r.Faults {
		f := &r.Faults[i]
		fmt.Fprintf(tab, "%.1fs\t%.1fs\t%s\t%s\t%d\t%s\n", f.Began.Seconds(), f.Took.Seconds(), f.Kind, f.Target, f.Pauses, millis(f.Longest))
		if f.Error != "" {
			fmt.Fprintf(tab, "\t\t%s\n", f.Error)
		}
	}
	_ = tab.Flush()
	tab = tabwriter.NewWriter(b, 2, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "\npauses over 250 ms that players saw, by fault\tcount\tp50\tp90\tp99\tmax\t")
	for _, p := range r.Pauses {
		fmt.Fprintf(tab, "%s\t%d\t%s\t%s\t%s\t%s\t\n", p.Name, p.Count, millis(p.P50), millis(p.P90), millis(p.P99), millis(p.Max))
	}
	_ = tab.Flush()
}
