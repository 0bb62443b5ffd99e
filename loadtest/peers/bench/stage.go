package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// stopTimeout is how long a publisher may be busy with an update; longer, and it waits for a client that does
// not read.
const stopTimeout = 10 * time.Second

// Peer is a server of the comparison.
type Peer struct {
	Name  string // in flags and tables
	About string // one line
	start func(context.Context, *stage) error

	flatOut bool // it can publish without a pace, rate 0
}

// Kit is what peers are started from. It is not modified.
type Kit struct {
	Programs Programs
	Self     string // path of this program, which has the servers in Go as subcommands
	Tickcast string // path of the program under test
}

// stage is a peer's processes while they run, and its clients. It is used by one goroutine.
type stage struct {
	kit Kit
	dir string // for what the processes keep; removed with the stage

	// Set by Peer.start.
	port      int
	server    *child // measured
	publisher *child // obeys publish and stop; the server itself with most peers
	dialect   func(connections int) (Dialect, error)
	secret    string // with which tokens of the program under test are signed

	children []*child
	clients  []*client
	ports    []func() // give the ports back that were reserved
}

// open starts a peer. The caller closes the stage.
func (k Kit) open(ctx context.Context, p Peer) (*stage, error) {
	dir, err := os.MkdirTemp("", "tickcast-peers-")
	if err != nil {
		return nil, err
	}
	s := &stage{kit: k, dir: dir}
	if err := p.start(ctx, s); err != nil {
		s.close()
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return s, nil
}

func (s *stage) close() {
	for _, c := range s.clients {
		c.kill()
	}
	for i := len(s.children) - 1; i >= 0; i-- {
		s.children[i].kill()
	}
	for _, release := range s.ports {
		release()
	}
	_ = os.RemoveAll(s.dir) // what is left is in the temporary folder
}

// run starts one of the peer's processes.
func (s *stage) run(name string, cmd *exec.Cmd) (*child, error) {
	c, err := startChild(name, cmd)
	if err == nil {
		s.children = append(s.children, c)
	}
	return c, err
}

// runSelf starts a subcommand of serve of this program.
func (s *stage) runSelf(ctx context.Context, env []string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, s.kit.Self, append([]string{"serve"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return s.run(args[0], cmd)
}

// listening waits until a process says where it listens.
func listening(ctx context.Context, c *child) (port int, err error) {
	rest, err := c.expect(ctx, "listening ")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(rest)
}

// alone makes the stage of a single process that says where it listens and obeys publish and stop.
func (s *stage) alone(ctx context.Context, c *child, d Dialect) (err error) {
	s.server, s.publisher = c, c
	s.dialect = func(int) (Dialect, error) { return d, nil }
	s.port, err = listening(ctx, c)
	return err
}

// admit connects clients and waits until they are ready.
func (s *stage) admit(ctx context.Context, connections, stuck int) (*client, readyReport, error) {
	var ready readyReport
	d, err := s.dialect(connections)
	if err != nil {
		return nil, ready, err
	}
	program, err := s.kit.Programs.C(ctx, "client")
	if err != nil {
		return nil, ready, err
	}
	c, err := startClient(ctx, crowd{program, s.dir, s.port, connections, stuck}, d)
	if err != nil {
		return nil, ready, err
	}
	s.clients = append(s.clients, c)
	ready, err = c.awaitReady(ctx)
	return c, ready, err
}

// publish begins to publish.
func (s *stage) publish(l Load) error { return s.publisher.say("publish %g %d", l.Rate, l.Size) }

// stop ends publishing and returns the number of the last update.
func (s *stage) stop(ctx context.Context) (seq uint64, err error) {
	if err := s.publisher.say("stop"); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, fmt.Errorf("%s went on publishing for %v", s.publisher.name, stopTimeout))
	defer cancel()
	rest, err := s.publisher.expect(ctx, "stopped ")
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(rest, &seq); err != nil {
		return 0, fmt.Errorf("%s said stopped %q: %w", s.publisher.name, rest, err)
	}
	return seq, nil
}

// wait waits for a time.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
