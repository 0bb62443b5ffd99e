package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Nobody waits for a cache longer than it takes to do without it. Variables for tests.
var dialTimeout, ioTimeout = 500 * time.Millisecond, time.Second

const (
	// A failed write is repeated by whoever knows the newest value by then; the
	// library repeats none, and dials once.
	noRetries = -1
	oneDial   = 1
)

// CheckURL reports what is wrong with the URL of a Redis, without its password. One
// Redis is redis://, rediss:// (TLS) or unix://, with user:password@ where it wants
// them. Sentinels, which know the master of several, are a redis:// or rediss:// URL
// with the query master_name=NAME and an addr=HOST:PORT for each further Sentinel;
// user:password@ is then for the Sentinels, and the queries username and password for
// Redis.
func CheckURL(url string) error {
	_, _, err := parseURL(url)
	return err
}

// parseURL returns the options of one Redis, or those of a master that Sentinels know.
// What the URL says of time-outs and retries does not count.
func parseURL(s string) (one *redis.Options, master *redis.FailoverOptions, err error) {
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error // says the whole URL, password and all
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, nil, fmt.Errorf("redis URL: %w", err)
	}
	if u.Query().Has("master_name") {
		master, err = parseSentinels(s)
	} else {
		one, err = parseOne(s)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("redis URL: %w", err)
	}
	return one, master, nil
}

func parseOne(s string) (*redis.Options, error) {
	o, err := redis.ParseURL(s)
	if err != nil {
		return nil, err
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
	o.MaxRetries, o.DialerRetries = noRetries, oneDial
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

func parseSentinels(s string) (*redis.FailoverOptions, error) {
	o, err := redis.ParseFailoverURL(s)
	if err != nil {
		return nil, err
	}
	switch {
	case o.MasterName == "":
		return nil, errors.New("master_name is empty")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly:
		return nil, errors.New("only the master is asked: route_by_latency, route_randomly and replica_only are not to be had")
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
	o.MaxRetries, o.DialerRetries = noRetries, oneDial
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // each server's own, not that of the first Sentinel
	}
	return o, nil
}

// useSlog makes the library log as the rest does, and of failovers only: all else that
// goes wrong it returns as an error too.
var useSlog = sync.OnceFunc(func() { redis.SetLogger(libraryLog{}) })

type libraryLog struct{}

func (libraryLog) Printf(_ context.Context, format string, args ...any) {
	if strings.HasPrefix(format, "sentinel: new master") {
		slog.Default().Info(fmt.Sprintf(format, args...), "component", "redis")
	}
}
