package serve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

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
	return runNATS(in, out, options, func(s *server.Server) (net.Addr, error) { return s.Addr(), nil })
}

// runNATS runs a server until in ends. It says the port of the address that clients of the comparison use.
func runNATS(in io.Reader, out io.Writer, options *server.Options, address func(*server.Server) (net.Addr, error)) error {
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
	at, err := address(s)
	if err != nil {
		return err
	}
	sayListening(out, at)
	_, err = io.Copy(io.Discard, in)
	return err
}

// sayListening tells the harness where clients connect.
func sayListening(out io.Writer, a net.Addr) {
	fmt.Fprintf(out, "listening %d\n", a.(*net.TCPAddr).Port)
}

// NATS runs a nats-server whose clients are WebSockets. It says "clients PORT" as well: where the publisher, a
// process of its own, connects.
func NATS(in io.Reader, out io.Writer) error {
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT}
	options.Websocket.Host, options.Websocket.Port, options.Websocket.NoTLS = "127.0.0.1", server.RANDOM_PORT, true
	return runNATS(in, out, options, func(s *server.Server) (net.Addr, error) {
		fmt.Fprintf(out, "clients %d\n", s.Addr().(*net.TCPAddr).Port)
		u, err := url.Parse(s.WebsocketURL())
		if err != nil {
			return nil, err
		}
		return net.ResolveTCPAddr("tcp", u.Host)
	})
}

// NATSPublisher publishes to a nats-server.
func NATSPublisher(in io.Reader, out io.Writer, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	fmt.Fprintln(out, "ready")
	return Control(in, out, func(u Update) error { return nc.Publish(Channel, appendPayload(nil, u)) })
}
