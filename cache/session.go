package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"tickcast/wire"
)

// Session is what a gateway needs to know to go on with a session that began at
// another one.
type Session struct {
	ID      string `json:"id"`
	Player  string `json:"player"`
	Name    string `json:"name"`
	Guest   bool   `json:"guest,omitempty"`
	Gateway string `json:"gateway"` // that holds the connection, or held it last
	// Version orders writers. The gateway that resumes a session writes a higher
	// one than it read; what the gateway before still writes is ignored then. A
	// writer may use the same version many times.
	Version   int64                    `json:"version"`
	Positions map[string]wire.Position `json:"positions,omitempty"` // room to last known position
}

// putSessions: KEYS sessions; ARGV TTL in ms, then version and JSON of each. One run
// stores many: beginning a script costs more than storing a session.
var putSessions = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local version = ARGV[2 * i]
  local have = redis.call('HGET', key, 'v')
  if not have or tonumber(have) <= tonumber(version) then
    redis.call('HSET', key, 'v', version, 'd', ARGV[2 * i + 1])
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 1`)

// deleteSession: KEYS session; ARGV version.
var deleteSession = redis.NewScript(`
local have = redis.call('HGET', KEYS[1], 'v')
if have and tonumber(have) > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])`)

// PutSession stores a session for ttl, unless a newer version is stored.
func (c *Client) PutSession(ctx context.Context, s Session, ttl time.Duration) error {
	return c.PutSessions(ctx, []Session{s}, ttl)
}

// PutSessions stores many sessions in one step, during which the server does nothing
// else: some hundred at most.
func (c *Client) PutSessions(ctx context.Context, list []Session, ttl time.Duration) error {
	if len(list) == 0 {
		return nil
	}
	keys, args := make([]string, len(list)), []any{ttl.Milliseconds()}
	for i, s := range list {
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("put session: %w", err)
		}
		keys[i], args = sessionKey(s.ID), append(args, s.Version, data)
	}
	return wrap("put sessions", c.run(ctx, putSessions, keys, args...))
}

// GetSession reads a session, or ErrNotFound.
func (c *Client) GetSession(ctx context.Context, id string) (Session, error) {
	data, err := c.redis.HGet(ctx, sessionKey(id), "d").Bytes()
	if err != nil {
		return Session{}, wrap("get session", err)
	}
	var s Session
	if err := json.Unmarshal(data, &s); err != nil {
		return Session{}, fmt.Errorf("get session: %w", err)
	}
	return s, nil
}

// DeleteSession removes a session, unless a newer version is stored: it was
// resumed elsewhere. Removing what is not there is no error.
func (c *Client) DeleteSession(ctx context.Context, id string, version int64) error {
	return wrap("delete session", c.run(ctx, deleteSession, []string{sessionKey(id)}, version))
}

func sessionKey(id string) string { return prefix + "session:" + id }
