package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"tickcast/cache"
	"tickcast/ledger/wallet"
	"tickcast/wire"
)

// Names of the durable consumers, shared by all workers.
const (
	bookingsConsumer = "ledger"
	sessionsConsumer = "ledger"
)

const (
	// defaultAckWait is how long the bookings of a worker that died are held back.
	// It is long against a transaction; bookings of a batch that takes longer are
	// delivered again, which does no harm.
	defaultAckWait = 5 * time.Second
	// reportInterval is how often the consumers are looked at and the node announced.
	reportInterval = time.Second
)

// Config is what a Worker works with.
type Config struct {
	Book *Book      // required; the caller closes it after Run
	Conn *nats.Conn // required, of the ledger's role; the caller closes it after Run
	// Cache gets a copy of balances and scores; nil means no copy.
	Cache *cache.Client
	// Wallet is where the players' money is; nil means in the Book. It goes with a Book
	// that was opened with Custody.
	Wallet  wallet.Wallet
	Log     *slog.Logger          // nil means slog.Default()
	Metrics prometheus.Registerer // nil means that nobody reads the metrics
	Node    string                // ID of this node; empty means a random one
	Version string                // of the binary, for the list of nodes
	// AckWait is how long the bookings of a worker that died are held back before
	// another one gets them; zero means five seconds.
	AckWait time.Duration
}

// Worker books what is in the work queue. Several may run side by side, in one
// process or many, on one PostgreSQL.
type Worker struct {
	book    *Book
	conn    *nats.Conn
	js      jetstream.JetStream
	log     *slog.Logger
	metrics *metrics
	mirror  *mirror // nil without a cache
	caller  *caller // nil without a wallet
	node    wire.NodeInfo
	ackWait time.Duration

	// confirms wait for the log to take results, so that the next transaction need
	// not. Owned by Run; its limit bounds what is under way.
	confirms errgroup.Group
}

// NewWorker makes a worker; Run starts it.
func NewWorker(c Config) (*Worker, error) {
	if c.Book != nil && c.Book.custody != (c.Wallet != nil) {
		return nil, errors.New("make ledger worker: a wallet goes with a book that was opened for custody, and with no other")
	}
	if c.Book == nil || c.Conn == nil {
		return nil, errors.New("make ledger worker: a book and a connection are needed")
	}
	// Messages that the log does not take in time come back from the queue, so
	// there is no reason to try them again here.
	js, err := jetstream.New(c.Conn,
		jetstream.WithPublishAsyncMaxPending(2*maxConfirms*maxBatch),
		jetstream.WithPublishAsyncTimeout(resultTimeout))
	if err != nil {
		return nil, fmt.Errorf("make ledger worker: %w", err)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Node == "" {
		c.Node = "ledger-" + uuid.NewString()
	}
	if !wire.ValidNode(c.Node) {
		return nil, fmt.Errorf("make ledger worker: %q is not a node ID", c.Node)
	}
	if c.AckWait == 0 {
		c.AckWait = defaultAckWait
	}
	w := &Worker{
		book: c.Book, conn: c.Conn, js: js, log: c.Log.With("component", "ledger"), metrics: m, ackWait: c.AckWait,
		node: wire.NodeInfo{ID: c.Node, Role: "ledger", Version: c.Version},
	}
	w.confirms.SetLimit(maxConfirms)
	if c.Wallet != nil {
		w.caller = newCaller(w, c.Wallet)
	}
	if c.Cache != nil {
		w.mirror = newMirror(c.Book, c.Cache, w.log, m)
	}
	return w, nil
}

// Run works until ctx ends: it books, archives sessions, answers queries and keeps
// the copy in Redis. It waits for streams that are not there yet, for a database
// and a Redis that are away. When ctx ends it finishes the batch at hand, within
// five seconds, and gives the rest back to the queue. Run is called once.
func (w *Worker) Run(ctx context.Context) error {
	w.node.Started = time.Now().UnixMilli()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.keepBooks(ctx) })
	g.Go(func() error {
		p := pump{js: w.js, stream: wire.StreamSessions, durable: sessionsConsumer, ackWait: w.ackWait, log: w.log, handle: w.handleSessions}
		return p.run(ctx)
	})
	g.Go(func() error { return w.answerQueries(ctx) })
	g.Go(func() error { return w.report(ctx) })
	if w.mirror != nil {
		g.Go(func() error { return w.mirror.run(ctx) })
	}
	err := g.Wait()
	if w.mirror != nil {
		w.mirror.last(context.WithoutCancel(ctx))
	}
	return err
}

// keepBooks books until ctx ends, and waits for the log to take the last results.
func (w *Worker) keepBooks(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		p := pump{js: w.js, stream: wire.StreamLedger, durable: bookingsConsumer, ackWait: w.ackWait, log: w.log, handle: w.handleBookings}
		return p.run(ctx)
	})
	if w.caller != nil {
		g.Go(func() error { return w.caller.run(ctx) })
		g.Go(func() error { return w.takeOrders(ctx) })
	}
	err := g.Wait()
	_ = w.confirms.Wait() // they return no errors
	return err
}

// report looks where the consumers stand, and announces the node.
func (w *Worker) report(ctx context.Context) error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	places := []*place{newPlace(w, wire.StreamLedger, bookingsConsumer), newPlace(w, wire.StreamSessions, sessionsConsumer)}
	for {
		for _, p := range places {
			p.look(ctx, time.Now())
		}
		w.reportWallet(ctx)
		w.announce()
		select {
		case <-ctx.Done():
			w.node.Draining = true
			w.announce()
			return nil
		case <-tick.C:
		}
	}
}

func (w *Worker) announce() {
	info, err := json.Marshal(w.node)
	if err != nil {
		panic(fmt.Sprintf("ledger: marshal %T: %v", w.node, err))
	}
	// Without a connection nobody hears it, and that says the same.
	_ = w.conn.Publish(wire.NodeSubject(w.node.Role, w.node.ID), info)
}

// worked tells up to which message of the work queue all have been worked on, and which is
// the newest.
func (w *Worker) worked(ctx context.Context) (done, newest uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reportInterval)
	defer cancel()
	// What is worked on leaves the queue. A consumer may count as done what it passed over.
	stream, err := w.js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		return 0, 0, fmt.Errorf("look up %s: %w", wire.StreamLedger, err)
	}
	state := stream.CachedInfo().State
	if done = state.FirstSeq - 1; state.Msgs == 0 {
		done = state.LastSeq
	}
	return done, state.LastSeq, nil
}
