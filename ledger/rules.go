package ledger

import (
	"math"

	"tickcast/wire"
)

// smallestStake is what a player must be able to cover; who cannot may refill.
const smallestStake = 100

// stake moves a player's stake to the house. A cancel that came before has left an
// outcome under the stake's ID, so it does not get here.
func (x *batch) stake(b *wire.Booking) wire.Code {
	k := roundKey{b.Bet.RoomUUID, b.Bet.Round}
	if x.archived[k] {
		// The round is over and its open bets are lost; a late stake would stay
		// open for ever.
		return wire.CodeStaleRound
	}
	a := x.open(b)
	if !x.custody && a.balance < b.Amount {
		return wire.CodeInsufficientFunds
	}
	x.transfer(b, a, -b.Amount, b.Amount)
	x.bets[b.ID] = &bet{player: b.Player, stake: b.Amount, round: k}
	x.out.bets.add(b.ID, b.Player, b.Room, k.uuid, b.Bet.Game, int64(k.round), int64(b.Bet.Slot), b.Amount, b.Bet.Auto, b.At)
	return ""
}

// payout moves a win from the house to the player.
func (x *batch) payout(b *wire.Booking) wire.Code {
	k := x.bets[b.Stake]
	if k == nil || k.player != b.Player || k.end != endOpen {
		return wire.CodeNoBet
	}
	a := x.accounts[b.Player]
	if a.balance > math.MaxInt64-b.Amount {
		return wire.CodeBadAmount
	}
	x.transfer(b, a, b.Amount, b.Amount)
	k.end = endPayout
	x.out.ends.add(b.Stake, string(endPayout), b.ID, b.ID, b.Amount, b.Centi, b.At)
	return ""
}

// cancel makes a stake void. It reverses a booked one, and leaves a tombstone for
// one that has not come yet: the outcome that the stake will find under its ID. A
// stake that is void already stays so; one with another end is no bet any more.
func (x *batch) cancel(b *wire.Booking) wire.Code {
	k := x.bets[b.Stake]
	if k == nil {
		return x.cancelUnbooked(b)
	}
	if k.player != b.Player || k.end == endPayout || k.end == endLost {
		return wire.CodeNoBet
	}
	if k.end == endCancel {
		return ""
	}
	a := x.accounts[b.Player]
	if a.balance > math.MaxInt64-k.stake {
		return wire.CodeBadAmount
	}
	x.transfer(b, a, k.stake, k.stake)
	k.end = endCancel
	x.out.ends.add(b.Stake, string(endCancel), b.ID, b.ID, k.stake, int64(0), b.At)
	return ""
}

func (x *batch) cancelUnbooked(b *wire.Booking) wire.Code {
	if known, ok := x.outcomes[b.Stake]; ok {
		if known.result.Player != b.Player || known.result.Booked || b.Stake == b.ID {
			return wire.CodeNoBet // somebody else's, or no stake at all
		}
		return "" // refused for ever already
	}
	if b.Stake == b.ID {
		return wire.CodeBadArgs // its own outcome will be there
	}
	r := x.result(b, wire.CodeBetVoided)
	r.ID = b.Stake
	x.outcomes[b.Stake] = outcome{"", r}
	x.out.bookings.add(b.Stake, string(wire.BookStake), "", flag(false), string(r.Code), r.Player, r.Balance, r.Version, b.At)
	return ""
}

// credit moves credits from the house to a player, whose account is opened when
// there is none.
func (x *batch) credit(b *wire.Booking) wire.Code {
	a := x.open(b)
	if a.balance > MaxBalance-b.Amount {
		return wire.CodeBadAmount
	}
	x.transfer(b, a, b.Amount, b.Amount)
	return ""
}

// refill gives play credits to a player who cannot cover the smallest stake. Only
// the balance counts: stakes that are out do not.
func (x *batch) refill(b *wire.Booking) wire.Code {
	a := x.open(b)
	if a.balance >= smallestStake {
		return wire.CodeBalanceNotZero
	}
	amount := b.Amount
	if amount == 0 {
		amount = DefaultInitialCredit
	}
	x.transfer(b, a, amount, amount)
	return ""
}

// open returns the player's account and opens it with the initial credit when
// there is none.
func (x *batch) open(b *wire.Booking) *account {
	a := x.accounts[b.Player]
	if a == nil {
		a = &account{id: b.Player, name: b.Name, guest: b.Guest, opened: b.At}
		x.accounts[b.Player] = a
		if x.initial > 0 && !x.custody {
			grant := wire.Booking{ID: grantPrefix + b.Player, Kind: "grant", Room: b.Room, At: b.At, Player: b.Player}
			x.transfer(&grant, a, x.initial, x.initial)
		} else {
			a.dirty, a.version = true, 1
		}
	}
	if b.Name != "" && b.Name != a.name {
		a.name, a.dirty = b.Name, true
	}
	return a
}

// transfer moves an amount between the house and a player, or the wallet where his
// money is; change is his entry. The caller has checked that the balance covers it.
func (x *batch) transfer(b *wire.Booking, a *account, change, amount int64) {
	other := a.id
	if x.custody {
		other = walletAccount
	} else if a.balance += change; a.balance < 0 {
		panic("ledger: a transfer would make a player's balance negative")
	}
	a.version++
	a.dirty = true
	x.out.transfers.add(b.ID, string(b.Kind), a.id, amount, b.Room, b.Stake, b.Operator, b.Reason, b.At)
	x.out.entries.add(b.ID, other, change)
	x.out.entries.add(b.ID, houseAccount, -change)
}
