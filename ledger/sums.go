package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tickcast/wire"
)

const (
	// sumsAge is how old the sums of Health may be at least.
	sumsAge = 10 * time.Second
	// sumsShare bounds the time spent on them: a sum that took a second is good
	// for at least this many seconds.
	sumsShare = 50
	// sumsTimeout ends a sum. Nobody waits that long for an answer: in a large book
	// the first one to ask gets none, and those who ask later do.
	sumsTimeout = time.Minute
	// sumsPatience bounds the wait for fresh sums when older ones are known.
	sumsPatience = 200 * time.Millisecond
)

// errClosed tells that the book was closed.
var errClosed = errors.New("the book is closed")

// summing keeps sums over the whole book, which are too dear for each query. One
// goroutine at a time sums up, and only when somebody asks.
type summing struct {
	mu      sync.Mutex // guards the following
	last    *wire.LedgerHealth
	err     error              // of the last sum; then last is older
	due     time.Time          // from when on a further sum is worth its price
	running chan struct{}      // closed when the sum under way has ended; nil when none is
	cancel  context.CancelFunc // of the sum under way
	closed  bool
}

// Health tells the sums over the book. They read all entries, so they are up to
// ten seconds old, or older when the book is so large that this would cost more
// than a fiftieth of the time. Queued is left to the worker.
func (b *Book) Health(ctx context.Context) (wire.LedgerHealth, error) {
	running, known := b.sumUp()
	if running != nil {
		if known {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, sumsPatience)
			defer cancel()
		}
		select {
		case <-running:
		case <-ctx.Done():
		}
	}
	s := &b.sums
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return wire.LedgerHealth{}, fmt.Errorf("sum up ledger: %w", s.err)
	case s.last == nil:
		return wire.LedgerHealth{}, fmt.Errorf("sum up ledger: %w", context.Cause(ctx))
	}
	return *s.last, nil
}

// sumUp begins a sum if one is due. It returns the end of the sum under way, or nil
// when there is none, and whether an older one is known.
func (b *Book) sumUp() (running <-chan struct{}, known bool) {
	s := &b.sums
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && s.err == nil {
		s.err = errClosed
	}
	if s.running == nil && !s.closed && !time.Now().Before(s.due) {
		ctx, cancel := context.WithTimeout(context.Background(), sumsTimeout)
		s.running, s.cancel = make(chan struct{}), cancel
		go b.sum(ctx, s.running)
	}
	return s.running, s.last != nil
}

// sum is the goroutine of one sum.
func (b *Book) sum(ctx context.Context, done chan<- struct{}) {
	start := time.Now()
	h := wire.LedgerHealth{Database: b.Database()}
	err := b.read.QueryRowContext(ctx, `SELECT CAST(COALESCE((SELECT SUM(amount) FROM entries), 0) AS BIGINT),
		(SELECT COUNT(*) FROM transfers), (SELECT COUNT(*) FROM accounts)`).
		Scan(&h.EntrySum, &h.Transfers, &h.Accounts)
	took := time.Since(start)
	s := &b.sums
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	s.err, s.due = err, time.Now().Add(took)
	if err == nil {
		s.last, s.due = &h, start.Add(max(sumsAge, took*sumsShare))
	}
	s.running, s.cancel = nil, nil
	close(done)
}

// close ends the sum under way, and there will be no other.
func (s *summing) close() {
	s.mu.Lock()
	s.closed = true
	running, cancel := s.running, s.cancel
	s.mu.Unlock()
	if running != nil {
		cancel()
		<-running
	}
}
