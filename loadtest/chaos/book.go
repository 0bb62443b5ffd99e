package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// book is what the ledger's database says in the end.
type book struct {
	bets    map[string]bookedBet // by ID
	refills map[string]int64     // amount by transfer
	rooms   map[string]string    // the UUID of each room with a bet
}

// bookedBet is a bet of the ledger and its end.
type bookedBet struct {
	place
	stake, auto   int64
	end           string // payout, cancel, lost; "" for none
	amount, centi int64
}

// violation is a query that returns a row for each thing that is wrong.
type violation struct{ what, query string }

// violations are what must not be in the ledger. They are asked of PostgreSQL itself.
func violations() []violation {
	return []violation{
		{"the entries do not sum to zero", `SELECT SUM(amount)::text FROM entries HAVING SUM(amount) <> 0`},
		{"a transfer's entries do not cancel out", `SELECT transfer FROM entries GROUP BY transfer HAVING COUNT(*) <> 2 OR SUM(amount) <> 0`},
		{"a player is below zero", `SELECT id FROM accounts WHERE kind = 'player' AND balance < 0`},
		{"a balance is not the sum of its entries", `SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account = a.id
			WHERE a.kind = 'player' GROUP BY a.id, a.balance HAVING a.balance <> COALESCE(SUM(e.amount), 0)`},
		{"a bet has no end", `SELECT b.id FROM bets b LEFT JOIN ends e ON e.bet = b.id WHERE e.bet IS NULL`},
	}
}

// doubles are effects that happened twice.
func doubles() []violation {
	return []violation{
		{"a place was bet on twice", `SELECT b.player || ' ' || b.room || ' ' || b.round || ' ' || b.slot FROM bets b JOIN ends e ON e.bet = b.id
			WHERE e.kind <> 'cancel' GROUP BY b.player, b.room, b.room_uuid, b.round, b.slot HAVING COUNT(*) > 1`},
		{"a bet ended twice", `SELECT stake FROM transfers WHERE kind IN ('payout', 'cancel') GROUP BY stake HAVING COUNT(*) > 1`},
		{"a payment is not the one of its bet's end", `SELECT t.id FROM transfers t LEFT JOIN ends e ON e.bet = t.stake AND e.transfer = t.id AND e.amount = t.amount
			WHERE t.kind IN ('payout', 'cancel') AND e.bet IS NULL`},
		{"an end is paid by no transfer", `SELECT e.bet FROM ends e LEFT JOIN transfers t ON t.id = e.transfer AND t.kind = e.kind AND t.amount = e.amount
			WHERE e.kind <> 'lost' AND t.id IS NULL`},
		{"a round was archived twice", `SELECT room_uuid || ' ' || round FROM rounds GROUP BY room_uuid, round HAVING COUNT(*) > 1`},
	}
}

// found asks for violations and tells of each, with some of its rows.
func found(ctx context.Context, db *pgx.Conn, list []violation) (texts []string, err error) {
	for _, v := range list {
		rows, err := db.Query(ctx, v.query)
		if err != nil {
			return nil, fmt.Errorf("ask whether %s: %w", v.what, err)
		}
		subjects, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("ask whether %s: %w", v.what, err)
		}
		for _, s := range subjects {
			texts = append(texts, v.what+": "+s)
		}
	}
	return texts, nil
}

// readBook reads the bets and refills.
func readBook(ctx context.Context, db *pgx.Conn) (*book, error) {
	b := &book{bets: map[string]bookedBet{}, refills: map[string]int64{}, rooms: map[string]string{}}
	rows, err := db.Query(ctx, `SELECT b.id, b.player, b.room, b.room_uuid, b.round, b.slot, b.stake, b.auto,
		COALESCE(e.kind, ''), COALESCE(e.amount, 0), COALESCE(e.centi, 0) FROM bets b LEFT JOIN ends e ON e.bet = b.id`)
	if err != nil {
		return nil, fmt.Errorf("read bets: %w", err)
	}
	var id, uuid string
	var t bookedBet
	_, err = pgx.ForEachRow(rows, []any{&id, &t.player, &t.room, &uuid, &t.round, &t.slot, &t.stake, &t.auto, &t.end, &t.amount, &t.centi}, func() error {
		b.bets[id], b.rooms[t.room] = t, uuid
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read bets: %w", err)
	}
	if rows, err = db.Query(ctx, `SELECT id, amount FROM transfers WHERE kind = 'refill'`); err != nil {
		return nil, fmt.Errorf("read refills: %w", err)
	}
	var amount int64
	_, err = pgx.ForEachRow(rows, []any{&id, &amount}, func() error {
		b.refills[id] = amount
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read refills: %w", err)
	}
	return b, nil
}

// betID is the ID under which the ledger has the bet that a command placed
// (docs/audit.md, A4).
func betID(uuid string, a *answer) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%s", uuid, a.Player, a.Round, a.Key))
	return "stake/" + hex.EncodeToString(sum[:16])
}

// refillID is the ID of the transfer that a command asked for (docs/audit.md, A8).
func refillID(a *answer) string {
	sum := sha256.Sum256([]byte(a.Player + "\x00" + a.Key))
	return "refill/" + base64.RawURLEncoding.EncodeToString(sum[:18])
}
