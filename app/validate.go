package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tickcast/archive"
	"tickcast/bus"
	"tickcast/cache"
	"tickcast/wire"
)

// validate checks everything that can be checked without touching anything, and
// reports all that is wrong at once.
func (c *Config) validate(p Process) error {
	return errors.Join(
		c.validateAddresses(),
		c.validateServices(p),
		c.validateLimits(),
		c.validateNames(),
		c.validateLog(),
	)
}

func (c *Config) validateAddresses() error {
	var errs []error
	for name, a := range map[string]string{"listen": c.Listen, "internal-listen": c.InternalListen} {
		if err := checkAddress(a); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not host:port: %w", name, a, err))
		}
	}
	if c.Listen == c.InternalListen && !strings.HasSuffix(c.Listen, ":0") {
		errs = append(errs, fmt.Errorf("listen and internal-listen are both %q: operators and players need different ports", c.Listen))
	}
	c.proxies = nil
	for _, s := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(s)
		if addr, err2 := netip.ParseAddr(s); err != nil && err2 == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("trusted-proxies: %q is not a network such as 10.0.0.0/8", s))
			continue
		}
		c.proxies = append(c.proxies, prefix)
	}
	return errors.Join(errs...)
}

func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	} else if n == 0 && port != "0" {
		return fmt.Errorf("port %q is malformed", port)
	}
	return nil
}

// validateServices checks that a role has what it cannot embed: a process that
// is one of several must not keep a log or a ledger for itself.
func (c *Config) validateServices(p Process) error {
	var errs []error
	need := func(name, value string, processes ...Process) {
		if value == "" && slices.Contains(processes, p) {
			errs = append(errs, fmt.Errorf("%s is required by %s (or run serve, which embeds it)", name, p))
		}
	}
	need("nats-url", c.NATSURL, ProcessGateway, ProcessRoom, ProcessLedger)
	need("redis-url", c.RedisURL, ProcessGateway, ProcessRoom, ProcessLedger)
	need("database-url", c.DatabaseURL, ProcessLedger)
	if p == ProcessServe && c.embeddedNATS() {
		if c.Replicas > 1 {
			errs = append(errs, fmt.Errorf("replicas: %d copies need as many NATS servers; the embedded one is alone", c.Replicas))
		}
		if c.OperatorNATSURL != "" {
			errs = append(errs, errors.New("operator-nats-url without nats-url: the embedded NATS has its own operator"))
		}
	}
	errs = append(errs, c.validateUsers(p))
	if c.WalletURL != "" {
		if u, err := url.Parse(c.WalletURL); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
			errs = append(errs, errors.New("wallet-url is not an http:// or https:// address"))
		}
	}
	if c.RedisURL != "" {
		if err := cache.CheckURL(c.RedisURL); err != nil {
			errs = append(errs, fmt.Errorf("redis-url: %w", err))
		}
	}
	return errors.Join(errs...)
}

// validateUsers checks that every role of a process has a NATS user of its own,
// if one has: with the user of another it could connect, and nothing more.
func (c *Config) validateUsers(p Process) error {
	roles := map[Process][]bus.Role{
		ProcessServe:   {bus.RoleGateway, bus.RoleRoom, bus.RoleLedger, bus.RoleOperator},
		ProcessGateway: {bus.RoleGateway, bus.RoleOperator},
		ProcessRoom:    {bus.RoleRoom}, ProcessLedger: {bus.RoleLedger},
	}[p]
	if c.embeddedNATS() || len(roles) < 2 {
		return nil
	}
	var errs []error
	if strings.Contains(c.NATSURL, "@") && c.OperatorNATSURL == "" {
		errs = append(errs, errors.New("nats-url names a user, which the operator API cannot share: set operator-nats-url, or leave the users to TICKCAST_NATS_…_PASSWORD"))
	}
	for _, r := range roles {
		if len(c.NATSPasswords) > 0 && c.NATSPasswords[r] == "" && (r != bus.RoleOperator || c.OperatorNATSURL == "") {
			errs = append(errs, fmt.Errorf("%s is not set, but that of another user is", bus.PasswordVariable(r)))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateLimits() error {
	var errs []error
	between := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", name, v, low, high))
		}
	}
	between("partitions", c.Partitions, 0, wire.MaxPartitions)
	between("log-keep", c.LogKeep, -1, 1<<40)
	between("segment-records", c.SegmentRecords, 10, archive.MaxSegmentRecords)
	between("checkpoint-records", c.CheckpointRecords, 10, 1<<40)
	between("max-connections", c.MaxConnections, 0, 1_000_000)
	between("max-connections-per-player", c.MaxPerPlayer, 1, 1_000_000)
	between("message-rate", c.MessageRate, 1, 100_000)
	between("message-burst", c.MessageBurst, 1, 100_000)
	if !slices.Contains([]int{0, 1, 3, 5}, c.Replicas) {
		errs = append(errs, fmt.Errorf("replicas: %d is none of 1, 3, 5", c.Replicas))
	}
	if c.DrainWindow < 0 || c.DrainWindow.Hours() > 1 {
		errs = append(errs, fmt.Errorf("drain-window: %s is not between 0 and 1h", c.DrainWindow))
	}
	if c.CheckpointInterval.Seconds() < 1 || c.CheckpointInterval.Hours() > 24 {
		errs = append(errs, fmt.Errorf("checkpoint-interval: %s is not between 1s and 24h", c.CheckpointInterval))
	}
	if c.SyncInterval.Milliseconds() < 1 || c.SyncInterval.Minutes() > 2 {
		errs = append(errs, fmt.Errorf("sync-interval: %s is not between 1ms and 2m", c.SyncInterval))
	}
	return errors.Join(errs...)
}

func (c *Config) validateNames() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("data: a directory is needed"))
	}
	if c.Node != "" && !wire.ValidNode(c.Node) {
		errs = append(errs, fmt.Errorf("node: %q is not 1 to 64 letters, digits, _ and -", c.Node))
	}
	if !slices.Contains([]string{"on", "off", "auto"}, c.Guests) {
		errs = append(errs, fmt.Errorf("guests: %q is none of on, off, auto", c.Guests))
	}
	return errors.Join(errs...)
}

func (c *Config) validateLog() error {
	var errs []error
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[c.LogLevel]
	if !ok {
		errs = append(errs, fmt.Errorf("log-level: %q is none of debug, info, warn, error", c.LogLevel))
	}
	c.level = level
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log-format: %q is neither text nor json", c.LogFormat))
	}
	return errors.Join(errs...)
}
