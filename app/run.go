package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/bus"
	"tickcast/server"
	"tickcast/server/operator"
)

// internalWriteTimeout leaves room for a profile of half a minute.
const internalWriteTimeout = 2 * time.Minute

// Garbage is collected when the heap has grown by so much in percent, unless GOGC in the environment says otherwise. A
// gateway's heap is its connections, updates allocate next to nothing, and the garbage that waits for a collection counts
// as memory of the connections: half of Go's 100. Where rooms are, a collection takes from the ticks that are due
// meanwhile (for 0.3 s with 10,000 rooms on two busy cores), so they are made rarer by memory (1.5 GB there instead of 0.8).
//
// What is late in the swarm because it collects its own garbage would count as late of the server.
const (
	gatewayGCPercent = 50
	roomGCPercent    = 400
	swarmGCPercent   = 400
)

// collectGarbage sets when.
func collectGarbage(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// gcPercent is what suits a server process.
func gcPercent(kind Process) int {
	switch kind {
	case ProcessGateway:
		return gatewayGCPercent
	case ProcessRoom, ProcessServe:
		return roomGCPercent
	default:
		return 100
	}
}

// process is one server process while it is put together. It is used by one
// goroutine until group runs.
type process struct {
	began   time.Time
	kind    Process
	config  *Config
	name    string
	log     *slog.Logger
	out     output
	secrets secrets
	infra   *infra
	metrics *prometheus.Registry

	room       *nats.Conn // of the room role; nil without one
	internal   net.Listener
	public     net.Listener    // nil without a gateway
	gateway    *server.Gateway // nil without a gateway
	operator   *operator.API   // nil without a gateway
	pages      http.Handler    // of the internal listener; static once group runs
	partitions int
	group      group
	// ready tells why a part is not ready, or "". Static once group runs.
	ready []func() string
}

// run puts a server process together, runs it until ctx ends, and takes it apart
// again in the reverse order.
func run(ctx context.Context, kind Process, c *Config, out output) (err error) {
	began := time.Now()
	log := newLogger(c, out.log)
	slog.SetDefault(log)
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // what was being started was told to stop
		}
	}()
	collectGarbage(gcPercent(kind))
	p := &process{began: began, kind: kind, config: c, name: nodeName(c, kind), log: log, out: out, metrics: newMetrics()}
	if p.embeds() {
		release, err := lockData(c)
		if err != nil {
			return err
		}
		defer release()
	}
	closeListeners, err := p.listen()
	defer closeListeners()
	if err != nil {
		return err
	}
	if p.secrets, err = loadSecrets(c, kind, true); err != nil {
		return err
	}
	p.infra, err = openInfra(c, log)
	defer p.infra.close()
	if err != nil {
		return err
	}
	if err := p.assemble(ctx); err != nil {
		return err
	}
	log.Info("starting", "process", kind, "node", p.name, "version", version(), "partitions", p.partitions)
	err = p.group.run(ctx)
	log.Info("stopped", "process", kind, "node", p.name)
	return err
}

// listen takes the addresses.
func (p *process) listen() (release func(), err error) {
	release = func() {
		for _, l := range []net.Listener{p.internal, p.public} {
			if l != nil {
				_ = l.Close()
			}
		}
	}
	if p.internal, err = listen("internal-listen", p.config.InternalListen); err != nil {
		return release, err
	}
	if p.kind == ProcessServe || p.kind == ProcessGateway {
		p.public, err = listen("listen", p.config.Listen)
	}
	return release, err
}

// embeds reports whether this process keeps something in the data directory.
func (p *process) embeds() bool {
	return p.kind == ProcessServe && (p.config.embeddedNATS() || p.config.DatabaseURL == "")
}

// assemble adds the roles of the process to its group. Roles come in the order in
// which they are needed: the ledger answers the rooms, rooms answer the gateway.
func (p *process) assemble(ctx context.Context) error {
	if p.kind == ProcessServe || p.kind == ProcessRoom {
		if err := p.makeStreams(ctx); err != nil {
			return err
		}
	}
	// First to come and last to go: who watches this process sees all of its life.
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.pages.ServeHTTP(w, r) })
	p.group.add("internal listener", newHTTPServer(p.internal, handler, internalWriteTimeout, p.log).run)
	for _, role := range []struct {
		name Process
		add  func(context.Context) error
	}{
		{ProcessLedger, p.addLedger},
		{ProcessRoom, p.addRoom},
		{ProcessGateway, p.addGateway},
		{ProcessGateway, p.addOperator},
	} {
		if p.kind != role.name && p.kind != ProcessServe {
			continue
		}
		if err := role.add(ctx); err != nil {
			return err
		}
	}
	p.pages = p.internalHandler()
	p.group.add("start", p.start)
	return nil
}

func (p *process) notReady() string {
	for _, ready := range p.ready {
		if why := ready(); why != "" {
			return why
		}
	}
	return ""
}

// connect makes a connection of a role. A process that lost NATS is not ready.
func (p *process) connect(ctx context.Context, r bus.Role) (*nats.Conn, error) {
	nc, err := p.infra.connect(ctx, r, p.name+"-"+string(r))
	if err != nil {
		return nil, err
	}
	p.ready = append(p.ready, func() string {
		if !nc.IsConnected() {
			return fmt.Sprintf("no connection to NATS as %s", r)
		}
		return ""
	})
	return nc, nil
}
