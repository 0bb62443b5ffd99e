package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"tickcast/wire"
)

// model is the book as simply as it can be said: maps, one booking at a time.
type model struct {
	accounts map[string]*modelAccount
	bets     map[string]*modelBet
	content  map[string]string // ID to the booking as JSON; "tombstone"
	results  map[string]wire.BookingResult
	rounds   map[string]bool
	boards   map[string]map[string]int64
}

type modelAccount struct{ balance, version int64 }

type modelBet struct {
	player, round, state string
	stake, payout        int64
}

func newModel() *model {
	return &model{
		accounts: map[string]*modelAccount{}, bets: map[string]*modelBet{},
		content: map[string]string{}, results: map[string]wire.BookingResult{},
		rounds: map[string]bool{}, boards: map[string]map[string]int64{},
	}
}

func (m *model) book(b wire.Booking) wire.BookingResult {
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	if had, ok := m.content[b.ID]; ok {
		if had == string(raw) || had == "tombstone" && b.Kind == wire.BookStake {
			return m.results[b.ID]
		}
		return wire.BookingResult{ID: b.ID, Code: wire.CodeConflict, Player: m.results[b.ID].Player}
	}
	code := m.decide(b)
	r := wire.BookingResult{ID: b.ID, Booked: code == "", Code: code, Player: b.Player}
	if a := m.accounts[b.Player]; a != nil {
		r.Balance, r.Version = a.balance, a.version
	}
	m.content[b.ID], m.results[b.ID] = string(raw), r
	return r
}

func (m *model) account(player string) *modelAccount {
	if m.accounts[player] == nil {
		m.accounts[player] = &modelAccount{DefaultInitialCredit, 1}
	}
	return m.accounts[player]
}

func (m *model) decide(b wire.Booking) wire.Code {
	switch b.Kind {
	case wire.BookStake, wire.BookPayout, wire.BookCredit:
		if b.Amount <= 0 || b.Amount > MaxAmount {
			return wire.CodeBadAmount
		}
	}
	bet := m.bets[b.Stake]
	switch b.Kind {
	case wire.BookStake:
		round := fmt.Sprint(b.Bet.RoomUUID, "/", b.Bet.Round)
		if m.rounds[round] {
			return wire.CodeStaleRound
		}
		a := m.account(b.Player)
		if a.balance < b.Amount {
			return wire.CodeInsufficientFunds
		}
		m.bets[b.ID] = &modelBet{b.Player, round, "open", b.Amount, 0}
		return m.move(b.Player, -b.Amount)
	case wire.BookPayout:
		if bet == nil || bet.player != b.Player || bet.state != "open" {
			return wire.CodeNoBet
		}
		bet.state, bet.payout = "won", b.Amount
		return m.move(b.Player, b.Amount)
	case wire.BookCancel:
		return m.cancel(b, bet)
	case wire.BookCredit:
		m.account(b.Player)
		return m.move(b.Player, b.Amount)
	case wire.BookRefill:
		if m.account(b.Player).balance >= 100 {
			return wire.CodeBalanceNotZero
		}
		return m.move(b.Player, 100_000)
	case wire.BookRound:
		return m.end(b)
	case wire.BookScores:
		for _, s := range b.Scores {
			m.score(b.Round, s.Player, s.Points)
		}
		return ""
	}
	return wire.CodeBadArgs
}

func (m *model) cancel(b wire.Booking, bet *modelBet) wire.Code {
	if bet == nil {
		if r, ok := m.results[b.Stake]; ok {
			if r.Player != b.Player || r.Booked {
				return wire.CodeNoBet
			}
			return ""
		}
		r := wire.BookingResult{ID: b.Stake, Code: wire.CodeBetVoided, Player: b.Player}
		if a := m.accounts[b.Player]; a != nil {
			r.Balance, r.Version = a.balance, a.version
		}
		m.content[b.Stake], m.results[b.Stake] = "tombstone", r
		return ""
	}
	switch {
	case bet.player != b.Player || bet.state == "won" || bet.state == "lost":
		return wire.CodeNoBet
	case bet.state == "refunded":
		return ""
	}
	bet.state = "refunded"
	return m.move(b.Player, bet.stake)
}

func (m *model) end(b wire.Booking) wire.Code {
	round := fmt.Sprint(b.Round.RoomUUID, "/", b.Round.Round)
	if m.rounds[round] {
		return wire.CodeConflict
	}
	m.rounds[round] = true
	for _, bet := range m.bets {
		if bet.round != round {
			continue
		}
		if bet.state == "open" && !b.Round.Voided {
			bet.state = "lost"
		}
		if bet.state == "won" || bet.state == "lost" {
			m.score(b.Round, bet.player, bet.payout-bet.stake)
		}
	}
	return ""
}

func (m *model) move(player string, change int64) wire.Code {
	a := m.accounts[player]
	a.balance += change
	a.version++
	return ""
}

func (m *model) score(r *wire.RoundRecord, player string, points int64) {
	day := time.UnixMilli(r.Ended).UTC().Format("2006-01-02")
	for _, board := range []string{r.Game + ":all", r.Game + ":" + day} {
		if m.boards[board] == nil {
			m.boards[board] = map[string]int64{}
		}
		m.boards[board][player] += points
	}
}

// deliveries draws what a queue may deliver for some rooms and players: every
// booking at least once, some more often, some with their content changed, in any
// order.
func deliveries(t *rapid.T) []wire.Booking {
	players := []string{"ann", "bob", "guest-1"}
	var all []wire.Booking
	var stakes []wire.Booking
	for i := range rapid.IntRange(1, 14).Draw(t, "stakes") {
		b := wire.Booking{
			ID: fmt.Sprintf("s%d", i), Kind: wire.BookStake, Room: "lobby", At: int64(1000 + i),
			Player: rapid.SampledFrom(players).Draw(t, "player"), Name: "N", Guest: true,
			Amount: 100 * rapid.SampledFrom([]int64{-1, 0, 1, 10, 400, 700, 1001}).Draw(t, "amount"),
			Bet:    &wire.BetRecord{RoomUUID: rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "room"), Game: "crash", Round: rapid.Uint64Range(1, 2).Draw(t, "round")},
		}
		stakes = append(stakes, b)
	}
	all = append(all, stakes...)
	for i := range rapid.IntRange(0, 16).Draw(t, "ends") {
		s := rapid.SampledFrom(stakes).Draw(t, "stake")
		b := wire.Booking{
			ID: fmt.Sprintf("e%d", i), Kind: rapid.SampledFrom([]wire.BookingKind{wire.BookPayout, wire.BookCancel}).Draw(t, "kind"),
			Room: "lobby", At: 2000, Player: s.Player, Stake: s.ID, Amount: 300, Centi: 150,
		}
		if rapid.IntRange(0, 9).Draw(t, "forged") == 0 {
			b.Player = "eve"
		}
		all = append(all, b)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "others") {
		b := wire.Booking{ID: fmt.Sprintf("o%d", i), Room: "_", At: 3000, Player: rapid.SampledFrom(players).Draw(t, "player")}
		b.Kind = rapid.SampledFrom([]wire.BookingKind{wire.BookCredit, wire.BookRefill, wire.BookScores, "nonsense"}).Draw(t, "kind")
		switch b.Kind {
		case wire.BookCredit:
			b.Amount = rapid.SampledFrom([]int64{-5, 100, MaxAmount, MaxAmount + 1}).Draw(t, "credit")
		case wire.BookScores:
			b.Player = ""
			b.Round = &wire.RoundRecord{RoomUUID: "u3", Game: "race", Round: uint64(i), Ended: 86_400_000 * rapid.Int64Range(1, 2).Draw(t, "day")}
			b.Scores = []wire.Score{{Player: "ann", Name: "Ann", Points: 7}, {Player: "bob", Name: "Bob", Points: int64(i)}}
		}
		all = append(all, b)
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "rounds") {
		all = append(all, wire.Booking{ID: fmt.Sprintf("r%d", i), Kind: wire.BookRound, Room: "lobby", At: 4000, Round: &wire.RoundRecord{
			RoomUUID: rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "room"), Game: "crash",
			Round: rapid.Uint64Range(1, 2).Draw(t, "round"), Voided: rapid.Bool().Draw(t, "voided"),
			Started: 1, Ended: 86_400_000, Outcome: json.RawMessage(`{"centi":150}`),
		}})
	}
	for range rapid.IntRange(0, 8).Draw(t, "repeats") {
		b := rapid.SampledFrom(all).Draw(t, "repeated")
		if rapid.IntRange(0, 4).Draw(t, "changed") == 0 {
			b.Amount += 100
		}
		all = append(all, b)
	}
	return rapid.Permutation(all).Draw(t, "order")
}

// batches cuts a delivery into batches of any size.
func batches(t *rapid.T, list []wire.Booking) [][]wire.Booking {
	var out [][]wire.Booking
	for len(list) > 0 {
		n := rapid.IntRange(1, len(list)).Draw(t, "batch")
		out = append(out, slices.Clone(list[:n]))
		list = list[n:]
	}
	return out
}
