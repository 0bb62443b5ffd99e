package app

import (
	"context"

	"tickcast/bus"
	"tickcast/ledger"
)

// openBook opens the ledger's database, which run closes at its end.
func (p *process) openBook(ctx context.Context) (*ledger.Book, error) {
	database := p.config.DatabaseURL
	if database == "" {
		database = p.config.ledgerPath()
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	book, err := ledger.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	p.infra.closers = append(p.infra.closers, func() {
		if err := book.Close(); err != nil {
			p.log.Error("close ledger", "err", err)
		}
	})
	return book, nil
}

// addLedger adds a ledger worker.
func (p *process) addLedger(ctx context.Context) error {
	book, err := p.openBook(ctx)
	if err != nil {
		return err
	}
	nc, err := p.connect(ctx, bus.RoleLedger)
	if err != nil {
		return err
	}
	if p.partitions == 0 {
		if p.partitions, err = p.infra.partitions(ctx, nc); err != nil {
			return err
		}
	}
	worker, err := ledger.NewWorker(ledger.Config{
		Book:    book,
		Conn:    nc,
		Cache:   p.infra.cache,
		Log:     p.log,
		Metrics: p.metrics,
		Node:    p.name,
		Version: version(),
	})
	if err != nil {
		return err
	}
	p.group.add("ledger worker", worker.Run)
	return nil
}
