package testsvc

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// StartHAProxy starts an HAProxy. In the text of its configuration "{{address}}"
// stands for the address that the Service listens on.
func StartHAProxy(t testing.TB, config string) *Service {
	t.Helper()
	path := Require(t, "haproxy")
	dir := t.TempDir()
	file := filepath.Join(dir, "haproxy.cfg")
	return start(t, spec{
		name: "haproxy",
		path: path,
		args: func(port int) []string {
			text := strings.ReplaceAll(config, "{{address}}", address(port))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatalf("configure haproxy: %v", err)
			}
			return []string{"-W", "-db", "-f", file}
		},
		ready: "Loading success",
		stop:  syscall.SIGTERM,
		dir:   dir,
		url:   func(port int) string { return "http://" + address(port) },
	})
}
