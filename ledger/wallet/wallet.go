package wallet

import (
	"context"
	"errors"

	"tickcast/wire"
)

// MaxBalance bounds a balance: the largest integer that browsers hold exactly.
const MaxBalance = 1<<53 - 1

// Wallet keeps the money of players. Every transaction has an ID, unique for ever, and
// one outcome: asking again, also much later or at the same time, gives the first
// answer and moves nothing.
//
// A transaction has two answers: done, or refused for ever. An error is neither: what
// was asked may have happened or not, or may happen later, and the caller asks again
// with the same ID until he knows. Implementations are safe for concurrent use and
// return when ctx ends.
type Wallet interface {
	// Authenticate tells who an operator's token stands for. A token that stands for
	// nobody is ErrToken.
	Authenticate(ctx context.Context, token string) (wire.Player, error)
	// Balance is what a player has, in minor units; 0 for one who is not known.
	Balance(ctx context.Context, player string) (int64, error)
	// Withdraw takes Amount from the player, unless the balance does not cover it or
	// the transaction was rolled back before it came.
	Withdraw(ctx context.Context, t Transaction) (Answer, error)
	// Deposit gives Amount to the player. A wallet that refuses it owes an explanation
	// to people: it is asked again until it is done.
	Deposit(ctx context.Context, t Transaction) (Answer, error)
	// Rollback undoes the withdrawal of the same ID. One that has not come yet is
	// refused for ever when it comes: the rollback leaves a tombstone. Undoing what
	// was refused or undone before is done as well, and moves nothing.
	Rollback(ctx context.Context, t Transaction) (Answer, error)
}

// ErrToken is returned by Authenticate for a token that stands for nobody.
var ErrToken = errors.New("wallet: the token stands for nobody")

// Transaction is a movement of money.
type Transaction struct {
	ID     string `json:"id"` // of the withdrawal or deposit; of a rollback that of the withdrawal
	Player string `json:"player"`
	Amount int64  `json:"amount"`         // minor units, over 0; of a rollback that of the withdrawal
	Room   string `json:"room,omitempty"` // for people
	// Withdrawal is, for a deposit, the ID of the withdrawal that it pays for; empty
	// for a credit of an operator.
	Withdrawal string `json:"withdrawal,omitempty"`
	At         int64  `json:"at"` // Unix ms of what caused it, for people
}

// Answer is the outcome of a transaction.
type Answer struct {
	Done    bool   `json:"done"`
	Code    Code   `json:"code,omitempty"` // why it was refused
	Balance int64  `json:"balance"`        // of the player behind it, minor units
	Message string `json:"message,omitempty"`
	// Repeated: the transaction was answered before, and this is that answer.
	Repeated bool `json:"-"`
}

// Code is why a wallet refused a transaction.
type Code string

// Codes of refusals.
const (
	CodeFunds    Code = "insufficient_funds" // the balance does not cover the withdrawal
	CodeVoided   Code = "voided"             // a rollback came before the withdrawal
	CodePlayer   Code = "unknown_player"     // nobody has an account under that ID
	CodeBlocked  Code = "blocked"            // the player may not play
	CodeConflict Code = "conflict"           // the ID was used with another player, amount or operation
	CodeBadArgs  Code = "bad_args"           // malformed
)
