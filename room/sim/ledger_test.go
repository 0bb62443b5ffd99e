package sim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"tickcast/wire"
)

// grant is what an account opens with.
const grant = 100_000

// ackWait is when a booking that no worker acknowledged is handed out again.
const ackWait = 3 * time.Second

// ledger is the work queue, its workers and the book, by the rules of package ledger:
// a booking is booked once, a cancel that comes before its stake leaves a tombstone, a
// round that is archived ends its bets.
type ledger struct {
	w    *world
	link link
	sent map[string]bool  // by servers
	ids  map[string]int64 // in the queue's window of duplicates

	queue []*job
	came  uint64 // how many jobs came
	down  int64  // SQL answers nobody before
	late  int64  // workers take no batch before, though SQL answers
	busy  int    // workers that have a batch

	house    int64
	accounts map[string]*account
	outcomes map[string]wire.BookingResult
	asked    map[string][]byte // bookings with an outcome as they were asked for; none of a tombstone
	bets     map[string]*bet
	moved    map[string]int // how often a booking moved money
	paid     map[string]int // and how often one that ends a stake
	archived map[string]bool
	newest   map[string]uint64 // archived round by room
	// witnessed is what was told before, for what is broken.
	witnessed []wire.OpenStake
}

type account struct{ balance, version int64 }

type bet struct {
	player string
	room   string
	amount int64
	number uint64
	round  string // with the room's UUID
	end    string // payout, cancel, lost
	// endedBy is the booking of the end; astray, that records asked for it which the log lost.
	endedBy string
	astray  bool
	// late tells that it was booked for a tail that the log had lost before.
	late bool
}

// job is a booking in the queue.
type job struct {
	booking wire.Booking
	id      string
	n       uint64 // in the order in which they came
	came    int64
	again   int64 // it is out until then
	done    bool
	doneAt  int64
}

func newLedger(w *world) *ledger {
	return &ledger{
		w: w, link: link{w: w}, sent: map[string]bool{}, ids: map[string]int64{}, accounts: map[string]*account{},
		outcomes: map[string]wire.BookingResult{}, asked: map[string][]byte{}, bets: map[string]*bet{}, moved: map[string]int{}, paid: map[string]int{}, archived: map[string]bool{}, newest: map[string]uint64{},
	}
}

// queued is a booking that reaches the queue.
func (l *ledger) queued(id string, data []byte) {
	if l.w.now < l.ids[id] {
		return
	}
	l.ids[id] = l.w.now + int64(l.w.log.dedupe)
	var b wire.Booking
	if err := json.Unmarshal(data, &b); err != nil {
		l.w.fail("a booking is no JSON: %v", err)
		return
	}
	l.came++
	l.queue = append(l.queue, &job{booking: b, id: id, n: l.came, came: l.w.now})
	l.pull()
}

// workers is how many batches are under way at most.
const workers = 2

// pull has a free worker take a batch, in any order.
func (l *ledger) pull() {
	if l.busy >= workers || l.w.now < max(l.down, l.late) {
		return
	}
	l.queue = slices.DeleteFunc(l.queue, func(j *job) bool { return j.done && l.w.now-j.doneAt > int64(time.Second) })
	var batch []*job
	for _, j := range l.queue {
		if !j.done && j.again <= l.w.now && len(batch) < 16 {
			batch = append(batch, j)
		}
	}
	if len(batch) == 0 {
		return
	}
	if l.w.cfg.hostile {
		l.w.rnd.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	}
	l.busy++
	for _, j := range batch {
		j.again = l.w.now + int64(ackWait)
		l.w.at(j.again+1, l.pull)
	}
	l.w.after(l.w.between(200*time.Microsecond, 4*time.Millisecond), func() { l.work(batch) })
}

// work is a batch's transaction and what follows. A worker may die before it, between
// commit and result, or between result and acknowledgement.
func (l *ledger) work(batch []*job) {
	l.busy--
	dies := func() bool { return l.w.cfg.hostile && l.w.chance(0.01) }
	if l.w.now < l.down || dies() {
		l.pull()
		return
	}
	results := make([]wire.BookingResult, len(batch))
	for i, j := range batch {
		results[i] = l.apply(j.booking)
	}
	for i, j := range batch {
		if dies() {
			break
		}
		m := message{kind: wire.KindResult, data: encode(results[i])}
		l.w.log.publish(&l.link, m, 2*time.Second, func(a ack) {
			if a.err == nil && !dies() {
				j.done, j.doneAt = true, l.w.now
			}
		})
	}
	l.pull()
}

// apply books one booking, once.
func (l *ledger) apply(b wire.Booking) wire.BookingResult {
	asked := encode(b)
	if r, known := l.outcomes[b.ID]; known && l.w.cfg.broken != booksTwice {
		if first, ok := l.asked[b.ID]; ok && string(first) != string(asked) {
			return l.askedAnew(&b, r)
		}
		return r
	}
	l.asked[b.ID] = asked
	r := wire.BookingResult{ID: b.ID, Player: b.Player, Booked: true}
	if code := l.decide(&b); code != "" {
		r.Booked, r.Code = false, code
	}
	if a := l.accounts[b.Player]; a != nil {
		r.Balance, r.Version = a.balance, a.version
	}
	l.outcomes[b.ID] = r
	l.check(&b)
	return r
}

func (l *ledger) decide(b *wire.Booking) wire.Code {
	switch b.Kind {
	case wire.BookStake:
		key := roundKey(b.Bet.RoomUUID, b.Bet.Round)
		if l.archived[key] {
			return wire.CodeStaleRound
		}
		if l.open(b.Player).balance < b.Amount {
			return wire.CodeInsufficientFunds
		}
		l.move(b, -b.Amount)
		l.bets[b.ID] = &bet{player: b.Player, room: b.Room, amount: b.Amount, number: b.Bet.Round, round: key, late: l.w.history.lost(b.ID)}
	case wire.BookPayout:
		k := l.bets[b.Stake]
		if k == nil || k.end != "" || k.player != b.Player {
			if l.refuse(b, k); k == nil || l.w.cfg.broken != paysAgain {
				return wire.CodeNoBet
			}
		}
		l.end(k, "payout", b.ID)
		l.move(b, b.Amount)
	case wire.BookCancel:
		return l.cancel(b)
	case wire.BookRefill:
		if l.open(b.Player).balance >= 100 {
			return wire.CodeBalanceNotZero
		}
		l.move(b, b.Amount)
	case wire.BookRound:
		l.archive(b)
	}
	return ""
}

// askedAnew is for an ID under which something else was asked before: a fold that lost its
// tail asks at another time.
func (l *ledger) askedAnew(b *wire.Booking, first wire.BookingResult) wire.BookingResult {
	if l.w.truth.lostTails == 0 {
		l.w.fail("%s is asked for twice, and not the same", b.ID)
	}
	return wire.BookingResult{ID: b.ID, Player: first.Player, Code: wire.CodeConflict}
}

func (l *ledger) cancel(b *wire.Booking) wire.Code {
	switch k := l.bets[b.Stake]; {
	case k == nil:
		if _, known := l.outcomes[b.Stake]; !known && l.w.cfg.broken != noTombstones {
			l.outcomes[b.Stake] = wire.BookingResult{ID: b.Stake, Player: b.Player, Code: wire.CodeBetVoided}
		}
	case k.end == "", k.end != "cancel" && k.astray && l.w.cfg.broken == paysAgain:
		l.end(k, "cancel", b.ID)
		l.move(b, k.amount)
	case k.end != "cancel":
		l.refuse(b, k)
		return wire.CodeNoBet
	}
	return ""
}

func (l *ledger) archive(b *wire.Booking) {
	key := roundKey(b.Round.RoomUUID, b.Round.Round)
	if l.archived[key] {
		l.w.fail("round %s is archived twice", key)
	}
	l.archived[key] = true
	l.newest[b.Round.RoomUUID] = max(l.newest[b.Round.RoomUUID], b.Round.Round)
	for _, k := range l.bets {
		if k.round == key && k.end == "" && !b.Round.Voided {
			l.end(k, "lost", b.ID)
		}
	}
}

// end ends a bet, once.
func (l *ledger) end(k *bet, end, by string) {
	k.end, k.endedBy, k.astray = end, by, l.w.history.strayed(by)
}

// refuse is for a booking that would end a bet again. That of a record behind a lost tail
// may come upon an end of a record that was in it.
func (l *ledger) refuse(b *wire.Booking, k *bet) {
	if k != nil && k.end == "lost" && l.w.truth.unguarded[k.round] && strings.HasPrefix(b.ID, "lost/") {
		return // the round was over before
	}
	if k == nil || !k.astray && !l.w.history.strayed(b.ID) {
		l.w.fail("%s ends a bet that is not open: %+v", b.ID, k)
	}
}

func roundKey(uuid string, round uint64) string { return uuid + "/" + string(encode(round)) }

func (l *ledger) open(player string) *account {
	if l.accounts[player] == nil {
		l.accounts[player] = &account{balance: grant, version: 1}
		l.house -= grant
	}
	return l.accounts[player]
}

func (l *ledger) move(b *wire.Booking, change int64) {
	a := l.open(b.Player)
	a.balance += change
	a.version++
	l.house -= change
	if l.moved[b.ID]++; b.Stake != "" {
		if l.paid[b.Stake]++; l.paid[b.Stake] > 1 {
			l.w.fail("%s is paid for %d times", b.Stake, l.paid[b.Stake])
		}
	}
}

// check is behind each booking: what must be true of the book at any time.
func (l *ledger) check(b *wire.Booking) {
	total := l.house
	for player, a := range l.accounts {
		if total += a.balance; a.balance < 0 {
			l.w.fail("%s has %d behind %s", player, a.balance, b.ID)
		}
	}
	if total != 0 {
		l.w.fail("the book adds up to %d behind %s", total, b.ID)
	}
	if l.moved[b.ID] > 1 {
		l.w.fail("%s has moved money %d times", b.ID, l.moved[b.ID])
	}
}

// stakes is what the book knows beside what the rooms of an owner know.
func (l *ledger) stakes(q *wire.StakesQuery) *wire.StakesReply {
	r := &wire.StakesReply{Archived: map[string]uint64{}, Queued: l.came, Booked: l.came}
	for _, j := range l.queue {
		if !j.done {
			r.Booked = min(r.Booked, j.n-1)
		}
	}
	for uuid := range q.Rounds {
		r.Archived[uuid] = l.newest[uuid]
	}
	for _, id := range slices.Sorted(maps.Keys(l.bets)) {
		b := l.bets[id]
		if round, ok := q.Rounds[strings.TrimSuffix(b.round, "/"+string(encode(b.number)))]; ok && b.end == "" && b.number >= round {
			r.Open = append(r.Open, wire.OpenStake{ID: id, Player: b.player, Room: b.room, Round: b.number, Amount: b.amount})
		}
	}
	for _, id := range q.Open {
		if b := l.bets[id]; b != nil && b.end != "" {
			r.Ended = append(r.Ended, id)
		}
	}
	return r
}
