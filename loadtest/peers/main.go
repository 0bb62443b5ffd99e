// The command peers compares Tickcast's gateway with other servers that bring updates to many WebSockets.
package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"tickcast/loadtest/peers/bench"
)

//go:embed c/*.c c/*.h node/*.js node/*.json
var sources embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "peers",
		Short: "Compare Tickcast's gateway with other WebSocket servers",
		// main says the error.
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(commandsCommand(), compareCommand(), fanoutCommand(), profileCommand(), serveCommand(), swarmCostCommand())
	return root
}

// newKit finds the programs.
func newKit(tickcast string) (bench.Kit, error) {
	k := bench.Kit{Tickcast: tickcast, Programs: bench.Programs{Sources: sources}}
	if _, err := os.Stat(tickcast); err != nil {
		return k, fmt.Errorf("the program under test is not there (make build): %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return k, err
	}
	k.Programs.Dir = filepath.Join(cache, "tickcast-peers")
	k.Self, err = os.Executable()
	return k, err
}

func fanoutCommand() *cobra.Command {
	var tickcast string
	c := &cobra.Command{
		Use:   "fanout",
		Short: "Compare the gateway with the bare loop only, in under 50 s",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := newKit(tickcast)
			if err != nil {
				return err
			}
			return k.Fanout(c.Context(), c.OutOrStdout())
		},
	}
	tickcastFlag(c, &tickcast)
	return c
}

func tickcastFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "tickcast", "bin/tickcast", "the program under test")
}
