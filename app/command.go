package app

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Main runs the command line args (without the program's name) and returns the
// exit code: 0, or 1 after an error or a failed check. When ctx ends, servers
// drain and stop.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		root.PrintErrln("Error:", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tickcast",
		Short: "Live multiplier rounds that people play together",
		Long: `Tickcast runs rooms in which everybody sees the same curve at the same moment,
keeps them in a log that survives any process, and books every payout once.

Without a command it serves everything in one process, with data in ./data.`,
		Args:          onlyCommands,
		RunE:          runProcess(ProcessServe),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	addFlags(root.Flags())
	root.SetFlagErrorFunc(nearestFlag) // of all commands
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: "servers", Title: "Servers:"},
		&cobra.Group{ID: "operators", Title: "Operators:"},
		&cobra.Group{ID: "tools", Title: "Tools:"},
	)
	root.AddCommand(
		newProcess(ProcessServe, "Run everything in one process, embedded unless told otherwise (default)"),
		newProcess(ProcessGateway, "Run a gateway: sockets of players, pages, operator API"),
		newProcess(ProcessRoom, "Run a room server: owns partitions of the log"),
		newLedger(),
	)
	root.AddCommand(newRooms(), newPlayers(), newWallet(), newAudit())
	root.AddCommand(newSwarm(), newToken(), newNATSConfig(), newCheckConfig(), newDefaultConfig(), newVersion())
	return root
}

func newLedger() *cobra.Command {
	c := newProcess(ProcessLedger, "Run a ledger worker: books transfers, answers queries")
	c.Args = onlyCommands
	c.AddCommand(newReconcile())
	return c
}

func newProcess(p Process, short string) *cobra.Command {
	c := &cobra.Command{Use: string(p), Short: short, GroupID: "servers", Args: cobra.NoArgs, RunE: runProcess(p)}
	addFlags(c.Flags())
	return c
}

func runProcess(p Process) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		c, err := load(cmd.Flags(), environment())
		if err != nil {
			return err
		}
		if err := c.validate(p); err != nil {
			return err
		}
		return run(cmd.Context(), p, c, output{cmd.OutOrStdout(), cmd.ErrOrStderr()})
	}
}

// nearestFlag names the flag that was meant, if one was given that nobody knows.
func nearestFlag(cmd *cobra.Command, err error) error {
	e, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || e.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return unknown("--"+e.GetSpecifiedName(), "flag", names)
}

// onlyCommands are the arguments of a command that has others below it: an unknown one
// is an error and not a request for help, and is told the one that was meant.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return unknown(args[0], "command", names)
}

// output is where a server process writes: what people read at the start, and its
// log.
type output struct{ people, log io.Writer }
