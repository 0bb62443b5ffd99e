package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tickcast/loadtest/peers/bench"
)

func profileCommand() *cobra.Command {
	var tickcast, load string
	plan := bench.Plan{Clock: bench.Clock{Settle: time.Second, Warm: time.Second}}
	c := &cobra.Command{
		Use:   "profile SERVER",
		Short: "Show with perf where a server's CPU time goes",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := parseLoad(load)
			if err != nil {
				return err
			}
			plan.Busy = []bench.Load{l}
			k, err := newKit(tickcast)
			if err != nil {
				return err
			}
			for _, p := range bench.Peers() {
				if p.Name == args[0] {
					return k.Profile(c.Context(), plan, p, c.OutOrStdout())
				}
			}
			return fmt.Errorf("no peer %q", args[0])
		},
	}
	c.Flags().IntVar(&plan.Connections, "connections", 5000, "connections")
	c.Flags().StringVar(&load, "load", "20x128", "updates a second x bytes")
	c.Flags().DurationVar(&plan.Clock.Look, "look", 10*time.Second, "time to record")
	tickcastFlag(c, &tickcast)
	return c
}
