package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tickcast/loadtest/peers/bench"
)

func swarmCostCommand() *cobra.Command {
	var tickcast, load string
	var plan bench.SwarmPlan
	c := &cobra.Command{
		Use:   "swarm-cost",
		Short: "Compare what a frame costs the swarm with what it costs a client in C, in under three minutes",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if plan.Load, err = parseLoad(load); err != nil {
				return err
			}
			if err := checkSwarm(plan); err != nil {
				return err
			}
			k, err := newKit(tickcast)
			if err != nil {
				return err
			}
			return k.SwarmCost(c.Context(), plan, c.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.IntVar(&plan.Connections, "connections", 5000, "connections of each")
	flags.IntVar(&plan.Repetitions, "repetitions", 5, "times that each is run, in turn")
	flags.StringVar(&load, "load", "10x128", "updates a second x bytes")
	flags.DurationVar(&plan.Clock.Settle, "settle", time.Second, "time between joining and the load")
	flags.DurationVar(&plan.Clock.Warm, "warm", time.Second, "time of the load that does not count")
	flags.DurationVar(&plan.Clock.Look, "look", 5*time.Second, "time of the load that counts")
	flags.DurationVar(&plan.Clock.Drain, "drain", 500*time.Millisecond, "time for the last updates of a load to arrive")
	tickcastFlag(c, &tickcast)
	return c
}

func checkSwarm(plan bench.SwarmPlan) error {
	switch {
	case plan.Connections < 2 || plan.Connections > mostConnections:
		return fmt.Errorf("connections: %d is not between 2 and %d", plan.Connections, mostConnections)
	case plan.Repetitions < 1:
		return errors.New("repetitions: at least 1")
	case plan.Clock.Look < 100*time.Millisecond:
		return errors.New("look: at least 100ms")
	}
	return nil
}
