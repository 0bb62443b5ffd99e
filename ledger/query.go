package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"tickcast/wire"
)

const (
	defaultPage = 50
	maxPage     = 100
)

// ErrPage is returned for a limit outside 1 to 100 (0 means 50) or a cursor that
// no page of the same list gave.
var ErrPage = errors.New("a page has a limit of 1 to 100 and the cursor of the page before")

// Page selects a part of a list, newest first.
type Page struct {
	Before string // cursor of the page before; empty for the first
	Limit  int    // 1 to 100; 0 means 50
}

// Balance is a player's balance. One without an account has what accounts are
// opened with, at version 0.
func (b *Book) Balance(ctx context.Context, player string) (Balance, error) {
	found := Balance{Player: player}
	query := b.dialect.rebind(`SELECT balance, version FROM accounts WHERE kind = 'player' AND id = ?`)
	err := b.read.QueryRowContext(ctx, query, player).Scan(&found.Amount, &found.Version)
	if errors.Is(err, sql.ErrNoRows) {
		found.Amount = b.initial
		return found, nil
	}
	if err != nil {
		return Balance{}, fmt.Errorf("read balance: %w", err)
	}
	return found, nil
}

// HouseBalance is the sum of the house's entries, in minor units: what it won from
// players minus what it gave. It reads all of them.
func (b *Book) HouseBalance(ctx context.Context) (int64, error) {
	var sum int64
	query := b.dialect.rebind(`SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM entries WHERE account = ?`)
	if err := b.read.QueryRowContext(ctx, query, houseAccount).Scan(&sum); err != nil {
		return 0, fmt.Errorf("read balance of the house: %w", err)
	}
	return sum, nil
}

// Rounds pages through the archived rounds of a room, those that ended last first.
func (b *Book) Rounds(ctx context.Context, room string, p Page) (wire.RoundPage, error) {
	out := wire.RoundPage{Rounds: []wire.RoundRecord{}}
	next, err := b.page(ctx, p, list{
		columns: `room_uuid, game, round, voided, started, ended, outcome`,
		from:    `rounds`, at: `ended`, id: `booking`, where: `room = ?`, args: []any{room},
	}, func(r *sql.Rows, at *int64, id *string) error {
		var v wire.RoundRecord
		var outcome string
		if err := r.Scan(&v.RoomUUID, &v.Game, &v.Round, &v.Voided, &v.Started, &v.Ended, &outcome, at, id); err != nil {
			return err
		}
		v.Outcome = json.RawMessage(outcome)
		out.Rounds = append(out.Rounds, v)
		return nil
	})
	out.Next = next
	if err != nil {
		return wire.RoundPage{}, fmt.Errorf("read rounds: %w", err)
	}
	out.Rounds = cut(out.Rounds, p)
	return out, nil
}

// Bets pages through a player's bets, newest first.
func (b *Book) Bets(ctx context.Context, player string, p Page) (wire.BetPage, error) {
	out := wire.BetPage{Bets: []wire.PlacedBet{}}
	next, err := b.page(ctx, p, list{
		columns: `b.room, b.round, b.slot, b.stake, b.auto, COALESCE(e.kind, ''), COALESCE(e.centi, 0), COALESCE(e.amount, 0)`,
		from:    `bets b LEFT JOIN ends e ON e.bet = b.id`, at: `b.at`, id: `b.id`,
		where: `b.player = ?`, args: []any{player},
	}, func(r *sql.Rows, at *int64, id *string) error {
		var v wire.PlacedBet
		var end endKind
		if err := r.Scan(&v.Room, &v.Round, &v.Slot, &v.Stake, &v.Auto, &end, &v.Centi, &v.Payout, at, id); err != nil {
			return err
		}
		v.ID, v.At, v.State = *id, *at, end.state()
		if end != endPayout {
			v.Payout = 0 // of a cancel it is the stake
		}
		out.Bets = append(out.Bets, v)
		return nil
	})
	out.Next = next
	if err != nil {
		return wire.BetPage{}, fmt.Errorf("read bets: %w", err)
	}
	out.Bets = cut(out.Bets, p)
	return out, nil
}

// state is the word for players.
func (k endKind) state() string {
	switch k {
	case endPayout:
		return "won"
	case endCancel:
		return "refunded"
	case endLost:
		return "lost"
	default:
		return "open"
	}
}

// Audit pages through the operators' actions, newest first; room "" means all.
func (b *Book) Audit(ctx context.Context, room string, p Page) (wire.AuditPage, error) {
	out := wire.AuditPage{Entries: []wire.AuditEntry{}}
	l := list{columns: `room, action, outcome`, from: `audit`, at: `at`, id: `booking`}
	if room != "" {
		l.where, l.args = `room = ?`, []any{room}
	}
	next, err := b.page(ctx, p, l, func(r *sql.Rows, at *int64, id *string) error {
		var v wire.AuditEntry
		var action, outcome string
		if err := r.Scan(&v.Room, &action, &outcome, at, id); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(action), &v.Action); err != nil {
			return fmt.Errorf("stored action %q: %w", *id, err)
		}
		if err := json.Unmarshal([]byte(outcome), &v.Outcome); err != nil {
			return fmt.Errorf("stored outcome %q: %w", *id, err)
		}
		out.Entries = append(out.Entries, v)
		return nil
	})
	out.Next = next
	if err != nil {
		return wire.AuditPage{}, fmt.Errorf("read audit: %w", err)
	}
	out.Entries = cut(out.Entries, p)
	return out, nil
}

// Sessions pages through the archived session events, newest first; player ""
// means all.
func (b *Book) Sessions(ctx context.Context, player string, p Page) (wire.SessionPage, error) {
	out := wire.SessionPage{Events: []wire.SessionEvent{}}
	l := list{columns: `session, player, name, guest, gateway, kind, address, reason`, from: `sessions`, at: `at`, id: `id`}
	if player != "" {
		l.where, l.args = `player = ?`, []any{player}
	}
	next, err := b.page(ctx, p, l, func(r *sql.Rows, at *int64, id *string) error {
		var v wire.SessionEvent
		if err := r.Scan(&v.Session, &v.Player, &v.Name, &v.Guest, &v.Gateway, &v.Kind, &v.Address, &v.Reason, at, id); err != nil {
			return err
		}
		v.ID, v.At = *id, *at
		out.Events = append(out.Events, v)
		return nil
	})
	out.Next = next
	if err != nil {
		return wire.SessionPage{}, fmt.Errorf("read sessions: %w", err)
	}
	out.Events = cut(out.Events, p)
	return out, nil
}

// Leaderboard is the top of a board, best first, players of the same points by ID.
// Limit is 1 to 100; 0 means 50. A board that nobody is on is empty.
func (b *Book) Leaderboard(ctx context.Context, board string, limit int) ([]wire.Score, error) {
	n, err := Page{Limit: limit}.size()
	if err != nil {
		return nil, fmt.Errorf("read leaderboard: %w", err)
	}
	out := []wire.Score{}
	query := b.dialect.rebind(`SELECT player, name, points FROM scores WHERE board = ? ORDER BY points DESC, player LIMIT ?`)
	err = eachRow(ctx, b.read, query, []any{board, n}, func(r *sql.Rows) error {
		var s wire.Score
		if err := r.Scan(&s.Player, &s.Name, &s.Points); err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read leaderboard: %w", err)
	}
	return out, nil
}

// list is a query that is paged by time and ID.
type list struct {
	columns, from, at, id string
	where                 string // optional condition
	args                  []any  // of where
}

// page reads one row more than asked for, to know whether there is a next page.
// Each scans the columns, then the time and the ID; it is called for the extra row
// as well, which the caller cuts off.
func (b *Book) page(ctx context.Context, p Page, l list, each func(r *sql.Rows, at *int64, id *string) error) (string, error) {
	limit, err := p.size()
	if err != nil {
		return "", err
	}
	before, err := parseCursor(p.Before)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPage, err)
	}
	where := ""
	if l.where != "" {
		where = l.where + " AND "
	}
	query := fmt.Sprintf(`SELECT %s, %s, %s FROM %s WHERE %s(%[2]s, %[3]s) < (CAST(? AS BIGINT), CAST(? AS TEXT))
		ORDER BY %[2]s DESC, %[3]s DESC LIMIT ?`, l.columns, l.at, l.id, l.from, where)
	args := append(append([]any{}, l.args...), before.at, before.id, limit+1)
	n := 0
	var last cursor
	err = eachRow(ctx, b.read, b.dialect.rebind(query), args, func(r *sql.Rows) error {
		n++
		var here cursor
		if err := each(r, &here.at, &here.id); err != nil {
			return err
		}
		if n == limit {
			last = here
		}
		return nil
	})
	if err != nil || n <= limit {
		return "", err
	}
	return last.encode(), nil
}

func (p Page) size() (int, error) {
	switch {
	case p.Limit == 0:
		return defaultPage, nil
	case p.Limit < 0 || p.Limit > maxPage:
		return 0, fmt.Errorf("%w: limit %d", ErrPage, p.Limit)
	}
	return p.Limit, nil
}

// cut drops the row that was read to know whether there is a next page.
func cut[T any](rows []T, p Page) []T {
	limit, err := p.size()
	if err != nil {
		return nil
	}
	return rows[:min(len(rows), limit)]
}
