package judge

import "tickcast/wire"

// Booking is what the log asks of the ledger: a transfer, or a record for its archive.
type Booking struct {
	ID       string
	Kind     wire.BookingKind
	Room     string
	Player   string
	Amount   int64  // minor units
	Stake    string // payout, cancel: ID of the stake's booking
	Centi    int64  // payout
	Operator string
	Reason   string
	At       int64  // Unix ms of the record that caused it
	Seq      uint64 // of that record
	Result   *Result

	bet   *Bet
	round *Round
}

// Result is the ledger's answer as the log has it.
type Result struct {
	Seq     uint64
	Booked  bool
	Code    wire.Code
	Balance int64 // of the player after it
	Version int64 // of that balance
}

// State is where a bet stands.
type State string

// States of a bet. All but the first two are ends.
const (
	Pending  State = "pending"  // the stake is asked for
	Open     State = "open"     // the stake is booked
	Won      State = "won"      // cashed out
	Lost     State = "lost"     // the round crashed first
	Refunded State = "refunded" // cancelled or voided
	Refused  State = "refused"  // the ledger did not cover the stake
)

// Bet is one bet of a round.
type Bet struct {
	ID     string // without a prefix
	Player string
	Slot   int
	Stake  int64 // minor units
	Auto   int64 // target in hundredths, 0 for none
	State  State
	Centi  int64 // won: the multiplier paid
	Payout int64 // won: minor units
	Placed uint64
	// Unjudged: the seed of the round is not in the log, so whether and how the bet ended
	// in flight is not known.
	Unjudged bool

	StakeBooking *Booking
	EndBooking   *Booking // payout or cancel; nil without

	round *Round
	order int
}

func (b *Bet) live() bool { return b.State == Pending || b.State == Open }

// target is where the bet is cashed out by itself.
func (b *Bet) target() int64 {
	if limit := b.round.settings.Cap; b.Auto == 0 || b.Auto > limit {
		return limit
	}
	return b.Auto
}

// Round is what became of one round.
type Round struct {
	Partition int
	Room      string
	UUID      string
	Game      string // "crash" or "race"
	Number    uint64
	Voided    bool
	Started   int64 // Unix ms of the record that opened it
	Ended     int64 // Unix ms of the record that ended it
	// Unjudged: its seed is not in the log, so how its flight went is not known.
	Unjudged bool
	Rules    int

	// Of a crash round. Seed is empty while it is not revealed.
	Chain      uint32
	Index      uint64
	Commitment string
	Salt       string
	Seed       string
	RTPBP      int64
	Cap        int64
	Centi      int64 // the crash point; 0 if voided
	Count      int   // bets that were not taken back
	Stake      int64
	Paid       int64
	Bets       []*Bet // in the order of the log

	// Of a race: the best first, empty if voided, and the bookings that archive it.
	Ranking []wire.Score
	Scores  []*Booking

	// Archive is the booking that ends the round in the ledger; nil while the round is
	// not over, or results of its bets are not in the log.
	Archive *Booking
	// Seq is the record with which everything about the round is in the log, 0 before it,
	// and Head the log up to there.
	Seq  uint64
	Head Head

	room     *room
	settings settings
	slots    map[slot]*Bet // the last bet of each
	pending  int
	held     int64 // stakes of pending bets
	awaited  int   // bookings of bets without a result
	done     bool
}

type slot struct {
	player string
	number int
}

func (l *Log) newRound(r *room, number uint64, s settings) *Round {
	return &Round{
		Partition: l.cfg.Partition, Room: r.id, UUID: r.uuid, Game: r.kind, Number: number,
		room: r, settings: s, slots: map[slot]*Bet{},
	}
}

func (rd *Round) add(b *Bet) {
	b.round, b.order = rd, len(rd.Bets)
	rd.Bets = append(rd.Bets, b)
	rd.slots[slot{b.Player, b.Slot}] = b
	rd.pending++
	rd.held += b.Stake
}

// wagered is what a player's bets without an end add up to.
func (rd *Round) wagered(player string) (sum int64) {
	for n := range slotsPerPlayer {
		if b := rd.slots[slot{player, n}]; b != nil && b.live() {
			sum += b.Stake
		}
	}
	return sum
}

// complete reports whether the seed and the results of the archive are in the log.
func (rd *Round) complete() bool {
	if rd.Archive == nil || rd.Archive.Result == nil || rd.Game == "crash" && rd.Seed == "" {
		return false
	}
	for _, b := range rd.Scores {
		if b.Result == nil {
			return false
		}
	}
	return true
}

// leavePending gives a pending bet its next state.
func (rd *Round) leavePending(b *Bet, s State) {
	b.State = s
	rd.pending--
	rd.held -= b.Stake
}

func (rd *Round) confirm(b *Bet) {
	rd.leavePending(b, Open)
	rd.Count++
	rd.Stake += b.Stake
}

func (rd *Round) refund(b *Bet) {
	if b.State == Pending {
		rd.leavePending(b, Refunded)
		return
	}
	b.State = Refunded
	rd.Count--
	rd.Stake -= b.Stake
}
