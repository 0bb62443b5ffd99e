package bus

import (
	"fmt"
	"net/url"
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
	StoreDir     string        // where JetStream keeps its files; empty leaves it to the server's command line
	SyncInterval time.Duration // 0 means DefaultSyncInterval
	SyncAlways   bool          // synchronise before each answer; sensible with three replicas only
	ClusterName  string        // empty means no cluster
	ClusterAddr  string        // host:port for the other nodes; empty means 0.0.0.0:6222
	Routes       []string      // nats://user:password@host:port of the other nodes; who connects must know the first one's password
	NoAdvertise  bool          // do not tell clients the addresses of the other nodes
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
	if o.StoreDir != "" {
		fmt.Fprintf(&b, "  store_dir: %s\n", quote(o.StoreDir))
	}
	fmt.Fprintf(&b, "  sync_interval: %s\n}\n", syncInterval(o))
	if o.ClusterName != "" {
		writeCluster(&b, o)
	}
	b.WriteString("\nauthorization {\n  users: [\n")
	for _, r := range Roles() {
		writeUser(&b, r, passwords[r])
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func writeCluster(b *strings.Builder, o ServerOptions) {
	fmt.Fprintf(b, "\ncluster {\n  name: %s\n  listen: %s\n  routes: %s\n",
		quote(o.ClusterName), quote(orDefault(o.ClusterAddr, "0.0.0.0:6222")), quoteList(o.Routes))
	if o.NoAdvertise {
		b.WriteString("  no_advertise: true\n")
	}
	if user := routeUser(o.Routes); user != nil {
		password, _ := user.Password()
		fmt.Fprintf(b, "  authorization: { user: %s, password: %s }\n", quote(user.Username()), quote(password))
	}
	b.WriteString("}\n")
}

// routeUser is who nodes connect to one another as, nil for nobody in particular.
func routeUser(routes []string) *url.Userinfo {
	if len(routes) == 0 {
		return nil
	}
	u, err := parseURL(routes[0])
	if err != nil {
		return nil // the server says what is wrong with it
	}
	return u.User
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
