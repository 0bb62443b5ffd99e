package loadtest

// What a bot was told about its bets against what the room said in public.

// paid takes in what a bet was paid, as told by an answer, a notice or the
// player's view. However often it is told, it is the same.
func (t *crashTable) paid(b *bet, centi, payout int64) {
	switch {
	case centi < 101 || payout != b.stake/100*centi:
		t.fail(b.round, "a stake of %d was paid %d at %d, which would be %d", b.stake, payout, centi, b.stake/100*centi)
	case b.auto > 0 && centi > b.auto:
		t.fail(b.round, "a bet with target %d was paid at %d", b.auto, centi)
	case b.centi > 0 && b.centi != centi:
		t.fail(b.round, "a bet was paid at %d and at %d", b.centi, centi)
	case b.stage == betSettled && b.centi == 0 && !b.unknown:
		t.fail(b.round, "a bet was paid at %d, but by the round's end it was lost, cancelled or refunded", centi)
	}
	b.centi, b.payout = centi, payout
}

// judgeAll judges every bet whose round is over, and forgets old ones.
func (t *crashTable) judgeAll() {
	for p, b := range t.bets {
		t.judge(b)
		if b.stage == betSettled && b.round+keptBets < t.round {
			delete(t.bets, p)
		}
	}
}

// judge gives a bet its end once its round is over and nothing is asked for it.
func (t *crashTable) judge(b *bet) {
	if (b.stage != betOpen && b.stage != betCashed) || b.asking != nil || t.stream == nil {
		return
	}
	o, known := t.stream.outcome(b.round)
	switch {
	case known && o.over && o.voided:
		t.judgeVoided(b)
	case known && o.over:
		t.judgeCrashed(b, &o)
	case b.round+keptRounds/2 < t.round:
		t.settle(b, false) // its end was missed
	}
}

func (t *crashTable) settle(b *bet, known bool) {
	if !known && b.stage == betOpen {
		b.unknown = true
		t.bot.books.lose()
	}
	b.stage = betSettled
	t.bot.s.judged.Add(1)
}

// judgeVoided ends a bet of a voided round: won stays won, the rest is refunded.
func (t *crashTable) judgeVoided(b *bet) {
	switch {
	case b.stage == betCashed:
	case b.centi > 0:
		t.bot.books.change(b.payout)
	case b.auto > 0:
		// Its target may have fired before, and the notice of it been lost.
		t.settle(b, false)
		return
	default:
		t.bot.books.change(b.stake)
	}
	t.settle(b, true)
}

// judgeCrashed ends a bet of a round that crashed at o.centi. A target up to the
// crash point pays exactly the target; nothing pays above the crash point.
func (t *crashTable) judgeCrashed(b *bet, o *outcome) {
	if b.centi > o.centi {
		t.fail(b.round, "paid at %d, but the round crashed at %d", b.centi, o.centi)
	}
	if b.stage == betCashed {
		t.settle(b, true)
		return
	}
	rules := &t.rules
	if o.settings != nil {
		rules = o.settings
	}
	var due int64 // what the bet must be paid at without being asked
	switch {
	case b.auto > 0 && b.auto <= o.centi:
		due = b.auto
	case rules.Cap > 0 && o.centi >= rules.Cap:
		due = rules.Cap
	}
	limited := mayBeForced(b, o, rules)
	switch {
	case b.centi == 0 && limited:
		t.settle(b, false)
		return
	case b.centi == 0 && due > 0:
		b.centi, b.payout = due, b.stake/100*due
	case b.centi != due && !limited:
		t.fail(b.round, "target %d, crash point %d: due at %d, but paid at %d", b.auto, o.centi, due, b.centi)
	}
	t.bot.books.change(b.payout)
	t.settle(b, true)
}

// mayBeForced reports whether a limit on wins may have cashed the bet out before
// its own time. Only the room knows whether it did.
func mayBeForced(b *bet, o *outcome, rules *settings) bool {
	return (rules.MaxWin > 0 && b.stake/100*o.centi >= rules.MaxWin) ||
		(rules.MaxRoundWin > 0 && o.stake/100*o.centi >= rules.MaxRoundWin)
}
