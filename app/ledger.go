package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/ledger"
	"tickcast/ledger/wallet"
)

// databaseWaitMost is the longest wait before a database that cannot be reached is
// tried again at the start.
const databaseWaitMost = 5 * time.Second

// ledgerRole is a ledger worker with what it stands on. Static after addLedger, but book.
type ledgerRole struct {
	process *process
	conn    *nats.Conn
	wallet  *wallet.Client // nil without one
	book    *ledger.Book   // owned by run
	opened  atomic.Bool
}

// addLedger adds a ledger worker. A database that is not there yet is waited for, as it
// is when it goes away later; one that refuses is an error at once.
func (p *process) addLedger(ctx context.Context) error {
	l := &ledgerRole{process: p}
	if p.config.WalletURL != "" {
		client, err := wallet.NewClient(p.config.WalletURL, p.secrets.wallet)
		if err != nil {
			return err
		}
		l.wallet = client
		p.infra.closers = append(p.infra.closers, client.Close)
	}
	err := l.open(ctx)
	if err != nil && !errors.Is(err, ledger.ErrUnreachable) {
		return err
	}
	if err != nil {
		p.log.Warn("waiting for the ledger's database", "err", err)
	}
	if l.conn, err = p.connect(ctx, bus.RoleLedger); err != nil {
		return errors.Join(err, l.close())
	}
	if p.partitions == 0 {
		if p.partitions, err = p.infra.partitions(ctx, l.conn); err != nil {
			return errors.Join(err, l.close())
		}
	}
	p.ready = append(p.ready, func() string {
		if !l.opened.Load() {
			return "the ledger's database cannot be reached"
		}
		return ""
	})
	p.group.add("ledger worker", l.run)
	return nil
}

// open opens the database.
func (l *ledgerRole) open(ctx context.Context) error {
	database := l.process.config.DatabaseURL
	if database == "" {
		database = l.process.config.ledgerPath()
	}
	var options []ledger.Option
	if l.process.config.WalletURL != "" {
		options = append(options, ledger.Custody())
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	book, err := ledger.Open(ctx, database, options...)
	if err != nil {
		return err
	}
	l.book = book
	l.opened.Store(true)
	return nil
}

func (l *ledgerRole) close() error {
	if l.book == nil {
		return nil
	}
	return l.book.Close()
}

// run waits for the database and works until ctx ends.
func (l *ledgerRole) run(ctx context.Context) (err error) {
	if l.book == nil {
		if err := l.openPatiently(ctx); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, l.close()) }()
	p := l.process
	c := ledger.Config{
		Book: l.book, Conn: l.conn, Cache: p.infra.cache, Log: p.log, Metrics: p.metrics, Node: p.name, Version: version(),
	}
	if l.wallet != nil { // a nil client is no nil wallet
		c.Wallet = l.wallet
	}
	worker, err := ledger.NewWorker(c)
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}

// openPatiently opens the database when it can be reached.
func (l *ledgerRole) openPatiently(ctx context.Context) error {
	waits := backoff.NewExponentialBackOff()
	waits.MaxInterval = databaseWaitMost
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := l.open(ctx)
		if err != nil && !errors.Is(err, ledger.ErrUnreachable) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		l.process.log.Warn("still waiting for the ledger's database", "again_in", wait.Round(time.Millisecond), "err", err)
	}))
	if err == nil {
		l.process.log.Info("the ledger's database is there")
	}
	return err
}
