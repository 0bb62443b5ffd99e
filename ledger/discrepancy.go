package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tickcast/wire"
)

// Log is what the logs of all partitions say of the book.
type Log struct {
	Recorded    []Recorded     // bookings with a result
	Outstanding []wire.Booking // bookings without one: rooms repeat them
	// Rounds are the first rounds that are not over, of rooms with stakes, by the rooms'
	// UUIDs. Of rooms that the log does not have (any more) all are.
	Rounds map[string]uint64
	// Mends are the IDs of bookings that mended the book before, and have a result there.
	Mends      map[string]bool
	Partitions int // of the deployment
}

// Mend is what Reconcile does about a Discrepancy.
type Mend string

// Mends. A player keeps the larger of what he was paid and what the log owes him.
const (
	MendWait   Mend = "wait"   // nothing: the round is not over, and the room's owner sees to it
	MendKeep   Mend = "keep"   // what is booked stays, of which a note is archived
	MendCancel Mend = "cancel" // the stake is open and comes back
	MendCredit Mend = "credit" // he gets what is short
)

// Discrepancy is money that moved otherwise than the log asks for: its requests were in a
// tail that it lost.
type Discrepancy struct {
	ID         string // of the booking of the stake, credit or refill, or that archives the round
	Room       string
	Round      uint64 // 0 for a credit or refill
	Player     string // empty for an archived round
	Paid, Owed int64  // to the player, minor units; a stake that comes back is its amount
	Mend       Mend
}

// mendOperator stands where operators do.
const mendOperator = "reconcile"

// claim is what the log says of a bet.
type claim struct {
	unsure bool // a booking is outstanding, missing in the book, or another one there
	taken  bool // the stake was asked for and not refused
	ended  bool // a payout or cancel was asked for
	booked bool // and was not refused
	payout int64
}

// claims are the log's, by the ID of the stake's booking.
func (l *Log) claims(unsure map[string]bool) map[string]*claim {
	all := map[string]*claim{}
	add := func(b *wire.Booking, outstanding, refused bool) {
		id := b.Stake
		if b.Kind == wire.BookStake {
			id = b.ID
		}
		c := all[id]
		if c == nil {
			c = &claim{}
			all[id] = c
		}
		c.unsure = c.unsure || outstanding || unsure[b.ID]
		switch b.Kind {
		case wire.BookStake:
			c.taken = !refused
		case wire.BookPayout:
			c.ended, c.booked, c.payout = true, c.booked || !refused, b.Amount
		case wire.BookCancel:
			c.ended, c.booked = true, c.booked || !refused
		}
	}
	for i := range l.Recorded {
		r := &l.Recorded[i]
		add(&r.Booking, false, !r.Result.Booked)
	}
	for i := range l.Outstanding {
		add(&l.Outstanding[i], true, false)
	}
	return all
}

// booked is a bet as the book has it.
type booked struct {
	Discrepancy
	uuid  string
	stake int64
	end   endKind
}

// judge sets what is owed and what is to be done; ok is false where book and log agree,
// or may yet.
func (b *booked) judge(c *claim, over bool) (ok bool) {
	known := c != nil && c.taken
	b.Owed = b.stake
	switch {
	case c != nil && c.unsure:
		return false
	case known && !c.ended && !over:
		b.Owed, b.Mend = 0, MendWait
		return b.end != endOpen
	case known && !c.ended:
		b.Owed = 0
	case known && c.payout > 0:
		b.Owed = c.payout
	}
	refused := c != nil && c.ended && !c.booked
	switch {
	case b.Paid == b.Owed && !refused:
		return false
	case b.Paid >= b.Owed:
		b.Mend = MendKeep
	case b.end != endOpen || b.Owed != b.stake:
		b.Mend = MendCredit
	case over:
		b.Mend = MendCancel
	default:
		b.Mend = MendWait
	}
	return true
}

// discrepancies compares money that moved with what the log asks for, but for what is
// unsure, by the IDs of bookings, and what was mended before.
func (b *Book) discrepancies(ctx context.Context, log *Log, unsure map[string]bool) ([]Discrepancy, error) {
	var found []Discrepancy
	claims := log.claims(unsure)
	query := b.dialect.rebind(`SELECT b.id, b.room, b.round, b.player, b.room_uuid, b.stake, COALESCE(e.kind, ''), COALESCE(e.amount, 0)
		FROM bets b LEFT JOIN ends e ON e.bet = b.id LEFT JOIN bookings m ON m.id = CAST(? AS TEXT) || b.id
		LEFT JOIN transfers t ON t.id = CAST(? AS TEXT) || b.id WHERE m.id IS NULL AND t.id IS NULL ORDER BY b.id`)
	err := eachRow(ctx, b.read, query, []any{wire.MendPrefix, wire.MendPrefix}, func(r *sql.Rows) error {
		var k booked
		if err := r.Scan(&k.ID, &k.Room, &k.Round, &k.Player, &k.uuid, &k.stake, &k.end, &k.Paid); err != nil {
			return err
		}
		first, has := log.Rounds[k.uuid]
		if k.judge(claims[k.ID], !has || k.Round < first) {
			found = append(found, k.Discrepancy)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read bets: %w", err)
	}
	asked := map[string]bool{}
	for _, r := range log.Recorded {
		asked[r.Booking.ID] = r.Result.Booked || unsure[r.Booking.ID]
	}
	for _, k := range log.Outstanding {
		asked[k.ID] = true
	}
	query = b.dialect.rebind(`SELECT t.id, t.room, t.player, t.amount FROM transfers t LEFT JOIN bookings m ON m.id = CAST(? AS TEXT) || t.id
		WHERE t.kind IN ('credit', 'refill') AND t.operator <> ? AND m.id IS NULL ORDER BY t.id`)
	err = eachRow(ctx, b.read, query, []any{wire.MendPrefix, mendOperator}, func(r *sql.Rows) error {
		d := Discrepancy{Mend: MendKeep}
		err := r.Scan(&d.ID, &d.Room, &d.Player, &d.Paid)
		if err == nil && !asked[d.ID] {
			found = append(found, d)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read credits: %w", err)
	}
	rounds, err := b.archivedOtherwise(ctx, log)
	return append(found, rounds...), err
}

// archivedOtherwise are the rounds that the book has archived for a tail that was lost, so
// that it refuses to archive what was played in their place.
func (b *Book) archivedOtherwise(ctx context.Context, log *Log) (found []Discrepancy, err error) {
	var mends []string
	for i := range log.Recorded {
		k, r := &log.Recorded[i].Booking, &log.Recorded[i].Result
		if k.Round == nil || r.Code != wire.CodeConflict {
			continue
		}
		found = append(found, Discrepancy{ID: k.ID, Room: k.Room, Round: k.Round.Round, Mend: MendKeep})
		mends = append(mends, wire.MendPrefix+k.ID)
	}
	known, err := b.outcomesOf(ctx, mends)
	return slices.DeleteFunc(found, func(d Discrepancy) bool {
		_, mended := known[wire.MendPrefix+d.ID]
		return mended
	}), err
}

// noteArgs are the arguments of an action that takes note of what is kept.
type noteArgs struct {
	Player  string `json:"player"`
	Booking string `json:"booking"`
	Paid    int64  `json:"paid"` // minor units, as Owed
	Owed    int64  `json:"owed"`
}

// mending is the booking that mends a discrepancy, whose result is for a partition.
func (d *Discrepancy) mending(now time.Time, partition int) (wire.Booking, error) {
	k := wire.Booking{ID: wire.MendPrefix + d.ID, Partition: partition, Room: d.Room, At: now.UnixMilli(), Player: d.Player, Reason: "the log lost its tail"}
	switch d.Mend {
	case MendCancel:
		k.Kind, k.Stake, k.Amount = wire.BookCancel, d.ID, d.Owed
	case MendCredit:
		k.Kind, k.Amount, k.Operator = wire.BookCredit, d.Owed-d.Paid, mendOperator
		k.Reason = fmt.Sprintf("%s: %d is owed, %d was paid", d.ID, d.Owed, d.Paid)
	default:
		args, err := json.Marshal(noteArgs{d.Player, d.ID, d.Paid, d.Owed})
		if err != nil {
			return k, err
		}
		k.Kind, k.Audit = wire.BookAudit, &wire.Action{ID: k.ID, Operator: mendOperator, Op: string(MendKeep), At: k.At, Args: args}
	}
	return k, nil
}

// mend books what mends the discrepancies, and stops at the first that is refused. Where
// there is a wallet, what moves money is owed to it: workers ask it, and tell the log.
func (b *Book) mend(ctx context.Context, r *Reconciliation, partitions int) error {
	for i := range r.Discrepancies {
		d := &r.Discrepancies[i]
		if d.Mend == MendWait {
			continue
		}
		k, err := d.mending(time.Now(), partitionOf(d.Room, partitions))
		if err != nil {
			return err
		}
		got, err := b.Apply(ctx, []wire.Booking{k})
		if err != nil {
			return err
		}
		if held := b.custody && got[0].Code == ""; !got[0].Booked && !held {
			r.Differs = append(r.Differs, fmt.Sprintf("%s, which was to mend %s, is %s", k.ID, d.ID, describe(got[0])))
			return nil
		}
		r.Mended++
	}
	return nil
}

// Mendable is how many discrepancies a repair mends; the others wait for their rounds.
func (r *Reconciliation) Mendable() (n int) {
	for _, d := range r.Discrepancies {
		if d.Mend != MendWait {
			n++
		}
	}
	return n
}
