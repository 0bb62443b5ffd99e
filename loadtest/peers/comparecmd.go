package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickcast/loadtest/peers/bench"
)

// mostConnections leaves a client and a server room below the usual limit of 20,000 open files.
const mostConnections = 19_000

// compareFlags are the flags of compare as they were given.
type compareFlags struct {
	tickcast, output string
	servers          []string
	busy             []string
	calm             string
	plan             bench.Plan
}

func compareCommand() *cobra.Command {
	var f compareFlags
	var names []string
	about := "Compares servers that bring updates to many WebSockets:\n\n"
	for _, p := range bench.Peers() {
		names = append(names, p.Name)
		about += fmt.Sprintf("  %-16s %s\n", p.Name, p.About)
	}
	c := &cobra.Command{
		Use:   "compare",
		Short: "Compare the gateway with other servers and write a table",
		Long:  about,
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.servers, "servers", nil, "some of "+strings.Join(names, ",")+"; all if empty")
	flags.IntVar(&f.plan.Connections, "connections", 5000, "connections to each server")
	flags.IntVar(&f.plan.Repetitions, "repetitions", 3, "times that each server is run, in turn")
	flags.StringSliceVar(&f.busy, "busy", []string{"20x128", "20x1024"}, "loads at which CPU is taken: updates a second x bytes")
	flags.StringVar(&f.calm, "calm", "10x128", "load at which latency is taken")
	flags.BoolVar(&f.plan.Ramp, "ramp", true, "look for the highest rate that each server sustains")
	flags.Float64Var(&f.plan.Stuck, "stuck", 0.01, "share of connections that never read in a run of its own; 0: no such run")
	flags.DurationVar(&f.plan.Clock.Settle, "settle", 2*time.Second, "time between connecting and reading memory")
	flags.DurationVar(&f.plan.Clock.Idle, "idle", 0, "time to look at the CPU of idle connections; more than 25s, or pings are missed")
	flags.DurationVar(&f.plan.Clock.Warm, "warm", time.Second, "time of a load that does not count")
	flags.DurationVar(&f.plan.Clock.Look, "look", 5*time.Second, "time of a load that counts")
	flags.DurationVar(&f.plan.Clock.Drain, "drain", 2*time.Second, "time for the last updates of a load to arrive, at most")
	flags.StringVar(&f.output, "output", "test-output", "directory for peers.md and peers.json")
	tickcastFlag(c, &f.tickcast)
	return c
}

func (f *compareFlags) run(c *cobra.Command) (err error) {
	if f.plan.Peers, err = bench.Select(f.servers); err != nil {
		return err
	}
	for _, text := range f.busy {
		l, err := parseLoad(text)
		if err != nil {
			return err
		}
		f.plan.Busy = append(f.plan.Busy, l)
	}
	if f.plan.Calm, err = parseLoad(f.calm); err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	k, err := newKit(f.tickcast)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	samples, err := k.Compare(c.Context(), f.plan, out)
	if err != nil && c.Context().Err() == nil {
		return err
	}
	// Who interrupts it gets what was seen until then.
	table := bench.NewComparison(f.plan, samples, time.Now())
	fmt.Fprintln(out)
	if err := table.Text(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nwritten to %s and .json\n", filepath.Join(f.output, "peers.md"))
	if err := table.Save(f.output); err != nil {
		return err
	}
	return errors.Join(err, table.Fault())
}

func (f *compareFlags) validate() error {
	p := f.plan
	switch {
	case p.Connections < 1 || p.Connections > mostConnections:
		return fmt.Errorf("connections: %d is not between 1 and %d", p.Connections, mostConnections)
	case p.Repetitions < 1:
		return errors.New("repetitions: at least 1")
	case len(p.Busy) == 0:
		return errors.New("busy: at least one load")
	case p.Stuck < 0 || p.Stuck > 0.5:
		return fmt.Errorf("stuck: %g is not between 0 and 0.5", p.Stuck)
	case p.Clock.Look < 100*time.Millisecond:
		return errors.New("look: at least 100ms")
	}
	return nil
}

// parseLoad reads "20x128".
func parseLoad(s string) (bench.Load, error) {
	rate, size, ok := strings.Cut(s, "x")
	r, errRate := strconv.ParseFloat(rate, 64)
	n, errSize := strconv.Atoi(size)
	if !ok || errRate != nil || errSize != nil || r <= 0 || n < 128 || n > 60_000 {
		return bench.Load{}, fmt.Errorf("load %q is not updates a second x 128 to 60000 bytes, such as 20x128", s)
	}
	return bench.Load{Rate: r, Size: n}, nil
}
