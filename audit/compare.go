package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"tickcast/audit/judge"
	"tickcast/wire"
)

// comparison holds the book, as it was at one moment, against judged rounds.
type comparison struct {
	page *page
	// must is the newest record of each partition that was in the log before the page was
	// opened: what has a result up to it must be in the book.
	must  []uint64
	known map[string]uint64 // the newest round of each room, by UUID
	mends mends
}

// due reports whether a booking must be in the book.
func (c *comparison) due(partition int, b *judge.Booking) bool {
	return b != nil && b.Result != nil && b.Result.Booked && b.Result.Seq <= c.must[partition]
}

// field is one value of a row, by what it is called in a Difference.
type field struct {
	name string
	want string // what the log says
}

// betRow are the columns of betQuery behind the bet's ID, with what they must be.
func betRow(b *judge.Bet, rd *judge.Round) (stake, end []field) {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	stake = []field{
		{"bets.player", b.Player},
		{"bets.room", rd.Room},
		{"bets.game", rd.Game},
		{"bets.slot", n(int64(b.Slot))},
		{"bets.stake", n(b.Stake)},
		{"bets.auto", n(b.Auto)},
		{"bets.at", n(b.StakeBooking.At)},
		{"transfers.kind of the stake", "stake"},
		{"transfers.player of the stake", b.Player},
		{"transfers.amount of the stake", n(b.Stake)},
		{"transfers.room of the stake", rd.Room},
		{"transfers.at of the stake", n(b.StakeBooking.At)},
		{"entries.amount of the stake, the player's", n(-b.Stake)},
	}
	stake = append(stake, outcome("the stake", b.StakeBooking)...)
	kind, booking, transfer, amount, at := "", "", "", "", ""
	switch b.State {
	case judge.Won:
		kind, booking, amount = "payout", b.EndBooking.ID, n(b.Payout)
	case judge.Refunded:
		kind, booking, amount = "cancel", b.EndBooking.ID, n(b.Stake)
	case judge.Lost:
		kind, booking, amount, at = "lost", fmt.Sprintf("round/%s/%d", rd.UUID, rd.Number), "0", n(rd.Ended)
	}
	if b.EndBooking != nil {
		transfer, at = booking, n(b.EndBooking.At)
	}
	centi := ""
	if kind != "" {
		centi = n(b.Centi)
	}
	end = []field{
		{"end of the bet", kind}, {"ends.booking", booking}, {"ends.transfer", transfer}, {"ends.amount", amount}, {"ends.centi", centi}, {"ends.at", at},
	}
	if transfer != "" {
		end = append(end,
			field{"transfers.kind of the end", kind}, field{"transfers.player of the end", b.Player}, field{"transfers.amount of the end", amount},
			field{"transfers.room of the end", rd.Room}, field{"transfers.stake of the end", "stake/" + b.ID}, field{"transfers.at of the end", at},
			field{"entries.amount of the end, the player's", amount})
		end = append(end, outcome("the end", b.EndBooking)...)
	}
	return stake, end
}

// outcome are the columns of a booking's row that its result in the log tells.
func outcome(of string, b *judge.Booking) []field {
	if b.Result == nil {
		return nil
	}
	return []field{
		{"bookings.booked of " + of, map[bool]string{true: "1", false: "0"}[b.Result.Booked]},
		{"bookings.balance of " + of, strconv.FormatInt(b.Result.Balance, 10)},
		{"bookings.version of " + of, strconv.FormatInt(b.Result.Version, 10)},
	}
}

// betQuery has the columns of the stake behind the ID, then those of the end, then those of
// what mends the bet.
const betQuery = `SELECT b.id,
	b.player, b.room, b.game, b.slot, b.stake, b.auto, b.at,
	t.kind, t.player, t.amount, t.room, t.at, te.amount, k.booked, k.balance, k.version,
	e.kind, e.booking, e.transfer, e.amount, e.centi, e.at,
	et.kind, et.player, et.amount, et.room, et.stake, et.at, ee.amount, ek.booked, ek.balance, ek.version,
	m.kind, mt.kind, mt.player, mt.amount, me.amount
	FROM bets b
	LEFT JOIN transfers t ON t.id = b.id LEFT JOIN entries te ON te.transfer = b.id AND te.account IN (b.player, '.wallet')
	LEFT JOIN bookings k ON k.id = b.id
	LEFT JOIN ends e ON e.bet = b.id
	LEFT JOIN transfers et ON et.id = e.transfer LEFT JOIN entries ee ON ee.transfer = e.transfer AND ee.account IN (b.player, '.wallet')
	LEFT JOIN bookings ek ON ek.id = e.booking
	LEFT JOIN bookings m ON m.id = '` + wire.MendPrefix + `' || b.id AND m.booked = 1
	LEFT JOIN transfers mt ON mt.id = m.id LEFT JOIN entries me ON me.transfer = m.id AND me.account IN (b.player, '.wallet')
	WHERE b.room_uuid = $1 AND b.round = $2 ORDER BY b.id`

// Columns of betQuery.
const (
	stakeColumns = 16
	endColumns   = 16
	stakeFrom    = 1
	endFrom      = stakeFrom + stakeColumns
	mendFrom     = endFrom + endColumns
)

// round compares a round and its bets.
func (c *comparison) round(ctx context.Context, rd *judge.Round) error {
	c.known[rd.UUID] = max(c.known[rd.UUID], rd.Number)
	c.mends.round = 0
	bets := map[string]*judge.Bet{}
	for _, b := range rd.Bets {
		bets["stake/"+b.ID] = b
	}
	err := c.page.each(ctx, betQuery, []any{rd.UUID, int64(rd.Number)}, func(row []string) error {
		b := bets[row[0]]
		switch {
		case row[mendFrom] != "":
			delete(bets, row[0])
			return c.mended(rd, b, row)
		case rd.Orphan(row[0]):
			return orphan(rd, row)
		case b == nil || b.State == judge.Refused:
			return inBook(rd, strings.TrimPrefix(row[0], "stake/"), "bets of the round", "what the log says", "a bet that the log does not have")
		}
		delete(bets, row[0])
		return c.bet(b, rd, row)
	})
	if err != nil {
		return err
	}
	for _, b := range rd.Bets {
		if bets["stake/"+b.ID] != nil && c.due(rd.Partition, b.StakeBooking) {
			return inBook(rd, b.ID, "stake in the book", strconv.FormatInt(b.Stake, 10), "nothing")
		}
	}
	if err := c.archive(ctx, rd); err != nil {
		return err
	}
	return c.scores(ctx, rd)
}

// orphan compares a bet that the log lost: it is cancelled, unless that is under way.
func orphan(rd *judge.Round, row []string) error {
	kind, booking := row[endFrom], row[endFrom+1]
	if kind == "" || kind == "cancel" && booking == judge.OrphanPrefix+row[0] {
		return nil
	}
	return inBook(rd, strings.TrimPrefix(row[0], "stake/"), "end of a bet that the log lost", "cancel", kind)
}

// inBook is a Difference that shows in the book.
func inBook(rd *judge.Round, bet, what, expected, found string) error {
	return &judge.Difference{
		Partition: rd.Partition, Seq: rd.Seq, Room: rd.Room, Round: rd.Number, Bet: bet,
		What: what, Expected: expected, Found: found,
	}
}

func (c *comparison) bet(b *judge.Bet, rd *judge.Round, row []string) error {
	stake, end := betRow(b, rd)
	if strayed(b) {
		stake = nil
	}
	if err := compareFields(rd, b, stake, row[stakeFrom:]); err != nil {
		return err
	}
	row = row[endFrom:]
	settling := b.EndBooking
	if b.State == judge.Lost {
		settling = rd.Archive
	}
	if row[0] == "" && !c.due(rd.Partition, settling) || b.Unjudged {
		return nil
	}
	if rd.Archive == nil && b.State == judge.Lost && row[0] != "" {
		return inBook(rd, b.ID, "end of the bet", "none before the round is archived", row[0])
	}
	return compareFields(rd, b, end, row)
}

func compareFields(rd *judge.Round, b *judge.Bet, want []field, row []string) error {
	for i, f := range want {
		if row[i] != f.want {
			return inBook(rd, b.ID, f.name, orNothing(f.want), orNothing(row[i]))
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// archive compares the row of a finished round.
func (c *comparison) archive(ctx context.Context, rd *judge.Round) error {
	if rd.Unjudged {
		return nil // it may have ended
	}
	if refused(rd.Archive) {
		c.mends.note(rd.Archive.ID, 0) // it was archived for a tail that the log lost
		return nil
	}
	n := 0
	err := c.page.each(ctx, `SELECT booking, room, game, voided, started, ended, outcome FROM rounds WHERE room_uuid = $1 AND round = $2`,
		[]any{rd.UUID, int64(rd.Number)}, func(row []string) error {
			n++
			if rd.Archive == nil {
				return inBook(rd, "", "archived round", "none before it has ended", row[0])
			}
			voided := map[bool]string{true: "1", false: "0"}[rd.Voided]
			want := []field{
				{"rounds.booking", rd.Archive.ID},
				{"rounds.room", rd.Room},
				{"rounds.game", rd.Game},
				{"rounds.voided", voided},
				{"rounds.started", strconv.FormatInt(rd.Started, 10)},
				{"rounds.ended", strconv.FormatInt(rd.Ended, 10)},
			}
			if err := compareFields(rd, &judge.Bet{}, want, row); err != nil {
				return err
			}
			return compareOutcome(rd, row[6])
		})
	if err == nil && n == 0 && c.due(rd.Partition, rd.Archive) {
		return inBook(rd, "", "archived round", rd.Archive.ID, "nothing")
	}
	return err
}

func compareOutcome(rd *judge.Round, found string) error {
	want := map[string]any{
		"centi": rd.Centi, "seed": rd.Seed, "salt": rd.Salt, "chain": rd.Chain, "index": rd.Index, "commitment": rd.Commitment,
		"rtp_bp": rd.RTPBP, "cap": rd.Cap, "count": rd.Count, "stake": rd.Stake, "paid": rd.Paid, "rules": rd.Rules,
	}
	if rd.Game == "race" {
		top := append([]wire.Score{}, rd.Ranking[:min(len(rd.Ranking), 10)]...)
		want = map[string]any{"players": len(rd.Ranking), "top": top, "winner": nil}
		if len(top) > 0 {
			want["winner"] = top[0]
		}
	}
	var have map[string]json.RawMessage
	if err := json.Unmarshal([]byte(found), &have); err != nil {
		return inBook(rd, "", "rounds.outcome", "a JSON object", strconv.Quote(found))
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			return inBook(rd, "", "rounds.outcome", "no field "+name, string(have[name]))
		}
	}
	for _, name := range []string{
		"centi", "seed", "salt", "chain", "index", "commitment", "rtp_bp", "cap", "count", "stake", "paid", "rules", "players", "winner", "top",
	} {
		value, ok := want[name]
		if !ok || name == "seed" && rd.Seed == "" {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		if string(have[name]) != string(text) {
			return inBook(rd, "", "rounds.outcome."+name, string(text), orNothing(string(have[name])))
		}
	}
	return nil
}

// scores compares the archived points of a race.
func (c *comparison) scores(ctx context.Context, rd *judge.Round) error {
	if rd.Game != "race" {
		return nil
	}
	before := c.mends.round
	for _, b := range rd.Scores {
		if refused(b) {
			c.mends.note(b.ID, 0)
		}
	}
	if c.mends.round > before {
		return nil
	}
	points := map[string]int64{}
	for _, s := range rd.Ranking {
		points[s.Player] = s.Points
	}
	err := c.page.each(ctx, `SELECT player, points FROM round_scores WHERE room_uuid = $1 AND round = $2 ORDER BY player`,
		[]any{rd.UUID, int64(rd.Number)}, func(row []string) error {
			want, ok := points[row[0]]
			if text := strconv.FormatInt(want, 10); !ok || text != row[1] {
				return inBook(rd, "", "round_scores.points of player "+row[0], text, row[1])
			}
			delete(points, row[0])
			return nil
		})
	if err != nil {
		return err
	}
	for _, b := range rd.Scores {
		if !c.due(rd.Partition, b) {
			return nil
		}
	}
	for player, n := range points {
		return inBook(rd, "", "round_scores.points of player "+player, strconv.FormatInt(n, 10), "nothing")
	}
	return nil
}
