package loadtest

import (
	"fmt"

	"tickcast/wire"
)

// books follows one player's balance: what the server says it is, and what it
// must be after all that the answers and rounds said. It is owned by its bot.
type books struct {
	check *checker
	bot   int

	known    bool  // a balance was told
	version  int64 // highest told
	amount   int64 // at version
	changes  int   // results booked
	expected int64 // what all results add up to
	unsure   bool  // something happened that cannot be followed
	shared   bool  // other bots play for the same player
}

// tell takes in a balance of any message (P2.7). The first one opens the books.
func (b *books) tell(amount, version int64) {
	switch {
	case !b.known:
		b.known, b.expected = true, amount
	case version == b.version && amount != b.amount:
		b.fail("version %d of the balance is %d and %d", version, b.amount, amount)
		return
	case version < b.version:
		// Balances may overtake each other; a client keeps the highest version.
		b.check.count(countOldBalance, 1)
		return
	}
	b.amount, b.version = amount, version
}

// change adds the effect of a result, e.g. minus a stake.
func (b *books) change(delta int64) {
	b.expected += delta
	b.changes++
}

// lose notes that the balance cannot be followed any further.
func (b *books) lose() { b.unsure = true }

func (b *books) agrees() bool {
	return b.unsure || b.shared || !b.known || b.amount == b.expected
}

// finish compares the books in the end; open tells that bets have no end yet.
func (b *books) finish(open bool) {
	switch {
	case !b.known || b.changes == 0: // nothing to check
	case b.unsure || b.shared || open:
		b.check.count(countBooksSkipped, 1)
	default:
		b.check.count(countBooks, 1)
		if b.amount != b.expected {
			b.fail("the balance is %d (version %d), but stakes and results add up to %d", b.amount, b.version, b.expected)
		}
	}
}

func (b *books) fail(format string, args ...any) {
	b.check.fail(checkBooks, Example{Bot: b.bot, Room: wire.CashierRoom, Detail: fmt.Sprintf(format, args...)})
}

const (
	countOldBalance   = "balances overtaken by newer ones"
	countBooks        = "balances checked"
	countBooksSkipped = "balances not checked (open bets, shared or unknown)"
)
