package testsvc

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tickcast/internal/service"
)

// StartHAProxy starts an HAProxy. In the text of its configuration "{{address}}"
// stands for the address that the Service listens on.
func StartHAProxy(t testing.TB, config string) *Service {
	t.Helper()
	path := Require(t, "haproxy")
	dir := t.TempDir()
	file := filepath.Join(dir, "haproxy.cfg")
	return start(t, service.Spec{
		Name: "haproxy",
		Path: path,
		Args: func(port int) []string {
			text := strings.ReplaceAll(config, "{{address}}", service.Address(port))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatalf("configure haproxy: %v", err)
			}
			return []string{"-W", "-db", "-f", file}
		},
		Ready: "Loading success",
		Stop:  syscall.SIGTERM,
		Dir:   dir,
		URL:   func(port int) string { return "http://" + service.Address(port) },
	})
}
