package wallet

import (
	"context"
	"maps"
	"sync"

	"tickcast/wire"
)

// Memory is a Wallet that forgets everything at its end: for tests, and for trying. A
// token is the ID of the player whom it stands for. Whoever is not known yet has an
// account with the initial balance.
type Memory struct {
	initial int64 // static

	mu       sync.Mutex // guards the following
	balances map[string]int64
	accounts map[string]transaction // withdrawals and deposits by ID
	moves    map[string]int         // how often each of them, and each rollback, moved money
}

// transaction is the first outcome of an ID.
type transaction struct {
	op     string
	t      Transaction
	answer Answer
	undone bool
}

var _ Wallet = (*Memory)(nil)

// NewMemory makes a wallet whose accounts begin with a balance, 0 to MaxBalance.
func NewMemory(initial int64) *Memory {
	return &Memory{initial: initial, balances: map[string]int64{}, accounts: map[string]transaction{}, moves: map[string]int{}}
}

// Authenticate implements Wallet.
func (m *Memory) Authenticate(_ context.Context, token string) (wire.Player, error) {
	if !wire.ValidPlayer(token) {
		return wire.Player{}, ErrToken
	}
	return wire.Player{ID: token, Name: token[:min(len(token), wire.MaxNameBytes)]}, nil
}

// Balance implements Wallet.
func (m *Memory) Balance(_ context.Context, player string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.balance(player), nil
}

func (m *Memory) balance(player string) int64 {
	if n, ok := m.balances[player]; ok {
		return n
	}
	return m.initial
}

// Withdraw implements Wallet.
func (m *Memory) Withdraw(_ context.Context, t Transaction) (Answer, error) {
	return m.once("withdraw", t, func() Answer {
		if m.balance(t.Player) < t.Amount {
			return Answer{Code: CodeFunds, Balance: m.balance(t.Player)}
		}
		return m.move(t.ID, t.Player, -t.Amount)
	})
}

// Deposit implements Wallet.
func (m *Memory) Deposit(_ context.Context, t Transaction) (Answer, error) {
	return m.once("deposit", t, func() Answer {
		if m.balance(t.Player) > MaxBalance-t.Amount {
			return Answer{Code: CodeBadArgs, Balance: m.balance(t.Player)}
		}
		return m.move(t.ID, t.Player, t.Amount)
	})
}

// Rollback implements Wallet.
func (m *Memory) Rollback(_ context.Context, t Transaction) (Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.accounts[t.ID]
	switch {
	case !ok:
		tombstone := Answer{Code: CodeVoided, Balance: m.balance(t.Player)}
		m.accounts[t.ID] = transaction{"withdraw", t, tombstone, true}
	case known.op != "withdraw" || known.t.Player != t.Player:
		return Answer{Code: CodeConflict, Balance: m.balance(t.Player)}, nil
	case known.undone:
		return Answer{Done: true, Balance: m.balance(t.Player), Repeated: true}, nil
	case known.answer.Done:
		m.move("rollback of "+t.ID, t.Player, known.t.Amount)
		known.undone = true
		m.accounts[t.ID] = known
	}
	return Answer{Done: true, Balance: m.balance(t.Player)}, nil
}

// once decides a transaction, unless its ID is known.
func (m *Memory) once(op string, t Transaction, decide func() Answer) (Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.accounts[t.ID]; ok {
		if known.op != op || known.t.Player != t.Player || known.t.Amount != t.Amount {
			return Answer{Code: CodeConflict, Balance: m.balance(t.Player)}, nil
		}
		known.answer.Repeated = true
		return known.answer, nil
	}
	answer := Answer{Code: CodeBadArgs, Balance: m.balance(t.Player)}
	if t.ID != "" && wire.ValidPlayer(t.Player) && t.Amount > 0 && t.Amount <= MaxBalance {
		answer = decide()
	}
	m.accounts[t.ID] = transaction{op, t, answer, false}
	return answer, nil
}

// move changes a balance; the caller has checked that it stays within its bounds.
func (m *Memory) move(id, player string, change int64) Answer {
	m.balances[player] = m.balance(player) + change
	m.moves[id]++
	return Answer{Done: true, Balance: m.balances[player]}
}

// Give changes a player's balance from outside, as a cashier of the operator does.
func (m *Memory) Give(player string, amount int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.balances[player] = m.balance(player) + amount
}

// Moves tells how often each transaction moved money; a rollback is named after its
// withdrawal, with "rollback of " before it.
func (m *Memory) Moves() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.moves)
}
