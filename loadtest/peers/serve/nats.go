package serve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/bus"
)

// natsReady bounds the start of a NATS server with an empty store.
const natsReady = 10 * time.Second

// Backbone runs a NATS server as a deployment has it: a process of its own with JetStream on files in dir, and
// the users and permissions of the roles, their passwords from the environment (bus.PasswordVariable).
func Backbone(in io.Reader, out io.Writer, dir string) error {
	file, err := os.CreateTemp(dir, "nats-*.conf")
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = file.WriteString(bus.ServerConfig(nil, bus.ServerOptions{Listen: "127.0.0.1:4222", StoreDir: dir}))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	options, err := server.ProcessConfigFile(file.Name())
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	options.Port = server.RANDOM_PORT
	return runNATS(in, out, options, func(s *server.Server) net.Addr { return s.Addr() })
}

// runNATS runs a server until in ends. It says the port of the address that clients of the comparison use.
func runNATS(in io.Reader, out io.Writer, options *server.Options, address func(*server.Server) net.Addr) error {
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(natsReady) {
		return fmt.Errorf("not ready within %v", natsReady)
	}
	sayListening(out, address(s))
	_, err = io.Copy(io.Discard, in)
	return err
}

// sayListening tells the harness where clients connect.
func sayListening(out io.Writer, a net.Addr) {
	fmt.Fprintf(out, "listening %d\n", a.(*net.TCPAddr).Port)
}
