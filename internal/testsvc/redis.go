package testsvc

import (
	"strconv"
	"syscall"
	"testing"
)

// Redis starts an empty Redis and returns its URL.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL
}

// StartRedis starts an empty Redis without persistence: it forgets everything
// when it is stopped.
func StartRedis(t testing.TB) *Service {
	t.Helper()
	path := Require(t, "redis-server")
	return start(t, spec{
		name: "redis",
		path: path,
		args: func(port int) []string {
			return []string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
				"--save", "", "--appendonly", "no", "--daemonize", "no",
			}
		},
		ready: "Ready to accept connections",
		stop:  syscall.SIGTERM,
		dir:   t.TempDir(),
		url:   func(port int) string { return "redis://" + address(port) + "/0" },
	})
}
