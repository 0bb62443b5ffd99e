package crash

import (
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// nextSettings are those under which bets for the next round are taken: they are
// fixed by its first bet, so a change takes effect with the first round that has
// no bets yet, and a steady stream of early bets cannot hold it up for ever.
func (r *Room) nextSettings() Settings {
	if r.Next.live() {
		return r.Next.Settings
	}
	return r.Wanted
}

// open begins the next round, by a version of the rules, with the bets that were placed for it during the
// flight before.
func (r *Room) open(at game.At, rules int, fx *game.Effects) {
	settings := r.nextSettings()
	if !r.Current.Archived {
		r.Current.prune()
		r.Closing = append(r.Closing, r.Current)
	}
	rd := r.Next
	r.Current, r.Next = rd, newRound(rd.Number+1, r.Wanted)
	r.Fair.begin(rd.Number)
	c := r.Fair.Current
	rd.Settings, rd.Rules, rd.Started = settings, rules, at.Wall
	rd.Chain, rd.Index, rd.Commitment, rd.Salt = c.Chain, c.index(rd.Number), c.Commitment, c.Salt
	r.enter(phaseBetting, at.Now, millis(settings.BettingMS))

	r.TotalsAt = 0
	fx.Event(bettingEvent{
		phaseEvent: r.phaseEvent(),
		Settings:   settings,
		Fairness:   r.fairnessView(),
	})
	rd.relist()
	for _, b := range rd.top {
		fx.Event(newBetEvent(b))
	}
	if rd.Count > 0 {
		r.tellTotals(fx)
	}
}

// lock ends the time for bets. Without stakes to wait for the round takes off at
// the same moment.
func (r *Room) lock(at game.At, fx *game.Effects) {
	r.enter(phaseLocked, at.Now, millis(r.Current.Settings.LockMS))
	fx.Event(r.phaseEvent())
	if r.Current.pending == 0 {
		r.takeOff(at, fx)
	}
}

// takeOff begins the flight. Stakes that are not confirmed by now are cancelled.
func (r *Room) takeOff(at game.At, fx *game.Effects) {
	late := refund{code: wire.CodeTemporarilyUnavailable, reason: "the stake was not confirmed in time"}
	for _, b := range r.Current.Bets {
		if r.Current.pending == 0 {
			break
		}
		if b.State == betPending {
			r.refund(at, b, late, fx)
		}
	}
	r.enter(phaseFlying, at.Now, 0)
	r.End = 0
	r.prepareFlight()
	fx.Event(r.phaseEvent())
}

// crash ends the flight: what still flies is lost, the seed becomes public.
func (r *Room) crash(at game.At, fx *game.Effects) {
	rd, f := r.Current, r.flight
	r.flight = flight{}
	rd.Centi = f.point
	r.end(at, f.seed, true)
	fx.Event(crashedEvent{
		phaseEvent: r.phaseEvent(), Centi: rd.Centi,
		Seed: rd.Seed, Index: rd.Index, Chain: rd.Chain,
	})
	for _, b := range rd.Bets {
		if b.State == betOpen {
			b.State = betLost
			fx.Notice(b.Player, lostNotice{E: "lost", Slot: b.Slot, Round: rd.Number, Stake: b.Stake})
		}
	}
	r.archive(at, rd, fx)
}

// void ends the round by an operator's will: bets without an end are refunded,
// what was won stays won, and the seed is burnt.
func (r *Room) void(at game.At, fx *game.Effects) *wire.Error {
	if r.Phase == phaseIdle || r.Phase == phaseCrashed {
		return wire.Errorf(wire.CodeNotRunning, "there is no round to void")
	}
	rd := r.Current
	seed, known := r.seed()
	r.flight = flight{}
	rd.Voided = true
	listed := slices.Clone(rd.top)
	why := refund{code: wire.CodeBetVoided, reason: "the round was voided", notice: true}
	for _, b := range rd.Bets {
		if b.State.live() {
			r.refund(at, b, why, fx)
		}
	}
	for _, b := range listed {
		if b.State == betRefunded {
			fx.Event(newUnbetEvent(b))
		}
	}
	rd.relist()
	for _, b := range rd.top {
		if !slices.Contains(listed, b) { // smaller, but won: it moves up
			fx.Event(newBetEvent(b))
			r.tellOut(b, fx)
		}
	}
	r.end(at, seed, known)
	e := r.phaseEvent()
	fx.Event(voidEvent{
		E: "void", Round: rd.Number, Start: e.Start, End: e.End,
		Seed: rd.Seed, Index: rd.Index, Chain: rd.Chain,
	})
	r.touchTotals(at.Now)
	r.archive(at, rd, fx)
	return nil
}

// end makes the current round a finished one.
func (r *Room) end(at game.At, seed Seed, known bool) {
	rd := r.Current
	rd.Done, rd.Ended = true, at.Wall
	r.reveal(seed, known)
	r.enter(phaseCrashed, at.Now, millis(rd.Settings.CrashedMS))
	line := past{rd.Number, rd.Centi, rd.Seed, rd.Chain, rd.Index, rd.Voided}
	r.History = slices.Insert(r.History, 0, line)
	r.History = r.History[:min(len(r.History), keptHistory)]
}

// finish ends the phase crashed: the room goes on, or rests.
func (r *Room) finish(at game.At, fx *game.Effects) {
	if r.Mode == statePausing {
		r.rest(at, fx)
		return
	}
	r.Ready = true
}

// rest pauses the room between two rounds. Bets for the next round are refunded.
func (r *Room) rest(at game.At, fx *game.Effects) {
	why := refund{code: wire.CodeBetVoided, reason: "the room was paused", notice: true}
	for _, b := range r.Next.Bets {
		if b.State.live() {
			r.refund(at, b, why, fx)
			r.touchTotals(at.Now)
		}
	}
	r.enter(phaseIdle, at.Now, 0)
	r.End = 0
	r.setMode(statePaused, fx)
	fx.Event(idleEvent{E: "phase", Phase: phaseIdle, Round: r.Current.Number})
}

func (r *Room) enter(p phase, now, length game.Time) {
	r.Phase, r.Start, r.End, r.Ready = p, now, now+length, false
}
