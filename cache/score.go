package cache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tickcast/wire"
)

const (
	// balanceTTL is how long the balance of a player who does not play stays; the
	// ledger is asked after that.
	balanceTTL = 24 * time.Hour
	// dayTTL is how long a day's leaderboard stays after its last score.
	dayTTL = 8 * 24 * time.Hour
	// topLimit bounds Top.
	topLimit = 1000
)

// Balance is a player's balance in minor units, as of the account's version.
type Balance struct {
	Player  string
	Amount  int64
	Version int64
}

// Score is a player's points on a leaderboard, as of a version that grows with
// each change of them.
type Score struct {
	wire.Score
	Version int64
}

// One run of a script stores many: beginning a script costs more than storing one.

// putBalances: KEYS balances; ARGV TTL in ms, then version and amount of each.
var putBalances = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local version = ARGV[2 * i]
  local have = redis.call('HGET', key, 'v')
  if not have or tonumber(have) <= tonumber(version) then
    redis.call('HSET', key, 'v', version, 'a', ARGV[2 * i + 1])
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 1`)

// putScores: KEYS sorted set, versions, names; ARGV TTL in ms or 0, then player, version, points
// and name of each.
var putScores = redis.NewScript(`
for i = 2, #ARGV, 4 do
  local player, version = ARGV[i], ARGV[i + 1]
  local have = redis.call('HGET', KEYS[2], player)
  if not have or tonumber(have) <= tonumber(version) then
    redis.call('HSET', KEYS[2], player, version)
    redis.call('HSET', KEYS[3], player, ARGV[i + 3])
    redis.call('ZADD', KEYS[1], ARGV[i + 2], player)
    if tonumber(ARGV[1]) > 0 then
      for k = 1, 3 do redis.call('PEXPIRE', KEYS[k], ARGV[1]) end
    end
  end
end
return 1`)

// PutBalance stores a balance, unless one of a newer version is stored.
func (c *Client) PutBalance(ctx context.Context, player string, amount, version int64) error {
	return c.PutBalances(ctx, []Balance{{player, amount, version}})
}

// PutBalances stores many balances in one step, during which the server does nothing
// else: some hundred at most.
func (c *Client) PutBalances(ctx context.Context, list []Balance) error {
	if len(list) == 0 {
		return nil
	}
	keys, args := make([]string, len(list)), []any{balanceTTL.Milliseconds()}
	for i, b := range list {
		keys[i], args = balanceKey(b.Player), append(args, b.Version, b.Amount)
	}
	return wrap("put balances", c.run(ctx, putBalances, keys, args...))
}

// Balance reads a balance, or ErrNotFound.
func (c *Client) Balance(ctx context.Context, player string) (Balance, error) {
	list, err := c.Balances(ctx, []string{player})
	if err != nil {
		return Balance{}, err
	}
	b, ok := list[player]
	if !ok {
		return Balance{}, ErrNotFound
	}
	return b, nil
}

// Balances reads many balances in one round trip, by player. Those that are not there
// are left out.
func (c *Client) Balances(ctx context.Context, players []string) (map[string]Balance, error) {
	replies := make([]*redis.SliceCmd, len(players))
	_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, player := range players {
			replies[i] = p.HMGet(ctx, balanceKey(player), "a", "v")
		}
		return nil
	})
	if err != nil {
		return nil, wrap("get balances", err)
	}
	list := make(map[string]Balance, len(players))
	for i, player := range players {
		v := replies[i].Val()
		amount, ok := v[0].(string)
		version, ok2 := v[1].(string)
		if !ok || !ok2 {
			continue
		}
		b := Balance{Player: player}
		if b.Amount, err = strconv.ParseInt(amount, 10, 64); err == nil {
			b.Version, err = strconv.ParseInt(version, 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("get balances: %w", err)
		}
		list[player] = b
	}
	return list, nil
}

// PutScore stores a player's points on a board ("<game>:all" or
// "<game>:YYYY-MM-DD"), unless a newer version is stored. The board of a day
// expires 8 days after its last score.
func (c *Client) PutScore(ctx context.Context, board string, s Score) error {
	return c.PutScores(ctx, board, []Score{s})
}

// PutScores stores many scores of one board in one step, as PutBalances does.
func (c *Client) PutScores(ctx context.Context, board string, list []Score) error {
	if len(list) == 0 {
		return nil
	}
	var ttl time.Duration
	if !strings.HasSuffix(board, ":all") {
		ttl = dayTTL
	}
	args := []any{ttl.Milliseconds()}
	for _, s := range list {
		args = append(args, s.Player, s.Version, s.Points, s.Name)
	}
	return wrap("put scores", c.run(ctx, putScores, boardKeys(board), args...))
}

// Top reads the n best of a board, best first; at most 1,000. A board that is not
// there is empty.
func (c *Client) Top(ctx context.Context, board string, n int) ([]wire.Score, error) {
	n = min(n, topLimit)
	if n <= 0 {
		return nil, nil
	}
	keys := boardKeys(board)
	best, err := c.redis.ZRevRangeWithScores(ctx, keys[0], 0, int64(n)-1).Result()
	if err != nil {
		return nil, wrap("read leaderboard", err)
	}
	if len(best) == 0 {
		return nil, nil
	}
	players := make([]string, len(best))
	for i, z := range best {
		players[i], _ = z.Member.(string)
	}
	names, err := c.redis.HMGet(ctx, keys[2], players...).Result()
	if err != nil {
		return nil, wrap("read leaderboard", err)
	}
	list := make([]wire.Score, len(best))
	for i, z := range best {
		name, _ := names[i].(string)
		list[i] = wire.Score{Player: players[i], Name: name, Points: int64(z.Score)}
	}
	return list, nil
}

func balanceKey(player string) string { return prefix + "balance:" + player }

// boardKeys are the keys of a board: points, versions, names. The braces put them
// on one node of a cluster.
func boardKeys(board string) []string {
	base := prefix + "board:{" + board + "}"
	return []string{base, base + ":versions", base + ":names"}
}
