package testsvc

import (
	"testing"

	"tickcast/internal/service"
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. It is the test's
// until the test ends: no other test on this machine gets it, in whatever process,
// so a service may leave it for a while and come back.
func FreePort(t testing.TB) int {
	t.Helper()
	port, release, err := service.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}
