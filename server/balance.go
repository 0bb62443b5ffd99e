package server

import (
	"context"
	"errors"
	"time"

	"tickcast/cache"
	"tickcast/wire"
)

const (
	// balanceLooks bounds the look-ups at the same time: a herd of hellos must not
	// become a herd in the ledger.
	balanceLooks = 64
	// balanceQueue bounds the sessions whose balance is to be looked at again: as many as a gateway
	// holds. balanceBatch of them are one round trip.
	balanceQueue = 32_768
	balanceBatch = 128
	// A look-up that failed is tried again, and then with the next ping.
	balanceAttempts = 3
	balanceRetry    = 2 * time.Second
)

// balances looks up what players have: the copy in the cache, else the ledger, whose answer becomes
// the copy.
type balances struct {
	g      *Gateway
	spawn  func(func()) bool // Static.
	slots  chan struct{}
	due    *backlog[*session]      // to be looked at
	copies *backlog[cache.Balance] // to be stored in the cache
}

func newBalances(g *Gateway) *balances {
	return &balances{
		g: g, spawn: g.spawn, slots: make(chan struct{}, balanceLooks),
		due: newBacklog[*session](balanceQueue), copies: newBacklog[cache.Balance](balanceQueue),
	}
}

// look sends the player's balance to a session before long: sessions are looked at together. It does
// not block. One that finds no room is looked at with the next ping.
func (b *balances) look(s *session) { b.due.add(s) }

// run looks at balances until ctx ends.
func (b *balances) run(ctx context.Context) { b.due.each(ctx, balanceBatch, b.lookAt) }

// copy stores until ctx ends what the ledger has said. A copy that is not stored is asked for again.
func (b *balances) copy(ctx context.Context) {
	b.copies.each(ctx, balanceBatch, func(ctx context.Context, list []cache.Balance) {
		if b.g.cfg.Cache.PutBalances(ctx, list) != nil {
			b.g.metrics.cacheErrors.Inc()
		}
	})
}

func (b *balances) lookAt(ctx context.Context, list []*session) {
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.player.ID
	}
	var have map[string]cache.Balance
	if c := b.g.cfg.Cache; c != nil {
		var err error
		if have, err = c.Balances(ctx, ids); err != nil {
			b.g.metrics.cacheErrors.Inc()
		}
	}
	for _, s := range list {
		switch known, ok := have[s.player.ID]; {
		case ok:
			s.tellBalance(wire.Balance{Amount: known.Amount, Version: known.Version})
		case have == nil || s.mayHaveAccount():
			b.ask(s)
		}
	}
}

// ask sends to a session what the ledger says. It does not block, and does nothing while the ledger is
// asked for the session: where that takes long, each ping interval would ask once more.
func (b *balances) ask(s *session) {
	if s.looking.CompareAndSwap(false, true) && !b.spawn(func() { b.await(s) }) {
		s.looking.Store(false)
	}
}

func (b *balances) await(s *session) {
	defer s.looking.Store(false)
	for range balanceAttempts {
		balance, err := b.booked(b.g.life, s.player)
		if err == nil {
			s.tellBalance(balance)
			return
		}
		select {
		case <-b.g.life.Done():
			return
		case <-s.conn.Done():
			return
		case <-time.After(balanceRetry):
		}
	}
}

// of finds a player's balance. A guest without an account has version 0.
func (b *balances) of(ctx context.Context, p wire.Player) (wire.Balance, error) {
	if c := b.g.cfg.Cache; c != nil {
		have, err := c.Balance(ctx, p.ID)
		if err == nil {
			return wire.Balance{Type: wire.TypeBalance, Amount: have.Amount, Version: have.Version}, nil
		}
		if !errors.Is(err, cache.ErrNotFound) {
			b.g.metrics.cacheErrors.Inc()
		}
	}
	return b.booked(ctx, p)
}

// booked is what the ledger says. Of an account, the cache gets a copy.
func (b *balances) booked(ctx context.Context, p wire.Player) (wire.Balance, error) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return wire.Balance{}, ctx.Err()
	}
	var balance wire.Balance
	err := b.g.peer.Ledger(ctx, wire.LedgerQuery{Op: wire.QueryBalance, Player: p.ID, Guest: p.Guest}, &balance)
	balance.Type = wire.TypeBalance
	if err == nil && balance.Version > 0 && b.g.cfg.Cache != nil {
		b.copies.add(cache.Balance{Player: p.ID, Amount: balance.Amount, Version: balance.Version})
	}
	return balance, err
}
