package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ServerOptions are the parts of a nats-server configuration that differ between
// nodes.
type ServerOptions struct {
	Name         string        // server name; required in a cluster, each node its own
	Listen       string        // host:port for clients; empty means 0.0.0.0:4222
	Monitor      string        // host:port of the monitoring page; empty means none
	StoreDir     string        // where JetStream keeps its files; empty means /data
	SyncInterval time.Duration // 0 means DefaultSyncInterval
	SyncAlways   bool          // synchronise before each answer; sensible with three replicas only
	ClusterName  string        // empty means no cluster
	ClusterAddr  string        // host:port for the other nodes
	Routes       []string      // nats://host:port of the other nodes
}

// PasswordVariable is the environment variable from which a rendered
// configuration takes a role's password when none is given.
func PasswordVariable(r Role) string {
	return "TICKCAST_NATS_" + strings.ToUpper(string(r)) + "_PASSWORD"
}

// ServerConfig renders the configuration of a nats-server with a user per role
// and its permissions. A role without a password gets a reference to
// PasswordVariable, which nats-server resolves when it reads the configuration;
// the variable's value should be quoted, since it is read as configuration.
func ServerConfig(passwords map[Role]string, o ServerOptions) string {
	var b strings.Builder
	b.WriteString("# Rendered by tickcast natsconfig. Who may write what is part of the program:\n# render it again after an upgrade instead of editing it.\n\n")
	if o.Name != "" {
		fmt.Fprintf(&b, "server_name: %s\n", quote(o.Name))
	}
	fmt.Fprintf(&b, "listen: %s\n", quote(orDefault(o.Listen, "0.0.0.0:4222")))
	if o.Monitor != "" {
		fmt.Fprintf(&b, "http: %s\n", quote(o.Monitor))
	}
	b.WriteString("\njetstream {\n")
	fmt.Fprintf(&b, "  store_dir: %s\n", quote(orDefault(o.StoreDir, "/data")))
	fmt.Fprintf(&b, "  sync_interval: %s\n}\n", syncInterval(o))
	if o.ClusterName != "" {
		fmt.Fprintf(&b, "\ncluster {\n  name: %s\n  listen: %s\n  routes: %s\n}\n",
			quote(o.ClusterName), quote(orDefault(o.ClusterAddr, "0.0.0.0:6222")), quoteList(o.Routes))
	}
	b.WriteString("\nauthorization {\n  users: [\n")
	for _, r := range Roles() {
		writeUser(&b, r, passwords[r])
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func writeUser(b *strings.Builder, r Role, password string) {
	secret := "$" + PasswordVariable(r)
	if password != "" {
		secret = quote(password)
	}
	p := Permissions(r)
	fmt.Fprintf(b, "    {\n      user: %s\n      password: %s\n      permissions: {\n", r, secret)
	fmt.Fprintf(b, "        publish: {\n          allow: %s\n", quoteList(p.Publish))
	if len(p.Deny) > 0 {
		fmt.Fprintf(b, "          deny: %s\n", quoteList(p.Deny))
	}
	fmt.Fprintf(b, "        }\n        subscribe: { allow: %s }\n      }\n    }\n", quoteList(p.Subscribe))
}

func syncInterval(o ServerOptions) string {
	if o.SyncAlways {
		return "always"
	}
	if o.SyncInterval == 0 {
		return quote(DefaultSyncInterval.String())
	}
	return quote(o.SyncInterval.String())
}

// quote writes a string of the configuration language, whose escapes are those
// of Go for printable ASCII.
func quote(s string) string { return strconv.QuoteToASCII(s) }

func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
