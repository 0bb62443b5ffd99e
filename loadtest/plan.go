package loadtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// plan is one process's share of a run.
type plan struct {
	Config Config        `json:"config"` // with defaults; the same for every process
	Tokens []string      `json:"tokens,omitempty"`
	Secret []byte        `json:"secret,omitempty"`
	Run    string        `json:"run"`   // makes keys and players of this run unique
	First  int           `json:"first"` // the process's first bot
	Bots   int           `json:"bots"`  // how many it has
	Start  time.Duration `json:"start"` // when the run begins, on the process's monotonic clock
}

// config is the plan's configuration with the secrets that it does not carry
// where anybody may read it.
func (p *plan) config() Config {
	c := p.Config
	c.Tokens, c.Secret = p.Tokens, p.Secret
	return c
}

// filesFor is how many files a process needs for so many bots: one each, a second
// one for each eighth that moves at the moment, and some for the rest.
func filesFor(bots int) uint64 { return uint64(bots) + uint64(bots)/8 + spareFiles }

// botsFor is how many bots a process that may open so many files can have.
func botsFor(files uint64) int {
	if files <= spareFiles {
		return 0
	}
	return int(min((files-spareFiles)*8/9, maxBots))
}

const spareFiles = 64

var errTooManyBots = errors.New("the processes of the swarm may not open that many files")

// split shares bots out to processes that can have at most so many each, evenly
// as far as that goes.
func split(bots int, most []int) ([]int, error) {
	out := make([]int, len(most))
	open := len(most)
	for left := bots; left > 0; {
		if open == 0 {
			return nil, fmt.Errorf("%d bots: %w", bots, errTooManyBots)
		}
		share := (left + open - 1) / open
		open = 0
		for i := range out {
			n := min(share, most[i]-out[i], left)
			out[i] += n
			left -= n
			if out[i] < most[i] {
				open++
			}
		}
	}
	return out, nil
}

// portsPerSource is for how many connections to one address a local address is
// used. It has 28,232 ephemeral ports where nobody changed that, and those of
// closed connections are not free at once.
const portsPerSource = 20_000

// loopbackSources are local addresses for so many bots whose gateways are all on
// this machine: one address has too few ports for them. Nil when one will do, or
// when gateways are elsewhere.
func loopbackSources(urls []string, bots int) []string {
	for _, u := range urls {
		if !isLoopback(u) {
			return nil
		}
	}
	n := (bots + bots/8 + portsPerSource - 1) / portsPerSource
	if n <= 1 {
		return nil
	}
	var out []string
	for a := netip.AddrFrom4([4]byte{127, 1, 0, 1}); len(out) < n; a = a.Next() {
		out = append(out, a.String())
	}
	return out
}

func isLoopback(gateway string) bool {
	u, err := url.Parse(gateway)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname()).To4()
	return ip != nil && ip.IsLoopback()
}
