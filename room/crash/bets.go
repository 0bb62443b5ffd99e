package crash

import (
	"tickcast/room/game"
	"tickcast/wire"
)

// maxClosing is for how many finished rounds the ledger may owe results before bets
// are refused at once: with the ledger away, each bet that has to be cancelled at the
// lock leaves two bookings behind.
const maxClosing = 10

// placeBet takes a bet for the current round while it is open, or for the next
// one during a flight. It is answered when its stake is booked or refused.
func (r *Room) placeBet(at game.At, c game.Command, fx *game.Effects) *wire.Error {
	a, e := parseArgs(c.Args, argSlot|argAmount|argAuto)
	if e != nil {
		return e
	}
	rd, settings, e := r.roundForBet(c.Round)
	if e != nil {
		return e
	}
	if b := rd.find(c.Player, a.slot); b != nil && b.State.live() {
		return wire.Errorf(wire.CodeSlotTaken, "slot %d has a bet in round %d", a.slot, rd.Number)
	}
	if e := checkBet(rd, &settings, c.Player, a); e != nil {
		return e
	}
	if len(r.Closing) >= maxClosing {
		return wire.Errorf(wire.CodeTemporarilyUnavailable, "the ledger has not answered for %d rounds", len(r.Closing))
	}
	rd.Settings = settings
	b := &bet{
		ID:     betID(r.UUID, c.Player, rd.Number, c.Key),
		Player: c.Player, Name: c.Name, Key: c.Ref.Key,
		Slot: a.slot, Stake: a.amount, Auto: a.auto, State: betPending,
	}
	if r.awaited[b.stakeID()] != nil {
		return wire.Errorf(wire.CodeConflict, "key %s has a bet in round %d already", c.Key, rd.Number)
	}
	rd.add(b)
	r.bookStake(at, b, c.Guest, fx)
	return nil
}

// roundForBet finds the round that a bet names, with the settings it is under.
func (r *Room) roundForBet(n uint64) (*round, Settings, *wire.Error) {
	switch {
	case n == r.Current.Number && r.Phase == phaseBetting:
		return r.Current, r.Current.Settings, nil
	case n == r.Next.Number && r.Phase == phaseFlying:
		if r.Mode != stateRunning {
			return nil, Settings{}, wire.Errorf(wire.CodeWrongPhase, "the room is paused after this round")
		}
		return r.Next, r.nextSettings(), nil
	}
	return nil, Settings{}, r.wrongRound(n)
}

// wrongRound says why a command for round n cannot be taken in this phase.
func (r *Room) wrongRound(n uint64) *wire.Error {
	current := r.Current.Number
	switch {
	case n < current || n == current && r.Phase == phaseIdle:
		return wire.Errorf(wire.CodeStaleRound, "round %d is over", n)
	case n > r.Round():
		return wire.Errorf(wire.CodeWrongRound, "round %d has not begun, the current round is %d", n, current)
	}
	return wire.Errorf(wire.CodeWrongPhase, "not possible for round %d while round %d is %s", n, current, r.Phase)
}

// checkBet judges a bet by the limits of its round. The limits on wins hold from
// the first reading that pays: what is wagered must fit them at 1.01x, so that a
// forced cash-out never has to pay less than that.
func checkBet(rd *round, s *Settings, player string, a betArgs) *wire.Error {
	const first = minCenti + 1
	switch {
	case a.amount < s.MinStake:
		return wire.Errorf(wire.CodeBelowMinimum, "the smallest stake is %d", s.MinStake)
	case a.amount > s.MaxStake:
		return wire.Errorf(wire.CodeAboveMaximum, "the largest stake is %d", s.MaxStake)
	case a.auto > s.Cap:
		return wire.Errorf(wire.CodeBadTarget, "auto must be an integer from %d to %d", first, s.Cap)
	case (rd.wagered(player)+a.amount)*first > s.MaxWin*100:
		return wire.Errorf(wire.CodeAboveMaximum, "your stakes of the round would exceed the largest win of %d", s.MaxWin)
	case (rd.Stake+rd.held+a.amount)*first > s.MaxRoundWin*100:
		return wire.Errorf(wire.CodeAboveMaximum, "the stakes of the round would exceed its largest win of %d", s.MaxRoundWin)
	}
	return nil
}

// cancelBet takes back a bet whose round has not been locked.
func (r *Room) cancelBet(at game.At, c game.Command, fx *game.Effects) *wire.Error {
	a, e := parseArgs(c.Args, argSlot)
	if e != nil {
		return e
	}
	var rd *round
	switch {
	case c.Round == r.Current.Number && r.Phase == phaseBetting:
		rd = r.Current
	case c.Round == r.Next.Number && (r.Phase == phaseFlying || r.Phase == phaseCrashed):
		rd = r.Next
	default:
		return r.wrongRound(c.Round)
	}
	b := rd.find(c.Player, a.slot)
	if b == nil || !b.State.live() {
		return noBet()
	}
	counted, listed := b.State.counts(), b.listed
	r.refund(at, b, refund{code: wire.CodeBetVoided, reason: "the bet was cancelled"}, fx)
	fx.Answer(c.Ref, cancelResult{Slot: a.slot, Round: rd.Number})
	if listed {
		fx.Event(newUnbetEvent(b))
		if up := rd.unlist(b); up != nil {
			fx.Event(newBetEvent(up))
		}
	}
	if counted {
		r.touchTotals(at.Now)
	}
	return nil
}

// Result implements game.Room. A result counts once: repeated ones, and those of
// bookings that are not awaited, have no effect.
func (r *Room) Result(at game.At, res wire.BookingResult, fx *game.Effects) {
	b := r.awaited[res.ID]
	if b == nil {
		return
	}
	delete(r.awaited, res.ID)
	b.round.awaited--
	if res.ID == b.stakeID() {
		b.AwaitStake = false
		if b.State == betPending {
			r.stakeKnown(at, b, res, fx)
		}
	} else {
		b.AwaitEnd = false
	}
	r.archive(at, b.round, fx)
}

// stakeKnown gives a pending bet the ledger's answer. A bet that was cancelled or
// voided meanwhile has been answered, and its cancel is on its way behind.
func (r *Room) stakeKnown(at game.At, b *bet, res wire.BookingResult, fx *game.Effects) {
	rd := b.round
	if res.Booked {
		rd.confirm(b)
		fx.Answer(b.ref(), betResult{
			Bet: b.ID, Slot: b.Slot, Stake: b.Stake, Auto: b.Auto, Round: rd.Number,
			Balance: res.Balance, Version: res.Version,
		})
		if rd == r.Current && rd.list(b) {
			fx.Event(newBetEvent(b))
		}
		r.touchTotals(at.Now)
	} else {
		rd.leavePending(b, betRefused)
		fx.Refuse(b.ref(), refusal(res.Code))
	}
	if r.Phase == phaseLocked && r.Current.pending == 0 {
		r.takeOff(at, fx)
	}
}

func refusal(code wire.Code) *wire.Error {
	switch code {
	case wire.CodeInsufficientFunds:
		return wire.Errorf(code, "the balance does not cover the stake")
	case "":
		code = wire.CodeTemporarilyUnavailable
	}
	return wire.Errorf(code, "the stake was not booked")
}

// refund says how a live bet ends without a decision.
type refund struct {
	code   wire.Code // answer of a bet that is still pending
	reason string
	notice bool // tell the player about a bet that was confirmed
}

// refund ends a live bet. Its booking reverses the stake if that was booked, and
// refuses it for ever otherwise. The list of the largest is left to the caller.
func (r *Room) refund(at game.At, b *bet, why refund, fx *game.Effects) {
	switch {
	case b.State == betPending:
		fx.Refuse(b.ref(), wire.Errorf(why.code, "%s; nothing is owed", why.reason))
	case why.notice:
		fx.Notice(b.Player, refundNotice{E: "refund", Slot: b.Slot, Round: b.round.Number, Amount: b.Stake})
	}
	b.round.refund(b)
	r.bookEnd(at, b, why.reason, fx)
}

func noBet() *wire.Error { return wire.Errorf(wire.CodeNoBet, "there is no such bet of yours") }
