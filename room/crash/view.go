package crash

import (
	"cmp"
	"encoding/json"

	"tickcast/room/game"
)

// totalsEvery is how often totals are told while they change: five times a second.
const totalsEvery = game.Time(200_000_000)

// Events, notices and results, as docs/protocol.md (section 7) defines them.
type (
	phaseEvent struct {
		E     string `json:"e"`
		Phase phase  `json:"phase"`
		Round uint64 `json:"round"`
		Start int64  `json:"start"`
		End   *int64 `json:"end,omitempty"`
	}
	bettingEvent struct {
		phaseEvent
		Settings Settings     `json:"settings"`
		Fairness fairnessView `json:"fairness"`
	}
	crashedEvent struct {
		phaseEvent
		Centi int64  `json:"centi"`
		Seed  string `json:"seed"`
		Index uint64 `json:"index"`
		Chain uint32 `json:"chain"`
	}
	idleEvent struct {
		E     string `json:"e"`
		Phase phase  `json:"phase"`
		Round uint64 `json:"round"`
	}
	voidEvent struct {
		E     string `json:"e"`
		Round uint64 `json:"round"`
		Start int64  `json:"start"`
		End   *int64 `json:"end"`
		Seed  string `json:"seed"`
		Index uint64 `json:"index"`
		Chain uint32 `json:"chain"`
	}
	betEvent struct {
		E      string `json:"e"`
		Player string `json:"player"`
		Name   string `json:"name"`
		Slot   int    `json:"slot"`
		Round  uint64 `json:"round"`
		Stake  int64  `json:"stake"`
		Auto   int64  `json:"auto,omitempty"`
	}
	unbetEvent struct {
		E      string `json:"e"`
		Player string `json:"player"`
		Slot   int    `json:"slot"`
		Round  uint64 `json:"round"`
	}
	outEvent struct {
		E      string `json:"e"`
		Player string `json:"player"`
		Name   string `json:"name"`
		Slot   int    `json:"slot"`
		Centi  int64  `json:"centi"`
		Payout int64  `json:"payout"`
		Auto   bool   `json:"auto"`
	}
	totalsEvent struct {
		E         string `json:"e"`
		Round     uint64 `json:"round"`
		Count     int    `json:"count"`
		Stake     int64  `json:"stake"`
		Paid      int64  `json:"paid"`
		NextCount int    `json:"next_count"`
		NextStake int64  `json:"next_stake"`
	}
	stateEvent struct {
		E     string `json:"e"`
		State string `json:"state"`
	}
	settingsEvent struct {
		E            string   `json:"e"`
		NextSettings Settings `json:"next_settings"`
	}
	commitEvent struct {
		E          string `json:"e"`
		Chain      uint32 `json:"chain"`
		Commitment string `json:"commitment"`
	}
	saltEvent struct {
		E      string `json:"e"`
		Chain  uint32 `json:"chain"`
		Salt   string `json:"salt"`
		Source string `json:"salt_source"`
	}

	outNotice struct {
		E      string `json:"e"`
		Slot   int    `json:"slot"`
		Round  uint64 `json:"round"`
		Centi  int64  `json:"centi"`
		Payout int64  `json:"payout"`
		Auto   bool   `json:"auto"`
	}
	refundNotice struct {
		E      string `json:"e"`
		Slot   int    `json:"slot"`
		Round  uint64 `json:"round"`
		Amount int64  `json:"amount"`
	}
	lostNotice struct {
		E     string `json:"e"`
		Slot  int    `json:"slot"`
		Round uint64 `json:"round"`
		Stake int64  `json:"stake"`
	}

	betResult struct {
		Bet     string `json:"bet"`
		Slot    int    `json:"slot"`
		Stake   int64  `json:"stake"`
		Auto    int64  `json:"auto,omitempty"`
		Round   uint64 `json:"round"`
		Balance int64  `json:"balance"`
		Version int64  `json:"version"`
	}
	cancelResult struct {
		Slot  int    `json:"slot"`
		Round uint64 `json:"round"`
	}
	cashoutResult struct {
		Slot   int    `json:"slot"`
		Round  uint64 `json:"round"`
		Centi  int64  `json:"centi"`
		Payout int64  `json:"payout"`
	}
)

func newBetEvent(b *bet) betEvent {
	return betEvent{
		E: "bet", Player: b.Player, Name: b.Name, Slot: b.Slot,
		Round: b.round.Number, Stake: b.Stake, Auto: b.Auto,
	}
}

func newUnbetEvent(b *bet) unbetEvent {
	return unbetEvent{E: "unbet", Player: b.Player, Slot: b.Slot, Round: b.round.Number}
}

func (r *Room) phaseEvent() phaseEvent {
	return phaseEvent{E: "phase", Phase: r.Phase, Round: r.Current.Number, Start: r.Start.Micros(), End: r.endMicros()}
}

// endMicros is the end of the phase, nil if nobody may know or there is none.
func (r *Room) endMicros() *int64 {
	if r.Phase == phaseFlying || r.Phase == phaseIdle {
		return nil
	}
	end := r.End.Micros()
	return &end
}

// touchTotals has the totals told at the next multiple of totalsEvery.
func (r *Room) touchTotals(now game.Time) {
	if r.TotalsAt == 0 {
		r.TotalsAt = (now/totalsEvery + 1) * totalsEvery
	}
}

func (r *Room) tellTotals(fx *game.Effects) {
	r.TotalsAt = 0
	fx.Latest("totals", totalsEvent{
		E: "totals", Round: r.Current.Number,
		Count: r.Current.Count, Stake: r.Current.Stake, Paid: r.Current.Paid,
		NextCount: r.Next.Count, NextStake: r.Next.Stake,
	})
}

// The view of a room; its fields stand in docs/protocol.md.
type (
	roomView struct {
		Game         string       `json:"game"`
		UUID         string       `json:"uuid"`
		Name         string       `json:"name"`
		State        string       `json:"state"`
		Phase        phase        `json:"phase"`
		Round        uint64       `json:"round"`
		Start        int64        `json:"start"`
		End          *int64       `json:"end"`
		Rules        int          `json:"rules"`
		Settings     Settings     `json:"settings"`
		NextSettings *Settings    `json:"next_settings"`
		Fairness     fairnessView `json:"fairness"`
		Bets         betsView     `json:"bets"`
		NextBets     nextBetsView `json:"next_bets"`
		History      []past       `json:"history"`
	}
	fairnessView struct {
		Chain      uint32     `json:"chain"`
		Index      uint64     `json:"index"` // 0 before the first round
		Commitment string     `json:"commitment"`
		Salt       string     `json:"salt"`
		Source     string     `json:"salt_source"`
		LastSeed   string     `json:"last_seed"`
		Next       *nextChain `json:"next,omitempty"`
	}
	nextChain struct {
		Chain      uint32 `json:"chain"`
		Commitment string `json:"commitment"`
		Salt       string `json:"salt"`
		Source     string `json:"salt_source"`
	}
	betsView struct {
		Count int       `json:"count"`
		Stake int64     `json:"stake"`
		Paid  int64     `json:"paid"`
		Top   []topView `json:"top"`
	}
	topView struct {
		Player string `json:"player"`
		Name   string `json:"name"`
		Slot   int    `json:"slot"`
		Stake  int64  `json:"stake"`
		Auto   int64  `json:"auto,omitempty"`
		Centi  int64  `json:"centi,omitempty"`
		Payout int64  `json:"payout,omitempty"`
	}
	nextBetsView struct {
		Count int   `json:"count"`
		Stake int64 `json:"stake"`
	}
	youView struct {
		Bets []yourBet `json:"bets"`
	}
	yourBet struct {
		Bet    string   `json:"bet"`
		Round  uint64   `json:"round"`
		Slot   int      `json:"slot"`
		Stake  int64    `json:"stake"`
		Auto   int64    `json:"auto,omitempty"`
		State  betState `json:"state"`
		Centi  int64    `json:"centi,omitempty"`
		Payout int64    `json:"payout,omitempty"`
	}
)

// View implements game.Room.
func (r *Room) View(game.At) json.RawMessage {
	rd := r.Current
	v := roomView{
		Game: KindName, UUID: r.UUID, Name: r.Name, State: r.Mode, Phase: r.Phase,
		Round: rd.Number, Start: r.Start.Micros(), End: r.endMicros(),
		Rules: cmp.Or(rd.Rules, RulesVersion), Settings: rd.Settings, Fairness: r.fairnessView(),
		Bets:     betsView{Count: rd.Count, Stake: rd.Stake, Paid: rd.Paid, Top: make([]topView, 0, len(rd.top))},
		NextBets: nextBetsView{Count: r.Next.Count, Stake: r.Next.Stake},
		History:  append([]past{}, r.History...),
	}
	if r.Wanted.Version != rd.Settings.Version {
		v.NextSettings = &r.Wanted
	}
	for _, b := range rd.top {
		v.Bets.Top = append(v.Bets.Top, topView{
			Player: b.Player, Name: b.Name, Slot: b.Slot, Stake: b.Stake,
			Auto: b.Auto, Centi: b.Centi, Payout: b.Payout,
		})
	}
	return game.Encode(v)
}

func (r *Room) fairnessView() fairnessView {
	c := r.Fair.viewed()
	v := fairnessView{
		Chain: c.Chain, Commitment: c.Commitment,
		Salt: c.Salt, Source: c.Source, LastSeed: c.Last,
	}
	if r.Fair.Current != nil {
		v.Index = c.index(r.Current.Number)
		if next := r.Fair.Next; next != nil {
			v.Next = &nextChain{next.Chain, next.Commitment, next.Salt, next.Source}
		}
	}
	return v
}

// You implements game.Room: the player's bets of this round and the next.
func (r *Room) You(player string) json.RawMessage {
	v := youView{}
	for _, rd := range []*round{r.Current, r.Next} {
		for slot := range slots {
			b := rd.find(player, slot)
			if b == nil || b.State == betRefused {
				continue
			}
			v.Bets = append(v.Bets, yourBet{
				Bet: b.ID, Round: rd.Number, Slot: b.Slot, Stake: b.Stake, Auto: b.Auto,
				State: b.State, Centi: b.Centi, Payout: b.Payout,
			})
		}
	}
	if v.Bets == nil {
		return nil
	}
	return game.Encode(v)
}
