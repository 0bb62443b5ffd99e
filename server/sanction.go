package server

import (
	"encoding/json"
	"sync"
	"time"

	"tickcast/wire"
)

// sanctions is this gateway's copy of the mutes and kicks. Until it is loaded
// nobody is sanctioned: a gateway without NATS still lets people in.
type sanctions struct {
	kick func(player string) // Static. Called without mu.

	mu    sync.RWMutex // guards byKey
	byKey map[string]wire.Sanction
}

func newSanctions(kick func(player string)) *sanctions {
	return &sanctions{kick: kick, byKey: map[string]wire.Sanction{}}
}

// apply takes a value of the bucket.
func (c *sanctions) apply(key string, value []byte) {
	var s wire.Sanction
	ok := value != nil && json.Unmarshal(value, &s) == nil && wire.PlayerKey(s.Player) == key
	c.mu.Lock()
	if ok && (s.MutedUntil > 0 || s.KickedUntil > 0) {
		c.byKey[key] = s
	} else {
		delete(c.byKey, key)
	}
	c.mu.Unlock()
	if ok && c.kicked(s.Player, time.Now()) {
		c.kick(s.Player)
	}
}

func (c *sanctions) kicked(player string, now time.Time) bool {
	return c.of(player).KickedUntil > now.UnixMilli()
}

func (c *sanctions) muted(player string, now time.Time) bool {
	return c.of(player).MutedUntil > now.UnixMilli()
}

func (c *sanctions) of(player string) wire.Sanction {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byKey[wire.PlayerKey(player)]
}
