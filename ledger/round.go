package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"tickcast/wire"
)

// BoardScore is a player's total on a leaderboard. Version grows with every
// change.
type BoardScore struct {
	Board, Player, Name string
	Points, Version     int64
}

// Balance is a player's balance in minor units with its version.
type Balance struct {
	Player          string
	Amount, Version int64
}

type scoreKey struct{ board, player string }

type delta struct {
	name   string
	points int64
}

// onScoreConflict adds to a total. It stays within what browsers hold exactly;
// a bound that is reached is kept.
const onScoreConflict = `ON CONFLICT (board, player) DO UPDATE SET name = excluded.name, version = scores.version + 1,
	points = CASE
		WHEN scores.points + excluded.points > 9007199254740991 THEN 9007199254740991
		WHEN scores.points + excluded.points < -9007199254740991 THEN -9007199254740991
		ELSE scores.points + excluded.points END
	RETURNING board, player, name, points, version`

// archiveRound stores a finished round, ends its open bets and adds the wins and
// losses of all of them to the leaderboards. It works on rows in the database, of
// which a big room has a hundred thousand, so everything decided before is
// written first. A voided round loses no bets: they are cancelled one by one.
func (x *batch) archiveRound(ctx context.Context, b *wire.Booking) (wire.Code, error) {
	r := b.Round
	k := roundKey{r.RoomUUID, r.Round}
	if x.archived[k] {
		return wire.CodeConflict, nil // under another ID
	}
	if err := x.flush(ctx); err != nil {
		return "", err
	}
	var row rows
	row.add(k.uuid, int64(k.round), b.ID, b.Room, r.Game, flag(r.Voided), r.Started, r.Ended, orNull(r.Outcome))
	if err := x.tx.insert(ctx, &row, `INSERT INTO rounds
		(room_uuid, round, booking, room, game, voided, started, ended, outcome)`, ""); err != nil {
		return "", err
	}
	x.archived[k] = true
	if !r.Voided {
		if err := x.loseOpenBets(ctx, b.ID, k, r.Ended); err != nil {
			return "", fmt.Errorf("end open bets: %w", err)
		}
	}
	for _, board := range boards(r) {
		if err := x.addNetWins(ctx, board, k); err != nil {
			return "", fmt.Errorf("add net wins: %w", err)
		}
	}
	return "", nil
}

func (x *batch) loseOpenBets(ctx context.Context, booking string, k roundKey, at int64) error {
	for _, open := range x.bets {
		if open.round == k && open.end == endOpen {
			open.end = endLost
		}
	}
	_, err := x.tx.ExecContext(ctx, x.tx.dialect.rebind(`INSERT INTO ends (bet, kind, booking, transfer, amount, centi, at)
		SELECT b.id, 'lost', CAST(? AS TEXT), CAST(NULL AS TEXT), 0, 0, CAST(? AS BIGINT) FROM bets b
		WHERE b.room_uuid = ? AND b.round = ? AND NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`),
		booking, at, k.uuid, int64(k.round))
	return err
}

func (x *batch) addNetWins(ctx context.Context, board string, k roundKey) error {
	query := `INSERT INTO scores (board, player, name, points, version)
		SELECT CAST(? AS TEXT), b.player, a.name, CAST(SUM(e.amount - b.stake) AS BIGINT), 1
		FROM bets b JOIN ends e ON e.bet = b.id JOIN accounts a ON a.id = b.player
		WHERE b.room_uuid = ? AND b.round = ? AND e.kind IN ('payout', 'lost')
		GROUP BY b.player, a.name ORDER BY b.player ` + onScoreConflict
	return x.tx.each(ctx, query, []any{board, k.uuid, int64(k.round)}, x.scoreChanged)
}

// archiveScores stores the scores of a round and adds them to the leaderboards.
func (x *batch) archiveScores(b *wire.Booking) wire.Code {
	total := map[string]*delta{}
	for _, s := range b.Scores {
		d := total[s.Player]
		if d == nil {
			d = &delta{}
			total[s.Player] = d
		}
		d.name, d.points = s.Name, bound(d.points+s.Points)
	}
	for _, player := range slices.Sorted(maps.Keys(total)) {
		d := total[player]
		x.out.roundScores.add(b.ID, player, b.Round.RoomUUID, int64(b.Round.Round), d.name, d.points)
		for _, board := range boards(b.Round) {
			k := scoreKey{board, player}
			if x.scored[k] == nil {
				x.scored[k] = &delta{}
			}
			x.scored[k].name, x.scored[k].points = d.name, bound(x.scored[k].points+d.points)
		}
	}
	return ""
}

// addScores adds the scores of the batch's bookings, each total once and in a
// fixed order, so that two workers do not wait for each other.
func (x *batch) addScores(ctx context.Context) error {
	keys := slices.SortedFunc(maps.Keys(x.scored), func(a, b scoreKey) int {
		return cmp.Or(cmp.Compare(a.board, b.board), cmp.Compare(a.player, b.player))
	})
	var r rows
	for _, k := range keys {
		r.add(k.board, k.player, x.scored[k].name, x.scored[k].points, int64(1))
	}
	return x.tx.insertReturning(ctx, &r, `INSERT INTO scores (board, player, name, points, version)`,
		onScoreConflict, x.scoreChanged)
}

func (x *batch) scoreChanged(r *sql.Rows) error {
	var s BoardScore
	if err := r.Scan(&s.Board, &s.Player, &s.Name, &s.Points, &s.Version); err != nil {
		return err
	}
	x.changed.scores = append(x.changed.scores, s)
	return nil
}

func (x *batch) archiveAudit(b *wire.Booking) (wire.Code, error) {
	action, err := json.Marshal(b.Audit)
	if err != nil {
		return "", fmt.Errorf("encode action: %w", err)
	}
	result, err := json.Marshal(b.Outcome)
	if err != nil {
		return "", fmt.Errorf("encode outcome: %w", err)
	}
	x.out.audit.add(b.ID, b.Room, b.Audit.Operator, b.Audit.Op, string(action), string(result), b.At)
	return "", nil
}

// boards are the leaderboards that a round counts for: all time, and the day in
// UTC on which it ended.
func boards(r *wire.RoundRecord) [2]string {
	return [2]string{r.Game + ":all", r.Game + ":" + time.UnixMilli(r.Ended).UTC().Format(time.DateOnly)}
}

// bound keeps sums within what a board holds.
func bound(points int64) int64 { return min(max(points, -MaxBalance), MaxBalance) }

func orNull(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "null"
	}
	return string(raw)
}
