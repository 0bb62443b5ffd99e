package testsvc

import (
	"math/rand/v2"
	"net"
	"testing"
)

// Ports come from below those that kernels give to outgoing connections and to
// listeners without a wish: nobody gets one of them by chance.
const (
	firstPort = 10_000
	ports     = 20_000
	portTries = 1_000
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. It is the test's
// until the test ends: no other test on this machine gets it, in whatever process,
// so a service may leave it for a while and come back.
func FreePort(t testing.TB) int {
	t.Helper()
	for range portTries {
		port := firstPort + rand.IntN(ports)
		if release, ok := reserve(port); ok {
			t.Cleanup(release)
			return port
		}
	}
	t.Fatalf("find a free port: none of %d", portTries)
	return 0
}

// reserve takes a port that nobody has. What holds it is the UDP port of the same
// number, which a process gives back however it ends.
func reserve(port int) (release func(), ok bool) {
	hold, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return nil, false
	}
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		_ = hold.Close()
		return nil, false
	}
	_ = l.Close()
	return func() { _ = hold.Close() }, true
}
