package crash

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// flight is what is needed while a round flies. It is the only home of the crash
// point and the unrevealed seed, is never marshalled, and is derived again from
// the chains and the public state by Restore.
//
// Besides the players, three things cash bets out, each at an exact reading k of
// the curve, in this order when they meet at the same k:
//
//  1. Targets: a bet at its own target, or at the cap without one; in log order.
//  2. The limit of a player: the largest k at which his payouts of the round and
//     what still flies of his bets add up to at most max_win. There all his bets
//     are cashed out; several players in the order of their first bets.
//  3. The limit of the round: the largest k at which the payouts of the round and
//     everything still flying add up to at most max_round_win. There the bet with
//     the largest stake is cashed out, ties in log order, and the next one, until
//     the limit has moved beyond k; the others fly on.
//
// A cash-out at k never lowers a limit below k: what it pays is what it counted.
// So a payout is never cut, and no limit is ever exceeded.
type flight struct {
	known bool // this process knows the seed; see Room.blind
	seed  Seed
	point int64     // crash point in hundredths
	ends  game.Time // game time of the crash: T(point+1) after the start

	stake   int64  // of the bets that still fly
	targets []*bet // that flew at takeoff or restore, by target and log order
	fired   int    // targets[:fired] are done
	limits  limitHeap
	largest []*bet // by stake and log order; nil until the round's limit is met
	forced  int    // largest[:forced] are done
}

// limit says that a seat has reached its limit at centi, or later: limits rise as
// bets are cashed out, and are looked at again when they come up.
type limit struct {
	centi int64
	seat  *seat
}

type limitHeap []limit

func (h limitHeap) Len() int { return len(h) }
func (h limitHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].centi, h[j].centi), cmp.Compare(h[i].seat.order, h[j].seat.order)) < 0
}
func (h limitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *limitHeap) Push(x any)   { *h = append(*h, x.(limit)) }
func (h *limitHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// never is a reading that no curve reaches.
const never = math.MaxInt64

// prepareFlight derives the flight from the chains and the public state.
func (r *Room) prepareFlight() {
	rd := r.Current
	f := flight{}
	if f.seed, f.known = r.seed(); f.known {
		f.point = Point(f.seed, rd.Salt, rd.Settings.RTPBP, rd.Settings.Cap)
		f.ends = r.Start + r.kind.curve.At(f.point+1)
	}
	for _, b := range rd.Bets {
		if b.State != betOpen {
			continue
		}
		f.stake += b.Stake
		f.targets = append(f.targets, b)
		s := rd.seats[b.Player]
		if centi := s.limit(rd.Settings.MaxWin); s.first() == b && centi < rd.Settings.Cap {
			f.limits = append(f.limits, limit{centi, s})
		}
	}
	slices.SortFunc(f.targets, func(a, b *bet) int {
		return cmp.Or(cmp.Compare(a.target(), b.target()), cmp.Compare(a.order, b.order))
	})
	heap.Init(&f.limits)
	r.flight = f
}

// blind: the round flies and this process does not know where it ends.
func (r *Room) blind() bool { return r.Phase == phaseFlying && !r.flight.known }

// flightDue is when the flight has something to do: a target, a limit or its end.
// A reading beyond the crash point comes too late: the curve gets there at the
// end at the earliest.
func (r *Room) flightDue() game.Time {
	if r.blind() {
		return game.Never
	}
	if k := r.nextReading(); k <= r.flight.point {
		return r.Start + r.kind.curve.At(k)
	}
	return r.flight.ends
}

// fly brings the flight to the present: every target and limit that the curve has
// reached is paid at its own reading, then comes the end.
func (r *Room) fly(at game.At, fx *game.Effects) {
	if r.blind() {
		return
	}
	reads := min(r.kind.curve.Centi(at.Now-r.Start), r.flight.point)
	for k := r.nextReading(); k <= reads; k = r.nextReading() {
		r.fire(at, k, fx)
	}
	if at.Now >= r.flight.ends {
		r.crash(at, fx)
	}
}

// nextReading is the smallest reading at which something is to be cashed out.
func (r *Room) nextReading() int64 {
	return min(r.flight.nextTarget(), r.nextLimit(), r.roundLimit())
}

// fire cashes out everything that is due at reading k.
func (r *Room) fire(at game.At, k int64, fx *game.Effects) {
	f := &r.flight
	for f.nextTarget() <= k {
		r.cashOut(at, f.targets[f.fired], k, fx)
		r.tellForced(f.targets[f.fired], fx)
	}
	for r.nextLimit() <= k {
		for _, b := range f.limits[0].seat.flying() {
			r.cashOut(at, b, k, fx)
			r.tellForced(b, fx)
		}
	}
	for r.roundLimit() <= k {
		b := f.nextLargest()
		r.cashOut(at, b, k, fx)
		r.tellForced(b, fx)
	}
}

// nextTarget is the smallest target of a bet that still flies.
func (f *flight) nextTarget() int64 {
	for f.fired < len(f.targets) {
		if b := f.targets[f.fired]; b.State == betOpen {
			return b.target()
		}
		f.fired++
	}
	return never
}

// nextLimit is the smallest limit of a player who still flies.
func (r *Room) nextLimit() int64 {
	f, s := &r.flight, &r.Current.Settings
	for len(f.limits) > 0 {
		top := &f.limits[0]
		switch centi := top.seat.limit(s.MaxWin); {
		case centi >= s.Cap: // never comes, or the cap does the same
			heap.Pop(&f.limits)
		case centi > top.centi:
			top.centi = centi
			heap.Fix(&f.limits, 0)
		default:
			return centi
		}
	}
	return never
}

// roundLimit is the reading at which the round's limit is met.
func (r *Room) roundLimit() int64 {
	rd := r.Current
	if r.flight.stake == 0 {
		return never
	}
	centi := (rd.Settings.MaxRoundWin - rd.Paid) * 100 / r.flight.stake
	if centi >= rd.Settings.Cap {
		return never
	}
	return centi
}

// nextLargest is the flying bet with the largest stake. There is one.
func (f *flight) nextLargest() *bet {
	if f.largest == nil {
		f.largest = slices.Clone(f.targets[f.fired:])
		slices.SortFunc(f.largest, func(a, b *bet) int {
			return cmp.Or(cmp.Compare(b.Stake, a.Stake), cmp.Compare(a.order, b.order))
		})
	}
	for f.largest[f.forced].State != betOpen {
		f.forced++
	}
	return f.largest[f.forced]
}

// limit is the largest reading at which the seat's payouts and what still flies
// of it add up to at most maxWin.
func (s *seat) limit(maxWin int64) int64 {
	var stake int64
	for _, b := range s.bets {
		switch {
		case b == nil:
		case b.State == betOpen:
			stake += b.Stake
		case b.State == betWon:
			maxWin -= b.Payout
		}
	}
	if stake == 0 {
		return never
	}
	return maxWin * 100 / stake
}

// flying lists the seat's bets that still fly, in log order.
func (s *seat) flying() []*bet {
	var flying []*bet
	for _, b := range s.bets {
		if b != nil && b.State == betOpen {
			flying = append(flying, b)
		}
	}
	slices.SortFunc(flying, func(a, b *bet) int { return cmp.Compare(a.order, b.order) })
	return flying
}

// first is the first of the seat's bets that still fly, or nil.
func (s *seat) first() *bet {
	if flying := s.flying(); len(flying) > 0 {
		return flying[0]
	}
	return nil
}

// takeOut is the command cashout. Before it the fold has fired what the curve
// has reached, so a bet that still flies has neither passed its target nor the
// crash, and is paid what the curve reads.
func (r *Room) takeOut(at game.At, c game.Command, fx *game.Effects) *wire.Error {
	a, e := parseArgs(c.Args, argSlot)
	if e != nil {
		return e
	}
	if c.Round != r.Current.Number || r.Phase != phaseFlying && r.Phase != phaseCrashed {
		return r.wrongRound(c.Round)
	}
	if r.blind() {
		return nil // it cannot be judged here; the reveal will halt this replica
	}
	b := r.Current.find(c.Player, a.slot)
	switch {
	case b == nil:
		return noBet()
	case b.State == betLost:
		return wire.Errorf(wire.CodeTooLate, "the round crashed at %d", r.Current.Centi)
	case b.State == betWon && b.Untold:
		b.Untold = false // its target or a limit came first, and is what it pays
	case b.State != betOpen:
		return noBet()
	default:
		centi := r.kind.curve.Centi(at.Now - r.Start)
		if centi <= minCenti {
			return wire.Errorf(wire.CodeTooEarly, "the multiplier still reads 1.00x")
		}
		r.cashOut(at, b, centi, fx)
		r.tellOut(b, fx)
	}
	fx.Answer(c.Ref, cashoutResult{Slot: b.Slot, Round: r.Current.Number, Centi: b.Centi, Payout: b.Payout})
	return nil
}

// cashOut ends an open bet as won.
func (r *Room) cashOut(at game.At, b *bet, centi int64, fx *game.Effects) {
	b.State, b.Centi, b.Payout = betWon, centi, b.payout(centi)
	b.round.Paid += b.Payout
	r.flight.stake -= b.Stake
	r.bookEnd(at, b, "", fx)
	r.touchTotals(at.Now)
}

// tellForced tells of a cash-out that no command asked for.
func (r *Room) tellForced(b *bet, fx *game.Effects) {
	b.Forced, b.Untold = true, true
	fx.Notice(b.Player, outNotice{
		E: "out", Slot: b.Slot, Round: b.round.Number, Centi: b.Centi, Payout: b.Payout, Auto: true,
	})
	r.tellOut(b, fx)
}

func (r *Room) tellOut(b *bet, fx *game.Effects) {
	if b.listed {
		fx.Event(outEvent{
			E: "out", Player: b.Player, Name: b.Name, Slot: b.Slot,
			Centi: b.Centi, Payout: b.Payout, Auto: b.Forced,
		})
	}
}
