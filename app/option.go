package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"tickcast/bus"
)

// envPrefix precedes the names of all environment variables.
const envPrefix = "TICKCAST_"

// errNotAList is shared by the sources of lists.
var errNotAList = errors.New("is not a list of texts")

// option is one setting. Its name is the flag and the key of the YAML file; the
// environment variable is derived from it.
type option struct {
	name   string
	field  func(*Config) any // pointer to a string, int, bool, time.Duration or []string; the type of the option
	value  string            // the default, as it is written in the environment
	help   string            // one line, for --help and the default file
	secret bool              // environment only: flags are seen by every user, files are shared
	hidden bool              // for measurements: neither in --help nor in the default file
}

// variable is the option's environment variable.
func (o option) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// options are all settings of the server processes, in the order in which they
// are documented.
func options() []option {
	list := []option{
		{name: "listen", field: func(c *Config) any { return &c.Listen }, value: "127.0.0.1:8080", help: "address of the public listener: player's page, /ws, read-only /api"},
		{name: "internal-listen", field: func(c *Config) any { return &c.InternalListen }, value: "127.0.0.1:9090", help: "address of the internal listener: health, metrics, console, operator API"},
		{name: "data", field: func(c *Config) any { return &c.Data }, value: "data", help: "directory of what is embedded, and of the secrets drawn for it"},
		{name: "node", field: func(c *Config) any { return &c.Node }, help: "name of this process, unique in the deployment; empty: host name and a random end"},

		{name: "nats-url", field: func(c *Config) any { return &c.NATSURL }, help: "NATS servers, comma-separated; empty: embedded (serve only)"},
		{name: "operator-nats-url", field: func(c *Config) any { return &c.OperatorNATSURL }, help: "NATS servers with the operator's user; empty: nats-url"},
		{name: "redis-url", field: func(c *Config) any { return &c.RedisURL }, help: "redis:// or rediss:// address, of Sentinels with ?master_name=NAME&addr=HOST:PORT…; empty: embedded (serve only)"},
		{name: "database-url", field: func(c *Config) any { return &c.DatabaseURL }, help: "postgres:// address or path of an SQLite file; empty: SQLite in the data directory (serve only)"},
		{name: "wallet-url", field: func(c *Config) any { return &c.WalletURL }, help: "address of the operator's own wallet, which then has the players' money; empty: the ledger has it"},
		{name: "sync-interval", field: func(c *Config) any { return &c.SyncInterval }, value: "100ms", help: "how often the embedded log is synchronised to the disk"},
		{name: "log-keep", field: func(c *Config) any { return &c.LogKeep }, value: "500000", help: "newest records of each partition that stay in its log when older ones go to the archive; -1: all stay"},
		{name: "segment-records", field: func(c *Config) any { return &c.SegmentRecords }, value: "32768", help: "records of a segment of the archive, which are trimmed together"},
		{name: "checkpoint-records", field: func(c *Config) any { return &c.CheckpointRecords }, value: "500000", help: "records of a partition after which a checkpoint of its state is written to NATS; what is before two of them may be trimmed"},
		{name: "checkpoint-interval", field: func(c *Config) any { return &c.CheckpointInterval }, value: "5m", help: "time after which one is written if there were fewer records"},
		{name: "archive-dir", field: func(c *Config) any { return &c.ArchiveDir }, help: "directory of the archive, which all room servers share; empty: a bucket in NATS"},
		{name: "partitions", field: func(c *Config) any { return &c.Partitions }, value: "0", help: "number of log partitions, fixed at the first start; 0: 8, or what is stored"},
		{name: "replicas", field: func(c *Config) any { return &c.Replicas }, value: "0", help: "copies of each stream (1, 3 or 5); 0: 1, or what is there"},

		{name: "guests", field: func(c *Config) any { return &c.Guests }, value: "auto", help: "issue guest tokens: on, off, or auto (on when NATS is embedded)"},
		{name: "allowed-origins", field: func(c *Config) any { return &c.AllowedOrigins }, help: "further hosts whose pages may connect, such as *.example.com"},
		{name: "console-hosts", field: func(c *Config) any { return &c.ConsoleHosts }, help: "host names under which the internal listener is asked, besides addresses and localhost"},
		{name: "trusted-proxies", field: func(c *Config) any { return &c.TrustedProxies }, help: "networks (CIDR) whose X-Forwarded-For is believed"},
		{name: "behind-balancer", field: func(c *Config) any { return &c.BehindBalancer }, value: "false", help: "a load balancer retries refused connections: refuse with 503 instead of in band"},
		{name: "max-connections", field: func(c *Config) any { return &c.MaxConnections }, value: "0", help: "cap of client connections; 0: as many as open files allow"},
		{name: "max-connections-per-player", field: func(c *Config) any { return &c.MaxPerPlayer }, value: "8", help: "cap of one player's connections to one gateway"},
		{name: "message-rate", field: func(c *Config) any { return &c.MessageRate }, value: "50", help: "messages a second that one connection may send"},
		{name: "message-burst", field: func(c *Config) any { return &c.MessageBurst }, value: "100", help: "messages that one connection may send at once"},
		{name: "drain-window", field: func(c *Config) any { return &c.DrainWindow }, value: "10s", help: "time that clients are given to move to another gateway at the end"},

		{name: "room-secret-file", field: func(c *Config) any { return &c.RoomSecretFile }, help: "file of the secret that the rooms' seeds come from"},
		{name: "jwt-secret-file", field: func(c *Config) any { return &c.JWTSecretFile }, help: "file of the key that signs the players' tokens"},
		{name: "jwt-previous-secret-file", field: func(c *Config) any { return &c.JWTPreviousSecretFile }, help: "file of the key before, still accepted while keys are rotated"},
		{name: "operator-key-file", field: func(c *Config) any { return &c.OperatorKeyFile }, help: "file of the operator's key"},
		{name: "wallet-key-file", field: func(c *Config) any { return &c.WalletKeyFile }, help: "file of the key that requests to the wallet, and its answers, are signed with"},
		{name: "room-secret", field: func(c *Config) any { return &c.RoomSecret }, help: "the rooms' secret itself", secret: true},
		{name: "jwt-secret", field: func(c *Config) any { return &c.JWTSecret }, help: "the token key itself", secret: true},
		{name: "jwt-previous-secret", field: func(c *Config) any { return &c.JWTPreviousSecret }, help: "the token key before itself", secret: true},
		{name: "operator-key", field: func(c *Config) any { return &c.OperatorKey }, help: "the operator's key itself", secret: true},
		{name: "wallet-key", field: func(c *Config) any { return &c.WalletKey }, help: "the wallet's key itself", secret: true},

		{name: "single-sends", field: func(c *Config) any { return &c.SingleSends }, value: "false", help: "a system call per socket and broadcast even where io_uring is to be had", hidden: true},

		{name: "log-level", field: func(c *Config) any { return &c.LogLevel }, value: "info", help: "debug, info, warn or error"},
		{name: "log-format", field: func(c *Config) any { return &c.LogFormat }, value: "text", help: "text or json"},
	}
	return append(list, passwordOptions()...)
}

// passwordOptions are the passwords of the NATS users, under the names that a
// rendered server configuration refers to (bus.PasswordVariable).
func passwordOptions() []option {
	var list []option
	for _, r := range bus.Roles() {
		list = append(list, option{
			name: "nats-" + string(r) + "-password", secret: true,
			help:  "password of the NATS user " + string(r) + ", used when nats-url names no user",
			field: func(c *Config) any { return password{c, r} },
		})
	}
	return list
}

// password is the field of a NATS user's password.
type password struct {
	config *Config
	role   bus.Role
}

func (p password) set(s string) {
	if p.config.NATSPasswords == nil {
		p.config.NATSPasswords = map[bus.Role]string{}
	}
	p.config.NATSPasswords[p.role] = s
}

// assign stores a value from a file (any YAML type), the environment (a string)
// or a flag (its type) in the option's field.
func (o option) assign(c *Config, v any) error {
	switch field := o.field(c).(type) {
	case *string:
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%v is not a text; quote it", v)
		}
		*field = s
	case password:
		s, _ := v.(string)
		field.set(s)
	case *int:
		n, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			return fmt.Errorf("%q is not a whole number", fmt.Sprint(v))
		}
		*field = n
	case *bool:
		b, err := strconv.ParseBool(fmt.Sprint(v))
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", fmt.Sprint(v))
		}
		*field = b
	case *time.Duration:
		d, err := time.ParseDuration(fmt.Sprint(v))
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 250ms or 10s", fmt.Sprint(v))
		}
		*field = d
	case *[]string:
		list, err := toList(v)
		if err != nil {
			return err
		}
		*field = list
	default:
		panic(fmt.Sprintf("app: option %s has a field of type %T", o.name, field))
	}
	return nil
}

func toList(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []string:
		return v, nil
	case string:
		if strings.TrimSpace(v) == "" {
			return nil, nil
		}
		list := strings.Split(v, ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list, nil
	case []any:
		list := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, errNotAList
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, errNotAList
}

// addFlags defines the options' flags, and --config.
func addFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file with these options (see defaultconfig)")
	for _, o := range options() {
		if !o.secret {
			addFlag(flags, o)
		}
	}
	flags.SortFlags = false
}

func addFlag(flags *pflag.FlagSet, o option) {
	var zero Config
	if o.value != "" {
		if err := o.assign(&zero, o.value); err != nil {
			panic(fmt.Sprintf("app: default of option %s: %v", o.name, err))
		}
	}
	switch field := o.field(&zero).(type) {
	case *string:
		flags.String(o.name, *field, o.help)
	case *int:
		flags.Int(o.name, *field, o.help)
	case *bool:
		flags.Bool(o.name, *field, o.help)
	case *time.Duration:
		flags.Duration(o.name, *field, o.help)
	case *[]string:
		flags.StringSlice(o.name, *field, o.help)
	}
	if o.hidden {
		if err := flags.MarkHidden(o.name); err != nil {
			panic("app: option " + o.name + ": " + err.Error())
		}
	}
}
