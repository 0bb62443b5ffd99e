package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// putSnapshot: KEYS snapshot; ARGV seq, data.
var putSnapshot = redis.NewScript(`
local have = redis.call('HGET', KEYS[1], 'seq')
if have and tonumber(have) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[1], 'd', ARGV[2])
return 1`)

// PutSnapshot stores the snapshot of partition p after the record seq, unless one
// of a later record is stored.
func (c *Client) PutSnapshot(ctx context.Context, p int, seq uint64, data []byte) error {
	return wrap("put snapshot", c.run(ctx, putSnapshot, []call{{keys: []string{snapshotKey(p)}, args: []any{seq, data}}}))
}

// GetSnapshot reads the newest snapshot of partition p, or ErrNotFound.
func (c *Client) GetSnapshot(ctx context.Context, p int) (seq uint64, data []byte, err error) {
	v, err := c.redis.HMGet(ctx, snapshotKey(p), "seq", "d").Result()
	if err != nil {
		return 0, nil, wrap("get snapshot", err)
	}
	s, ok := v[0].(string)
	d, ok2 := v[1].(string)
	if !ok || !ok2 {
		return 0, nil, ErrNotFound
	}
	if seq, err = strconv.ParseUint(s, 10, 64); err != nil {
		return 0, nil, fmt.Errorf("get snapshot: %w", err)
	}
	return seq, []byte(d), nil
}

// DeleteSnapshot removes the snapshot of partition p: one that does not fit the
// log (whose tail was lost) and would stand in the way of those that do.
func (c *Client) DeleteSnapshot(ctx context.Context, p int) error {
	err := c.redis.Del(ctx, snapshotKey(p)).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return wrap("delete snapshot", err)
}

func snapshotKey(p int) string { return prefix + "snapshot:" + strconv.Itoa(p) }
