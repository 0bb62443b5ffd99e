package app

import (
	"context"
	"strings"
	"time"

	"tickcast/bus"
	"tickcast/fanout"
	"tickcast/server"
	"tickcast/web"
)

const (
	// publicWriteTimeout bounds the answer to a request; WebSockets are taken over
	// by the gateway and not bound by it.
	publicWriteTimeout = 30 * time.Second
	// spareFiles are kept for everything that is no client: NATS, Redis, SQL, the
	// files of an embedded log.
	spareFiles = 512
)

// addGateway adds the gateway and the public listener.
func (p *process) addGateway(ctx context.Context) error {
	nc, err := p.connect(ctx, bus.RoleGateway)
	if err != nil {
		return err
	}
	if p.partitions == 0 {
		if p.partitions, err = p.infra.partitions(ctx, nc); err != nil {
			return err
		}
	}
	c := p.config
	gateway, err := server.New(server.Config{
		ID:                p.name,
		Version:           version(),
		Conn:              nc,
		Cache:             p.infra.cache,
		Partitions:        p.partitions,
		Secret:            p.secrets.jwt,
		PreviousSecret:    p.secrets.jwtPrevious,
		Guests:            c.guestsOn(),
		Pages:             web.Player(),
		Origins:           c.AllowedOrigins,
		TrustedProxies:    c.proxies,
		MaxConnections:    p.connectionCap(),
		MaxPerPlayer:      c.MaxPerPlayer,
		MessagesPerSecond: float64(c.MessageRate),
		MessageBurst:      c.MessageBurst,
		RefuseInBand:      !c.BehindBalancer,
		Shared:            p.kind != ProcessGateway,
		DrainWindow:       c.DrainWindow,
		Fanout:            fanout.Config{SingleSends: c.SingleSends},
		Address:           p.internal.Addr().String(),
		Log:               p.log.With("component", "gateway"),
		Metrics:           p.metrics,
	})
	if err != nil {
		return err
	}
	p.gateway = gateway
	p.ready = append(p.ready, func() string {
		_, why := gateway.Ready()
		return strings.Join(why, ", ")
	})
	p.group.add("public listener", newHTTPServer(p.public, gateway.PublicHandler(), publicWriteTimeout, p.log).run)
	p.group.add("gateway", p.runGateway)
	return nil
}

// runGateway runs the gateway, and moves its players elsewhere before it ends.
// When everything is in this process there is no elsewhere.
func (p *process) runGateway(ctx context.Context) error {
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.gateway.Run(alive) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if !p.config.embeddedNATS() {
		p.gateway.Drain(alive)
	}
	stop()
	return <-ended
}

// connectionCap is how many clients this process may hold: what was configured, but
// not more than it may open files.
func (p *process) connectionCap() int {
	limit, known := openFileLimit()
	if !known {
		return p.config.MaxConnections
	}
	most := max(limit-spareFiles, limit/2)
	switch want := p.config.MaxConnections; {
	case want == 0 && most < 4096:
		p.log.Warn("the limit of open files leaves room for few clients: raise it (ulimit -n)", "limit", limit, "clients", most)
	case want > most:
		p.log.Warn("max-connections is more than the limit of open files leaves room for: lowered", "limit", limit, "wanted", want, "clients", most)
	case want != 0:
		return want
	}
	return most
}
