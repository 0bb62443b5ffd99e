package cache

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// clockStep is how often the clock of an embedded Redis is advanced, and so how
// late a key may expire. Each step visits every key in order, which at ten a second
// was a tenth of a core with 15,000 players; no key lives for less than minutes.
const clockStep = 2 * time.Second

// Embedded is a Redis inside this process, on a free port of the loopback
// interface and with a password that is drawn at the start. It keeps nothing.
type Embedded struct {
	server   *miniredis.Miniredis
	password string

	stop chan struct{} // closed by Close
	done sync.WaitGroup
	once sync.Once
}

// StartEmbedded starts a Redis and the goroutine that lets its keys expire. The
// caller calls Close.
func StartEmbedded() (*Embedded, error) {
	e := &Embedded{server: miniredis.NewMiniRedis(), password: rand.Text(), stop: make(chan struct{})}
	e.server.RequireAuth(e.password)
	if err := e.server.Start(); err != nil {
		return nil, fmt.Errorf("start embedded Redis: %w", err)
	}
	e.done.Go(e.advance)
	return e, nil
}

// URL is what Open takes. It contains the password.
func (e *Embedded) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", e.password), Host: e.server.Addr()}
	return u.String()
}

// Flush removes everything, as an operator may do with a Redis at any time.
func (e *Embedded) Flush() { e.server.FlushAll() }

// Close stops the server and its clock.
func (e *Embedded) Close() {
	e.once.Do(func() {
		close(e.stop)
		e.done.Wait()
		e.server.Close()
	})
}

// advance passes time on to the server, whose keys never expire by themselves.
// Its own coupling to the wall clock would visit every key at every command.
func (e *Embedded) advance() {
	ticker := time.NewTicker(clockStep)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case now := <-ticker.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}
