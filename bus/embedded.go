package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// DefaultSyncInterval is how often the file store is synchronised to the disk. A
// power cut loses at most what was written since; kill -9 of the process loses
// nothing.
const DefaultSyncInterval = 100 * time.Millisecond

// readyTimeout bounds the start of the embedded server, which replays its
// indexes: milliseconds, or seconds after a crash with a large store.
const readyTimeout = 30 * time.Second

// EmbeddedConfig configures a server inside this process.
type EmbeddedConfig struct {
	StoreDir     string        // where JetStream keeps its files; required
	SyncInterval time.Duration // 0 means DefaultSyncInterval
	Log          *slog.Logger  // warnings and errors of the server; nil means slog.Default()
}

// Embedded is a NATS server inside this process. It listens on no port; only
// Connect reaches it, with the user and the permissions of a role.
type Embedded struct {
	server    *server.Server
	passwords map[Role]string
}

// StartEmbedded starts a server and returns when it accepts connections. The
// caller calls Shutdown. Only one process may use a StoreDir at a time; the
// server does not check that.
func StartEmbedded(c EmbeddedConfig) (*Embedded, error) {
	if c.StoreDir == "" {
		return nil, errors.New("start embedded NATS: no store directory given")
	}
	e := &Embedded{passwords: map[Role]string{}}
	options := &server.Options{
		ServerName:   "embedded",
		DontListen:   true,
		NoSigs:       true,
		JetStream:    true,
		StoreDir:     c.StoreDir,
		SyncInterval: c.SyncInterval,
		// Log answers in a healthy system are well under this; checkpoints are
		// chunked.
		MaxPayload: 1 << 20,
	}
	if options.SyncInterval == 0 {
		options.SyncInterval = DefaultSyncInterval
	}
	for _, r := range Roles() {
		e.passwords[r] = rand.Text()
		options.Users = append(options.Users, &server.User{
			Username: string(r), Password: e.passwords[r], Permissions: serverPermissions(Permissions(r)),
		})
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w", err)
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	s.SetLogger(serverLog{log.With("component", "nats-server")}, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("start embedded NATS: not ready within %v", readyTimeout)
	}
	e.server = s
	return e, nil
}

// Connect connects within the process as a role, and tries for 30 s at most. The
// caller closes the connection. It may be called concurrently.
func (e *Embedded) Connect(role Role, name string) (*nats.Conn, error) {
	options := append(connectOptions(name, role),
		nats.InProcessServer(e.server), nats.UserInfo(string(role), e.passwords[role]))
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout) // which a machine that stands still uses up
	defer cancel()
	nc, err := connect(ctx, "", options)
	if err != nil {
		return nil, fmt.Errorf("connect to embedded NATS as %s: %w", role, err)
	}
	return nc, nil
}

// Shutdown stops the server after writing its state, and waits for it.
// Connections are cut; close them before.
func (e *Embedded) Shutdown() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

func serverPermissions(p PermissionSet) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish, Deny: p.Deny},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}
}

// serverLog passes the server's warnings and errors on. Its notices are for
// people who run a server of their own.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(string, ...any)         {}
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
func (l serverLog) Errorf(format string, a ...any) { l.log.Error(fmt.Sprintf(format, a...)) }
func (l serverLog) Fatalf(format string, a ...any) { l.log.Error(fmt.Sprintf(format, a...)) }

func (l serverLog) Warnf(format string, a ...any) {
	// The passwords are drawn at each start and never leave the process.
	if !strings.HasPrefix(format, "Plaintext passwords") {
		l.log.Warn(fmt.Sprintf(format, a...))
	}
}
