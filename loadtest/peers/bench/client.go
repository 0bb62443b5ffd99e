package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Dialect is how a client talks to a peer.
type Dialect struct {
	Path        string // of the URL
	Subprotocol string
	Binary      bool
	Messages    [][]string // by connection, which share them in turn; \r \n \\ \xHH are escapes
	Ready       string     // part of the message that tells that a connection is ready; empty: the handshake does
	Ping, Pong  string     // a message that begins with Ping is answered with Pong
}

// client is a process of many connections.
type client struct {
	*child
	connections int
}

// readyReport is what a client says when all of its connections are ready.
type readyReport struct {
	Connections int           `json:"connections"`
	Handshake   time.Duration `json:"handshake_ns"` // until the last handshake
	Ready       time.Duration `json:"ready_ns"`     // until the last connection was ready
}

// Report is what a client counted.
type Report struct {
	Took      time.Duration `json:"took_ns"`
	CPU       time.Duration `json:"cpu_ns"` // of the client itself
	Updates   uint64        `json:"updates"`
	Bytes     uint64        `json:"bytes"`
	Reads     uint64        `json:"reads"`
	Missing   uint64        `json:"missing"`
	Duplicate uint64        `json:"duplicate"`
	Reordered uint64        `json:"reordered"`
	Closed    uint64        `json:"closed"`   // connections, since they were ready
	LastMin   uint64        `json:"last_min"` // newest update of the connection that is most behind
	LastMax   uint64        `json:"last_max"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	P999      time.Duration `json:"p999_ns"`
	Max       time.Duration `json:"max_ns"`
}

// crowd is how many connections are made to a port.
type crowd struct {
	program     string // of the client
	dir         string // for its messages
	port        int
	connections int
	stuck       int // of them, never read
}

// startClient starts a client. The caller calls kill.
func startClient(ctx context.Context, c crowd, d Dialect) (*client, error) {
	args := []string{"-p", strconv.Itoa(c.port), "-n", strconv.Itoa(c.connections), "-s", strconv.Itoa(c.stuck)}
	for flag, value := range map[string]string{"-u": d.Path, "-P": d.Subprotocol, "-r": d.Ready, "-q": d.Ping, "-a": d.Pong} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if d.Binary {
		args = append(args, "-b")
	}
	if len(d.Messages) > 0 {
		path := filepath.Join(c.dir, fmt.Sprintf("messages-%d", c.connections))
		if err := os.WriteFile(path, messageFile(d.Messages), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-i", path)
	}
	ch, err := startChild("client", exec.CommandContext(ctx, c.program, args...))
	if err != nil {
		return nil, err
	}
	return &client{child: ch, connections: c.connections}, nil
}

func messageFile(messages [][]string) []byte {
	var b strings.Builder
	for _, list := range messages {
		for _, m := range list {
			b.WriteString(m + "\n")
		}
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// awaitReady waits until all connections are ready.
func (c *client) awaitReady(ctx context.Context) (r readyReport, err error) {
	return r, c.hear(ctx, "ready", &r)
}

// begin starts to count anew: what arrives when it has returned counts.
func (c *client) begin(ctx context.Context) error { return c.told(ctx, "begin") }

// beginAfter starts to count anew, of the updates those after a number.
func (c *client) beginAfter(ctx context.Context, seq uint64) error {
	return c.told(ctx, fmt.Sprintf("begin %d", seq))
}

// told waits until the client has read the line: it may read its connections first.
func (c *client) told(ctx context.Context, begin string) error {
	if err := c.say("%s", begin); err != nil {
		return err
	}
	var begun struct{}
	return c.hear(ctx, "begun", &begun)
}

// end returns what was counted since begin. It goes on counting.
func (c *client) end(ctx context.Context) (r Report, err error) {
	if err := c.say("end"); err != nil {
		return r, err
	}
	return r, c.hear(ctx, "report", &r)
}

// arrived returns what was counted since begin when each connection has the last update, or the time is over.
func (c *client) arrived(ctx context.Context, last uint64, most time.Duration) (Report, error) {
	return c.counted(ctx, most, func(r Report) bool { return r.LastMin == last })
}

// counted returns what was counted since begin when it is enough, or the time is over.
func (c *client) counted(ctx context.Context, most time.Duration, enough func(Report) bool) (Report, error) {
	for end := time.Now().Add(most); ; {
		r, err := c.end(ctx)
		if err != nil || enough(r) || time.Now().After(end) {
			return r, err
		}
		if err := wait(ctx, 5*time.Millisecond); err != nil {
			return r, err
		}
	}
}

func (c *client) hear(ctx context.Context, event string, v any) error {
	prefix := `{"event":"` + event + `",`
	rest, err := c.expect(ctx, prefix)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte("{"+rest), v); err != nil {
		return fmt.Errorf("client: %s %q: %w", event, rest, err)
	}
	return nil
}
