package audit

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tickcast/audit/judge"
	"tickcast/wire"
)

// mends are the bookings that mend what the ledger has booked for a tail that the log lost.
// What they may be follows from log and book; that they are there, the log tells.
type mends struct {
	due   map[string]int64 // for which there is a reason, by ID, and what their players keep
	round int              // of them in the round that is compared
}

// note takes note of a reason to mend a booking. kept is what the player was paid, if that
// stays.
func (m *mends) note(booking string, kept int64) {
	m.due[wire.MendPrefix+booking] = kept
	m.round++
}

// anything is kept where it is not known what is owed.
const anything = -1

// refused reports whether the ledger has answered that it does not book what it had to.
func refused(b *judge.Booking) bool { return b != nil && b.Result != nil && !b.Result.Booked }

// strayed reports whether a bet's stake in the book is that of a bet of the lost tail,
// which its player has placed again.
func strayed(b *judge.Bet) bool {
	return refused(b.StakeBooking) && b.StakeBooking.Result.Code == wire.CodeConflict
}

// owed is what a bet's player must have got for a stake that is in the book; ok is false
// while that is not known.
func owed(b *judge.Bet, stake int64) (amount int64, ok bool) {
	switch {
	case b == nil || strayed(b):
		return stake, true // the log does not know it
	case b.State == judge.Won:
		return b.Payout, true
	case b.State == judge.Refunded:
		return stake, true
	case b.State == judge.Lost:
		return 0, true
	}
	return 0, false
}

// mended compares a bet that was mended. b is nil for one that the log does not have.
func (c *comparison) mended(rd *judge.Round, b *judge.Bet, row []string) error {
	bet := &judge.Bet{ID: strings.TrimPrefix(row[0], "stake/")}
	if b != nil {
		if b.Unjudged {
			c.mends.note(row[0], anything)
			return nil
		}
		bet = b
		if fields, _ := betRow(b, rd); !strayed(b) {
			if err := compareFields(rd, bet, fields, row[stakeFrom:]); err != nil {
				return err
			}
		}
	}
	player, stake := row[stakeFrom], row[stakeFrom+4]
	if err := compareFields(rd, bet, strayStake(rd, row[stakeFrom:]), row[stakeFrom+7:]); err != nil {
		return err
	}
	end, mend := row[endFrom:mendFrom], row[mendFrom:]
	amount, ok := owed(b, number(stake))
	paid := number(end[3])
	if end[1] == wire.MendPrefix+row[0] {
		paid = 0 // the mend itself is the end
	}
	if !ok || paid == amount && (b == nil || !refused(b.EndBooking)) {
		return inBook(rd, bet.ID, "mend of the bet", "none, as there is nothing to mend", mend[0])
	}
	if err := compareFields(rd, bet, strayEnd(rd, row), end); err != nil {
		return err
	}
	c.mends.note(row[0], 0)
	if paid >= amount {
		c.mends.due[wire.MendPrefix+row[0]] = paid
	}
	return compareFields(rd, bet, mendRow(end[0] == "cancel" && paid == 0, paid, amount, player), mend)
}

// strayStake are the columns of the stake's transfer, as those of the bet tell.
func strayStake(rd *judge.Round, bet []string) []field {
	player, stake, at := bet[0], bet[4], bet[6]
	return []field{
		{"transfers.kind of the stake", "stake"},
		{"transfers.player of the stake", player},
		{"transfers.amount of the stake", stake},
		{"transfers.room of the stake", rd.Room},
		{"transfers.at of the stake", at},
		{"entries.amount of the stake, the player's", "-" + stake},
	}
}

// strayEnd are the columns of the end that a lost tail has made, or a mend: whatever it is,
// it is a whole one.
func strayEnd(rd *judge.Round, row []string) []field {
	player, stake, end := row[stakeFrom], row[stakeFrom+4], row[endFrom:mendFrom]
	kind, booking, transfer, amount, centi, at := end[0], end[1], end[1], end[3], end[4], end[5]
	switch kind {
	case "":
		return []field{{"end of the bet", ""}}
	case "lost":
		transfer, amount = "", "0"
	case "cancel":
		amount = stake
	}
	want := []field{
		{"end of the bet", kind}, {"ends.booking", booking}, {"ends.transfer", transfer}, {"ends.amount", amount}, {"ends.centi", centi}, {"ends.at", at},
	}
	if transfer == "" {
		return want
	}
	return append(want, field{"transfers.kind of the end", kind}, field{"transfers.player of the end", player},
		field{"transfers.amount of the end", amount}, field{"transfers.room of the end", rd.Room}, field{"transfers.stake of the end", row[0]},
		field{"transfers.at of the end", at}, field{"entries.amount of the end, the player's", amount})
}

// mendRow are the columns of a mend: the player keeps the larger of what he was paid and
// what is owed to him. cancels: the mend is the refund of a stake without an end.
func mendRow(cancels bool, paid, owed int64, player string) []field {
	kind, amount := "credit", strconv.FormatInt(owed-paid, 10)
	switch {
	case cancels:
		kind = "cancel"
	case paid >= owed:
		return []field{{"mend of the bet", "audit"}, {"transfers.kind of the mend", ""}}
	}
	return []field{
		{"mend of the bet", kind},
		{"transfers.kind of the mend", kind},
		{"transfers.player of the mend", player},
		{"transfers.amount of the mend", amount},
		{"entries.amount of the mend, the player's", amount},
	}
}

// number reads a column that is NULL or a number.
func number(column string) int64 {
	n, _ := strconv.ParseInt(column, 10, 64) // the column's type is one
	return n
}

// untold is a mend in the book that is in no log, all of which were read to their ends: a
// book alone proves nothing.
func (c *comparison) untold(logs []*judge.Log) error {
	told := map[string]*judge.Mend{}
	for _, l := range logs {
		maps.Copy(told, l.Mends())
	}
	for _, id := range slices.Sorted(maps.Keys(c.mends.due)) {
		m, kept := told[id], c.mends.due[id]
		switch {
		case m == nil:
			return whole("mend "+id, "one whose result is in the log", "nothing in the log")
		case kept != anything && m.Kept != kept:
			return whole("what is kept by "+id, strconv.FormatInt(m.Kept, 10), strconv.FormatInt(kept, 10))
		}
	}
	return nil
}

// unfoundedQuery tells of a bet, or a round, where it is.
const unfoundedQuery = `SELECT k.id, k.kind, COALESCE(b.room_uuid, r.room_uuid), COALESCE(b.round, r.round) FROM bookings k
	LEFT JOIN bets b ON b.id = SUBSTR(k.id, LENGTH('` + wire.MendPrefix + `') + 1)
	LEFT JOIN rounds r ON r.booking = SUBSTR(k.id, LENGTH('` + wire.MendPrefix + `') + 1)
	WHERE k.booked = 1 AND k.id LIKE '` + wire.MendPrefix + `%' ORDER BY k.id`

// unfounded compares all mends of the book: each has its reason, unless it is from a round
// on that was not judged, and those that the logs told before the page was opened are there.
func (c *comparison) unfounded(ctx context.Context, logs []*judge.Log, abandoned map[string]uint64) error {
	have := map[string]bool{}
	err := c.page.each(ctx, unfoundedQuery, nil, func(row []string) error {
		have[row[0]] = true
		from, open := abandoned[row[2]]
		if _, ok := c.mends.due[row[0]]; !ok && !(open && number(row[3]) >= int64(from)) {
			return whole("mend "+row[0], "none, as there is nothing to mend", row[1])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for p, l := range logs {
		for _, id := range slices.Sorted(maps.Keys(l.Mends())) {
			if !have[id] && l.Mends()[id].Seq <= c.must[p] {
				return whole("mend "+id, "booked, as the log tells", "nothing")
			}
		}
	}
	return nil
}
