package audit

import (
	"context"
	"slices"
)

// invariant holds in any book, whatever the log says. Its query has a row for each thing
// that is not so: which, and what was found.
type invariant struct{ what, expected, query string }

// invariants checks the book as such. custody: players' money is in an operator's wallet.
func (c *comparison) invariants(ctx context.Context, custody bool) error {
	list := ownInvariants()
	if custody {
		list = walletInvariants()
	}
	for _, i := range slices.Concat(commonInvariants(), list) {
		err := c.page.each(ctx, i.query+` ORDER BY 1`, nil, func(row []string) error {
			return whole(i.what+" ("+row[0]+")", i.expected, row[1])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commonInvariants hold wherever the players' money is.
func commonInvariants() []invariant {
	return []invariant{
		{"sum of all entries", "0", `SELECT 'all', CAST(COALESCE(SUM(amount), 0) AS TEXT) FROM entries HAVING COALESCE(SUM(amount), 0) <> 0`},
		{"entries of a transfer", "two that cancel out", `SELECT t.id, COUNT(e.account) FROM transfers t LEFT JOIN entries e ON e.transfer = t.id
			GROUP BY t.id HAVING COUNT(e.account) <> 2 OR SUM(e.amount) <> 0`},
		{"transfer of an entry", "one that exists", `SELECT e.transfer, e.amount FROM entries e LEFT JOIN transfers t ON t.id = e.transfer WHERE t.id IS NULL`},
		{"account of an entry", "one that exists", `SELECT e.transfer, e.account FROM entries e LEFT JOIN accounts a ON a.id = e.account WHERE a.id IS NULL`},
		{
			"kind of an account", "house for .house and .wallet, player for all others",
			`SELECT id, kind FROM accounts WHERE (kind = 'house') <> (id IN ('.house', '.wallet'))`,
		},
		{"other side of a transfer", "the house", `SELECT t.id, t.amount FROM transfers t
			LEFT JOIN entries e ON e.transfer = t.id AND e.account = '.house' WHERE e.account IS NULL`},
		{"stake", "one with a bet", `SELECT t.id, t.amount FROM transfers t LEFT JOIN bets b ON b.id = t.id WHERE t.kind = 'stake' AND b.id IS NULL`},
		{"payout or refund", "the one end of a bet", `SELECT t.id, t.amount FROM transfers t LEFT JOIN ends e ON e.transfer = t.id AND e.bet = t.stake
			WHERE t.kind IN ('payout', 'cancel') AND e.bet IS NULL`},
		{"ends of a bet", "one", `SELECT bet, COUNT(*) FROM ends GROUP BY bet HAVING COUNT(*) > 1`},
		{"end of a bet", "one of a bet that exists", `SELECT e.bet, e.kind FROM ends e LEFT JOIN bets b ON b.id = e.bet WHERE b.id IS NULL`},
		{"booking that was booked", "one with its transfer", `SELECT b.id, b.kind FROM bookings b LEFT JOIN transfers t ON t.id = b.id AND t.kind = b.kind
			WHERE b.booked = 1 AND b.kind IN ('stake', 'payout', 'credit', 'refill') AND t.id IS NULL`},
		{"booking of an archived round", "one that was booked", `SELECT r.booking, r.round FROM rounds r
			LEFT JOIN bookings b ON b.id = r.booking AND b.kind = 'round' AND b.booked = 1 WHERE b.id IS NULL`},
		{"balance of a player", "0 or more", `SELECT id, balance FROM accounts WHERE kind = 'player' AND balance < 0`},
	}
}

// ownInvariants hold where it is in the book.
func ownInvariants() []invariant {
	return []invariant{
		{"balance", "the sum of the entries", `SELECT a.id, a.balance FROM accounts a LEFT JOIN entries e ON e.account = a.id
			WHERE a.kind = 'player' GROUP BY a.id, a.balance HAVING a.balance <> COALESCE(SUM(e.amount), 0)`},
		{"player's entry of a transfer", "its amount", `SELECT t.id, e.amount FROM transfers t LEFT JOIN entries e ON e.transfer = t.id AND e.account = t.player
			WHERE e.amount IS NULL OR e.amount <> CASE WHEN t.kind = 'stake' THEN -t.amount ELSE t.amount END`},
		{"booking of a transfer", "one that was booked", `SELECT t.id, t.amount FROM transfers t
			LEFT JOIN bookings b ON b.id = t.id AND b.kind = t.kind AND b.player = t.player AND b.booked = 1 WHERE t.kind <> 'grant' AND b.id IS NULL`},
	}
}

// walletInvariants hold where it is in an operator's wallet. A player's balance is what the
// wallet said last, and a payout may be owed to it before its booking has an outcome.
func walletInvariants() []invariant {
	return []invariant{
		{"player's entry", "none where the money is in a wallet", `SELECT e.transfer, e.account FROM entries e JOIN accounts a ON a.id = e.account WHERE a.kind = 'player'`},
	}
}
