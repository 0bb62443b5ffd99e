package ledger

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"tickcast/ledger/wallet"
	"tickcast/wire"
)

const (
	// maxCalls bounds how much a worker asks of the wallet at the same time. One that
	// hangs takes one place for callBound; what waits for a place is in the database.
	maxCalls = 64
	// callBound bounds the tries of one call. Behind it the outcome is unknown, and the
	// call is queued. A bet waits that long at most.
	callBound = 3 * time.Second
	// callTimeout bounds one try.
	callTimeout = time.Second
	// Waits between tries.
	callWait    = 100 * time.Millisecond
	callWaitMax = time.Second
	// callLease is for how long nobody else makes a call that was claimed.
	callLease = callBound + 7*time.Second
	// callPoll is how often due calls are looked for that nobody tells of: queued ones,
	// and those of workers that died.
	callPoll = 250 * time.Millisecond
)

// caller asks the wallet for what is due. Calls are in the database from before the
// first try until their outcome is known, so a worker may die at any time: another one
// asks again, under the same ID.
type caller struct {
	worker *Worker       // static
	wallet wallet.Wallet // static
	times  callTimes     // static after newCaller

	wake  chan struct{} // one element: something may be due
	freed chan struct{} // one element: a place is free
	busy  atomic.Int64
	calls sync.WaitGroup // owned by run
	done  chan judged
}

// callTimes bound what a call may take.
type callTimes struct{ bound, try, lease time.Duration }

// judged is a call that was made.
type judged struct {
	call    *call
	booking wire.Booking
	verdict verdict
}

func newCaller(w *Worker, of wallet.Wallet) *caller {
	return &caller{
		worker: w, wallet: of, times: callTimes{callBound, callTimeout, callLease},
		wake: make(chan struct{}, 1), freed: make(chan struct{}, 1), done: make(chan judged, maxCalls),
	}
}

// poke has due calls looked for. It does not block.
func (c *caller) poke() { signal(c.wake) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is known already
	}
}

// run makes calls until ctx ends. Those under way are given up then: who claims them
// next asks again.
func (c *caller) run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })
	defer stop()
	var settling sync.WaitGroup
	settling.Go(func() { c.settle(work) })
	tick := time.NewTicker(callPoll)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.wake:
			c.take(ctx)
		case <-c.freed:
			c.take(ctx)
		case <-tick.C:
			c.take(ctx)
		}
	}
	c.calls.Wait()
	close(c.done)
	settling.Wait()
	return nil
}

// take claims as many due calls as there are places, and makes them.
func (c *caller) take(ctx context.Context) {
	free := maxCalls - int(c.busy.Load())
	if free <= 0 {
		return
	}
	list, err := c.worker.book.claimCalls(ctx, free, c.times.lease)
	if err != nil {
		if ctx.Err() == nil {
			c.worker.log.Debug("no calls of the wallet could be claimed", "err", err)
		}
		return
	}
	for _, k := range list {
		c.busy.Add(1)
		c.calls.Go(func() {
			c.make(ctx, k)
			c.busy.Add(-1)
			signal(c.freed)
		})
	}
}

// make makes one call and passes its verdict on. A call that the end of ctx has cut
// off has none.
func (c *caller) make(ctx context.Context, k *call) {
	booking, err := k.decoded()
	if err != nil {
		c.worker.log.Error("a call of the wallet cannot be read", "id", k.id, "err", err)
		return
	}
	start := time.Now()
	answer, err := c.ask(ctx, k)
	if err != nil && ctx.Err() != nil {
		return
	}
	outcome := "done"
	switch {
	case err != nil:
		outcome = "unknown"
		c.worker.log.Warn("the wallet gave no definite answer", "op", k.op, "id", k.id, "err", err)
	case !answer.Done:
		outcome = "refused"
		if k.op != opWithdraw {
			c.worker.log.Error("the wallet refuses what it owes", "op", k.op, "id", k.id, "code", answer.Code, "message", answer.Message)
		}
	}
	c.worker.metrics.calls.WithLabelValues(string(k.op), outcome).Inc()
	c.worker.metrics.callTime.Observe(time.Since(start).Seconds())
	c.done <- judged{k, booking, verdict{op: k.op, answer: answer, err: err}}
}

// ask asks until the answer is definite or the bound is reached.
func (c *caller) ask(ctx context.Context, k *call) (wallet.Answer, error) {
	t, err := k.transaction()
	if err != nil {
		return wallet.Answer{}, err
	}
	do := map[callOp]func(context.Context, wallet.Transaction) (wallet.Answer, error){
		opWithdraw: c.wallet.Withdraw, opDeposit: c.wallet.Deposit, opRollback: c.wallet.Rollback,
	}[k.op]
	ctx, cancel := context.WithTimeout(ctx, c.times.bound)
	defer cancel()
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = callWait, callWaitMax
	var last error
	answer, err := backoff.Retry(ctx, func() (wallet.Answer, error) {
		try, cancel := context.WithTimeout(ctx, c.times.try)
		defer cancel()
		answer, err := do(try, t)
		if err != nil {
			last = err
		}
		return answer, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0))
	if err != nil && last != nil {
		err = last // that the time was up says less
	}
	return answer, err
}

// settle books verdicts, those together that come together.
func (c *caller) settle(ctx context.Context) {
	for j := range c.done {
		batch := []delivered{{booking: j.booking}}
		verdicts := map[string]verdict{j.call.id: j.verdict}
		for len(batch) < maxBatch {
			select {
			case next, ok := <-c.done:
				if ok {
					batch = append(batch, delivered{booking: next.booking})
					verdicts[next.call.id] = next.verdict
					continue
				}
			default:
			}
			break
		}
		c.worker.bookAndAnswer(ctx, batch, verdicts)
	}
}

// balance is what a player has: at the wallet, if there is one.
func (w *Worker) balance(ctx context.Context, player string) (Balance, error) {
	if w.caller == nil {
		return w.book.Balance(ctx, player)
	}
	amount, err := w.caller.wallet.Balance(ctx, player)
	if err != nil {
		return Balance{}, err
	}
	return w.book.observe(ctx, player, amount)
}

// login tells whom the operator's wallet knows by a token.
func (w *Worker) login(ctx context.Context, token string) (wire.Player, error) {
	if w.caller == nil {
		return wire.Player{}, wallet.ErrToken
	}
	return w.caller.wallet.Authenticate(ctx, token)
}

// reportWallet measures the queue of the wallet.
func (w *Worker) reportWallet(ctx context.Context) {
	if w.caller == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportInterval)
	defer cancel()
	n, oldest, err := w.book.walletBacklog(ctx)
	if err != nil {
		return
	}
	w.metrics.waiting.Set(float64(n))
	age := time.Duration(0)
	if n > 0 {
		age = time.Since(time.UnixMilli(oldest))
	}
	w.metrics.oldest.Set(age.Seconds())
}

// observe keeps a balance that the wallet told, if it is another one than the book has:
// a change that came from elsewhere gets a version of its own.
func (b *Book) observe(ctx context.Context, player string, amount int64) (Balance, error) {
	known, err := b.Balance(ctx, player)
	if err != nil || known.Version == 0 || known.Amount == amount {
		known.Amount = amount
		return known, err
	}
	query := b.dialect.rebind(`UPDATE accounts SET balance = ?, version = version + 1 WHERE kind = 'player' AND id = ? AND balance <> ? RETURNING version`)
	known.Amount = amount
	if err := b.write.QueryRowContext(ctx, query, amount, player, amount).Scan(&known.Version); err != nil {
		return Balance{}, fmt.Errorf("keep balance of the wallet: %w", err)
	}
	return known, nil
}
