package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tickcast/loadtest"
)

// fleetFlags say in which processes the bots are.
type fleetFlags struct {
	workers int
	remote  int
	listen  string
	keyFile string
}

func (ff *fleetFlags) add(f *pflag.FlagSet) {
	f.IntVar(&ff.workers, "workers", 0, "processes on this machine; 0: as many as the bots need files for")
	f.IntVar(&ff.remote, "remote-workers", 0, "workers of other machines to wait for")
	f.StringVar(&ff.listen, "workers-listen", "", "address at which they connect")
	f.StringVar(&ff.keyFile, "workers-key-file", "", "file of the key that they know too")
}

// fleet puts together what the flags say.
func (ff *fleetFlags) fleet() (loadtest.Fleet, error) {
	f := loadtest.Fleet{Workers: ff.workers, Remote: ff.remote}
	self, err := os.Executable()
	if err != nil {
		return f, fmt.Errorf("find this program: %w", err)
	}
	f.Command = []string{self, "swarm", "worker"}
	if ff.remote <= 0 {
		return f, nil
	}
	if ff.listen == "" || ff.keyFile == "" {
		return f, errors.New("--remote-workers needs --workers-listen and --workers-key-file")
	}
	key, err := readSecret(ff.keyFile)
	if err != nil {
		return f, err
	}
	f.Key = []byte(key)
	if f.Listener, err = net.Listen("tcp", ff.listen); err != nil {
		return f, fmt.Errorf("listen for workers: %w", err)
	}
	return f, nil
}

// newSwarmWorker is a part of a swarm. Without flags it is led by the process that
// started it.
func newSwarmWorker() *cobra.Command {
	var coordinator, keyFile string
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Play a part of a swarm that another process leads",
		Long: `Plays a part of a swarm. On another machine than the one that leads, it connects
to the address that the leading swarm was given with --workers-listen.`,
		Example: `  tickcast swarm --bots 60000 --remote-workers 2 --workers-listen 10.0.0.5:7700 --workers-key-file key
  tickcast swarm worker --coordinator 10.0.0.5:7700 --key-file key`,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			collectGarbage(swarmGCPercent)
			if coordinator == "" {
				// An interrupt at the terminal goes to all of the swarm's processes; what this one
				// does then is for the leading one to say.
				return loadtest.Work(context.WithoutCancel(cmd.Context()), standardStreams{cmd.InOrStdin(), cmd.OutOrStdout()}, nil)
			}
			key, err := readSecret(keyFile)
			if err != nil {
				return err
			}
			d := net.Dialer{Timeout: 10 * time.Second}
			conn, err := d.DialContext(cmd.Context(), "tcp", coordinator)
			if err != nil {
				return fmt.Errorf("connect to the coordinator: %w", err)
			}
			return loadtest.Work(cmd.Context(), conn, []byte(key))
		},
	}
	cmd.Flags().StringVar(&coordinator, "coordinator", "", "address of the swarm that leads; none: standard input and output")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "file of the key that both know")
	return cmd
}

// standardStreams are a connection to the process that started this one.
type standardStreams struct {
	io.Reader
	io.Writer
}

// Close does nothing: the streams end with the process.
func (standardStreams) Close() error { return nil }
