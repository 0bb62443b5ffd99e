package chaos

import (
	"cmp"
	"fmt"
	"time"

	"tickcast/internal/linear"
	"tickcast/loadtest"
	"tickcast/wire"
)

// What a guest's account opens with (docs/audit.md, A9).
const (
	openingBalance = 100_000
	openingVersion = 1
)

const (
	// leastOperations is how many operations must have been put into an order.
	leastOperations = 10_000
	// linearLimit bounds the search for the order of one account.
	linearLimit = 10 * time.Second
)

// judgeHistory looks for an order of everything that happened to each account.
func judgeHistory(j *journal, b *book) (check loadtest.Check, operations int) {
	r := newRuling(checkLinear, fmt.Sprintf("each account's operations, at least %d in all, can have happened in an order that fits all answers and balances", leastOperations))
	report, err := linear.Check(historyOf(j, b), linear.Opening{Balance: openingBalance, Version: openingVersion}, linearLimit)
	if err != nil {
		r.fail("could not be checked: %v", err)
		return r.done(), 0
	}
	for _, f := range report.Wrong {
		r.fail("%s: no order explains more than %d of %d operations; the first without a place: %+v", f.Account, f.Explained, f.Operations, f.First)
	}
	for _, account := range report.Undecided {
		r.fail("%s: the search took longer than %s", account, linearLimit)
	}
	if report.Operations < leastOperations {
		r.fail("%d operations", report.Operations)
	}
	return r.done(), report.Operations
}

// historyOf is what the players saw of their accounts. What they cannot see, a payout
// without a command and a stake that was taken and given back, is taken from the ledger; when it
// happened is left open.
func historyOf(j *journal, b *book) []linear.Operation {
	var history []linear.Operation
	for _, t := range j.balances {
		if t.Version >= openingVersion {
			history = append(history, linear.Operation{Account: t.Player, Kind: linear.Read, Outcome: linear.Done, Return: int64(t.At), Balance: t.Amount, Version: t.Version})
		}
	}
	for i := range j.answers {
		a := &j.answers[i]
		o := linear.Operation{Account: a.Player, Invoke: int64(a.Asked), Return: int64(a.At), Outcome: linear.Done, Balance: a.result.Balance, Version: a.result.Version}
		switch {
		case a.Op == opRefill && a.OK:
			o.Kind, o.Amount = linear.Refund, a.result.Amount
			history = append(history, o)
		case a.Op == opBet:
			history = append(history, stakeOf(a, b, o)...)
		}
	}
	return history
}

// stakeOf are the operations of a bet, from its stake to its end.
func stakeOf(a *answer, b *book, o linear.Operation) []linear.Operation {
	t, booked := b.bets[betID(b.rooms[a.Room], a)]
	o.Kind, o.Amount = linear.Stake, a.Stake
	switch {
	case a.OK:
	case a.Code == wire.CodeInsufficientFunds:
		o.Outcome, o.Balance, o.Version = linear.Short, 0, 0
	case booked: // refused or not answered, and taken: it may have been at any time
		o.Return = 0
	default:
		o.Outcome = linear.Refused
	}
	out := []linear.Operation{o}
	end := linear.Operation{Account: a.Player, Kind: linear.Refund, Amount: t.amount, Invoke: int64(a.Asked), Outcome: linear.Done}
	switch t.end {
	case "payout":
		end.Kind = linear.Payout
	case "cancel":
	default:
		return out
	}
	end.Amount = cmp.Or(end.Amount, t.stake)
	return append(out, end)
}
