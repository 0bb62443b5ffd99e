package app

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tickcast/loadtest/chaos"
)

// newSwarmChaos lets a swarm play in a cluster that is broken on purpose.
func newSwarmChaos() *cobra.Command {
	var c chaos.Config
	var planOnly bool
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Start a whole cluster here, break it by a plan while bots play, and judge",
		Long: `Starts a cluster on this machine (two gateways, three room servers, two ledger
workers, three NATS nodes, Redis, PostgreSQL), lets bots play, and kills, suspends,
partitions and restarts its parts by a plan that is drawn from the seed. In the end log,
ledger and what the players were told must agree: nothing lost, nothing twice. The exit
code is 1 if a check failed; then all logs and an export of the log are kept.

It needs redis-server, postgresql, and go to build nats-server.`,
		Example: `  tickcast swarm chaos --seed 7
  tickcast swarm chaos --seed 7 --plan
  tickcast swarm chaos --duration 30m --keep out --html report.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c = c.WithDefaults()
			if planOnly {
				if err := c.Validate(); err != nil {
					return err
				}
				p := chaos.NewPlan(c.Seed, c.Duration)
				return p.WriteText(cmd.OutOrStdout())
			}
			var err error
			if c.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			report, dir, err := chaos.Run(cmd.Context(), c, cmd.ErrOrStderr())
			if report != nil {
				if err := report.WriteText(cmd.OutOrStdout()); err != nil {
					return fmt.Errorf("print report: %w", err)
				}
			}
			if dir != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "logs, export of the log and report: %s\n", dir)
			}
			if err == nil && !report.Passed() {
				err = errVerdict
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Uint64Var(&c.Seed, "seed", 1, "seed of the plan and of the bots' decisions")
	f.DurationVar(&c.Duration, "duration", 0, "how long the bots play; more time has more faults (default 3m)")
	f.IntVar(&c.Bots, "bots", 0, "number of bots (default 500)")
	f.StringVar(&c.Keep, "keep", "", "empty directory for all logs; without it they are kept when a check failed")
	f.StringVar(&c.JSONFile, "json", "", "file to write the report to, as JSON")
	f.StringVar(&c.HTMLFile, "html", "", "file to write the report to, as a page that needs no network")
	f.BoolVar(&planOnly, "plan", false, "print the plan and do nothing")
	return cmd
}
