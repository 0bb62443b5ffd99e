package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"tickcast/cache"
)

// repair copies the whole book to Redis, page by page. Balances that are in a wallet
// are not copied: they may change there.
type repair struct {
	mirror           *mirror
	pages            int
	balances, scores int
}

// errOvertaken tells that the marker is not this repair's any more.
var errOvertaken = errors.New("repair of the copy in Redis: it was flushed meanwhile, or another worker repairs it")

// repairMark is the marker while a repair is under way. It changes with each page.
func repairMark(book, id string, page int) string {
	return fmt.Sprintf("%s repair %s %d", book, id, page)
}

// isRepair reports whether a marker is that of a repair of the book.
func isRepair(marker, book string) bool { return strings.HasPrefix(marker, book+" repair ") }

// isRepairOf reports whether it is that of one mirror.
func isRepairOf(marker, book, id string) bool {
	return strings.HasPrefix(marker, book+" repair "+id+" ")
}

func (r *repair) run(ctx context.Context) error {
	m := r.mirror
	if err := r.mark(ctx); err != nil {
		return err
	}
	after := ""
	for !m.book.custody {
		page, err := m.book.balancesAfter(ctx, after, mirrorPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Player
		r.balances += len(page)
		if err := r.step(ctx, page, nil); err != nil {
			return err
		}
	}
	board := ""
	for {
		next, err := m.book.boardAfter(ctx, board)
		if err != nil || next == "" {
			return errors.Join(err, r.finish(ctx, err))
		}
		board = next
		if !shown(board, time.Now()) {
			continue
		}
		if err := r.board(ctx, board); err != nil {
			return err
		}
	}
}

func (r *repair) board(ctx context.Context, board string) error {
	after := ""
	for {
		page, err := r.mirror.book.scoresAfter(ctx, board, after, mirrorPage)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Player
		r.scores += len(page)
		if err := r.step(ctx, nil, page); err != nil {
			return err
		}
	}
}

// step writes a page, what was booked meanwhile, and where the repair is.
func (r *repair) step(ctx context.Context, balances []Balance, scores []BoardScore) error {
	if err := r.mirror.write(ctx, balances, scores); err != nil {
		return err
	}
	r.mirror.flush(ctx)
	if err := r.check(ctx); err != nil {
		return err
	}
	r.pages++
	return r.mark(ctx)
}

func (r *repair) mark(ctx context.Context) error {
	m := r.mirror
	return m.bounded(ctx, func(ctx context.Context) error {
		return m.cache.SetMarker(ctx, mirrorName, repairMark(m.book.id, m.id, r.pages))
	})
}

// check verifies that the marker is still that of this repair.
func (r *repair) check(ctx context.Context) error {
	m := r.mirror
	var marker string
	err := m.bounded(ctx, func(ctx context.Context) (err error) {
		marker, err = m.cache.Marker(ctx, mirrorName)
		return err
	})
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		return err
	}
	if marker != repairMark(m.book.id, m.id, r.pages) {
		return errOvertaken
	}
	return nil
}

// finish marks the copy as whole, unless it failed.
func (r *repair) finish(ctx context.Context, failed error) error {
	if failed != nil {
		return nil
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	m := r.mirror
	return m.bounded(ctx, func(ctx context.Context) error { return m.cache.SetMarker(ctx, mirrorName, m.book.id) })
}

// shown reports whether a board is kept in Redis: those of all time and those of
// the last days.
func shown(board string, now time.Time) bool {
	_, day, _ := strings.Cut(board, ":")
	date, err := time.Parse(time.DateOnly, day)
	return err != nil || now.Sub(date) < (shownDays+1)*24*time.Hour
}

func (b *Book) balancesAfter(ctx context.Context, player string, limit int) ([]Balance, error) {
	var out []Balance
	query := b.dialect.rebind(`SELECT id, balance, version FROM accounts WHERE kind = 'player' AND id > ? ORDER BY id LIMIT ?`)
	err := eachRow(ctx, b.read, query, []any{player, limit}, func(r *sql.Rows) error {
		var v Balance
		if err := r.Scan(&v.Player, &v.Amount, &v.Version); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read balances: %w", err)
	}
	return out, nil
}

// boardAfter is the next board by name, or empty behind the last.
func (b *Book) boardAfter(ctx context.Context, board string) (string, error) {
	var next sql.NullString
	query := b.dialect.rebind(`SELECT MIN(board) FROM scores WHERE board > ?`)
	if err := b.read.QueryRowContext(ctx, query, board).Scan(&next); err != nil {
		return "", fmt.Errorf("read boards: %w", err)
	}
	return next.String, nil
}

func (b *Book) scoresAfter(ctx context.Context, board, player string, limit int) ([]BoardScore, error) {
	var out []BoardScore
	query := b.dialect.rebind(`SELECT player, name, points, version FROM scores WHERE board = ? AND player > ? ORDER BY player LIMIT ?`)
	err := eachRow(ctx, b.read, query, []any{board, player, limit}, func(r *sql.Rows) error {
		v := BoardScore{Board: board}
		if err := r.Scan(&v.Player, &v.Name, &v.Points, &v.Version); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read scores: %w", err)
	}
	return out, nil
}
