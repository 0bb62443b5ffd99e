package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/cache"
	"tickcast/fanout"
	"tickcast/wire"
)

// MinSecretBytes is the least length of a key for tokens: that of its hash.
const MinSecretBytes = 32

// Config configures a Gateway. Conn and Secret are required; the rest of a zero
// Config works.
type Config struct {
	// ID names the gateway: it is a token of subjects and shown to clients. Zero
	// draws one.
	ID string
	// Version is told by /api/info and the heartbeat.
	Version string
	// Conn is a connection of the gateway role. The caller closes it after Run.
	Conn *nats.Conn
	// Cache holds sessions and copies of balances. Nil works without: sessions
	// are not resumed across gateways, balances come from the ledger.
	Cache *cache.Client
	// Partitions is the deployment's number of partitions. Zero means
	// wire.DefaultPartitions.
	Partitions int

	// Secret signs and checks tokens; PreviousSecret is still accepted while keys
	// are rotated. At least MinSecretBytes each; PreviousSecret may be empty.
	Secret, PreviousSecret []byte
	// Guests switches POST /api/guest on.
	Guests bool
	// GuestsPerSecond and GuestBurst limit the guest tokens of one address (an IPv6 address counts by
	// its /64). Zero means 100 and 2000: a school or a mobile network is one address.
	GuestsPerSecond float64
	GuestBurst      int
	// GuestGrant is what a guest starts with in minor units, shown before he has
	// an account and the ledger cannot be asked. Zero means 100,000.
	GuestGrant int64

	// Pages serves everything on the public listener that is not /ws or /api. Nil
	// answers 404.
	Pages http.Handler
	// Origins are further hosts whose pages may connect, as patterns of path.Match ("*.example.com").
	// The gateway's own host always may.
	Origins []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// MaxConnections is the connection cap: what the limit of open files leaves for clients, at most. Zero
	// means 10,000.
	MaxConnections int
	// MaxPerPlayer bounds the connections of one player on this gateway. Zero means 8.
	MaxPerPlayer int
	// MessagesPerSecond and MessageBurst limit the messages of one connection.
	// Zero means 50 and 100.
	MessagesPerSecond float64
	MessageBurst      int
	// RefuseInBand accepts a connection beyond the cap for as long as it takes to
	// send retry and close it with 4100, because a browser cannot see a 503 on an upgrade. Leave
	// it off behind a balancer, which can.
	RefuseInBand bool
	// Shared tells that the process has rooms too, whose ticks would wait while it collects
	// garbage: what many joins leave behind is then not given back to the system at once.
	Shared bool
	// DrainWindow is what clients are given to move elsewhere. Zero means 10 s.
	DrainWindow time.Duration

	// HelloTimeout, PingInterval and PongTimeout are those of package wire if zero.
	HelloTimeout, PingInterval, PongTimeout time.Duration

	// Address is where the internal listener can be reached, for the console.
	Address string
	// Fanout configures the sockets. OnLost and Metrics are set by the gateway.
	Fanout fanout.Config
	// Log is slog.Default if nil.
	Log *slog.Logger
	// Metrics registers the metrics. Nil keeps them unregistered.
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() Config {
	setDefault(&c.ID, "gw-"+randomID())
	setDefault(&c.Version, "devel")
	setDefault(&c.Partitions, wire.DefaultPartitions)
	setDefault(&c.GuestsPerSecond, 100)
	setDefault(&c.GuestBurst, 2000)
	setDefault(&c.GuestGrant, 100_000)
	setDefault(&c.MaxConnections, 10_000)
	setDefault(&c.MaxPerPlayer, 8)
	setDefault(&c.MessagesPerSecond, 50)
	setDefault(&c.MessageBurst, 100)
	setDefault(&c.DrainWindow, 10*time.Second)
	setDefault(&c.HelloTimeout, wire.HelloTimeout)
	setDefault(&c.PingInterval, wire.PingInterval)
	setDefault(&c.PongTimeout, wire.PongTimeout)
	if c.Pages == nil {
		c.Pages = http.NotFoundHandler()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) validate() error {
	switch {
	case c.Conn == nil:
		return errors.New("gateway: no NATS connection")
	case !wire.ValidNode(c.ID):
		return fmt.Errorf("gateway: ID %q is not 1 to 64 letters, digits, _ or -", c.ID)
	case c.Partitions < 1 || c.Partitions > wire.MaxPartitions:
		return fmt.Errorf("gateway: %d partitions, must be 1 to %d", c.Partitions, wire.MaxPartitions)
	case len(c.Secret) < MinSecretBytes:
		return fmt.Errorf("gateway: token secret has %d bytes, must have at least %d", len(c.Secret), MinSecretBytes)
	case len(c.PreviousSecret) > 0 && len(c.PreviousSecret) < MinSecretBytes:
		return fmt.Errorf("gateway: previous token secret has %d bytes, must have at least %d", len(c.PreviousSecret), MinSecretBytes)
	case c.MaxConnections < 1, c.MaxPerPlayer < 1, c.MessagesPerSecond < 0, c.MessageBurst < 1, c.GuestsPerSecond < 0, c.GuestBurst < 1:
		return errors.New("gateway: a limit is not positive")
	case c.HelloTimeout < 0, c.PingInterval < 0, c.PongTimeout < 0, c.DrainWindow < 0:
		return errors.New("gateway: a time is negative")
	}
	return nil
}
