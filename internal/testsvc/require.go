package testsvc

import (
	"os"
	"strings"
	"testing"

	"tickcast/internal/service"
)

// Require returns the path of the first of some programs that this machine has.
// Without any the test is skipped, and fails under CI=true. Names are alternatives
// for the same program, such as "chromium" and "google-chrome".
func Require(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, ok := service.Find(name); ok {
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
