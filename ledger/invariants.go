package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// invariant is a query that returns one row per violation: what is wrong and its
// subject.
type invariant struct{ name, query string }

// invariants are what must hold at any time. They read the whole book.
func (b *Book) invariants() []invariant {
	if b.custody {
		return append(commonInvariants(), custodyInvariants()...)
	}
	return append(commonInvariants(), ownInvariants()...)
}

// ownInvariants hold where the players' money is in the book.
func ownInvariants() []invariant {
	return []invariant{
		{"each transfer moves its amount to or from its player", `SELECT t.id FROM transfers t
			LEFT JOIN entries e ON e.transfer = t.id AND e.account = t.player
			WHERE e.amount IS NULL OR e.amount <> CASE WHEN t.kind = 'stake' THEN -t.amount ELSE t.amount END`},
		{"balances are the sums of their entries", `SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account = a.id
			WHERE a.kind = 'player' GROUP BY a.id, a.balance HAVING a.balance <> COALESCE(SUM(e.amount), 0)`},
		{"versions count the transfers of an account", `SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account = a.id
			WHERE a.kind = 'player' GROUP BY a.id, a.version
			HAVING a.version < COUNT(e.transfer) OR a.version > COUNT(e.transfer) + 1`},
		{"transfers are booked bookings", `SELECT t.id FROM transfers t LEFT JOIN bookings b ON b.id = t.id
			WHERE t.kind <> 'grant' AND (b.id IS NULL OR b.booked = 0 OR b.kind <> t.kind)`},
	}
}

// custodyInvariants hold where it is in a wallet: each transfer is a call of the same
// amount, and nothing is asked of the wallet without a reason.
func custodyInvariants() []invariant {
	return []invariant{
		{"each transfer moves its amount to or from the wallet", `SELECT t.id FROM transfers t
			LEFT JOIN entries e ON e.transfer = t.id AND e.account = '.wallet'
			WHERE e.amount IS NULL OR e.amount <> CASE WHEN t.kind = 'stake' THEN -t.amount ELSE t.amount END`},
		{"players have no entries", `SELECT e.account FROM entries e JOIN accounts a ON a.id = e.account WHERE a.kind = 'player'`},
		{"transfers are asked of the wallet", `SELECT t.id FROM transfers t LEFT JOIN calls c ON c.id = t.id AND c.player = t.player AND c.amount = t.amount
			AND c.op = CASE t.kind WHEN 'stake' THEN 'withdraw' WHEN 'cancel' THEN 'rollback' ELSE 'deposit' END WHERE c.id IS NULL`},
		{"stakes were taken", `SELECT t.id FROM transfers t JOIN calls c ON c.id = t.id WHERE t.kind = 'stake' AND c.state <> 'done'`},
		{"what the wallet was asked for is a transfer, or undone", `SELECT c.id FROM calls c LEFT JOIN transfers t ON t.id = c.id
			WHERE t.id IS NULL AND NOT (c.op = 'withdraw' AND c.state IN ('open', 'refused')) AND NOT EXISTS
			(SELECT 1 FROM bookings b WHERE c.op = 'rollback' AND b.id = c.id AND b.kind = 'stake' AND b.booked = 0)`},
		{"versions grow with the transfers of a player", `SELECT a.id FROM accounts a LEFT JOIN transfers t ON t.player = a.id
			WHERE a.kind = 'player' GROUP BY a.id, a.version HAVING a.version < COUNT(t.id)`},
		{"transfers are booked bookings, or wait for the wallet", `SELECT t.id FROM transfers t
			LEFT JOIN bookings b ON b.id = t.id AND b.booked = 1 AND b.kind = t.kind
			LEFT JOIN calls c ON c.id = t.id AND c.state = 'open' WHERE b.id IS NULL AND c.id IS NULL`},
	}
}

// commonInvariants hold in either case.
func commonInvariants() []invariant {
	return []invariant{
		{"entries sum to zero", `SELECT CAST(SUM(amount) AS TEXT) FROM entries HAVING SUM(amount) <> 0`},
		{"each transfer has two entries that cancel out", `SELECT t.id FROM transfers t LEFT JOIN entries e ON e.transfer = t.id
			GROUP BY t.id HAVING COUNT(e.account) <> 2 OR SUM(e.amount) <> 0`},
		{"no player's balance is negative", `SELECT id FROM accounts WHERE kind = 'player' AND balance < 0`},
		{"a bet is a booked stake", `SELECT b.id FROM bets b JOIN transfers t ON t.id = b.id
			WHERE t.kind <> 'stake' OR t.amount <> b.stake OR t.player <> b.player`},
		{"stakes have bets", `SELECT t.id FROM transfers t LEFT JOIN bets b ON b.id = t.id WHERE t.kind = 'stake' AND b.id IS NULL`},
		{"payouts and cancels are the end of their bet", `SELECT t.id FROM transfers t
			LEFT JOIN ends e ON e.bet = t.stake AND e.transfer = t.id AND e.kind = t.kind AND e.amount = t.amount
			WHERE t.kind IN ('payout', 'cancel') AND e.bet IS NULL`},
		{"a cancel reverses exactly the stake", `SELECT e.bet FROM ends e JOIN bets b ON b.id = e.bet
			WHERE e.kind = 'cancel' AND e.amount <> b.stake`},
		{"no bet of a finished round is open", `SELECT b.id FROM bets b
			JOIN rounds r ON r.room_uuid = b.room_uuid AND r.round = b.round
			LEFT JOIN ends e ON e.bet = b.id WHERE r.voided = 0 AND e.bet IS NULL`},
	}
}

// violationsShown bounds what an error of Check names of each invariant.
const violationsShown = 3

// Check verifies the book: that all entries sum to zero, that balances are the
// sums of their entries, that each bet has at most one end, and more of that kind.
// The error names every invariant that does not hold and some of the rows. Check
// reads everything in one snapshot; it takes time in proportion to the book and
// blocks nobody.
func (b *Book) Check(ctx context.Context) error {
	level := sql.LevelDefault // a transaction in SQLite's WAL reads one snapshot
	if b.dialect == postgres {
		level = sql.LevelRepeatableRead
	}
	snapshot, err := b.read.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: b.dialect == postgres})
	if err != nil {
		return fmt.Errorf("check ledger: %w", err)
	}
	defer func() { _ = snapshot.Rollback() }() // nothing was written
	var violated []error
	for _, i := range b.invariants() {
		var found []string
		err := eachRow(ctx, snapshot, i.query, nil, func(r *sql.Rows) error {
			var subject sql.NullString
			if err := r.Scan(&subject); err != nil {
				return err
			}
			if len(found) < violationsShown {
				found = append(found, subject.String)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("check that %s: %w", i.name, err)
		}
		if len(found) > 0 {
			violated = append(violated, fmt.Errorf("ledger: violated: %s: %q", i.name, found))
		}
	}
	return errors.Join(violated...)
}
