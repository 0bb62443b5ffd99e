package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// capture keeps what is heard on the channels of a deployment: every direction of a
// connection is one piece, and so is every answer, so that what was said in one go is
// searched in one go. It is safe for concurrent use.
type capture struct {
	mu    sync.Mutex
	heard map[string][]*piece // by channel; guarded by mu
}

// piece is one direction of a connection, or one answer.
type piece struct {
	c *capture
	b bytes.Buffer // guarded by c.mu
}

func newCapture() *capture { return &capture{heard: map[string][]*piece{}} }

func (c *capture) open(channel string) *piece {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &piece{c: c}
	c.heard[channel] = append(c.heard[channel], p)
	return p
}

// Write implements io.Writer.
func (p *piece) Write(b []byte) (int, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.b.Write(b)
}

// cut returns what was heard since the cut before, the pieces of a channel apart.
func (c *capture) cut() map[string][][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string][][]byte{}
	for channel, pieces := range c.heard {
		for _, p := range pieces {
			if p.b.Len() > 0 {
				out[channel] = append(out[channel], bytes.Clone(p.b.Bytes()))
				p.b.Reset()
			}
		}
	}
	return out
}

// size is the number of bytes heard on a channel since the cut before.
func (c *capture) size(channel string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.heard[channel] {
		n += p.b.Len()
	}
	return n
}

// tap puts a TCP relay in front of the service at a URL, which keeps every byte of
// both directions, and returns the URL of the relay. It relays until the test ends.
func (c *capture) tap(t testing.TB, channel, service string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{c: c, channel: channel, target: hostOf(t, service)}
	r.running.Go(func() { r.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		r.end()
	})
	return strings.Replace(service, r.target, l.Addr().String(), 1)
}

func hostOf(t testing.TB, service string) string {
	t.Helper()
	u, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

type relay struct {
	c               *capture
	channel, target string
	running         sync.WaitGroup

	mu    sync.Mutex
	ended bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

func (r *relay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed at the end
		}
		service, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close() // as the service would have refused
			continue
		}
		if !r.keep(client, service) {
			return
		}
		r.running.Go(func() { r.copy(service, client) })
		r.running.Go(func() { r.copy(client, service) })
	}
}

// copy relays one direction. The bytes are kept before they go on: what somebody has
// received has been heard.
func (r *relay) copy(to, from net.Conn) {
	_, _ = io.Copy(to, io.TeeReader(from, r.c.open(r.channel)))
	_ = to.Close()
	_ = from.Close()
}

func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, conns...)
	if r.ended {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	return !r.ended
}

func (r *relay) end() {
	r.mu.Lock()
	r.ended = true
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// get keeps the whole answer to a request, header and body, whatever its status, and
// returns the body. Key is the bearer token, if any.
func (c *capture) get(channel, address, key string) (body []byte, err error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // nothing is found in what is packed
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if e := resp.Header.Get("Content-Encoding"); e != "" {
		return nil, fmt.Errorf("%s: packed with %s", address, e)
	}
	head, err := httputil.DumpResponse(resp, false)
	if err != nil {
		return nil, err
	}
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	told := body
	if channel == channelMetrics {
		told = withoutCounts(body)
	}
	_, _ = c.open(channel).Write(append(head, told...))
	switch resp.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusServiceUnavailable:
		err = errUnavailable
	default:
		err = errors.New(resp.Status)
	}
	return nil, fmt.Errorf("%s: %w: %s", address, err, body)
}

// errUnavailable is a gateway's answer when nobody has answered it in time.
var errUnavailable = errors.New("unavailable")

// withoutCounts is a page of metrics without the values of what counts up, and of the
// Go runtime: a count passes any number on its way, and what it counts is no secret.
// The values of gauges stay, and so do all names and labels.
func withoutCounts(page []byte) []byte {
	var out strings.Builder
	gauge := false
	for line := range strings.Lines(string(page)) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			gauge = f[3] == "gauge" && !strings.HasPrefix(f[2], "go_") && !strings.HasPrefix(f[2], "process_")
		}
		if value := strings.LastIndexByte(line, ' '); !gauge && !strings.HasPrefix(line, "#") && value >= 0 {
			line = line[:value] + "\n"
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}

// dumpOfRedis returns every key with its value, in one answer that ends with endOfDump.
const dumpOfRedis = `local out = {}
for _, k in ipairs(redis.call('KEYS', '*')) do
  local t, v = redis.call('TYPE', k).ok, nil
  if t == 'string' then v = redis.call('GET', k)
  elseif t == 'hash' then v = redis.call('HGETALL', k)
  elseif t == 'zset' then v = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES')
  elseif t == 'set' then v = redis.call('SMEMBERS', k)
  elseif t == 'list' then v = redis.call('LRANGE', k, 0, -1)
  else return redis.error_reply('type ' .. t) end
  out[#out + 1] = {k, t, v}
end
out[#out + 1] = 'END ' .. 'OF DUMP'
return out`

const endOfDump = "END OF DUMP"

// dump keeps all keys and values of the Redis at an address.
func (c *capture) dump(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n", len(dumpOfRedis), dumpOfRedis); err != nil {
		return err
	}
	var answer []byte
	for buffer := make([]byte, 64<<10); !bytes.Contains(answer, []byte(endOfDump)); {
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if err != nil || answer[0] == '-' {
			return fmt.Errorf("dump of redis: %q, %w", answer, err)
		}
	}
	_, err = c.open(channelRedisKeys).Write(answer)
	return err
}
