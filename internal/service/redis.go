package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Redis tells how to run a Redis without persistence: it forgets everything when it
// is stopped. Options are further ones, as its command line has them.
func Redis(path, dir string, options ...string) Spec {
	return Spec{
		Name: "redis",
		Path: path,
		Args: func(port int) []string {
			return append([]string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
				"--save", "", "--appendonly", "no", "--daemonize", "no",
			}, options...)
		},
		Ready: "Ready to accept connections",
		Stop:  syscall.SIGTERM,
		Dir:   dir,
		URL:   func(port int) string { return "redis://" + Address(port) + "/0" },
	}
}

// Sentinel tells how to run a Redis Sentinel that watches the Redis at a port of this
// machine as master "tickcast", and makes a replica the master when quorum sentinels
// agree that it was silent for a second. Path is that of redis-server. It remembers
// what it learnt over Kill and Start.
func Sentinel(path, dir string, master, quorum int) (Spec, error) {
	file := filepath.Join(dir, "sentinel.conf")
	config := strings.Join([]string{
		"bind 127.0.0.1",
		fmt.Sprintf("sentinel monitor tickcast 127.0.0.1 %d %d", master, quorum),
		"sentinel down-after-milliseconds tickcast 1000",
		"sentinel failover-timeout tickcast 5000",
		"",
	}, "\n")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return Spec{}, fmt.Errorf("configure a sentinel: %w", err)
	}
	return Spec{
		Name: "sentinel",
		Path: path,
		Args: func(port int) []string {
			return []string{file, "--port", strconv.Itoa(port), "--sentinel"}
		},
		Ready: "+monitor master tickcast",
		Stop:  syscall.SIGTERM,
		Dir:   dir,
		URL:   func(port int) string { return "redis://" + Address(port) },
	}, nil
}
