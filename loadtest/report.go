package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run found out. Its JSON form is for machines, WriteText is
// for people. Durations in JSON are nanoseconds.
type Report struct {
	Started     time.Time     `json:"started"`
	Acted       time.Duration `json:"acted_ns"`   // how long the bots acted
	Elapsed     time.Duration `json:"elapsed_ns"` // with the time to settle
	Interrupted bool          `json:"interrupted,omitempty"`
	Config      Config        `json:"config"` // with defaults; without tokens and secrets

	Verdict   string            `json:"verdict"` // "passed" or "failed"
	Checks    []Check           `json:"checks"`
	Totals    Totals            `json:"totals"`
	Rooms     []RoomReport      `json:"rooms"`
	Latencies []Latency         `json:"latencies"`
	Refusals  map[string]uint64 `json:"refusals,omitempty"` // "<operation> <code>": how often
	Counts    map[string]uint64 `json:"counts,omitempty"`   // what else happened
	DialError string            `json:"dial_error,omitempty"`

	Faults []Fault   `json:"faults,omitempty"` // what went wrong on purpose
	Pauses []Latency `json:"pauses,omitempty"` // that players saw, by kind of fault

	Series  []Point        `json:"series"`            // the course of the run
	Workers []WorkerReport `json:"workers,omitempty"` // its processes, when there were several
	// Clocks tells how times of several processes were compared, and ClockError by how
	// much they may be off.
	Clocks     string        `json:"clocks,omitempty"`
	ClockError time.Duration `json:"clock_error_ns,omitempty"`
}

// WorkerReport is one process of a swarm.
type WorkerReport struct {
	Name     string `json:"name"`
	Bots     int    `json:"bots"`
	Messages uint64 `json:"messages"` // received
	Reported bool   `json:"reported"`
	// ClockOffset is how far the process's clock was ahead, and ClockError by how much
	// that may be wrong: half of the fastest exchange with it.
	ClockOffset time.Duration `json:"clock_offset_ns,omitempty"`
	ClockError  time.Duration `json:"clock_error_ns,omitempty"`
}

// Check is one check of the verdict.
type Check struct {
	Name     string    `json:"name"`
	What     string    `json:"what"` // what it says when it passed
	Passed   bool      `json:"passed"`
	Failures uint64    `json:"failures,omitempty"`
	Examples []Example `json:"examples,omitempty"` // the first failures, at most five
}

// Totals are sums over all bots.
type Totals struct {
	Messages  uint64 `json:"messages"` // received
	Bytes     uint64 `json:"bytes"`
	Commands  uint64 `json:"commands"`
	Answers   uint64 `json:"answers"`
	Results   uint64 `json:"results"` // bets and taps judged against their round
	ChatLines uint64 `json:"chat_lines,omitempty"`
}

// RoomReport is what was compared of one log of a room.
type RoomReport struct {
	Room      string `json:"room"`
	Log       string `json:"log"`
	Newest    uint64 `json:"newest"`    // highest seq seen
	Updates   uint64 `json:"updates"`   // distinct updates seen
	Sightings uint64 `json:"sightings"` // of all bots
	Compared  uint64 `json:"compared"`  // sightings whose bytes were compared with the first one's
	Rounds    uint64 `json:"rounds,omitempty"`
	Linked    uint64 `json:"seeds_linked,omitempty"`     // revealed seeds that were checked against the one before
	Verified  uint64 `json:"crashes_verified,omitempty"` // crash points that were recomputed
}

// Passed reports whether every check passed.
func (r *Report) Passed() bool { return r.Verdict == verdictPassed }

const (
	verdictPassed = "passed"
	verdictFailed = "failed"
)

// decide draws the verdict from the checks.
func (r *Report) decide() {
	r.Verdict = verdictPassed
	if slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.Passed }) {
		r.Verdict = verdictFailed
	}
}

// WriteFiles writes the report as JSON and as a page for people; empty names mean
// nowhere.
func (r *Report) WriteFiles(jsonFile, htmlFile string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{jsonFile, r.writeJSON}, {htmlFile, r.WriteHTML}} {
		if f.name == "" {
			continue
		}
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return err
		}
		if err := os.WriteFile(f.name, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// checkThresholds adds a check for each bound that is set. A bound on something
// that never happened fails: it was asked for and not shown.
func (r *Report) checkThresholds(t Thresholds) {
	for _, c := range []struct {
		name  string
		bound time.Duration
		of    []string
	}{
		{"answer p99", t.AnswerP99, []string{opCashOut, opTap}},
		{"bet p99", t.BetP99, []string{opBet, opCancel}},
		{"spread p99", t.SpreadP99, []string{latencySpread}},
		{"join p99", t.JoinP99, []string{latencyJoin}},
		{"reconnect p99", t.ReconnectP99, []string{latencyReconnect}},
		{"replay p99", t.ReplayP99, []string{latencyReplay}},
		{"delivery p99", t.DeliveryP99, []string{latencyDelivery}},
	} {
		if c.bound <= 0 {
			continue
		}
		check := Check{Name: c.name, What: fmt.Sprintf("the 99th percentile is at most %s", c.bound)}
		seen := false
		for _, l := range r.Latencies {
			if !slices.Contains(c.of, l.Name) || l.Count == 0 {
				continue
			}
			seen = true
			if l.P99 > c.bound {
				check.Failures++
				check.Examples = append(check.Examples, Example{Bot: -1, Detail: fmt.Sprintf("%s: %s is over %s", l.Name, l.P99, c.bound)})
			}
		}
		if !seen {
			check.Failures, check.Examples = 1, []Example{{Bot: -1, Detail: "nothing was measured"}}
		}
		check.Passed = check.Failures == 0
		r.Checks = append(r.Checks, check)
	}
	r.checkCount("degraded", t.Degraded, countDegraded)
	r.checkCount("missed ticks", t.TicksMissed, countTicksMissed)
}

// checkCount adds a check of how often something happened; 0 is no bound, and a
// negative one means never.
func (r *Report) checkCount(name string, bound int, of string) {
	if bound == 0 {
		return
	}
	most := uint64(max(0, bound))
	check := Check{Name: name, What: fmt.Sprintf("%s: at most %d", of, most)}
	if n := r.Counts[of]; n > most {
		check.Failures, check.Examples = n, []Example{{Bot: -1, Detail: fmt.Sprintf("%s: %d", of, n)}}
	}
	check.Passed = check.Failures == 0
	r.Checks = append(r.Checks, check)
}

// WriteText writes the report for people: the verdict first and last, what
// failed with its first examples, and tables of what was measured.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Swarm of %d bots, %s acting, %s in all", r.Config.Bots, r.Acted.Round(100*time.Millisecond), r.Elapsed.Round(100*time.Millisecond))
	if r.Interrupted {
		b.WriteString(" (interrupted)")
	}
	fmt.Fprintf(&b, ", %d gateways, %d rooms; %s\n\n", len(r.Config.URLs), len(r.Config.Rooms), runtime.Version())
	tab := tabwriter.NewWriter(&b, 2, 8, 2, ' ', 0)
	for _, c := range r.Checks {
		result := "ok"
		if !c.Passed {
			result = fmt.Sprintf("FAILED %d×", c.Failures)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", result, c.Name, c.What)
	}
	_ = tab.Flush()
	for _, c := range r.Checks {
		for i, e := range c.Examples {
			if i == 0 {
				fmt.Fprintf(&b, "\n%s failed %d times, first:\n", c.Name, c.Failures)
			}
			fmt.Fprintf(&b, "  %s\n", e)
		}
	}
	r.writeTables(&b)
	r.writeFaults(&b)
	fmt.Fprintf(&b, "\nverdict: %s\n", strings.ToUpper(r.Verdict))
	_, err := io.WriteString(w, b.String())
	return err
}

// printedRooms is how many rooms the text of a report lists. The files have all.
const printedRooms = 30

func (r *Report) writeTables(b *strings.Builder) {
	fmt.Fprintf(b, "\n%d messages (%.1f MB), %d commands, %d answers, %d results judged\n",
		r.Totals.Messages, float64(r.Totals.Bytes)/1e6, r.Totals.Commands, r.Totals.Answers, r.Totals.Results)
	if r.DialError != "" {
		fmt.Fprintf(b, "first failed dial: %s\n", r.DialError)
	}
	tab := tabwriter.NewWriter(b, 2, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "\nroom\tnewest\tupdates\tsightings\tcompared\trounds\tcrashes verified\t")
	for i, l := range r.Rooms {
		if i == printedRooms {
			fmt.Fprintf(tab, "and %d more\t\t\t\t\t\t\t\n", len(r.Rooms)-i)
			break
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", l.Room, l.Newest, l.Updates, l.Sightings, l.Compared, l.Rounds, l.Verified)
	}
	_ = tab.Flush()
	fmt.Fprintln(tab, "\nlatency\tcount\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, l := range r.Latencies {
		fmt.Fprintf(tab, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", l.Name, l.Count, millis(l.Mean), millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max))
	}
	_ = tab.Flush()
	writeCounts(b, "refused", r.Refusals)
	writeCounts(b, "also", r.Counts)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func writeCounts(b *strings.Builder, title string, counts map[string]uint64) {
	if len(counts) == 0 {
		return
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, name := range names {
		fmt.Fprintf(b, "  %d × %s\n", counts[name], name)
	}
}
