package app

import (
	"context"
	"fmt"
	"time"
)

// readyPoll is how often a starting process looks whether it is ready: often,
// because all of it takes less than half a second when everything is embedded.
const readyPoll = 5 * time.Millisecond

// start waits until every part is ready, says so, and then waits for the end.
func (p *process) start(ctx context.Context) error {
	for p.notReady() != "" {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(readyPoll):
		}
	}
	p.log.Info("ready", "process", p.kind, "node", p.name, "after", time.Since(p.began).Round(time.Millisecond))
	if p.kind == ProcessServe {
		if err := p.makeFirstRooms(ctx); err != nil {
			return fmt.Errorf("make the first rooms: %w", err)
		}
		p.announce()
	}
	<-ctx.Done()
	return nil
}

// announce tells people what was started and where to go.
func (p *process) announce() {
	c, w := p.config, p.out.people
	what := func(url, embedded string) string {
		if url == "" {
			return embedded
		}
		return redactURL(url)
	}
	fmt.Fprintf(w, "\nTickcast %s is ready.\n\n", version())
	fmt.Fprintf(w, "  play        %s/\n", localURL(p.public.Addr().String()))
	fmt.Fprintf(w, "  console     %s/console\n", localURL(p.internal.Addr().String()))
	fmt.Fprintf(w, "  its key     %s\n\n", p.keyPlace())
	fmt.Fprintf(w, "  log         %s, %d partitions\n", what(c.NATSURL, "embedded NATS in "+c.natsDir()), p.partitions)
	fmt.Fprintf(w, "  ledger      %s\n", what(c.DatabaseURL, "SQLite in "+c.ledgerPath()))
	fmt.Fprintf(w, "  cache       %s\n\n", what(c.RedisURL, "embedded Redis"))
	fmt.Fprintf(w, "Stop with Ctrl-C.\n\n")
}

// keyPlace is where the operator's key is found.
func (p *process) keyPlace() string {
	if p.config.OperatorKey != "" {
		return "in TICKCAST_OPERATOR_KEY"
	}
	return p.config.operatorKeyPath()
}
