package app

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"tickcast/bus"
)

// Process is a way to run: everything, or one role.
type Process string

// The processes.
const (
	ProcessServe   Process = "serve"
	ProcessGateway Process = "gateway"
	ProcessRoom    Process = "room"
	ProcessLedger  Process = "ledger"
)

// Config is the configuration of a server process. The zero value is what nobody
// configured; load fills in the defaults of options.
type Config struct {
	Listen         string
	InternalListen string
	Data           string
	Node           string

	NATSURL         string
	OperatorNATSURL string
	RedisURL        string
	DatabaseURL     string
	WalletURL       string
	SyncInterval    time.Duration
	LogKeep         int
	SegmentRecords  int
	ArchiveDir      string
	Partitions      int
	Replicas        int

	CheckpointRecords  int
	CheckpointInterval time.Duration

	Guests         string
	AllowedOrigins []string
	ConsoleHosts   []string
	TrustedProxies []string
	MaxConnections int
	MaxPerPlayer   int
	MessageRate    int
	MessageBurst   int
	DrainWindow    time.Duration
	BehindBalancer bool
	SingleSends    bool

	RoomSecretFile        string
	JWTSecretFile         string
	JWTPreviousSecretFile string
	OperatorKeyFile       string
	WalletKeyFile         string
	RoomSecret            string
	JWTSecret             string
	JWTPreviousSecret     string
	OperatorKey           string
	WalletKey             string
	NATSPasswords         map[bus.Role]string

	LogLevel  string
	LogFormat string

	// Filled in by validate.
	proxies []netip.Prefix
	level   slog.Level
}

// embeddedNATS reports whether the process runs its own log. Then nobody else can
// be part of the deployment.
func (c *Config) embeddedNATS() bool { return c.NATSURL == "" }

// guestsOn reports whether guest tokens are issued.
func (c *Config) guestsOn() bool {
	return c.Guests == "on" || c.Guests == "auto" && c.embeddedNATS()
}

// Places in the data directory.
func (c *Config) natsDir() string    { return filepath.Join(c.Data, "nats") }
func (c *Config) ledgerPath() string { return filepath.Join(c.Data, "ledger.db") }
func (c *Config) secretsDir() string { return filepath.Join(c.Data, "secrets") }
func (c *Config) lockPath() string   { return filepath.Join(c.Data, "lock") }

// operatorKeyPath is where the operator's key is found when nothing else is said.
func (c *Config) operatorKeyPath() string {
	if c.OperatorKeyFile != "" {
		return c.OperatorKeyFile
	}
	return filepath.Join(c.secretsDir(), operatorKeyName)
}
