package app

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tickcast/bus"
)

func newNATSConfig() *cobra.Command {
	var o bus.ServerOptions
	var inline bool
	c := &cobra.Command{
		Use:   "natsconfig",
		Short: "Print a nats-server configuration with the users and permissions of the roles",
		Long: `Prints a nats-server configuration with a user for each role and exactly the
permissions that the role needs.

The passwords are references to environment variables of the nats-server process
(TICKCAST_NATS_GATEWAY_PASSWORD and so on; put the values in quotes, nats-server
reads them as configuration), or with --inline the values that these variables
have here.`,
		GroupID: "tools",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			passwords := map[bus.Role]string{}
			if inline {
				for _, r := range bus.Roles() {
					value := strings.Trim(os.Getenv(bus.PasswordVariable(r)), `"'`)
					if err := checkSecret(bus.PasswordVariable(r), value); err != nil {
						return err
					}
					passwords[r] = value
				}
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), bus.ServerConfig(passwords, o))
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&inline, "inline", false, "write the passwords themselves")
	f.StringVar(&o.Name, "name", "", "server name, needed in a cluster")
	f.StringVar(&o.Listen, "listen", "0.0.0.0:4222", "address for clients")
	f.StringVar(&o.Monitor, "monitor", "", "address of the monitoring page; empty: none")
	f.StringVar(&o.StoreDir, "store-dir", "/data", "where JetStream keeps its files")
	f.DurationVar(&o.SyncInterval, "sync-interval", bus.DefaultSyncInterval, "how often the store is synchronised to the disk")
	f.BoolVar(&o.SyncAlways, "sync-always", false, "synchronise before each answer; for three replicas")
	f.StringVar(&o.ClusterName, "cluster", "", "cluster name; empty: no cluster")
	f.StringVar(&o.ClusterAddr, "cluster-listen", "0.0.0.0:6222", "address for the other nodes of the cluster")
	f.StringSliceVar(&o.Routes, "routes", nil, "nats://user:password@host:port of the other nodes, with the same user and password at all")
	f.BoolVar(&o.NoAdvertise, "no-advertise", false, "do not tell clients the addresses of the other nodes")
	return c
}
