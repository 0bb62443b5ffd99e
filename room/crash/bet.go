package crash

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"tickcast/room/game"
)

// betState is where a bet stands. Won, lost, refunded and refused are ends: no
// bet leaves them.
type betState string

const (
	betPending  betState = "pending"  // the stake is not booked yet
	betOpen     betState = "open"     // the stake is booked
	betWon      betState = "won"      // cashed out
	betLost     betState = "lost"     // the round crashed first
	betRefunded betState = "refunded" // cancelled or voided: nothing is owed
	betRefused  betState = "refused"  // the ledger did not cover the stake
)

// live reports whether the bet takes its slot.
func (s betState) live() bool { return s == betPending || s == betOpen }

// counts reports whether the bet is part of the round's totals and list.
func (s betState) counts() bool { return s == betOpen || s == betWon || s == betLost }

// bet is one bet of a round.
type bet struct {
	ID      string   `json:"id"`
	Player  string   `json:"player"`
	Name    string   `json:"name"`
	Key     string   `json:"key"` // of its command, for the answer
	Slot    int      `json:"slot"`
	Stake   int64    `json:"stake"`
	Auto    int64    `json:"auto,omitempty"` // target in hundredths, 0 for none
	State   betState `json:"state"`
	Arrival uint64   `json:"arrival,omitempty"` // order of confirmation in the round, from 1
	Centi   int64    `json:"centi,omitempty"`   // won: the multiplier paid
	Payout  int64    `json:"payout,omitempty"`  // won: minor units
	Forced  bool     `json:"forced,omitempty"`  // won: by a target or a limit, not by a command
	// Untold: it was forced, and no cash-out command of the player has been answered
	// with that yet.
	Untold bool `json:"untold,omitempty"`
	// AwaitStake, AwaitEnd: a booking whose result has not come yet.
	AwaitStake bool `json:"await_stake,omitempty"`
	AwaitEnd   bool `json:"await_end,omitempty"`

	// In memory only; rebuilt by Restore.
	round  *round
	order  int  // place in round.Bets
	listed bool // in round.top
}

// betID names a bet for ever. Player and UUID have no "|" in them and the key
// comes last, so different bets have different texts.
func betID(uuid, player string, round uint64, key string) string {
	sum := sha256.Sum256([]byte(uuid + "|" + player + "|" + strconv.FormatUint(round, 10) + "|" + key))
	return hex.EncodeToString(sum[:16])
}

// IDs of the bookings of a bet.
func (b *bet) stakeID() string { return "stake/" + b.ID }

// endID names the booking of the bet's end, if it has one.
func (b *bet) endID() string {
	if b.State == betWon {
		return "payout/" + b.ID
	}
	return "cancel/" + b.ID
}

func (b *bet) ref() game.Ref { return game.Ref{Player: b.Player, Key: b.Key} }

// target is the multiplier at which the bet is cashed out by itself.
func (b *bet) target() int64 {
	if limit := b.round.Settings.Cap; b.Auto == 0 || b.Auto > limit {
		return limit
	}
	return b.Auto
}

// payout is exact, because stakes are multiples of 100.
func (b *bet) payout(centi int64) int64 { return b.Stake * centi / 100 }

// seat is a player's part of a round.
type seat struct {
	order int         // of his first bet
	bets  [slots]*bet // the last bet of each slot, whatever its state
}

// round is one round's book: the bets in log order and what they add up to.
type round struct {
	Number     uint64   `json:"number"`
	Settings   Settings `json:"settings"`
	Rules      int      `json:"rules,omitempty"`
	Started    int64    `json:"started,omitempty"` // Unix ms of the opening record
	Ended      int64    `json:"ended,omitempty"`   // Unix ms of the record that ended it
	Chain      uint32   `json:"chain,omitempty"`
	Index      uint64   `json:"index,omitempty"`
	Commitment string   `json:"commitment,omitempty"`
	Salt       string   `json:"salt,omitempty"`
	Seed       string   `json:"seed,omitempty"`  // hex, once the round has ended
	Centi      int64    `json:"centi,omitempty"` // the crash point, once it has crashed
	Voided     bool     `json:"voided,omitempty"`
	Done       bool     `json:"done,omitempty"`     // crashed or voided
	Archived   bool     `json:"archived,omitempty"` // handed to the archive
	Arrivals   uint64   `json:"arrivals,omitempty"`
	Count      int      `json:"count,omitempty"` // bets that count
	Stake      int64    `json:"stake,omitempty"` // their stakes
	Paid       int64    `json:"paid,omitempty"`  // their payouts
	Bets       []*bet   `json:"bets,omitempty"`

	// In memory only; rebuilt by Restore.
	seats   map[string]*seat
	top     []*bet // the largest stakes that count, at most topBets
	pending int    // bets in state pending
	held    int64  // stakes of pending bets
	awaited int    // bookings whose result has not come yet
}

// topBets is how many of the largest stakes are shown bet by bet.
const topBets = 20

func newRound(number uint64, s Settings) *round {
	return &round{Number: number, Settings: s, seats: make(map[string]*seat)}
}

// live reports whether the round has a bet that could still fly.
func (rd *round) live() bool { return rd.pending > 0 || rd.Count > 0 }

// add puts a bet into the book.
func (rd *round) add(b *bet) {
	b.round, b.order = rd, len(rd.Bets)
	rd.Bets = append(rd.Bets, b)
	s := rd.seats[b.Player]
	if s == nil {
		s = &seat{order: b.order}
		rd.seats[b.Player] = s
	}
	s.bets[b.Slot] = b
	if b.State == betPending {
		rd.pending++
		rd.held += b.Stake
	}
}

// find is the last bet of a player's slot, or nil.
func (rd *round) find(player string, slot int) *bet {
	if s := rd.seats[player]; s != nil {
		return s.bets[slot]
	}
	return nil
}

// wagered is what a player's live bets add up to.
func (rd *round) wagered(player string) (sum int64) {
	if s := rd.seats[player]; s != nil {
		for _, b := range s.bets {
			if b != nil && b.State.live() {
				sum += b.Stake
			}
		}
	}
	return sum
}

// confirm opens a pending bet.
func (rd *round) confirm(b *bet) {
	rd.leavePending(b, betOpen)
	rd.Arrivals++
	b.Arrival = rd.Arrivals
	rd.Count++
	rd.Stake += b.Stake
}

// refund ends a live bet with nothing owed.
func (rd *round) refund(b *bet) {
	if b.State == betPending {
		rd.leavePending(b, betRefunded)
		return
	}
	b.State = betRefunded
	rd.Count--
	rd.Stake -= b.Stake
}

func (rd *round) leavePending(b *bet, to betState) {
	b.State = to
	rd.pending--
	rd.held -= b.Stake
}

// larger orders bets as the list shows them: by stake, then by confirmation.
func larger(a, b *bet) int {
	return cmp.Or(cmp.Compare(b.Stake, a.Stake), cmp.Compare(a.Arrival, b.Arrival))
}

// list puts a confirmed bet into the list of the largest, if it is one of them.
func (rd *round) list(b *bet) bool {
	i, _ := slices.BinarySearchFunc(rd.top, b, larger)
	if i >= topBets {
		return false
	}
	if len(rd.top) == topBets {
		rd.top[topBets-1].listed = false
		rd.top = rd.top[:topBets-1]
	}
	rd.top = slices.Insert(rd.top, i, b)
	b.listed = true
	return true
}

// unlist takes a bet that counts no more out of the list and returns the one that
// moved up, if any. Looking for it costs a pass over the book; only a cancelled
// bet that was listed causes it.
func (rd *round) unlist(b *bet) (up *bet) {
	rd.top = slices.DeleteFunc(rd.top, func(x *bet) bool { return x == b })
	b.listed = false
	if len(rd.top) < topBets-1 {
		return nil // everybody who counts was listed
	}
	for _, x := range rd.Bets {
		if x.State.counts() && !x.listed && (up == nil || larger(x, up) < 0) {
			up = x
		}
	}
	if up != nil {
		rd.list(up)
	}
	return up
}

// relist builds the list from the book.
func (rd *round) relist() {
	rd.top = rd.top[:0]
	for _, b := range rd.Bets {
		if b.listed = false; b.State.counts() {
			rd.list(b)
		}
	}
}

// prune forgets the bets of a finished round that nothing is awaited for.
func (rd *round) prune() {
	rd.Bets = slices.DeleteFunc(rd.Bets, func(b *bet) bool { return !b.AwaitStake && !b.AwaitEnd })
	rd.seats, rd.top = nil, nil
}
