package chaos

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"tickcast/internal/service"
	"tickcast/wire"
)

// Sizes of the cluster. Each partition has one room: every room server owns some.
const (
	partitions = 6
	crashRooms = 4
)

// roomNames are the rooms, by partition: first those of crash, then the races.
func roomNames() []string {
	names := make([]string, partitions)
	for n, left := 0, partitions; left > 0; n++ {
		name := fmt.Sprintf("table-%d", n)
		if p := wire.PartitionOf(name, partitions); names[p] == "" {
			names[p] = name
			left--
		}
	}
	return names
}

// cluster is a whole deployment as processes of this machine.
type cluster struct {
	program string // static; the path of this program
	dir     string // static; data and logs of everybody
	env     []string
	secrets map[string]string // static; by environment variable

	nats     *service.NATSCluster
	redis    *service.SentinelRedis
	postgres *service.Service
	rooms    []*member
	gateways []*member
	ledgers  []*member
	relays   []*relay // one for each room server

	relaying sync.WaitGroup
	closers  []func() // called in reverse order
}

// member is a process of this program.
type member struct {
	*service.Service
	public, internal string // addresses
}

// newCluster prepares a cluster whose files are in dir. The caller calls close, also
// after an error of start.
func newCluster(program, dir string) *cluster {
	c := &cluster{program: program, dir: dir, secrets: map[string]string{}}
	for _, name := range []string{
		"ROOM_SECRET", "JWT_SECRET", "OPERATOR_KEY",
		"NATS_GATEWAY_PASSWORD", "NATS_ROOM_PASSWORD", "NATS_LEDGER_PASSWORD", "NATS_OPERATOR_PASSWORD", "NATS_AUDITOR_PASSWORD",
	} {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		c.secrets["TICKCAST_"+name] = hex.EncodeToString(b)
	}
	for name, value := range c.secrets {
		c.env = append(c.env, name+"="+value)
	}
	return c
}

// start starts everything, and returns when all of it is ready and the rooms are made.
func (c *cluster) start(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start the log", c.startNATS},
		{"start Redis", c.startRedis},
		{"start PostgreSQL", c.startPostgres},
		{"start the relays", c.startRelays},
		{"start the servers", c.startServers},
		{"make the rooms", c.makeRooms},
	} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// close stops everything.
func (c *cluster) close() {
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
	c.closers = nil
}

// begin prepares a service on a port of its own, with its output in a file.
func (c *cluster) begin(name string, spec service.Spec, port int) (*service.Service, error) {
	f, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	spec.Name, spec.Output = name, f
	s := service.New(spec, port)
	c.closers = append(c.closers, func() {
		s.Kill()
		_ = f.Close()
	})
	return s, nil
}

// port reserves a port for as long as the cluster lives.
func (c *cluster) port() (int, error) {
	port, release, err := service.ReservePort()
	if err == nil {
		c.closers = append(c.closers, release)
	}
	return port, err
}

// folder makes a directory for a part, owned by an account.
func (c *cluster) folder(name string, as *service.Account) (string, error) {
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, as.Own(dir)
}

func (c *cluster) startNATS(ctx context.Context) error {
	path, err := service.BuildNATS()
	if err != nil {
		return err
	}
	dir, err := c.folder("nats", nil)
	if err != nil {
		return err
	}
	var failed error
	c.nats, err = service.StartNATSCluster(path, dir, groups[log].members, func(n service.NATSNode) string {
		// Clients that are told of the other nodes would go around the relays.
		args := []string{"natsconfig", "--inline", "--store-dir", "", "--no-advertise", "--name", n.Name, "--monitor", n.Monitor, "--cluster", "chaos", "--cluster-listen", n.Routes}
		config, err := c.run(ctx, append(args, "--routes", strings.Join(n.Others, ","))...)
		failed = errors.Join(failed, err)
		return config
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	c.closers = append(c.closers, func() {
		c.keep(c.nats.Nodes...)
		c.nats.Close()
	})
	return nil
}

func (c *cluster) startRedis(context.Context) error {
	path, ok := service.Find("redis-server")
	if !ok {
		return errNotInstalled("redis-server")
	}
	dir, err := c.folder("redis", nil)
	if err != nil {
		return err
	}
	if c.redis, err = service.StartSentinelRedis(path, dir); err != nil {
		return err
	}
	c.closers = append(c.closers, func() {
		c.keep(append(c.redis.Nodes, c.redis.Sentinels...)...)
		c.redis.Close()
	})
	return nil
}

// keep writes the end of what services said to files.
func (c *cluster) keep(list ...*service.Service) {
	for _, s := range list {
		name := fmt.Sprintf("%s-%d.log", strings.ReplaceAll(s.Name(), " ", "-"), s.Port())
		_ = os.WriteFile(filepath.Join(c.dir, name), []byte(s.Log()), 0o644) // for people who look for a cause
	}
}

// startAll starts services beside each other.
func startAll(list []*service.Service) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { errs[i] = s.Start() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *cluster) startPostgres(context.Context) error {
	initdb, ok1 := service.Find("initdb")
	postgres, ok2 := service.Find("postgres")
	if !ok1 || !ok2 {
		return errNotInstalled("postgresql")
	}
	account, err := service.Unprivileged()
	if err != nil {
		return err
	}
	dir, err := c.folder("postgres", account)
	if err != nil {
		return err
	}
	spec, err := service.Postgres(initdb, postgres, dir, account)
	if err != nil {
		return err
	}
	port, err := c.port()
	if err != nil {
		return err
	}
	if c.postgres, err = c.begin("postgres", spec, port); err != nil {
		return err
	}
	return c.postgres.Start()
}

// errNotInstalled tells how to get a program that is missing.
func errNotInstalled(name string) error {
	return fmt.Errorf("%s is not installed; scripts/install-test-deps.sh installs it on Debian", name)
}

func (c *cluster) startRelays(context.Context) error {
	var targets []string
	for _, n := range c.nats.Nodes {
		targets = append(targets, strings.TrimPrefix(n.URL(), "nats://"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.closers = append(c.closers, func() {
		cancel()
		c.relaying.Wait()
	})
	for range groups[rooms].members {
		r, err := newRelay(targets)
		if err != nil {
			return err
		}
		c.relays = append(c.relays, r)
		c.relaying.Go(func() { r.Run(ctx) })
	}
	return nil
}

func (c *cluster) startServers(context.Context) error {
	var all []*service.Service
	for role, list := range map[string]*[]*member{"room": &c.rooms, "gateway": &c.gateways, "ledger": &c.ledgers} {
		for i := range groups[map[string]group{"room": rooms, "gateway": gateways, "ledger": ledgers}[role]].members {
			m, err := c.member(role, i)
			if err != nil {
				return err
			}
			*list = append(*list, m)
			all = append(all, m.Service)
		}
	}
	return startAll(all)
}

// member prepares a process of a role.
func (c *cluster) member(role string, i int) (*member, error) {
	public, err := c.port()
	if err != nil {
		return nil, err
	}
	internal, err := c.port()
	if err != nil {
		return nil, err
	}
	m := &member{public: service.Address(public), internal: service.Address(internal)}
	name := role + "-" + strconv.Itoa(i)
	args := []string{role, "--node", name, "--internal-listen", m.internal, "--redis-url", c.redis.URL()}
	nats := c.nats.URL()
	switch role {
	case "room":
		nats = strings.Join(c.relays[i].addresses(), ",")
		args = append(args, "--partitions", strconv.Itoa(partitions), "--replicas", strconv.Itoa(len(c.nats.Nodes)))
		args = append(args, trimOptions()...)
	case "gateway":
		args = append(args, "--listen", m.public, "--drain-window", "3s")
	case "ledger":
		args = append(args, "--database-url", c.postgres.URL())
	}
	args = append(args, "--nats-url", nats)
	dir, err := c.folder(name, nil)
	if err != nil {
		return nil, err
	}
	m.Service, err = c.begin(name, service.Spec{
		Path: c.program, Args: func(int) []string { return args }, Env: c.env,
		Ready: "msg=ready", Stop: syscall.SIGTERM, Dir: dir,
	}, public)
	return m, err
}

// run runs a command of this program and returns what it printed.
func (c *cluster) run(ctx context.Context, args ...string) (string, error) {
	var out strings.Builder
	err := c.runTo(ctx, &out, args...)
	return out.String(), err
}

func (c *cluster) runTo(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = append(os.Environ(), c.env...)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tickcast %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// makeRooms makes the rooms, with rounds that are short, so that there are many.
func (c *cluster) makeRooms(ctx context.Context) error {
	for i, name := range roomNames() {
		args := []string{"rooms", "create", name, "--api", c.gateways[i%len(c.gateways)].api()}
		if i < crashRooms {
			args = append(args, "--set", "betting_ms=3000", "--set", "crashed_ms=1500", "--set", "cap=250")
		} else {
			args = append(args, "--game", "race", "--set", "gathering_ms=1000", "--set", "running_ms=6000", "--set", "finished_ms=1000")
		}
		if _, err := c.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// api is the address of the operator API.
func (m *member) api() string { return "http://" + m.internal }

// socketURLs are where players connect.
func (c *cluster) socketURLs() (urls []string) {
	for _, g := range c.gateways {
		urls = append(urls, "ws://"+g.public+"/ws")
	}
	return urls
}
