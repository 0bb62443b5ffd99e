package testbus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/internal/testsvc"
)

// Bus is a NATS server of one test. It may be used by several goroutines.
type Bus struct {
	*testsvc.Service
	t         testing.TB
	passwords map[bus.Role]string
}

// Start starts a server, which has no streams yet and is stopped when the test ends.
func Start(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{t: t, passwords: map[bus.Role]string{}}
	for _, r := range bus.Roles() {
		b.passwords[r] = string(r) + "-password"
	}
	b.Service = testsvc.StartNATS(t, bus.ServerConfig(b.passwords, bus.ServerOptions{SyncInterval: time.Hour}))
	return b
}

// Connect connects as a role. Name is shown by the server. The caller closes the connection.
func (b *Bus) Connect(role bus.Role, name string) (*nats.Conn, error) {
	return bus.Connect(b.t.Context(), strings.Replace(b.URL, "//", "//"+string(role)+":"+b.passwords[role]+"@", 1), name)
}
