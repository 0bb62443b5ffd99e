package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"tickcast/wire"
)

const (
	// applyTries bounds how often a transaction that lost a race is tried: with a
	// handful of workers the second try nearly always succeeds.
	applyTries = 20
	// Waits between these tries, short against a commit and spread by jitter.
	raceWait    = 2 * time.Millisecond
	raceWaitMax = 100 * time.Millisecond
)

// ErrUnbookable is returned by Apply when the database refuses the content of the
// batch, so that the same batch will never succeed. Bookings are checked before,
// so this is a fault of this package or a damaged database.
var ErrUnbookable = errors.New("the database refuses the content")

// Apply books a batch in one transaction and returns the results in the same
// order. Either all results are durable or, with an error, nothing has changed as
// far as the caller can know; then the same batch may be applied again. A booking
// whose ID is known gets its first result again, or the code conflict if its
// content differs. Bookings that cannot be booked are refused one by one and leave
// the others alone.
//
// Where players' money is in a wallet (Custody), bookings that wait for it have results
// with nothing but their ID.
func (b *Book) Apply(ctx context.Context, bookings []wire.Booking) ([]wire.BookingResult, error) {
	done, err := b.apply(ctx, bookings, nil)
	if err != nil {
		return nil, err
	}
	return done.results, nil
}

// labelHeld is the label of a result that is none yet: the wallet is asked.
const labelHeld = "held"

// applied is what came out of a transaction.
type applied struct {
	results  []wire.BookingResult
	outcomes []string  // label of each result: "booked", "repeated", labelHeld or the code
	balances []Balance // of the players whom the bookings name, changed or not
	scores   []BoardScore
}

// apply is Apply with what the wallet has said to some of the bookings.
func (b *Book) apply(ctx context.Context, bookings []wire.Booking, verdicts map[string]*verdict) (applied, error) {
	if len(bookings) == 0 {
		return applied{}, nil
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = raceWait, raceWaitMax
	done, err := backoff.Retry(ctx, func() (applied, error) {
		done, err := b.tryApply(ctx, bookings, verdicts)
		if err != nil && !raced(err) {
			err = backoff.Permanent(err)
		}
		return done, err
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(applyTries))
	if err != nil {
		if unbookable(err) {
			err = fmt.Errorf("%w: %w", ErrUnbookable, err)
		}
		return applied{}, fmt.Errorf("apply %d bookings: %w", len(bookings), err)
	}
	return done, nil
}

func (b *Book) tryApply(ctx context.Context, bookings []wire.Booking, verdicts map[string]*verdict) (done applied, err error) {
	// Read committed is enough: everything that a decision depends on is read
	// after the locks that those who change it hold as well, and what has no row to
	// lock yet is guarded by a primary key.
	begun, err := b.write.BeginTx(ctx, &sql.TxOptions{Isolation: b.dialect.isolation()})
	if err != nil {
		return applied{}, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			_ = begun.Rollback() // the first error says more
		}
	}()
	x := newBatch(tx{begun, b.dialect, b.statements}, b, verdicts)
	if err := x.load(ctx, bookings); err != nil {
		return applied{}, err
	}
	for i := range bookings {
		if err := x.book(ctx, &bookings[i]); err != nil {
			return applied{}, err
		}
	}
	if err := x.flush(ctx); err != nil {
		return applied{}, err
	}
	if err := x.addScores(ctx); err != nil {
		return applied{}, err
	}
	if err := begun.Commit(); err != nil {
		return applied{}, fmt.Errorf("commit: %w", err)
	}
	b.statements.prepare(ctx)
	return x.done(), nil
}

func (d dialect) isolation() sql.IsolationLevel {
	if d == postgres {
		return sql.LevelReadCommitted
	}
	return sql.LevelDefault // SQLite is serializable, and its driver knows no other
}

// load takes the locks, always in the same order, and reads what the batch needs.
func (x *batch) load(ctx context.Context, bookings []wire.Booking) error {
	n := x.needs(bookings)
	if err := x.lockRounds(ctx, n.rounds); err != nil {
		return fmt.Errorf("lock rounds: %w", err)
	}
	if err := x.loadAccounts(ctx, n.players); err != nil {
		return fmt.Errorf("lock accounts: %w", err)
	}
	if x.custody {
		if err := x.loadCalls(ctx, n.ids); err != nil {
			return fmt.Errorf("lock calls of the wallet: %w", err)
		}
	}
	if err := x.loadOutcomes(ctx, n.ids); err != nil {
		return fmt.Errorf("read bookings: %w", err)
	}
	if err := x.loadBets(ctx, n.stakes, n.players); err != nil {
		return fmt.Errorf("read bets: %w", err)
	}
	for k := range n.rounds {
		if err := x.loadRound(ctx, k); err != nil {
			return fmt.Errorf("read round: %w", err)
		}
	}
	return nil
}

// needs are the keys of what a batch reads, sorted.
type needs struct {
	players, ids, stakes []string
	rounds               map[roundKey]bool // true to end it, false to bet in it
}

func (x *batch) needs(bookings []wire.Booking) needs {
	n := needs{rounds: map[roundKey]bool{}}
	for i := range bookings {
		b := &bookings[i]
		if validID(b.ID) {
			n.ids = append(n.ids, b.ID)
		}
		if wire.ValidPlayer(b.Player) {
			n.players = append(n.players, b.Player)
		}
		if invalid(b) != "" {
			continue
		}
		switch b.Kind {
		case wire.BookStake:
			k := roundKey{b.Bet.RoomUUID, b.Bet.Round}
			if _, ok := n.rounds[k]; !ok {
				n.rounds[k] = false
			}
		case wire.BookRound:
			n.rounds[roundKey{b.Round.RoomUUID, b.Round.Round}] = true
		case wire.BookPayout, wire.BookCancel:
			n.stakes = append(n.stakes, b.Stake)
			n.ids = append(n.ids, b.Stake)
		}
	}
	for _, list := range []*[]string{&n.players, &n.ids, &n.stakes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return n
}

// lockRounds keeps stakes of a round and its end apart, or a stake could be booked
// in a round that is being archived and never find an end.
func (x *batch) lockRounds(ctx context.Context, rounds map[roundKey]bool) error {
	if x.tx.dialect != postgres || len(rounds) == 0 {
		return nil
	}
	type lock struct {
		key       int64
		exclusive bool
	}
	locks := make([]lock, 0, len(rounds))
	for k, exclusive := range rounds {
		h := fnv.New64a()
		_, _ = h.Write([]byte(k.uuid + "/" + strconv.FormatUint(k.round, 10)))
		locks = append(locks, lock{int64(h.Sum64()), exclusive})
	}
	slices.SortFunc(locks, func(a, b lock) int { return cmp.Compare(a.key, b.key) })
	keys, exclusive := make([]int64, len(locks)), make([]bool, len(locks))
	for i, l := range locks {
		keys[i], exclusive[i] = l.key, l.exclusive
	}
	_, err := x.tx.ExecContext(ctx, `
		SELECT CASE WHEN t.exclusive THEN pg_advisory_xact_lock(t.k) ELSE pg_advisory_xact_lock_shared(t.k) END
		FROM unnest($1::bigint[], $2::boolean[]) AS t (k, exclusive)`, keys, exclusive)
	return err
}

func (x *batch) loadAccounts(ctx context.Context, players []string) error {
	query := `SELECT id, name, balance, version FROM accounts WHERE kind = 'player' AND id IN (?)` + x.tx.dialect.lockRows()
	return x.tx.eachIn(ctx, query, players, func(r *sql.Rows) error {
		a := &account{stored: true}
		if err := r.Scan(&a.id, &a.name, &a.balance, &a.version); err != nil {
			return err
		}
		x.accounts[a.id] = a
		return nil
	})
}

func (x *batch) loadOutcomes(ctx context.Context, ids []string) error {
	query := `SELECT id, digest, booked, code, player, balance, version FROM bookings WHERE id IN (?)`
	return x.tx.eachIn(ctx, query, ids, func(r *sql.Rows) error {
		var o outcome
		if err := r.Scan(&o.result.ID, &o.digest, &o.result.Booked, &o.result.Code,
			&o.result.Player, &o.result.Balance, &o.result.Version); err != nil {
			return err
		}
		x.outcomes[o.result.ID] = o
		return nil
	})
}

// loadBets reads the bets that the batch names. Their players' accounts must have
// been locked; one that was not there yet has been opened since, with the bet.
func (x *batch) loadBets(ctx context.Context, stakes, players []string) error {
	named := map[string]bool{}
	for _, p := range players {
		named[p] = true
	}
	query := `SELECT b.id, b.player, b.stake, b.room_uuid, b.round, COALESCE(e.kind, '')
		FROM bets b LEFT JOIN ends e ON e.bet = b.id WHERE b.id IN (?)`
	return x.tx.eachIn(ctx, query, stakes, func(r *sql.Rows) error {
		var id string
		k := &bet{}
		if err := r.Scan(&id, &k.player, &k.stake, &k.round.uuid, &k.round.round, &k.end); err != nil {
			return err
		}
		x.bets[id] = k
		if named[k.player] && x.accounts[k.player] == nil {
			return errOpened
		}
		return nil
	})
}

func (x *batch) loadRound(ctx context.Context, k roundKey) error {
	query := `SELECT 1 FROM rounds WHERE room_uuid = ? AND round = ?`
	return x.tx.each(ctx, query, []any{k.uuid, int64(k.round)}, func(r *sql.Rows) error {
		x.archived[k] = true
		return nil
	})
}
