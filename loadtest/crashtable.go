package loadtest

import (
	"encoding/json"
	"time"

	"tickcast/wire"
)

// crashTable plays the game crash at one seat: it bets, cancels, cashes out by
// hand or by target, and judges every result by the round's public end. It
// implements table.
type crashTable struct {
	*seat
	phase   string
	round   uint64 // of phase
	rules   settings
	bets    map[betPlace]*bet
	stopped bool
}

type betPlace struct {
	round uint64
	slot  int
}

// stageOf a bet, as the bot knows it.
type betStage int

const (
	betAsked   betStage = iota // the command has no answer yet
	betOpen                    // the stake is booked
	betCashed                  // a cash-out was answered
	betSettled                 // judged; kept for late notices
)

type bet struct {
	betPlace
	stage   betStage
	stake   int64
	auto    int64    // target, 0 for none
	asking  *command // cancel or cash-out under way, nil for none
	due     bool     // a manual cash-out is planned
	centi   int64    // what it was paid at, 0 when it was not
	payout  int64
	unknown bool // settled without knowing how
}

// keptBets is for how many rounds settled bets are kept for late notices.
const keptBets = 3

func (t *crashTable) onView(v *view, at time.Duration) {
	t.phase, t.round = v.Phase, v.Round
	if v.Settings != nil {
		t.rules = *v.Settings
	}
	t.judgeAll()
	if v.Phase == phaseFlying {
		t.planCashOuts(at)
	}
}

// onYou learns of wins by target that happened while the bot was away (P7.16).
func (t *crashTable) onYou(you json.RawMessage, _ time.Duration) {
	if len(you) == 0 {
		return
	}
	var y struct {
		Bets []struct {
			Round  uint64 `json:"round"`
			Slot   int    `json:"slot"`
			State  string `json:"state"`
			Centi  int64  `json:"centi"`
			Payout int64  `json:"payout"`
		} `json:"bets"`
	}
	if err := decode(you, &y); err != nil {
		t.fail(t.round, "you: %v", err)
		return
	}
	for _, p := range y.Bets {
		b := t.bets[betPlace{p.Round, p.Slot}]
		switch {
		case b == nil:
			if p.State == "pending" || p.State == "open" {
				t.bot.books.lose() // a bet from before this run
			}
		case p.State == "won" && t.mine(b):
			t.paid(b, p.Centi, p.Payout)
		}
	}
	t.judgeAll()
}

func (t *crashTable) onNews(n *news, at time.Duration) {
	for i := range n.events {
		e := &n.events[i]
		if e.E == eventVoid {
			t.phase = phaseCrashed
			t.judgeAll()
			continue
		}
		if e.E != eventPhase {
			continue
		}
		t.phase, t.round = e.Phase, e.Round
		switch e.Phase {
		case phaseBetting:
			if e.Settings != nil {
				t.rules = *e.Settings
			}
			t.judgeAll()
			t.planBet(e, at)
		case phaseFlying:
			t.planCashOuts(at)
			t.planEarlyBet(at)
		case phaseCrashed:
			t.judgeAll()
		}
	}
}

// chance draws whether something of probability p happens.
func (t *crashTable) chance(p float64) bool { return t.bot.rng.Float64() < p }

// planBet decides at the start of a betting phase whether and when to bet. Bets
// keep clear of the lock, which a late one would miss.
func (t *crashTable) planBet(e *event, at time.Duration) {
	if t.stopped || !t.chance(t.bot.s.cfg.Behaviour.BetProbability) {
		return
	}
	length := time.Duration(max(0, min(e.End-e.Start, 600_000_000))) * time.Microsecond
	t.bot.at(at+between(t.bot.rng, 0, length*7/10), func(at time.Duration) { t.bet(e.Round, at) })
}

// planEarlyBet decides at the start of a flight whether to bet for the next round.
func (t *crashTable) planEarlyBet(at time.Duration) {
	b := &t.bot.s.cfg.Behaviour
	if t.stopped || !t.chance(b.BetProbability*b.EarlyBetProbability) {
		return
	}
	round := t.round + 1
	t.bot.at(at+between(t.bot.rng, 0, 2*time.Second), func(at time.Duration) { t.bet(round, at) })
}

// bet places a bet on slot 0, and sometimes one on slot 1.
func (t *crashTable) bet(round uint64, at time.Duration) {
	open := (t.phase == phaseBetting && t.round == round) || (t.phase == phaseFlying && t.round+1 == round)
	if t.stopped || !open || !t.bot.books.known {
		return
	}
	t.place(betPlace{round, 0}, at)
	if t.chance(t.bot.s.cfg.Behaviour.SecondBetProbability) {
		t.place(betPlace{round, 1}, at)
	}
}

func (t *crashTable) place(p betPlace, at time.Duration) {
	if t.bets[p] != nil {
		return
	}
	least := max(wire.SmallestStake, t.rules.MinStake)
	b := &bet{betPlace: p, stake: least * int64(1+t.bot.rng.IntN(10))}
	b.stake -= b.stake % 100
	if t.rules.MaxStake > 0 {
		b.stake = min(b.stake, t.rules.MaxStake)
	}
	if b.stake > t.bot.books.amount {
		b.stake = least
	}
	args, values := `{"slot":%d,"amount":%d}`, []any{p.slot, b.stake}
	if t.chance(t.bot.s.cfg.Behaviour.AutoProbability) {
		// Targets crowd near 1x like those of people, with a long tail up to 9x.
		b.auto = 101 + int64(min(t.bot.rng.ExpFloat64(), 8)*100)
		if t.rules.Cap > 0 {
			b.auto = min(b.auto, t.rules.Cap)
		}
		args, values = `{"slot":%d,"amount":%d,"auto":%d}`, append(values, b.auto)
	}
	cmd := command{op: opBet, round: p.round, slot: p.slot, stake: b.stake, auto: b.auto, intended: at}
	if t.ask(cmd, args, values...) != nil {
		t.bets[p] = b
	}
}

// Operations of crash.
const (
	opBet     = "bet"
	opCancel  = "cancel"
	opCashOut = "cashout"
)

func (t *crashTable) planCashOuts(at time.Duration) {
	for _, b := range t.bets {
		t.planCashOut(b, at)
	}
}

// planCashOut plans a manual cash-out of an open bet of this flight. Bets with a
// target are mostly left to it.
func (t *crashTable) planCashOut(b *bet, at time.Duration) {
	if t.phase != phaseFlying || b.round != t.round || b.stage != betOpen || b.due {
		return
	}
	b.due = true
	if b.auto > 0 && !t.chance(0.1) {
		return
	}
	delay := exponential(t.bot.rng, t.bot.s.cfg.Behaviour.CashOutDelay)
	t.bot.at(at+delay, func(at time.Duration) { t.cashOut(b, at) })
}

func (t *crashTable) cashOut(b *bet, at time.Duration) {
	if t.phase == phaseFlying && t.round == b.round && b.stage == betOpen && b.asking == nil {
		b.asking = t.ask(command{op: opCashOut, round: b.round, slot: b.slot, intended: at}, `{"slot":%d}`, b.slot)
	}
}

func (t *crashTable) cancel(b *bet, at time.Duration) {
	// A bet can be cancelled until its round is locked, early ones in the flight before.
	possible := (t.phase == phaseBetting && t.round == b.round) || t.round < b.round
	if possible && b.stage == betOpen && b.asking == nil {
		b.asking = t.ask(command{op: opCancel, round: b.round, slot: b.slot, intended: at}, `{"slot":%d}`, b.slot)
	}
}

// stop brings open bets home: flying ones are cashed out, others cancelled.
func (t *crashTable) stop(at time.Duration) {
	t.stopped = true
	for _, b := range t.bets {
		t.cancel(b, at)
		t.cashOut(b, at)
	}
}

func (t *crashTable) open() bool {
	for _, b := range t.bets {
		if b.stage != betSettled && b.stage != betCashed {
			return true
		}
	}
	return false
}

func (t *crashTable) onAnswer(cmd *command, m *wire.Answer, at time.Duration) {
	b := t.bets[betPlace{cmd.round, cmd.slot}]
	if b == nil {
		return
	}
	if b.asking == cmd {
		b.asking = nil
	}
	unknown := m.Error != nil && mayRepeat(m.Error)
	switch cmd.op {
	case opBet:
		t.onBet(b, m, unknown, at)
	case opCancel:
		t.onCancel(b, m, unknown)
	case opCashOut:
		t.onCashOut(b, m, unknown)
	}
	t.judge(b)
}

func (t *crashTable) onBet(b *bet, m *wire.Answer, unknown bool, at time.Duration) {
	if m.Error != nil {
		if unknown {
			t.bot.books.lose()
		}
		delete(t.bets, b.betPlace)
		if m.Error.Code == wire.CodeInsufficientFunds && b.stake <= max(wire.SmallestStake, t.rules.MinStake) {
			t.bot.refill(at)
		}
		return
	}
	var r struct {
		Slot    int    `json:"slot"`
		Stake   int64  `json:"stake"`
		Auto    int64  `json:"auto"`
		Round   uint64 `json:"round"`
		Balance int64  `json:"balance"`
		Version int64  `json:"version"`
	}
	if err := decode(m.Result, &r); err != nil || r.Slot != b.slot || r.Stake != b.stake || r.Auto != b.auto || r.Round != b.round {
		t.fail(b.round, "asked for a bet of %d (slot %d, target %d), the answer says %s", b.stake, b.slot, b.auto, m.Result)
	}
	b.stage = betOpen
	t.bot.books.change(-b.stake)
	t.bot.books.tell(r.Balance, r.Version)
	if t.chance(t.bot.s.cfg.Behaviour.CancelProbability) {
		t.bot.at(at+between(t.bot.rng, 0, time.Second), func(at time.Duration) { t.cancel(b, at) })
	}
	if t.stopped {
		t.cancel(b, at)
		t.cashOut(b, at)
	}
	t.planCashOut(b, at)
}

func (t *crashTable) onCancel(b *bet, m *wire.Answer, unknown bool) {
	switch {
	case unknown:
		t.bot.books.lose()
	case m.OK:
		b.stage = betSettled
		t.bot.books.change(b.stake)
	case m.Error.Code == wire.CodeNoBet && b.stage == betOpen:
		t.fail(b.round, "cancel of the bet on slot %d: no_bet, but its stake is booked and it has no end", b.slot)
	}
}

func (t *crashTable) onCashOut(b *bet, m *wire.Answer, unknown bool) {
	if unknown {
		t.bot.books.lose()
		return
	}
	if m.Error != nil {
		return // judged by the round's end
	}
	var r struct {
		Slot   int   `json:"slot"`
		Centi  int64 `json:"centi"`
		Payout int64 `json:"payout"`
	}
	if err := decode(m.Result, &r); err != nil || r.Slot != b.slot {
		t.fail(b.round, "cash-out of slot %d answered with %s", b.slot, m.Result)
		return
	}
	t.paid(b, r.Centi, r.Payout)
	if b.stage == betOpen {
		b.stage = betCashed
		t.bot.books.change(b.payout)
	}
}

func (t *crashTable) onNotice(e *event) {
	b := t.bets[betPlace{e.Round, e.Slot}]
	if b == nil || !t.mine(b) {
		return
	}
	switch e.E {
	case eventOut:
		t.paid(b, e.Centi, e.Payout)
	case eventLost:
		if b.stage == betCashed || b.centi > 0 {
			t.fail(b.round, "the bet on slot %d was paid at %d, and a notice says that it was lost", b.slot, b.centi)
		}
	}
}

// mine reports whether what the room tells of a bet's place is about this bet:
// the place is the bot's once its stake is booked, and its alone unless several
// bots play for the player.
func (t *crashTable) mine(b *bet) bool { return b.stage != betAsked && !t.bot.books.shared }

// refill asks for new play credits. mu of the bot is held.
func (b *bot) refill(at time.Duration) {
	b.ask(command{room: wire.CashierRoom, op: "refill", intended: at})
}

// onRefill books the result of a refill (P4.10).
func (b *bot) onRefill(m *wire.Answer) {
	if m.Error != nil {
		if mayRepeat(m.Error) {
			b.books.lose()
		}
		return
	}
	var r struct {
		Amount  int64 `json:"amount"`
		Balance int64 `json:"balance"`
		Version int64 `json:"version"`
	}
	if err := decode(m.Result, &r); err != nil || r.Amount <= 0 {
		b.fail(b.link, checkProtocol, "refill answered with %s", m.Result)
		return
	}
	b.books.change(r.Amount)
	b.books.tell(r.Balance, r.Version)
}
