package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/loadtest/peers/serve"
)

// gatewayReady bounds the start of a gateway with everything in place: milliseconds on a free machine.
const gatewayReady = 20 * time.Second

// startTickcast starts the shipped program as a gateway, as an operator would: with a NATS server and a room's
// owner in processes of their own, users and passwords of the roles, and players with tokens. flags are added.
func startTickcast(flags ...string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error { return s.startTickcast(ctx, flags) }
}

func (s *stage) startTickcast(ctx context.Context, flags []string) error {
	s.secret = rand.Text() + rand.Text()
	env := []string{"TICKCAST_JWT_SECRET=" + s.secret, "TICKCAST_OPERATOR_KEY=" + rand.Text() + rand.Text()}
	for _, r := range bus.Roles() {
		env = append(env, bus.PasswordVariable(r)+"=p"+rand.Text()) // read by nats-server as configuration: a word, never a number
	}
	backbone, err := s.runSelf(ctx, env, "backbone", s.dir)
	if err != nil {
		return err
	}
	natsPort, err := listening(ctx, backbone)
	if err != nil {
		return err
	}
	nats := "nats://127.0.0.1:" + strconv.Itoa(natsPort)
	owner, err := s.runSelf(ctx, env, "owner", nats)
	if err != nil {
		return err
	}
	redis, err := owner.expect(ctx, "ready ")
	if err != nil {
		return err
	}
	s.publisher = owner
	return s.startGateway(ctx, env, append([]string{"--nats-url", nats, "--redis-url", redis}, flags...))
}

func (s *stage) startGateway(ctx context.Context, env, flags []string) error {
	internal, err := s.runTickcast(ctx, env, append([]string{"gateway", "--guests", "off"}, flags...)...)
	if err != nil {
		return err
	}
	s.dialect = func(n int) (Dialect, error) { return tickcastDialect(n, serve.Room, s.secret) }
	if err := s.awaitOK(ctx, internal+"/readyz"); err != nil {
		return err
	}
	return s.awaitOK(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/rooms/%s", s.port, serve.Room))
}

// runTickcast starts the shipped program as the server that is measured, and returns the URL of its internal
// listener.
func (s *stage) runTickcast(ctx context.Context, env []string, args ...string) (internal string, err error) {
	if s.port, err = s.reservePort(); err != nil {
		return "", err
	}
	port, err := s.reservePort()
	if err != nil {
		return "", err
	}
	internal = service.Address(port)
	args = append(args, "--listen", service.Address(s.port), "--internal-listen", internal, "--data", s.dir, "--log-level", "warn")
	cmd := exec.CommandContext(ctx, s.kit.Tickcast, args...)
	cmd.Env = append(withoutOptions(os.Environ()), env...)
	if s.server, err = s.run("tickcast "+args[0], cmd); err != nil {
		return "", err
	}
	return "http://" + internal, nil
}

// reservePort returns a port that nobody else gets while the stage is open.
func (s *stage) reservePort() (int, error) {
	port, release, err := service.ReservePort()
	if err == nil {
		s.ports = append(s.ports, release)
	}
	return port, err
}

// withoutOptions is the environment without what would configure the program.
func withoutOptions(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "TICKCAST_") })
}

// awaitOK waits until an address answers 200.
func (s *stage) awaitOK(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayReady)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		r.Close = true // no connection of the harness's own when memory is read
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return s.server.failure(fmt.Errorf("%s is not there: %w", url, err))
		}
	}
}

// tickcastDialect has each connection say hello as a player of its own and join a room.
func tickcastDialect(connections int, room, secret string) (Dialect, error) {
	d := Dialect{
		Path: "/ws", Ready: `"type":"joined"`,
		Ping: `{"type":"ping"`, Pong: `{"type":"pong","id":0}`, // any message is an answer
	}
	expires := jwt.NewNumericDate(time.Now().Add(24 * time.Hour))
	for i := range connections {
		c := jwt.RegisteredClaims{Subject: "bench-" + strconv.Itoa(i), ExpiresAt: expires}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
		if err != nil {
			return d, fmt.Errorf("sign token: %w", err)
		}
		d.Messages = append(d.Messages, []string{
			`{"type":"hello","protocol":1,"token":"` + token + `"}`,
			`{"type":"join","id":1,"room":"` + room + `"}`,
		})
	}
	return d, nil
}
