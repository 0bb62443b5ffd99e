package ledger

import (
	"context"
	"database/sql"
	"errors"
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
	verdict *verdict
	settled chan struct{} // closed when the verdict was booked, or could not be
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

// make makes one call and has its verdict booked. A call that the end of ctx has cut
// off has none.
func (c *caller) make(ctx context.Context, k *call) {
	booking, err := k.decoded()
	if err != nil {
		c.worker.log.Error("a call of the wallet cannot be read", "id", k.id, "err", err)
		return
	}
	start := time.Now()
	v := c.judge(ctx, k)
	if v.err != nil && ctx.Err() != nil {
		return
	}
	c.note(k, v, time.Since(start))
	for {
		j := judged{k, booking, v, make(chan struct{})}
		c.done <- j
		<-j.settled
		if !v.overtaken || ctx.Err() != nil { // whoever claims the call next asks again
			return
		}
		c.refresh(ctx, k.player, v)
	}
}

// judge asks the wallet. Only the answer to a first try tells a balance that is as new: to others it
// is what the wallet had answered first.
func (c *caller) judge(ctx context.Context, k *call) *verdict {
	v := &verdict{op: k.op}
	before, err := c.worker.book.Balance(ctx, k.player)
	if err != nil {
		v.err = err
		return v
	}
	v.version = before.Version
	var tries int
	v.answer, tries, v.err = c.ask(ctx, k)
	if claimed := time.Since(time.UnixMilli(k.since)) > c.times.lease; v.err == nil && (tries > 1 || k.tries > 0 || claimed) {
		c.refresh(ctx, k.player, v)
	}
	return v
}

// refresh asks the wallet for the balance alone.
func (c *caller) refresh(ctx context.Context, player string, v *verdict) {
	ctx, cancel := context.WithTimeout(ctx, c.times.bound)
	defer cancel()
	var err error
	v.version, v.answer.Balance, err = c.told(ctx, player)
	v.dumb = err != nil
}

// told is what the wallet says that a player has, and the version of the account in the book before.
func (c *caller) told(ctx context.Context, player string) (version, amount int64, err error) {
	before, err := c.worker.book.Balance(ctx, player)
	if err != nil {
		return 0, 0, err
	}
	amount, err = c.wallet.Balance(ctx, player)
	return before.Version, amount, err
}

// note counts a call, and tells people what they should know of it.
func (c *caller) note(k *call, v *verdict, took time.Duration) {
	outcome := "done"
	switch {
	case v.err != nil:
		outcome = "unknown"
		c.worker.log.Warn("the wallet gave no definite answer", "op", k.op, "id", k.id, "err", v.err)
	case !v.answer.Done:
		outcome = "refused"
		if k.op != opWithdraw {
			c.worker.log.Error("the wallet refuses what it owes", "op", k.op, "id", k.id, "code", v.answer.Code, "message", v.answer.Message)
		}
	}
	c.worker.metrics.calls.WithLabelValues(string(k.op), outcome).Inc()
	c.worker.metrics.callTime.Observe(took.Seconds())
}

// ask asks until the answer is definite or the bound is reached, and tells how often.
func (c *caller) ask(ctx context.Context, k *call) (answer wallet.Answer, tries int, err error) {
	t, err := k.transaction()
	if err != nil {
		return wallet.Answer{}, 0, err
	}
	do := map[callOp]func(context.Context, wallet.Transaction) (wallet.Answer, error){
		opWithdraw: c.wallet.Withdraw, opDeposit: c.wallet.Deposit, opRollback: c.wallet.Rollback,
	}[k.op]
	ctx, cancel := context.WithTimeout(ctx, c.times.bound)
	defer cancel()
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = callWait, callWaitMax
	var last error
	answer, err = backoff.Retry(ctx, func() (wallet.Answer, error) {
		tries++
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
	return answer, tries, err
}

// settle books verdicts, those together that come together.
func (c *caller) settle(ctx context.Context) {
	for j := range c.done {
		list := []judged{j}
		for len(list) < maxBatch {
			select {
			case next, ok := <-c.done:
				if ok {
					list = append(list, next)
					continue
				}
			default:
			}
			break
		}
		batch, verdicts := make([]delivered, len(list)), map[string]*verdict{}
		for i, j := range list {
			batch[i], verdicts[j.call.id] = delivered{booking: j.booking}, j.verdict
		}
		c.worker.bookAndAnswer(ctx, batch, verdicts)
		for _, j := range list {
			close(j.settled)
		}
	}
}

// balance is what a player has: at the wallet, if there is one.
func (w *Worker) balance(ctx context.Context, player string) (Balance, error) {
	if w.caller == nil {
		return w.book.Balance(ctx, player)
	}
	for {
		version, amount, err := w.caller.told(ctx, player)
		if err != nil {
			return Balance{}, err
		}
		if b, err := w.book.observe(ctx, Balance{player, amount, version}); !errors.Is(err, errOutdated) {
			return b, err
		}
	}
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

// errOutdated tells that the book has another version of the account already.
var errOutdated = errors.New("the account has changed meanwhile")

// observe keeps a balance that the wallet told when the account had that version, if it is another amount than
// the book has: a change that came from elsewhere gets a version of its own.
func (b *Book) observe(ctx context.Context, told Balance) (Balance, error) {
	known, err := b.Balance(ctx, told.Player)
	switch {
	case err != nil:
		return known, err
	case known.Version != told.Version:
		return known, errOutdated
	case known.Version == 0 || known.Amount == told.Amount:
		return told, nil
	}
	query := b.dialect.rebind(`UPDATE accounts SET balance = ?, version = version + 1 WHERE kind = 'player' AND id = ? AND version = ? RETURNING version`)
	switch err := b.write.QueryRowContext(ctx, query, told.Amount, told.Player, told.Version).Scan(&told.Version); {
	case errors.Is(err, sql.ErrNoRows):
		return known, errOutdated
	case err != nil:
		return Balance{}, fmt.Errorf("keep balance of the wallet: %w", err)
	}
	return told, nil
}
