package service

import (
	"strconv"
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
