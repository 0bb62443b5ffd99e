package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"tickcast/ledger/wallet"
	"tickcast/wire"
)

// With a wallet of the operator's the players' money is there, and the book is the
// record of what the wallet was asked for and said. The other side of a transfer is
// then the account walletAccount; a player's own account has no entries, and its
// balance is what the wallet said last.
//
// A stake is booked when the wallet has said that the money was taken. A payout, a
// cancel and a credit are decided here, since nobody else knows the bet, and are owed
// to the wallet from then on.
//
// The outcome of a booking is written when it is first answered. A call may stay open
// behind that: what is owed to a wallet that does not answer must not hold up a room,
// and a stake that is cancelled while nobody knows whether it was taken is refused at
// once, and undone at the wallet.

// walletAccount cannot be a player's ID, which has no dots.
const walletAccount = ".wallet"

// movesMoney reports whether bookings of a kind concern the wallet.
func movesMoney(k wire.BookingKind) bool {
	switch k {
	case wire.BookStake, wire.BookPayout, wire.BookCancel, wire.BookCredit, wire.BookRefill:
		return true
	}
	return false
}

// bookAtWallet is book for a booking that moves money where there is a wallet.
func (x *batch) bookAtWallet(b *wire.Booking, digest string) {
	c := x.calls[b.ID]
	known, answered := x.outcomes[b.ID]
	tombstone := answered && known.digest == "" && b.Kind == wire.BookStake
	v, told := x.verdicts[b.ID]
	switch {
	case answered && known.digest != digest && !tombstone, c != nil && c.digest != digest:
		x.answer(wire.BookingResult{ID: b.ID, Code: wire.CodeConflict, Player: b.Player}, "")
	case told && c != nil && c.state == callOpen:
		x.settle(b, c, v)
	case answered:
		x.answer(known.result, "repeated")
	case c != nil:
		x.hold(b)
	default:
		x.begin(b, digest)
	}
}

// hold leaves a booking without an answer: it comes from the call.
func (x *batch) hold(b *wire.Booking) {
	x.answer(wire.BookingResult{ID: b.ID}, labelHeld)
}

// begin decides what can be decided without the wallet, and asks it for the rest.
func (x *batch) begin(b *wire.Booking, digest string) {
	code := invalid(b)
	if code != "" {
		x.conclude(b, digest, code)
		return
	}
	op, target, amount := opDeposit, b.ID, b.Amount
	switch b.Kind {
	case wire.BookStake:
		if x.archived[roundKey{b.Bet.RoomUUID, b.Bet.Round}] {
			x.conclude(b, digest, wire.CodeStaleRound)
			return
		}
		op = opWithdraw
	case wire.BookRefill:
		code = wire.CodeWalletRefused // money comes from the operator
	case wire.BookCredit:
		code = x.credit(b)
	case wire.BookPayout:
		code = x.payout(b)
	case wire.BookCancel:
		k := x.bets[b.Stake]
		moves := k != nil && k.end == endOpen
		code = x.cancel(b)
		if stake := x.calls[b.Stake]; code == "" && k == nil && stake != nil && stake.state == callOpen && stake.op == opWithdraw {
			stake.undo(time.Now())
		}
		if code != "" || !moves {
			x.conclude(b, digest, code)
			return
		}
		op, target, amount = opRollback, b.Stake, k.stake
	}
	if code != "" {
		x.conclude(b, digest, code)
		return
	}
	text, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("ledger: marshal %T: %v", b, err)) // digestOf has done it
	}
	now := time.Now().UnixMilli()
	x.calls[b.ID] = &call{
		id: b.ID, op: op, target: target, booking: string(text), digest: digest, player: b.Player, amount: amount,
		state: callOpen, since: now, due: now, dirty: true,
	}
	x.hold(b)
}

// conclude gives a booking its outcome, for ever.
func (x *batch) conclude(b *wire.Booking, digest string, code wire.Code) {
	r := x.result(b, code)
	x.remember(b, digest, r, invalid(b) != "")
	x.answer(r, "")
}

// settle meets a verdict on the call of a booking.
func (x *batch) settle(b *wire.Booking, c *call, v *verdict) {
	now := time.Now()
	known, answered := x.outcomes[b.ID]
	if v.op != c.op {
		// A withdrawal was asked for when it was to be undone already. Whatever came of
		// it, it is undone.
		x.answer(known.result, "repeated")
		return
	}
	if v.overtaken = x.overtakes(b.Player, v); v.overtaken {
		x.hold(b)
		return
	}
	if v.by != "" {
		c.error = cutText(c.error+"; resolved by "+v.by, maxErrorBytes)
	}
	switch {
	case v.err != nil:
		c.postpone(v.err.Error(), now, x.waits)
	case c.op == opWithdraw:
		x.settleStake(b, c, v)
		return
	case !v.answer.Done:
		c.postpone(fmt.Sprintf("refused: %s %s", v.answer.Code, v.answer.Message), now, x.waits)
	default:
		c.end(callDone, now)
	}
	x.heard(b.Player, v)
	switch {
	case answered:
		x.answer(known.result, "repeated")
	case b.Kind == wire.BookStake:
		x.hold(b)
	default:
		if c.state == callOpen {
			// Whoever waits for it need not wait for the wallet: it is owed.
			r := wire.BookingResult{ID: b.ID, Booked: true, Player: b.Player}
			x.remember(b, c.digest, r, false)
			x.answer(r, "")
			return
		}
		x.conclude(b, c.digest, "")
	}
}

// settleStake meets the wallet's answer to a withdrawal.
func (x *batch) settleStake(b *wire.Booking, c *call, v *verdict) {
	now, a := time.Now(), v.answer
	known, answered := x.outcomes[b.ID]
	code := refusalOf(a)
	if !answered && code == "" {
		code = x.stake(b) // the round may be over
	}
	switch {
	case a.Done && (answered || code != ""):
		c.undo(now)
	case a.Done:
		c.end(callDone, now)
	default:
		c.end(callRefused, now)
	}
	x.heard(b.Player, v)
	if answered {
		x.answer(known.result, "repeated")
		return
	}
	x.conclude(b, c.digest, code)
}

// tells reports whether a verdict has a balance.
func (v *verdict) tells() bool { return v.err == nil && v.by == "" && !v.dumb }

// overtakes reports whether the balance of a verdict may be older than the account's: the wallet was asked for
// something else of the player's meanwhile, and it is not known what it did first.
func (x *batch) overtakes(player string, v *verdict) bool {
	a := x.accounts[player]
	return a != nil && v.tells() && a.version != v.version
}

// heard keeps a balance that the wallet told. That is a version of its own also if it is the
// same amount: others that were on their way are older.
func (x *batch) heard(player string, v *verdict) {
	a := x.accounts[player]
	if a == nil || !v.tells() {
		return
	}
	a.balance = v.answer.Balance
	a.version++
	a.dirty = true
}

// refusalOf is the code of a stake that the wallet refused.
func refusalOf(a wallet.Answer) wire.Code {
	switch {
	case a.Done:
		return ""
	case a.Code == wallet.CodeFunds:
		return wire.CodeInsufficientFunds
	case a.Code == wallet.CodeVoided:
		return wire.CodeBetVoided
	}
	return wire.CodeWalletRefused
}
