package chaos

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// redisTimeout bounds a command to Redis, which answers in microseconds.
const redisTimeout = 5 * time.Second

// redisDo sends a Redis one command and returns the first line of its answer.
func redisDo(ctx context.Context, address, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("redis %s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", fmt.Errorf("redis %s: %w", command, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("redis %s: %w", command, err)
	}
	if line = strings.TrimSpace(line); strings.HasPrefix(line, "-") {
		return "", fmt.Errorf("redis %s: %s", command, line)
	}
	return line, nil
}
