package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickcast/loadtest/socket"
)

// Bounds of connecting.
//
// How many handshakes may be under way is bounded by the configuration: more would
// measure the swarm's own queue on a small machine.
const (
	dialTimeout = 10 * time.Second
	// closesAtOnce bounds the connections that are being closed: each waits for the
	// gateway's answer.
	closesAtOnce = 128
)

// dialer makes connections and gets tokens. It is safe for concurrent use.
type dialer struct {
	cfg     *Config        // static
	run     string         // static; makes players and keys of this run unique
	sockets *socket.Client // static once the bots act
	sources []netip.Addr   // static; one, which is not valid, if the kernel chooses
	clients []*http.Client // static; one per source
	slots   chan struct{}  // a place for each handshake under way
}

func newDialer(cfg *Config, run string) (*dialer, error) {
	sources, err := expandSources(cfg.Sources)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		sources = []netip.Addr{{}}
	}
	d := &dialer{cfg: cfg, run: run, sources: sources, slots: make(chan struct{}, max(1, cfg.DialsAtOnce))}
	for _, a := range sources {
		from := net.Dialer{Timeout: dialTimeout}
		if a.IsValid() {
			from.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
		d.clients = append(d.clients, &http.Client{Transport: &http.Transport{
			DialContext: from.DialContext, MaxIdleConns: 8, IdleConnTimeout: 5 * time.Second,
		}})
	}
	return d, nil
}

// Close drops idle HTTP connections. WebSockets are not touched.
func (d *dialer) Close() {
	for _, c := range d.clients {
		c.CloseIdleConnections()
	}
}

// refusal is an answer to a handshake or to a guest's request that is no success.
type refusal struct {
	status int
	after  time.Duration // Retry-After, 0 if there is none
}

func (r *refusal) Error() string { return "HTTP " + strconv.Itoa(r.status) }

// dial opens a WebSocket for bot n.
func (d *dialer) dial(ctx context.Context, n int, url string) (socket.Conn, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target := socket.Target{URL: url, From: d.sources[n%len(d.sources)], Loop: n}
	if d.cfg.slownessOf(n) != readsAll {
		target.ReceiveBuffer = slowBuffer
	}
	conn, err := d.sockets.Dial(ctx, target)
	if refused := (*socket.Refused)(nil); errors.As(err, &refused) {
		return nil, newRefusal(refused.Status, refused.Header)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	return conn, nil
}

func newRefusal(status int, h http.Header) *refusal {
	r := &refusal{status: status}
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 && s < 3600 {
		r.after = time.Duration(s) * time.Second
	}
	return r
}

// token gets the token of bot n: given, minted, or a guest's.
func (d *dialer) token(ctx context.Context, n int) (string, error) {
	if len(d.cfg.Tokens) > 0 {
		return d.cfg.Tokens[n%len(d.cfg.Tokens)], nil
	}
	if len(d.cfg.Secret) > 0 {
		// A guest's account is opened with play credits at its first bet (P2.7).
		return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": fmt.Sprintf("swarm-%s-%d", d.run, n), "name": "bot " + strconv.Itoa(n), "guest": true,
			"exp": time.Now().Add(d.cfg.Duration + d.cfg.Settle + time.Hour).Unix(),
		}).SignedString(d.cfg.Secret)
	}
	return d.guest(ctx, n)
}

// guest asks a gateway for a guest's token (P2.4).
func (d *dialer) guest(ctx context.Context, n int) (string, error) {
	u, err := url.Parse(d.cfg.URLs[n%len(d.cfg.URLs)])
	if err != nil {
		return "", fmt.Errorf("guest token: %w", err)
	}
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	u.Path, u.RawQuery = "/api/guest", ""
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	body := fmt.Appendf(nil, `{"name":"bot %d"}`, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("guest token: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.clients[n%len(d.clients)].Do(req)
	if err != nil {
		return "", fmt.Errorf("guest token: %w", err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("guest token: %w", newRefusal(resp.StatusCode, resp.Header))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil || answer.Token == "" {
		return "", errors.Join(errors.New("guest token: the answer has none"), err)
	}
	return answer.Token, nil
}
