package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/cache"
)

// serviceTimeout bounds the wait for an external service at the start; then the
// process ends with an error, and whoever runs it starts it again.
const serviceTimeout = 60 * time.Second

// infra is what the roles of a process stand on: the log and the cache, embedded
// or external. It is used by one goroutine until the roles run.
type infra struct {
	config *Config
	log    *slog.Logger

	nats    *bus.Embedded   // nil when external
	redis   *cache.Embedded // nil when external
	cache   *cache.Client
	closers []func() // called in reverse order
}

// openInfra starts what is embedded and opens the cache. The caller calls close,
// also after an error.
func openInfra(c *Config, log *slog.Logger) (*infra, error) {
	in := &infra{config: c, log: log}
	redisURL := c.RedisURL
	if redisURL == "" {
		e, err := cache.StartEmbedded()
		if err != nil {
			return in, err
		}
		in.redis, redisURL = e, e.URL()
		in.closers = append(in.closers, e.Close)
	}
	client, err := cache.Open(redisURL)
	if err != nil {
		return in, err
	}
	in.cache = client
	in.closers = append(in.closers, func() { _ = client.Close() })
	if c.embeddedNATS() {
		e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: c.natsDir(), SyncInterval: c.SyncInterval, Log: log})
		if err != nil {
			return in, err
		}
		in.nats = e
		in.closers = append(in.closers, e.Shutdown)
	}
	return in, nil
}

func (in *infra) close() {
	for i := len(in.closers) - 1; i >= 0; i-- {
		in.closers[i]()
	}
	in.closers = nil
}

// connect makes a connection of a role, closed by close.
func (in *infra) connect(ctx context.Context, r bus.Role, node string) (*nats.Conn, error) {
	var nc *nats.Conn
	var err error
	if in.nats != nil {
		nc, err = in.nats.Connect(r, node)
	} else {
		ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
		defer cancel()
		nc, err = bus.Connect(ctx, in.config.natsURL(r), node)
	}
	if err != nil {
		return nil, err
	}
	in.closers = append(in.closers, nc.Close)
	return nc, nil
}

// partitions waits until a room server has made the streams, and returns their
// number.
func (in *infra) partitions(ctx context.Context, nc *nats.Conn) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	for {
		n, err := bus.StoredPartitions(ctx, nc)
		if err == nil {
			if want := in.config.Partitions; want != 0 && want != n {
				return 0, fmt.Errorf("partitions: this deployment was made with %d and cannot run with %d", n, want)
			}
			return n, nil
		}
		in.log.Info("waiting for a room server", "err", err)
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a room server: %w", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ensureStreams makes the streams, as the room role, and returns the number of
// partitions. Without a configured number the stored one stays.
func (in *infra) ensureStreams(ctx context.Context, nc *nats.Conn) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	if err := bus.EnsureStreams(ctx, nc, bus.Layout{Partitions: in.config.Partitions, Replicas: in.config.Replicas}); err != nil {
		return 0, err
	}
	return in.partitions(ctx, nc)
}

// natsURL is where a role finds NATS, with its password unless the URL has one.
func (c *Config) natsURL(r bus.Role) string {
	list := c.NATSURL
	if r == bus.RoleOperator && c.OperatorNATSURL != "" {
		list = c.OperatorNATSURL
	}
	password := c.NATSPasswords[r]
	if password == "" {
		return list
	}
	servers := strings.Split(list, ",")
	for i, s := range servers {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		if u, err := url.Parse(s); err == nil && u.User == nil {
			u.User = url.UserPassword(string(r), password)
			s = u.String()
		}
		servers[i] = s
	}
	return strings.Join(servers, ",")
}

// redactURL hides the passwords of a URL or a list of them.
func redactURL(list string) string {
	parts := strings.Split(list, ",")
	for i, s := range parts {
		if u, err := url.Parse(s); err == nil {
			if q := u.Query(); q.Has("password") {
				q.Set("password", "xxxxx")
				u.RawQuery = q.Encode()
			}
			parts[i] = u.Redacted()
		} else if err != nil && strings.Contains(s, "@") {
			parts[i] = "(malformed)"
		}
	}
	return strings.Join(parts, ",")
}
