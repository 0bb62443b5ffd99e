package cache

import (
	"context"
	"errors"
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
	return wrap("put snapshot", c.run(ctx, putSnapshot, []string{snapshotKey(p)}, seq, data))
}

// GetSnapshot reads the newest snapshot of partition p, or nil when there is none.
func (c *Client) GetSnapshot(ctx context.Context, p int) ([]byte, error) {
	data, err := c.redis.HGet(ctx, snapshotKey(p), "d").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return data, wrap("get snapshot", err)
}

// DeleteSnapshot removes the snapshot of partition p: one that does not fit the
// log (whose tail was lost) and would stand in the way of those that do.
func (c *Client) DeleteSnapshot(ctx context.Context, p int) error {
	return wrap("delete snapshot", c.redis.Del(ctx, snapshotKey(p)).Err())
}

func snapshotKey(p int) string { return prefix + "snapshot:" + strconv.Itoa(p) }
