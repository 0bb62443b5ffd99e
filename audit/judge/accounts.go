package judge

import (
	"fmt"
	"maps"
	"slices"

	"tickcast/wire"
)

// Accounts follow the balances of all players by the results in the logs. Each transfer
// of an account has the next version, so the results of all partitions, in whatever
// order they are read, make one chain: a balance is the one before and the transfer.
type Accounts struct {
	grant    int64
	byPlayer map[string]*account
}

// NewAccounts makes Accounts that know nobody. An account is opened with grant minor
// units.
func NewAccounts(grant int64) *Accounts {
	return &Accounts{grant: grant, byPlayer: map[string]*account{}}
}

type account struct {
	balances []int64 // by version, from 1, without a gap
	moves    map[int64]move
	seen     map[int64]move // balances that results told without a transfer
	lost     bool           // some of its transfers were asked for in a tail that the log lost
}

// move is a result: what the ledger says of an account, and why.
type move struct {
	change  int64
	balance int64
	where   Difference // of its record, for messages
}

func (a *Accounts) of(player string) *account {
	x := a.byPlayer[player]
	if x == nil {
		x = &account{balances: []int64{a.grant}, moves: map[int64]move{}, seen: map[int64]move{}}
		a.byPlayer[player] = x
	}
	return x
}

// Lose gives up an account: the log does not have all that moved it.
func (a *Accounts) Lose(player string) {
	x := a.of(player)
	x.lost = true
	clear(x.moves)
}

// Follows reports whether the log has all that moved an account.
func (a *Accounts) Follows(player string) bool { return !a.of(player).lost }

// moved notes a transfer.
func (a *Accounts) moved(player string, version int64, m move) error {
	x := a.of(player)
	if x.lost {
		return nil
	}
	if old, taken := x.moves[version]; taken || version <= int64(len(x.balances)) {
		found := "another transfer"
		if taken {
			found = fmt.Sprintf("the transfer of record %d", old.where.Seq)
		}
		return m.where.as("a transfer that is the only one of its version of the balance", fmt.Sprintf("version %d for it alone", version), found)
	}
	x.moves[version] = m
	return x.extend()
}

// told notes a balance that came with a result without a transfer.
func (a *Accounts) told(player string, version int64, m move) error {
	if version <= 0 {
		return nil // the player has no account
	}
	x := a.of(player)
	if x.lost {
		return nil
	}
	if version <= int64(len(x.balances)) {
		return x.check(version, m)
	}
	x.seen[version] = m
	return nil
}

func (x *account) check(version int64, m move) error {
	if want := x.balances[version-1]; m.balance != want {
		return m.where.as(fmt.Sprintf("balance at version %d", version), number(want), number(m.balance))
	}
	return nil
}

// extend carries the chain on as far as the transfers are known.
func (x *account) extend() error {
	for {
		version := int64(len(x.balances)) + 1
		m, ok := x.moves[version]
		if !ok {
			return nil
		}
		delete(x.moves, version)
		want := x.balances[version-2] + m.change
		if m.balance != want {
			return m.where.as(fmt.Sprintf("balance at version %d", version), number(want), number(m.balance))
		}
		if want < 0 {
			return m.where.as("balance of a player", "0 or more", number(want))
		}
		x.balances = append(x.balances, want)
		if s, ok := x.seen[version]; ok {
			delete(x.seen, version)
			if err := x.check(version, s); err != nil {
				return err
			}
		}
	}
}

// Players lists the players with an account, sorted.
func (a *Accounts) Players() []string { return slices.Sorted(maps.Keys(a.byPlayer)) }

// At is the balance that a player must have at a version; ok is false when the log does
// not tell.
func (a *Accounts) At(player string, version int64) (balance int64, ok bool) {
	x := a.byPlayer[player]
	if x == nil || version < 1 || version > int64(len(x.balances)) {
		return 0, false
	}
	return x.balances[version-1], true
}

// Newest is the newest version that the log proves, at least 1 for a player with an
// account.
func (a *Accounts) Newest(player string) int64 {
	if x := a.byPlayer[player]; x != nil {
		return int64(len(x.balances))
	}
	return 0
}

// Gap is nil when the chains of all accounts are whole. It is for logs that were read to
// an end where no result is on its way (Outstanding) and no seed either (Abandoned): what a
// round without its seed has paid is not followed.
func (a *Accounts) Gap() *Difference {
	for _, player := range a.Players() {
		x := a.byPlayer[player]
		for _, version := range slices.Sorted(maps.Keys(x.moves)) {
			m := x.moves[version]
			missing := int64(len(x.balances)) + 1
			return m.where.as("the transfers of the player", fmt.Sprintf("one of version %d", missing), fmt.Sprintf("version %d behind %d", version, missing-1))
		}
	}
	return nil
}

// as is d with what was compared.
func (d *Difference) as(what, expected, found string) *Difference {
	x := *d
	x.What, x.Expected, x.Found = what, expected, found
	return &x
}

func number(n int64) string { return fmt.Sprint(n) }

// account tells Accounts what a result says.
func (l *Log) account(b *Booking, change int64, moved bool) error {
	if l.cfg.Accounts == nil {
		return nil
	}
	where := l.where(b)
	m := move{change: change, balance: b.Result.Balance, where: where}
	if moved {
		return l.cfg.Accounts.moved(b.Player, b.Result.Version, m)
	}
	return l.cfg.Accounts.told(b.Player, b.Result.Version, m)
}

// where is the place of a booking's result in the log.
func (l *Log) where(b *Booking) Difference {
	d := Difference{Partition: l.cfg.Partition, Room: b.Room, Player: b.Player}
	if b.Result != nil {
		d.Seq = b.Result.Seq
	} else {
		d.Seq = b.Seq
	}
	if b.bet != nil {
		d.Bet, d.Round = b.bet.ID, b.bet.round.Number
	}
	if b.round != nil {
		d.Round = b.round.Number
	}
	return d
}

// booked judges the ledger's answer to a booking and follows the account.
func (l *Log) booked(b *Booking) error {
	switch b.Kind {
	case wire.BookStake:
		return l.stakeBooked(b)
	case wire.BookPayout:
		if !b.Result.Booked {
			l.refusedInVain(b)
			return nil
		}
		return l.account(b, b.Amount, true)
	case wire.BookCancel:
		if b.bet == nil {
			return nil // an orphan's, which may have had an end
		}
		if !b.Result.Booked {
			l.refusedInVain(b)
			return nil
		}
		if b.bet.StakeBooking.Result == nil {
			return nil // whether it reversed the stake is known with the stake's result
		}
		return l.cancelBooked(b)
	case wire.BookCredit, wire.BookRefill:
		return l.account(b, b.Amount, b.Result.Booked)
	case wire.BookRound, wire.BookScores:
		if !b.Result.Booked {
			l.refusedInVain(b)
			return nil
		}
	}
	return nil
}

func (l *Log) stakeBooked(b *Booking) error {
	where := l.where(b)
	switch {
	case b.Result.Booked:
	case l.cfg.Accounts != nil && b.Result.Code == wire.CodeInsufficientFunds && b.Result.Balance >= b.Amount:
		return where.as("a stake that the balance covers", "booked", "refused with insufficient_funds at a balance of "+number(b.Result.Balance))
	case b.Result.Code == wire.CodeBetVoided && b.bet.EndBooking == nil && !b.bet.round.Orphan(b.ID):
		return where.as("a stake that was not cancelled", "booked or insufficient_funds", "refused with bet_voided")
	}
	if err := l.account(b, -b.Amount, b.Result.Booked); err != nil {
		return err
	}
	if end := b.bet.EndBooking; end != nil && end.Kind == wire.BookCancel && end.Result != nil {
		return l.cancelBooked(end)
	}
	return nil
}

// cancelBooked follows a cancel: it reverses a stake that was booked, else nothing moved.
func (l *Log) cancelBooked(b *Booking) error {
	return l.account(b, b.Amount, b.bet.StakeBooking.Result.Booked)
}
