package testsvc

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Require returns the path of the first of some programs that this machine has.
// Without any the test is skipped, and fails under CI=true. Names are alternatives
// for the same program, such as "chromium" and "google-chrome".
func Require(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, ok := find(name); ok {
			return path
		}
	}
	missing(t, strings.Join(names, " or ")+" is not installed; scripts/install-test-deps.sh installs it on Debian")
	return ""
}

// Chromium returns the path of a Chromium or Chrome browser.
func Chromium(t testing.TB) string {
	t.Helper()
	return Require(t, "chromium", "chromium-browser", "google-chrome")
}

// missing skips the test, loudly, or fails it where nothing may be missing.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and under CI=true nothing is skipped", why)
	}
	t.Skipf("SKIPPED: %s", why)
}

// find looks for a program in PATH, then where Debian keeps PostgreSQL and the
// daemons, which are not in everybody's PATH. Of several versions it takes the
// highest by name.
func find(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/", "/usr/local/sbin/"} {
		paths, err := filepath.Glob(pattern + name)
		if err == nil && len(paths) > 0 {
			return paths[len(paths)-1], true
		}
	}
	return "", false
}
