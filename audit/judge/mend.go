package judge

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"tickcast/wire"
)

// What the ledger has booked for a tail that the log lost stays booked, so it refuses what
// the log asks for in its place. People mend that: the result of the booking that does is
// in the log, under the ID of what was refused behind wire.MendPrefix.

// Mend is the result of a booking that mends the ledger.
type Mend struct {
	Seq  uint64
	Kept int64 // what the player keeps, minor units; 0 of a mend that moves money
}

// refusal is an answer of the ledger that is a difference unless it was mended.
type refusal struct {
	mend string // the ID of what must mend it
	why  *Difference
}

// lookForMend takes note of the result of a mend as soon as it is read: records before it
// may wait for a seed.
func (l *Log) lookForMend(rec *Record) {
	if rec.Foreign || !bytes.Contains(rec.Data, []byte(wire.MendPrefix)) {
		return
	}
	var res wire.BookingResult
	kind, err := kindOf(l.cfg.Partition, rec)
	if err != nil || kind != wire.KindResult || json.Unmarshal(rec.Data, &res) != nil ||
		!res.Booked || !strings.HasPrefix(res.ID, wire.MendPrefix) || l.mends[res.ID] != nil {
		return
	}
	l.mends[res.ID] = &Mend{Seq: rec.Seq, Kept: res.Kept}
	l.stray(res.Player)
}

// refusedInVain takes note of a booking that the ledger had to book.
func (l *Log) refusedInVain(b *Booking) {
	where, mends := l.where(b), b.ID
	if b.bet != nil {
		mends = b.bet.StakeBooking.ID
	}
	l.refused = append(l.refused, refusal{
		wire.MendPrefix + mends, where.as("the ledger's answer to "+b.ID, "booked", "refused with "+string(b.Result.Code)),
	})
	l.stray(b.Player)
}

// stray gives up the account of a player whom a lost tail has paid.
func (l *Log) stray(player string) {
	if player == "" {
		return
	}
	l.players[player] = true
	if l.cfg.Accounts != nil {
		l.cfg.Accounts.Lose(player)
	}
}

// Mends are the mends of the ledger that the log tells, by the IDs of their bookings, as
// far as it was read. The caller does not modify them.
func (l *Log) Mends() map[string]*Mend { return l.mends }

// Unmended is the first answer of the ledger that is not as it must be and that nothing in
// the log has mended; nil when there is none. It is for a log that was read to its end: a
// mend comes long behind what it mends.
func (l *Log) Unmended() *Difference {
	l.refused = slices.DeleteFunc(l.refused, func(r refusal) bool { return l.mends[r.mend] != nil })
	if len(l.refused) == 0 {
		return nil
	}
	return l.refused[0].why
}
