package main

import (
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"tickcast/bus"
	"tickcast/loadtest/peers/serve"
)

// serveCommand holds the processes of the comparison. The harness runs them.
func serveCommand() *cobra.Command {
	root := &cobra.Command{Use: "serve", Short: "Run one process of the comparison (the harness does)"}
	root.AddCommand(
		server("gobwas", serve.Gobwas),
		server("gws", serve.GWS),
		server("gorilla", serve.Gorilla),
		server("coder", serve.Coder),
		server("centrifuge", func(in io.Reader, out io.Writer) error { return serve.Centrifuge(in, out, false) }),
		server("centrifuge-best", func(in io.Reader, out io.Writer) error { return serve.Centrifuge(in, out, true) }),
		server("nats", serve.NATS),
		&cobra.Command{
			Use: "nats-publisher NATS-URL", Short: "Publish to a nats-server", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return serve.NATSPublisher(os.Stdin, os.Stdout, args[0]) },
		},
		&cobra.Command{
			Use: "backbone DIRECTORY", Short: "NATS server as in a deployment, its files in the directory", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return serve.Backbone(os.Stdin, os.Stdout, args[0]) },
		},
		&cobra.Command{
			Use: "owner NATS-URL", Short: "Owner of the one room, ledger and Redis, scripted", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				nats, err := url.Parse(args[0])
				if err != nil {
					return err
				}
				return serve.RunOwner(c.Context(), os.Stdin, os.Stdout, func(r bus.Role) string { return asRole(*nats, r) })
			},
		},
	)
	return root
}

// server is the command of a server that needs nothing else.
func server(name string, run func(io.Reader, io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "Server " + name, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return run(os.Stdin, os.Stdout) },
	}
}

// asRole is the address with a role's user, whose password is in the environment.
func asRole(u url.URL, r bus.Role) string {
	u.User = url.UserPassword(string(r), os.Getenv(bus.PasswordVariable(r)))
	return u.String()
}
