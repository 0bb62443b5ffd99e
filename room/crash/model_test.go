package crash

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"tickcast/room/game"
	"tickcast/wire"
)

// book is a deliberately simple ledger: balances, and what became of each stake.
type book struct {
	balance map[string]int64 // players and "house"
	stakes  map[string]*stakeEntry
	results map[string]wire.BookingResult
	rounds  map[uint64]int
}

type stakeEntry struct {
	amount int64
	state  string // "booked", "refused", "tombstone", then one end: "paid", "returned"
}

const grant = 3000

func newBook() *book {
	return &book{
		balance: map[string]int64{"house": 0},
		stakes:  map[string]*stakeEntry{},
		results: map[string]wire.BookingResult{},
		rounds:  map[uint64]int{},
	}
}

func (k *book) move(from, to string, amount int64) {
	k.balance[from] -= amount
	k.balance[to] += amount
}

// apply books once; the same booking again has the same result.
func (k *book) apply(t *rapid.T, b wire.Booking) wire.BookingResult {
	if res, ok := k.results[b.ID]; ok {
		return res
	}
	res := wire.BookingResult{ID: b.ID, Booked: true, Player: b.Player}
	if _, known := k.balance[b.Player]; b.Player != "" && !known {
		k.move("house", b.Player, grant)
	}
	switch b.Kind {
	case wire.BookStake:
		k.stake(t, b, &res)
	case wire.BookPayout:
		s := k.stakes[b.Stake]
		if s == nil || s.state != "booked" || b.Amount != s.amount*b.Centi/100 {
			t.Fatalf("payout %+v of stake %+v", b, s)
		}
		s.state = "paid"
		k.move("house", b.Player, b.Amount)
	case wire.BookCancel:
		switch s := k.stakes[b.Stake]; {
		case s == nil:
			k.stakes[b.Stake] = &stakeEntry{state: "tombstone"}
		case s.state == "booked":
			s.state = "returned"
			k.move("house", b.Player, s.amount)
		case s.state != "refused":
			t.Fatalf("cancel %+v of stake %+v", b, s)
		}
	case wire.BookRound:
		k.rounds[b.Round.Round]++
	default:
		t.Fatalf("booking %+v", b)
	}
	res.Balance = k.balance[b.Player]
	k.results[b.ID] = res
	return res
}

func (k *book) stake(t *rapid.T, b wire.Booking, res *wire.BookingResult) {
	switch s := k.stakes[b.ID]; {
	case s != nil && s.state == "tombstone":
		res.Booked, res.Code = false, wire.CodeBetVoided
		return
	case s != nil:
		t.Fatalf("stake %+v again", b)
	}
	if k.balance[b.Player] < b.Amount {
		res.Booked, res.Code = false, wire.CodeInsufficientFunds
		k.stakes[b.ID] = &stakeEntry{amount: b.Amount, state: "refused"}
		return
	}
	k.stakes[b.ID] = &stakeEntry{amount: b.Amount, state: "booked"}
	k.move(b.Player, "house", b.Amount)
}

// client follows a room by its events alone, as docs/protocol.md tells it to.
type client struct {
	phase string
	round uint64
	state string
	top   []topView
	past  []past
}

func (c *client) hear(t *rapid.T, body json.RawMessage) {
	var e struct {
		E, Phase, State, Player, Name, Seed string
		Round, Index                        uint64
		Chain                               uint32
		Slot                                int
		Stake, Centi, Payout                int64
		Auto                                json.RawMessage // a number in bets, a flag in outs
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("event %s: %v", body, err)
	}
	switch e.E {
	case "phase":
		c.phase, c.round = e.Phase, e.Round
		switch e.Phase {
		case "betting":
			c.top = nil
		case "crashed":
			c.past = append([]past{{e.Round, e.Centi, e.Seed, e.Chain, e.Index, false}}, c.past...)
		}
	case "void":
		c.phase = "crashed"
		c.past = append([]past{{e.Round, 0, e.Seed, e.Chain, e.Index, true}}, c.past...)
	case "state":
		c.state = e.State
	case "bet":
		auto, _ := plainInteger(e.Auto)
		c.top = append(c.top, topView{Player: e.Player, Name: e.Name, Slot: e.Slot, Stake: e.Stake, Auto: auto})
		slices.SortStableFunc(c.top, func(a, b topView) int { return cmp.Compare(b.Stake, a.Stake) })
		c.top = c.top[:min(len(c.top), topBets)]
	case "unbet":
		c.top = slices.DeleteFunc(c.top, func(b topView) bool { return b.Player == e.Player && b.Slot == e.Slot })
	case "out":
		for i, b := range c.top {
			if b.Player == e.Player && b.Slot == e.Slot {
				c.top[i].Centi, c.top[i].Payout = e.Centi, e.Payout
			}
		}
	}
}

// check compares what the client shows with the view that a newcomer gets.
func (c *client) check(t *rapid.T, tb *table) {
	var v roomView
	if err := json.Unmarshal(tb.room.View(tb.at()), &v); err != nil {
		t.Fatal(err)
	}
	if c.phase != string(v.Phase) || c.round != v.Round || c.state != v.State {
		t.Fatalf("a client shows %s %d %s, the view %s %d %s", c.phase, c.round, c.state, v.Phase, v.Round, v.State)
	}
	if !slices.Equal(c.top, v.Bets.Top) {
		t.Fatalf("a client lists\n%+v, the view\n%+v", c.top, v.Bets.Top)
	}
	if !slices.Equal(c.past[:min(len(c.past), keptHistory)], v.History) {
		t.Fatalf("a client remembers\n%+v, the view\n%+v", c.past, v.History)
	}
}

// play is one random game: a room with its twin, a ledger that delays, repeats and
// reorders, a client, and the commands that were given.
type play struct {
	*table
	rt     *rapid.T
	book   *book
	client client
	names  []string // of the players
	asked  []game.Ref
	sent   []wire.Booking // booked, result not delivered for good
}

// step does one random thing.
func (p *play) step() {
	rt := p.rt
	player := rapid.SampledFrom(p.names).Draw(rt, "player")
	slot := rapid.IntRange(0, 1).Draw(rt, "slot")
	switch rapid.IntRange(0, 14).Draw(rt, "what") {
	case 0, 1, 2:
		p.asked = append(p.asked, p.betOnly(player, slot,
			100*rapid.Int64Range(1, 12).Draw(rt, "stake"),
			rapid.SampledFrom([]int64{0, 0, 101, 120, 150, 200, 300}).Draw(rt, "auto")))
	case 3:
		p.asked = append(p.asked, p.command(player, "cancel", p.room.Round(), fmt.Sprintf(`{"slot":%d}`, slot)))
	case 4, 5:
		p.asked = append(p.asked, p.command(player, "cashout", p.room.Current.Number, fmt.Sprintf(`{"slot":%d}`, slot)))
	case 6, 7, 8:
		p.deliver()
	case 9, 10:
		p.pass(game.Time(rapid.Int64Range(0, 400_000_000).Draw(rt, "ns")))
	case 11:
		p.pass(game.Time(rapid.Int64Range(0, 8_000_000_000).Draw(rt, "ns")))
	case 12:
		p.until(min(p.room.Due(), p.now+20_000_000_000))
	case 13:
		op := rapid.SampledFrom([]string{"void", "pause", "resume", "start", "set", "set"}).Draw(rt, "action")
		args := rapid.SampledFrom([]string{`{"max_win":1500}`, `{"max_win":100000,"rtp_bp":9500}`, `{"max_round_win":4000}`, `{"cap":250}`, `{"cap":100000}`, `{"salt":"a-salt-of-an-operator"}`}).Draw(rt, "args")
		p.action(op, args)
	case 14: // everybody at once, so that the list of the largest overflows
		for _, name := range p.names {
			p.asked = append(p.asked, p.betOnly(name, slot, 100*rapid.Int64Range(1, 3).Draw(rt, "stake"), 0))
		}
		for range rapid.IntRange(0, 20).Draw(rt, "delivered") {
			p.deliver()
		}
	}
}

// deliver books one queued booking, or repeats one that was booked before.
func (p *play) deliver() {
	all := len(p.queue) + len(p.sent)
	if all == 0 {
		return
	}
	i := rapid.IntRange(0, all-1).Draw(p.rt, "booking")
	if i >= len(p.queue) {
		p.result(p.book.apply(p.rt, p.sent[i-len(p.queue)]))
		return
	}
	b := p.queue[i]
	p.queue = slices.Delete(p.queue, i, i+1)
	if b.Kind == wire.BookPayout { // a ledger never sees it before the stake's result is in
		if p.book.stakes[b.Stake] == nil {
			p.rt.Fatalf("payout %s before its stake was booked", b.ID)
		}
	}
	p.result(p.book.apply(p.rt, b))
	p.sent = append(p.sent, b)
}

// finish pauses the room, delivers everything and lets the last round end.
func (p *play) finish() {
	if p.room.State() == stateRunning {
		p.action("pause", "")
	}
	p.untilPhase(phaseIdle)
	for len(p.queue) > 0 {
		p.deliver()
	}
	if !p.room.Settled() {
		p.rt.Fatal("the room waits for something still")
	}
}

// judge checks what must hold at the end.
func (p *play) judge() {
	var sum int64
	for who, amount := range p.book.balance {
		if sum += amount; who != "house" && amount < 0 {
			p.rt.Fatalf("%s has %d", who, amount)
		}
	}
	if sum != 0 {
		p.rt.Fatalf("the book adds up to %d", sum)
	}
	for n := uint64(1); n <= p.room.Current.Number; n++ {
		if p.book.rounds[n] != 1 {
			p.rt.Fatalf("round %d was archived %d times", n, p.book.rounds[n])
		}
	}
	ends := map[string]int{}
	for _, b := range p.booked {
		if kind, id, _ := strings.Cut(b.ID, "/"); kind == "payout" || kind == "cancel" {
			ends[id]++
		}
	}
	for id, n := range ends {
		if n != 1 {
			p.rt.Fatalf("bet %s has %d ends", id, n)
		}
	}
	for _, ref := range p.asked {
		if n := len(p.answersTo(ref)); n != 1 {
			p.rt.Fatalf("command %s of %s has %d answers", ref.Key, ref.Player, n)
		}
	}
	p.judgePayouts()
}

// judgePayouts checks every payout, and every stake that was lost, against the
// round that it belongs to.
func (p *play) judgePayouts() {
	type ended struct {
		outcome
		voided bool
	}
	points := map[uint64]ended{}
	for _, b := range p.booked {
		if b.Kind == wire.BookRound {
			o := ended{voided: b.Round.Voided}
			_ = json.Unmarshal(b.Round.Outcome, &o.outcome)
			if o.voided {
				o.Centi = Point(Seed(unhex(o.Seed)), o.Salt, o.RTPBP, o.Cap)
			}
			points[b.Round.Round] = o
		}
	}
	roundOf := map[string]uint64{}
	paid := map[uint64]int64{}
	for _, b := range p.booked {
		switch b.Kind {
		case wire.BookStake:
			roundOf[b.ID] = b.Bet.Round
			o, lost := points[b.Bet.Round], p.book.stakes[b.ID].state == "booked"
			if lost && (o.voided || b.Bet.Auto != 0 && b.Bet.Auto <= o.Centi) {
				p.rt.Fatalf("bet %+v was lost in round %+v", b.Bet, o)
			}
		case wire.BookPayout:
			n := roundOf[b.Stake]
			paid[n] += b.Amount
			if b.Centi <= minCenti || b.Centi > points[n].Centi {
				p.rt.Fatalf("paid %d in round %d, which crashed at %d", b.Centi, n, points[n].Centi)
			}
		}
	}
	for n, sum := range paid {
		if points[n].Paid != sum {
			p.rt.Fatalf("round %d says it paid %d, it paid %d", n, points[n].Paid, sum)
		}
	}
}

func unhex(s string) (b []byte) {
	_, _ = fmt.Sscanf(s, "%x", &b)
	return b
}
