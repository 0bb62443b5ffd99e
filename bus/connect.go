package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// A herd of gateways reconnects after a node's death: the wait is short,
	// because rooms stand still meanwhile, and spread, because of the herd.
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 400 * time.Millisecond
	// Two missed pings close a hung connection, so a node that stopped answering
	// is left after 4 to 6 s. A node that died is noticed at once.
	pingInterval = 2 * time.Second
	pingsOut     = 2
	dialTimeout  = 2 * time.Second
	// syncQueue is the channel of a subscription that is read in turns: the answer to one
	// question, of which the largest is a batch of 1,000 records. The default of 65,536
	// is half a megabyte to clear for each.
	syncQueue = 2048
)

// ErrReply is returned by Respond for a reply subject that is not an inbox.
var ErrReply = errors.New("bus: reply subject is not an inbox")

// Connect connects to the servers in url, a comma-separated list whose elements
// may carry user:password, and waits until one of them accepts or ctx ends. A
// refused password is an error at once.
//
// Afterwards the connection reconnects for ever. While it is down publishes fail
// with nats.ErrReconnectBufExceeded instead of being kept: a command that was
// kept for seconds would be judged at a time its player did not act at. The
// caller closes the connection.
func Connect(ctx context.Context, url, name string) (*nats.Conn, error) {
	nc, err := connect(ctx, url, connectOptions(name, userOf(url)))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(url), err)
	}
	return nc, nil
}

// connect tries until a server accepts, ctx ends, or a further try would be refused as well.
func connect(ctx context.Context, url string, options []nats.Option) (*nats.Conn, error) {
	for {
		nc, err := nats.Connect(url, options...)
		if err == nil || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || isBadURL(url) {
			return nc, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-time.After(reconnectDelay(0)):
		}
	}
}

// Respond answers a request. It refuses a reply subject outside the inboxes,
// since the server does not check reply subjects: a request that names a log
// subject for its reply would have the answer stored there with the responder's
// rights.
func Respond(request *nats.Msg, data []byte) error {
	if !strings.HasPrefix(request.Reply, "_INBOX.") {
		return ErrReply
	}
	return request.Respond(data)
}

func connectOptions(name string, role Role) []nats.Option {
	log := slog.Default().With("component", "nats", "connection", name)
	options := []nats.Option{
		nats.Name(name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.ReconnectBufSize(-1),
		nats.SyncQueueLen(syncQueue),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				log.Error("asynchronous error", "subject", sub.Subject, "err", err)
				return
			}
			log.Error("asynchronous error", "err", err)
		}),
	}
	if slices.Contains(Roles(), role) {
		options = append(options, nats.CustomInboxPrefix(InboxPrefix(role)))
	}
	return options
}

func reconnectDelay(int) time.Duration {
	return reconnectWait + rand.N(reconnectJitter)
}

// userOf is the user of the first server in a list.
func userOf(list string) Role {
	first, _, _ := strings.Cut(list, ",")
	u, err := parseURL(first)
	if err != nil || u.User == nil {
		return ""
	}
	return Role(u.User.Username())
}

func isBadURL(list string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if _, err := parseURL(s); err != nil {
			return true
		}
	}
	return false
}

func parseURL(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	return url.Parse(s)
}

// redact removes passwords, for errors and logs.
func redact(list string) string {
	var out []string
	for s := range strings.SplitSeq(list, ",") {
		if u, err := parseURL(s); err == nil {
			out = append(out, u.Redacted())
		} else {
			out = append(out, "(malformed URL)")
		}
	}
	return strings.Join(out, ",")
}
