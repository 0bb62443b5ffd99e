package loadtest

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := Config{URLs: []string{"ws://127.0.0.1:8080/ws"}, Rooms: []string{"lobby"}}
	if err := good.Validate(); err != nil {
		t.Errorf("the smallest config: %v", err)
	}
	for want, change := range map[string]func(c *Config){
		"gateway":            func(c *Config) { c.URLs = nil },
		"ws://":              func(c *Config) { c.URLs = []string{"http://127.0.0.1"} },
		"at least one room":  func(c *Config) { c.Rooms = nil },
		"not a room ID":      func(c *Config) { c.Rooms = []string{"Lobby!"} },
		"named twice":        func(c *Config) { c.Rooms = []string{"a", "a"} },
		"rooms per bot":      func(c *Config) { c.RoomsPerBot = 2 },
		"game":               func(c *Config) { c.Game = "chess" },
		"bots":               func(c *Config) { c.Bots = -1 },
		"ramp":               func(c *Config) { c.Ramp = time.Hour },
		"warm-up":            func(c *Config) { c.Duration, c.WarmUp = time.Second, time.Second },
		"duration":           func(c *Config) { c.Duration = -1 },
		"probability":        func(c *Config) { c.Behaviour.BetProbability = 1.5 },
		"probability NaN":    func(c *Config) { c.Behaviour.AutoProbability = math.NaN() },
		"taps":               func(c *Config) { c.Behaviour.TapRate = 1e6 },
		"neither an address": func(c *Config) { c.Sources = []string{"localhost"} },
		"more than":          func(c *Config) { c.Bots = maxBots + 1; c.Sources = []string{"127.0.0.1/8", "127.0.0.1"} },
		"how to start them":  func(c *Config) { c.Fleet.Workers = 2 },
	} {
		c := good
		change(&c)
		err := c.Validate()
		if err == nil {
			t.Errorf("%s: valid", want)
			continue
		}
		found := false
		for _, w := range strings.Split(strings.TrimSuffix(want, " NaN"), "|") {
			found = found || strings.Contains(err.Error(), w)
		}
		if !found {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	d := Config{}.withDefaults()
	if d.Bots != 100 || d.Duration != 30*time.Second || d.Ramp != 400*time.Millisecond || d.Behaviour.BetProbability != 0.8 || d.Behaviour.ChatRate != 0 {
		t.Errorf("defaults are %+v", d)
	}
	d = Config{Ramp: -1, Behaviour: Behaviour{BetProbability: -1, ReconnectEvery: -1, TapRate: -1}}.withDefaults()
	if d.Ramp != 0 || d.Behaviour.BetProbability != 0 || d.Behaviour.ReconnectEvery != 0 || d.Behaviour.TapRate != 0 {
		t.Errorf("never is %+v", d)
	}
}

func TestSources(t *testing.T) {
	a, err := expandSources([]string{"127.0.0.9", "127.0.1.0/29"})
	if err != nil || len(a) != 8 || a[0].String() != "127.0.0.9" || a[1].String() != "127.0.1.1" {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := expandSources([]string{"127.0.0.0/8"}); err != nil || len(a) != maxSources {
		t.Errorf("%d addresses, %v", len(a), err)
	}
}

// With as many rooms as gateways, too, every room is joined through every gateway.
func TestRoomsAreJoinedThroughAllGateways(t *testing.T) {
	c := Config{URLs: []string{"a", "b"}, Rooms: []string{"r", "s"}}
	seen := map[string]bool{}
	for n := range 4 {
		seen[c.URLs[n%len(c.URLs)]+c.seat(n, 0)] = true
	}
	if len(seen) != 4 {
		t.Errorf("only %v", seen)
	}
}
