package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tickcast/ledger/wallet"
	"tickcast/wire"
)

const (
	// A call whose outcome is unknown is made again after queueWait, then after twice
	// as long each time, up to queueWaitMost.
	queueWait     = time.Second
	queueWaitMost = 5 * time.Minute
	// maxErrorBytes bounds what is kept of an error.
	maxErrorBytes = 300
)

// callOp is what a wallet is asked for.
type callOp string

const (
	opWithdraw callOp = "withdraw"
	opDeposit  callOp = "deposit"
	opRollback callOp = "rollback"
)

type callState string

const (
	callOpen    callState = "open"
	callDone    callState = "done"
	callRefused callState = "refused"
)

// call is what a booking asks of the wallet. It is open until it is known what the
// wallet did.
type call struct {
	id      string // of the booking
	op      callOp
	target  string // the transaction's ID at the wallet; of a rollback the withdrawal's
	booking string // as JSON
	digest  string // of the booking
	player  string
	amount  int64
	state   callState
	tries   int64 // how often the wallet was asked in vain, each time for a few seconds
	error   string
	since   int64 // Unix ms
	due     int64 // Unix ms: when the wallet is asked next
	ended   int64 // Unix ms; 0 while open

	stored, dirty bool
}

// verdict is what became of a call.
type verdict struct {
	op     callOp // what was asked
	answer wallet.Answer
	err    error  // the outcome is unknown
	by     string // the operator who says so; empty for the wallet, which tells a balance too

	version   int64 // of the player's account before the wallet told the balance
	dumb      bool  // the wallet told none
	overtaken bool  // set by the batch: something else was settled behind version, nothing is here
}

const callColumns = `id, op, target, booking, digest, player, amount, state, tries, error, since, due, ended`

func (c *call) scan(r *sql.Rows) error {
	c.stored = true
	return r.Scan(&c.id, &c.op, &c.target, &c.booking, &c.digest, &c.player, &c.amount, &c.state, &c.tries, &c.error, &c.since, &c.due, &c.ended)
}

// decoded is the booking that the call is for.
func (c *call) decoded() (wire.Booking, error) {
	var b wire.Booking
	if err := json.Unmarshal([]byte(c.booking), &b); err != nil {
		return b, fmt.Errorf("stored booking of call %q: %w", c.id, err)
	}
	return b, nil
}

// transaction is what the wallet is told.
func (c *call) transaction() (wallet.Transaction, error) {
	b, err := c.decoded()
	t := wallet.Transaction{ID: c.target, Player: c.player, Amount: c.amount, Room: b.Room, At: b.At}
	if c.op == opDeposit {
		t.Withdrawal = b.Stake
	}
	return t, err
}

func (c *call) end(s callState, now time.Time) {
	c.state, c.ended, c.dirty = s, now.UnixMilli(), true
}

// undo turns the call into its reverse, which is due at once.
func (c *call) undo(now time.Time) {
	c.op, c.tries, c.error, c.due, c.dirty = opRollback, 0, "", now.UnixMilli(), true
}

// waits are the shortest and the longest wait of a queued call.
type waits struct{ first, most time.Duration }

// postpone notes that the outcome is unknown.
func (c *call) postpone(why string, now time.Time, w waits) {
	wait := min(w.first<<min(c.tries, 20), w.most)
	c.tries++
	wait += rand.N(wait/2 + 1) // those that failed together do not come back together
	c.error, c.due, c.dirty = cutText(why, maxErrorBytes), now.Add(wait).UnixMilli(), true
}

// loadCalls reads and locks the calls of bookings.
func (x *batch) loadCalls(ctx context.Context, ids []string) error {
	query := `SELECT ` + callColumns + ` FROM calls WHERE id IN (?)` + x.tx.dialect.lockRows()
	return x.tx.eachIn(ctx, query, ids, func(r *sql.Rows) error {
		c := &call{}
		if err := c.scan(r); err != nil {
			return err
		}
		x.calls[c.id] = c
		return nil
	})
}

// flushCalls inserts fresh calls without "on conflict": of two workers with the same
// booking the second must start over and see the call of the first.
func (x *batch) flushCalls(ctx context.Context) error {
	var fresh, known rows
	for _, id := range sortedKeys(x.calls) {
		c := x.calls[id]
		if !c.dirty {
			continue
		}
		r := &known
		if !c.stored {
			r = &fresh
		}
		c.stored, c.dirty = true, false
		r.add(c.id, string(c.op), c.target, c.booking, c.digest, c.player, c.amount, string(c.state), c.tries, c.error, c.since, c.due, c.ended)
	}
	if err := x.tx.insert(ctx, &fresh, `INSERT INTO calls (`+callColumns+`)`, ""); err != nil {
		return err
	}
	return x.tx.insert(ctx, &known, `INSERT INTO calls (`+callColumns+`)`, `ON CONFLICT (id) DO UPDATE SET
		op = excluded.op, state = excluded.state, tries = excluded.tries, error = excluded.error, due = excluded.due, ended = excluded.ended`)
}

// claimCalls takes up to n calls that are due, the most urgent first, for as long as
// the lease.
func (b *Book) claimCalls(ctx context.Context, n int, lease time.Duration) ([]*call, error) {
	skip := ""
	if b.dialect == postgres {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	now := time.Now()
	var out []*call
	query := b.dialect.rebind(`UPDATE calls SET due = ? WHERE id IN (
		SELECT id FROM calls WHERE state = 'open' AND due <= ? ORDER BY due, id LIMIT ?` + skip + `) RETURNING ` + callColumns)
	err := eachRow(ctx, b.write, query, []any{now.Add(lease).UnixMilli(), now.UnixMilli(), n}, func(r *sql.Rows) error {
		c := &call{}
		if err := c.scan(r); err != nil {
			return err
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim calls of the wallet: %w", err)
	}
	return out, nil
}

// WalletQueue pages through the calls of the wallet whose outcome is not known, the
// newest first: those that were tried for a few seconds in vain. Calls under way are
// not among them.
func (b *Book) WalletQueue(ctx context.Context, p Page) (wire.WalletPage, error) {
	out := wire.WalletPage{Calls: []wire.WalletCall{}}
	next, err := b.page(ctx, p, list{
		columns: `op, target, player, amount, tries, error, due`, from: `calls`, at: `since`, id: `id`,
		where: `state = 'open' AND tries > 0`,
	}, func(r *sql.Rows, at *int64, id *string) error {
		var v wire.WalletCall
		if err := r.Scan(&v.Op, &v.Transaction, &v.Player, &v.Amount, &v.Tries, &v.Error, &v.Next, at, id); err != nil {
			return err
		}
		v.ID, v.Since = *id, *at
		out.Calls = append(out.Calls, v)
		return nil
	})
	out.Next = next
	if err != nil {
		return wire.WalletPage{}, fmt.Errorf("read queue of the wallet: %w", err)
	}
	out.Calls = cut(out.Calls, p)
	return out, nil
}

// walletBacklog counts the queue, and tells since when its oldest call waits, in Unix
// ms; 0 when there is none.
func (b *Book) walletBacklog(ctx context.Context) (queued, oldest int64, err error) {
	err = b.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(since), 0) FROM calls WHERE state = 'open' AND tries > 0`).Scan(&queued, &oldest)
	if err != nil {
		return 0, 0, fmt.Errorf("count queue of the wallet: %w", err)
	}
	return queued, oldest, nil
}

// errNoCall tells that there is no open call of a booking.
var errNoCall = errors.New("nothing is asked of the wallet under that ID, or it has ended")

// hurryCall makes a call due at once.
func (b *Book) hurryCall(ctx context.Context, id string) error {
	r, err := b.write.ExecContext(ctx, b.dialect.rebind(`UPDATE calls SET due = ? WHERE id = ? AND state = 'open' AND tries > 0`), time.Now().UnixMilli(), id)
	if err != nil {
		return fmt.Errorf("hurry call of the wallet: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errNoCall)
	}
	return nil
}

// openCall reads a call that is open.
func (b *Book) openCall(ctx context.Context, id string) (*call, error) {
	var found *call
	query := b.dialect.rebind(`SELECT ` + callColumns + ` FROM calls WHERE state = 'open' AND tries > 0 AND id = ?`)
	err := eachRow(ctx, b.read, query, []any{id}, func(r *sql.Rows) error {
		found = &call{}
		return found.scan(r)
	})
	if err != nil {
		return nil, fmt.Errorf("read call of the wallet: %w", err)
	}
	if found == nil {
		return nil, errNoCall
	}
	return found, nil
}
