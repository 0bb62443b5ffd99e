package ledger

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"tickcast/cache"
	"tickcast/wire"
)

const (
	// mirrorName is the name of the marker in Redis that tells that the copy is
	// whole. It is one for all workers.
	mirrorName = "ledger"
	// mirrorLimit bounds the changes that wait while Redis is away. With more the
	// copy is made again from the book.
	mirrorLimit = 20_000
	// mirrorCheck is how often the marker is looked for.
	mirrorCheck = time.Second
	// mirrorTimeout bounds one write.
	mirrorTimeout = 2 * time.Second
	// mirrorPage is how many rows are written at once.
	mirrorPage = 500
	// foreignRepair is how many checks another worker's repair may take without a
	// sign before it counts as abandoned; repairs say where they are at each page.
	foreignRepair = 15
	// shownDays is for how many days a day's board is kept in Redis.
	shownDays = 8
)

// mirror copies balances and scores to Redis. The copy is for reading only, holds
// absolute values with their versions, and may be behind or gone at any time;
// nobody waits for it.
type mirror struct {
	book    *Book         // static after newMirror
	cache   *cache.Client // static after newMirror
	log     *slog.Logger  // static after newMirror
	metrics *metrics      // static after newMirror
	id      string        // static after newMirror: names the repairs of this mirror
	every   time.Duration // static after newMirror; mirrorCheck
	wake    chan struct{} // one element: there is something to write

	mu       sync.Mutex // guards the following
	balances map[string]Balance
	scores   map[scoreKey]BoardScore
	stale    bool // the copy may lack a change and must be made again

	// Owned by run.
	away    bool   // the last write failed
	foreign string // marker of another worker's repair
	seen    int    // how often it was seen
}

// newMirror makes a mirror that begins with a whole copy: what a worker that died
// had booked and not copied yet, nobody knows.
func newMirror(b *Book, c *cache.Client, log *slog.Logger, m *metrics) *mirror {
	return &mirror{
		book: b, cache: c, log: log, metrics: m, id: uuid.NewString(), every: mirrorCheck, wake: make(chan struct{}, 1),
		balances: map[string]Balance{}, scores: map[scoreKey]BoardScore{}, stale: true,
	}
}

// put queues the changes of a transaction. It never blocks.
func (m *mirror) put(a applied) {
	if len(a.balances) == 0 && len(a.scores) == 0 {
		return
	}
	m.mu.Lock()
	m.keep(a.balances, a.scores)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // a write is due already
	}
}

// keep adds changes to those that wait; of one player or score the newest counts.
func (m *mirror) keep(balances []Balance, scores []BoardScore) {
	for _, b := range balances {
		had, ok := m.balances[b.Player]
		if ok && had.Version >= b.Version {
			continue
		}
		if !ok && len(m.balances) >= mirrorLimit {
			m.overflow()
			return
		}
		m.balances[b.Player] = b
	}
	for _, s := range scores {
		k := scoreKey{s.Board, s.Player}
		had, ok := m.scores[k]
		if ok && had.Version >= s.Version {
			continue
		}
		if !ok && len(m.scores) >= mirrorLimit {
			m.overflow()
			return
		}
		m.scores[k] = s
	}
}

func (m *mirror) overflow() {
	m.metrics.dropped.Add(float64(len(m.balances) + len(m.scores) + 1))
	clear(m.balances)
	clear(m.scores)
	m.stale = true
}

// run writes what is queued and repairs the copy until ctx ends.
func (m *mirror) run(ctx context.Context) error {
	check := time.NewTicker(m.every)
	defer check.Stop()
	m.check(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			if !m.away { // else the next check tries
				m.flush(ctx)
			}
		case <-check.C:
			m.flush(ctx)
			m.check(ctx)
		}
	}
}

// last writes what is queued when run has returned and nothing is booked any more:
// the workers that go on know nothing of it.
func (m *mirror) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	m.flush(ctx)
}

// flush writes what is queued; what fails is queued again.
func (m *mirror) flush(ctx context.Context) {
	m.mu.Lock()
	balances, scores := slices.Collect(maps.Values(m.balances)), slices.Collect(maps.Values(m.scores))
	clear(m.balances)
	clear(m.scores)
	m.mu.Unlock()
	err := m.write(ctx, balances, scores)
	m.tell(err)
	if err != nil {
		m.mu.Lock()
		m.keep(balances, scores)
		m.mu.Unlock()
	}
}

// write writes values in pages.
func (m *mirror) write(ctx context.Context, balances []Balance, scores []BoardScore) error {
	for page := range slices.Chunk(balances, mirrorPage) {
		list := make([]cache.Balance, len(page))
		for i, b := range page {
			list[i] = cache.Balance{Player: b.Player, Amount: b.Amount, Version: b.Version}
		}
		if err := m.bounded(ctx, func(ctx context.Context) error { return m.cache.PutBalances(ctx, list) }); err != nil {
			return err
		}
	}
	byBoard := map[string][]cache.Score{}
	for _, s := range scores {
		byBoard[s.Board] = append(byBoard[s.Board], cache.Score{
			Score: wire.Score{Player: s.Player, Name: s.Name, Points: s.Points}, Version: s.Version,
		})
	}
	for board, list := range byBoard {
		for page := range slices.Chunk(list, mirrorPage) {
			if err := m.bounded(ctx, func(ctx context.Context) error { return m.cache.PutScores(ctx, board, page) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *mirror) bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	return do(ctx)
}

// tell logs when Redis goes away and comes back.
func (m *mirror) tell(err error) {
	if (err != nil) == m.away {
		return
	}
	m.away = err != nil
	if m.away {
		m.metrics.cacheUp.Set(0)
		m.log.Warn("Redis is away; balances and scores are copied when it is back", "err", err)
		return
	}
	m.metrics.cacheUp.Set(1)
	m.log.Info("Redis is back")
}

// check looks for the marker and repairs the copy when it is missing.
func (m *mirror) check(ctx context.Context) {
	var marker string
	err := m.bounded(ctx, func(ctx context.Context) (err error) {
		marker, err = m.cache.Marker(ctx, mirrorName)
		return err
	})
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		m.tell(err)
		return
	}
	m.mu.Lock()
	stale := m.stale
	m.mu.Unlock()
	switch {
	case marker == m.book.id && !stale:
		m.foreign, m.seen = "", 0
		return
	case m.othersRepair(marker):
		return
	}
	if err := m.repair(ctx); err != nil && ctx.Err() == nil {
		m.log.Info("the copy in Redis is not whole yet", "err", err)
	}
}

// othersRepair reports whether another worker is copying the book, which is worth
// waiting for as long as it moves.
func (m *mirror) othersRepair(marker string) bool {
	if !isRepair(marker, m.book.id) || isRepairOf(marker, m.book.id, m.id) {
		return false
	}
	if marker != m.foreign {
		m.foreign, m.seen = marker, 0
	}
	m.seen++
	return m.seen <= foreignRepair
}

// repair writes the whole copy from the book. The marker says that it is under way
// and where it is; if it is gone at the end, Redis was flushed meanwhile and the
// next check begins again.
func (m *mirror) repair(ctx context.Context) error {
	m.setStale(false)
	m.metrics.repairs.Inc()
	start := time.Now()
	r := repair{mirror: m}
	if err := r.run(ctx); err != nil {
		m.setStale(true) // the marker may still be that of a whole copy
		return err
	}
	m.log.Info("copied the book to Redis", "balances", r.balances, "scores", r.scores, "took", time.Since(start))
	return nil
}

func (m *mirror) setStale(v bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale = v
}
