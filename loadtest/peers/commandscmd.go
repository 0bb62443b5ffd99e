package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tickcast/loadtest/peers/bench"
)

func commandsCommand() *cobra.Command {
	var tickcast string
	var plan bench.CommandPlan
	c := &cobra.Command{
		Use:   "commands",
		Short: "Measure taps, cash-outs and bets through the shipped program, in under a minute",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkCommands(plan); err != nil {
				return err
			}
			k, err := newKit(tickcast)
			if err != nil {
				return err
			}
			return k.Commands(c.Context(), plan, c.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.IntVar(&plan.Players, "players", 1000, "players of each room")
	flags.Float64SliceVar(&plan.Rates, "rates", []float64{1000, 20_000}, "taps a second at which latency is taken")
	flags.IntVar(&plan.Rounds, "rounds", 4, "rounds of bets and cash-outs")
	flags.DurationVar(&plan.Clock.Warm, "warm", time.Second, "time of a load that does not count")
	flags.DurationVar(&plan.Clock.Look, "look", 5*time.Second, "time of a load that counts")
	flags.StringVar(&plan.Profile, "profile", "", "file for a CPU profile of the server while it is flat out; that run is slower")
	tickcastFlag(c, &tickcast)
	return c
}

func checkCommands(plan bench.CommandPlan) error {
	switch {
	case plan.Players < 1 || plan.Players > mostConnections:
		return fmt.Errorf("players: %d is not between 1 and %d", plan.Players, mostConnections)
	case len(plan.Rates) == 0:
		return errors.New("rates: at least one")
	case plan.Rounds < 1:
		return errors.New("rounds: at least 1")
	case plan.Clock.Look < time.Second:
		return errors.New("look: at least 1s")
	}
	for _, r := range plan.Rates {
		if r <= 0 || r > 1e6 {
			return fmt.Errorf("rates: %g is not between 0 and 1000000", r)
		}
	}
	return nil
}
