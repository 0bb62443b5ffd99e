package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// prefix keeps the keys apart from those of others in the same database.
const prefix = "tc:"

// ErrNotFound is returned for what is not in the cache: it expired, was flushed,
// or was never there.
var ErrNotFound = errors.New("cache: not found")

// Client speaks to one Redis, or to whichever of several is the master. It is safe for
// concurrent use.
type Client struct {
	redis *redis.Client // static after Open
}

// Open makes a client for a URL that CheckURL accepts. It does not connect; Ping does.
// The caller calls Close.
func Open(url string) (*Client, error) {
	one, master, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	useSlog()
	if master != nil {
		return &Client{redis: redis.NewFailoverClient(master)}, nil
	}
	return &Client{redis: redis.NewClient(one)}, nil
}

// Close closes the connections.
func (c *Client) Close() error { return c.redis.Close() }

// Ping asks whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Marker reads the marker of a name, or ErrNotFound after a flush: then whoever
// set it has to write again what he keeps here, and then to set it again. Each
// writer has a name of its own.
func (c *Client) Marker(ctx context.Context, name string) (string, error) {
	v, err := c.redis.Get(ctx, markerKey(name)).Result()
	if err != nil {
		return "", wrap("read marker", err)
	}
	return v, nil
}

// SetMarker sets the marker of a name. It does not expire.
func (c *Client) SetMarker(ctx context.Context, name, value string) error {
	return wrap("set marker", c.redis.Set(ctx, markerKey(name), value, 0).Err())
}

func markerKey(name string) string { return prefix + "marker:" + name }

// run runs a script. Redis forgets scripts when it restarts or is flushed, and is sent the text again then.
func (c *Client) run(ctx context.Context, s *redis.Script, keys []string, args ...any) error {
	return s.Run(ctx, c.redis, keys, args...).Err()
}

// wrap says what was being done, and replaces the driver's error for a missing
// key.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil):
		return ErrNotFound
	}
	return fmt.Errorf("%s: redis: %w", doing, err)
}
