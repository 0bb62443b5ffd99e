package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tickcast/audit/judge"
	"tickcast/wire"
)

// rest compares what belongs to no round: there must be nothing in the book that the
// logs do not explain. logs are those of all partitions and of all rooms.
func (c *comparison) rest(ctx context.Context, logs []*judge.Log, accounts *judge.Accounts) error {
	abandoned, outstanding := map[string]uint64{}, 0
	for _, l := range logs {
		maps.Copy(abandoned, l.Abandoned())
		outstanding += l.Outstanding()
	}
	if err := c.unknownRounds(ctx, abandoned); err != nil {
		return err
	}
	if err := c.money(ctx, logs, len(abandoned) == 0); err != nil {
		return err
	}
	if err := c.unfounded(ctx, logs, abandoned); err != nil {
		return err
	}
	if accounts == nil {
		return nil
	}
	quiet := outstanding == 0 && len(abandoned) == 0
	if err := c.balances(ctx, accounts, quiet); err != nil {
		return err
	}
	if d := accounts.Gap(); d != nil && quiet {
		return d
	}
	return nil
}

// whole is a Difference of the book as such.
func whole(what, expected, found string) error {
	return &judge.Difference{Partition: -1, What: what, Expected: expected, Found: found}
}

func (c *comparison) unknownRounds(ctx context.Context, abandoned map[string]uint64) error {
	for _, table := range []string{"bets", "rounds", "round_scores"} {
		err := c.page.each(ctx, `SELECT room_uuid, MIN(round), MAX(round) FROM `+table+` GROUP BY room_uuid ORDER BY room_uuid`, nil, func(row []string) error {
			first, _ := strconv.ParseUint(row[1], 10, 64)
			last, err := strconv.ParseUint(row[2], 10, 64)
			if err != nil {
				return whole("rounds in "+table, "numbers", row[2])
			}
			known, ok := c.known[row[0]]
			_, open := abandoned[row[0]]
			if !ok && !open || first == 0 || last > known && !open {
				return whole("rounds in "+table+" of the room with the UUID "+row[0], fmt.Sprintf("1 to %d", known), fmt.Sprintf("%d to %d", first, last))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const moneyQuery = `SELECT t.id, t.kind, t.player, t.amount, t.room, t.operator, t.reason, t.at, e.amount, k.booked, k.balance, k.version, m.kind
	FROM transfers t LEFT JOIN entries e ON e.transfer = t.id AND e.account IN (t.player, '.wallet') LEFT JOIN bookings k ON k.id = t.id
	LEFT JOIN bookings m ON m.id = '` + wire.MendPrefix + `' || t.id
	WHERE t.kind NOT IN ('stake', 'payout', 'cancel') ORDER BY t.id`

// money compares grants, credits and refills. all: every player that the ledger may know
// is known here.
func (c *comparison) money(ctx context.Context, logs []*judge.Log, all bool) error {
	type asked struct {
		*judge.Booking
		partition int
	}
	expected, players := map[string]asked{}, map[string]bool{}
	for p, l := range logs {
		for id, b := range l.Money() {
			expected[id] = asked{b, p}
		}
		for _, player := range l.Players() {
			players[player] = true
		}
	}
	err := c.page.each(ctx, moneyQuery, nil, func(row []string) error {
		n := func(v int64) string { return strconv.FormatInt(v, 10) }
		want, amount, answer := grantRow(row[0]), n(wire.GrantAmount), []field(nil)
		if b, ok := expected[row[0]]; ok {
			amount, answer = n(b.Amount), outcome(row[0], b.Booking)
			want = []field{
				{"kind", string(b.Kind)}, {"player", b.Player}, {"amount", amount}, {"room", b.Room}, {"operator", b.Operator}, {"reason", b.Reason}, {"at", n(b.At)},
			}
			delete(expected, row[0])
		} else if _, mend := c.mends.due[row[0]]; mend {
			return nil // it was compared with its bet
		} else if row[12] == "audit" && (row[1] == "credit" || row[1] == "refill") {
			c.mends.note(row[0], number(row[3])) // it was asked for in a tail that the log lost, and stays
			want, amount = nil, row[3]
		} else if row[1] != "grant" || all && !players[row[2]] {
			return whole("transfer "+row[0], "one that the log asks for", row[1]+" of "+row[3]+" to "+row[2])
		}
		for i, f := range want {
			if row[1+i] != f.want {
				return whole("transfers."+f.name+" of "+row[0], f.want, row[1+i])
			}
		}
		if row[8] != amount {
			return whole("entries.amount of "+row[0]+" for the player", amount, orNothing(row[8]))
		}
		for i, f := range answer {
			if row[9+i] != f.want {
				return whole(f.name, f.want, orNothing(row[9+i]))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(expected)) {
		if b := expected[id]; c.due(b.partition, b.Booking) {
			return whole("transfer "+id, strconv.FormatInt(b.Amount, 10)+" to "+b.Player, "nothing")
		}
	}
	return nil
}

// grantRow are the columns of moneyQuery behind the ID of a transfer that opens an account.
func grantRow(id string) []field {
	return []field{{"kind", "grant"}, {"player", strings.TrimPrefix(id, "grant/")}, {"amount", strconv.FormatInt(wire.GrantAmount, 10)}}
}

// balances compares the accounts with the balances that the logs prove. quiet: no result
// is on its way, so the logs prove all of them.
func (c *comparison) balances(ctx context.Context, accounts *judge.Accounts, quiet bool) error {
	return c.page.each(ctx, `SELECT id, balance, version FROM accounts WHERE kind = 'player' ORDER BY id`, nil, func(row []string) error {
		version, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil {
			return whole("accounts.version of "+row[0], "a number", row[2])
		}
		if !accounts.Follows(row[0]) {
			return nil
		}
		want, ok := accounts.At(row[0], version)
		switch {
		case ok && strconv.FormatInt(want, 10) != row[1]:
			return whole(fmt.Sprintf("balance of %s at version %d", row[0], version), strconv.FormatInt(want, 10), row[1])
		case !ok && quiet:
			return whole("version of the balance of "+row[0], fmt.Sprintf("at most %d, which the log proves", accounts.Newest(row[0])), row[2])
		}
		return nil
	})
}
