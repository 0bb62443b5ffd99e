package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"tickcast/cache"
	"tickcast/wire"
)

// Recorded is a booking with the result that the log has of it.
type Recorded struct {
	Booking wire.Booking
	Result  wire.BookingResult
	Time    int64 // Unix ns of the result's record
}

// Reconciliation is how a book compares with the log.
type Reconciliation struct {
	Recorded int        // bookings with a result in the log
	Missing  []Recorded // those that the book does not know, in the order in which they are booked
	Repaired int        // of them
	Differs  []string   // what book and log say differently, which no repair mends

	// Discrepancies are what is booked otherwise than the log asks for: bets by ID, credits
	// by ID, rounds.
	Discrepancies []Discrepancy
	Mended        int      // of them
	Untold        []Untold // mends that the log does not know, also those of before
}

// ErrCustody is returned by Reconcile when a book whose money is in a wallet lacks what it
// is to repair.
var ErrCustody = errors.New("the money is in a wallet: what is missing is booked by asking the wallet again")

// Reconcile compares the book with what the log has recorded (outcome, balance and
// version of every booking) and the money that moved with what the log asks for. With
// repair it books what is missing again, under the same IDs and in the order of each
// player's versions, and stops at the first booking that does not come out as the log
// says; then it mends discrepancies, each by one booking. A second call goes on from
// there. Nobody else may write the book meanwhile. What it leaves untold is for Tell.
func (b *Book) Reconcile(ctx context.Context, log Log, repair bool) (Reconciliation, error) {
	r, err := b.reconcile(ctx, &log, repair)
	if err != nil {
		return r, fmt.Errorf("reconcile ledger: %w", err)
	}
	return r, nil
}

func (b *Book) reconcile(ctx context.Context, log *Log, repair bool) (Reconciliation, error) {
	r := Reconciliation{Recorded: len(log.Recorded)}
	ids := make([]string, len(log.Recorded))
	for i, rec := range log.Recorded {
		ids[i] = rec.Booking.ID
	}
	known, err := b.outcomesOf(ctx, ids)
	if err != nil {
		return r, err
	}
	unsure := map[string]bool{}
	for _, rec := range log.Recorded {
		have, ok := known[rec.Booking.ID]
		switch {
		case rec.Result.Code == wire.CodeConflict: // nothing is kept of it
		case !ok:
			r.Missing = append(r.Missing, rec)
			unsure[rec.Booking.ID] = true
		case !sameOutcome(have, rec.Result):
			r.Differs = append(r.Differs, fmt.Sprintf("%s: the book has %s, the log has %s", rec.Booking.ID, describe(have), describe(rec.Result)))
			unsure[rec.Booking.ID] = true
		}
	}
	inBookingOrder(r.Missing)
	if r.Discrepancies, err = b.discrepancies(ctx, log, unsure); err != nil {
		return r, err
	}
	if repair {
		err = b.repair(ctx, &r, log.Partitions)
	}
	if err != nil {
		return r, err
	}
	r.Untold, err = b.untold(ctx, log)
	return r, err
}

// repair books what is missing and then mends, unless that stopped.
func (b *Book) repair(ctx context.Context, r *Reconciliation, partitions int) error {
	if b.custody && len(r.Missing) > 0 {
		return ErrCustody
	}
	if whole, err := b.bookAgain(ctx, r); err != nil || !whole {
		return err
	}
	return b.mend(ctx, r, partitions)
}

// bookAgain books what is missing; whole is false when it stopped.
func (b *Book) bookAgain(ctx context.Context, r *Reconciliation) (whole bool, err error) {
	for _, rec := range r.Missing {
		got, err := b.Apply(ctx, []wire.Booking{rec.Booking})
		if err != nil {
			return false, err
		}
		if !sameOutcome(got[0], rec.Result) {
			r.Differs = append(r.Differs, fmt.Sprintf("%s: booked again it is %s, the log has %s", rec.Booking.ID, describe(got[0]), describe(rec.Result)))
			return false, nil
		}
		r.Repaired++
	}
	return true, nil
}

// outcomesOf reads what the book has of bookings, by their IDs.
func (b *Book) outcomesOf(ctx context.Context, ids []string) (map[string]wire.BookingResult, error) {
	begun, err := b.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = begun.Rollback() }() // nothing was written
	x := newBatch(tx{Tx: begun, dialect: b.dialect}, b, nil)
	if err := x.loadOutcomes(ctx, ids); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	known := make(map[string]wire.BookingResult, len(x.outcomes))
	for id, o := range x.outcomes {
		known[id] = o.result
	}
	return known, nil
}

func sameOutcome(a, b wire.BookingResult) bool {
	return a.Booked == b.Booked && a.Code == b.Code && a.Balance == b.Balance && a.Version == b.Version
}

func describe(r wire.BookingResult) string {
	what := "booked"
	if !r.Booked {
		what = "refused (" + string(r.Code) + ")"
	}
	return fmt.Sprintf("%s with balance %d of version %d", what, r.Balance, r.Version)
}

// inBookingOrder puts bookings into an order in which they come out as they did. It is
// that of the log, in which the places of each player's bookings are filled in the order
// of his versions: the logs of partitions are not in step. Of the same version the one
// that made it comes first. A stake that was voided before it came stands behind the
// cancel that refuses it.
func inBookingOrder(list []Recorded) {
	voided := func(r Recorded) int {
		if r.Booking.Kind == wire.BookStake && r.Result.Code == wire.CodeBetVoided {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b Recorded) int {
		return cmp.Or(cmp.Compare(voided(a), voided(b)), cmp.Compare(a.Time, b.Time))
	})
	places := map[string][]int{}
	for i, r := range list {
		if r.Result.Player != "" && voided(r) == 0 {
			places[r.Result.Player] = append(places[r.Result.Player], i)
		}
	}
	for _, at := range places {
		own := make([]Recorded, len(at))
		for i, place := range at {
			own[i] = list[place]
		}
		slices.SortStableFunc(own, func(a, b Recorded) int {
			return cmp.Or(cmp.Compare(a.Result.Version, b.Result.Version), -cmp.Compare(flag(a.Result.Booked), flag(b.Result.Booked)))
		})
		for i, place := range at {
			list[place] = own[i]
		}
	}
}

// CopyTo copies all balances and scores of the book to Redis, as a worker does when it
// starts.
func (b *Book) CopyTo(ctx context.Context, c *cache.Client, log *slog.Logger) error {
	m, err := newMetrics(nil)
	if err != nil {
		return err
	}
	return newMirror(b, c, log, m).repair(ctx)
}
