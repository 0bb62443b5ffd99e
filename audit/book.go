package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Book is the ledger's database, opened for reading. It is safe for concurrent use.
type Book struct {
	db       *sql.DB // static, as the next
	postgres bool
	// custody: players' money is in an operator's wallet, and the other side of a transfer
	// is the account of the wallet.
	custody bool
}

// OpenBook opens the ledger at an address as the ledger's own option takes it: a URL of
// PostgreSQL, or the path of a SQLite file that exists. The caller calls Close.
func OpenBook(ctx context.Context, address string) (*Book, error) {
	b := &Book{}
	scheme, _, isURL := strings.Cut(address, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		config, err := pgx.ParseConfig(address)
		if err != nil {
			return nil, fmt.Errorf("open book: %w", err)
		}
		b.postgres, b.db = true, stdlib.OpenDB(*config)
	case isURL:
		return nil, fmt.Errorf("open book: %q is neither postgres:// nor the path of a file", scheme+"://")
	default:
		path, err := filepath.Abs(address)
		if err != nil {
			return nil, fmt.Errorf("open book: %w", err)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("open book: %w", err)
		}
		dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
			"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(5000)"},
		}.Encode()}
		if b.db, err = sql.Open("sqlite", dsn.String()); err != nil {
			return nil, fmt.Errorf("open book: %w", err)
		}
	}
	if err := b.db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open book: %w", err), b.db.Close())
	}
	if err := b.db.QueryRowContext(ctx, `SELECT COUNT(*) > 0 FROM accounts WHERE id = '.wallet'`).Scan(&b.custody); err != nil {
		return nil, errors.Join(fmt.Errorf("open book: %w", err), b.db.Close())
	}
	return b, nil
}

// Close closes the database.
func (b *Book) Close() error { return b.db.Close() }

// page is the book as it was at one moment.
type page struct {
	tx       *sql.Tx
	postgres bool
}

// open begins to read. What is written from here on is not seen. The caller calls close.
func (b *Book) open(ctx context.Context) (*page, error) {
	level := sql.LevelDefault // a transaction in SQLite's WAL reads one snapshot
	if b.postgres {
		level = sql.LevelRepeatableRead
	}
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: b.postgres})
	if err != nil {
		return nil, fmt.Errorf("read the book: %w", err)
	}
	p := &page{tx, b.postgres}
	var n int64 // the first statement fixes what is seen
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM facts`).Scan(&n); err != nil {
		return nil, errors.Join(fmt.Errorf("read the book: %w", err), tx.Rollback())
	}
	return p, nil
}

func (p *page) close() { _ = p.tx.Rollback() } // nothing was written

// each reads rows of texts; NULL is "". A row is valid until the next.
func (p *page) each(ctx context.Context, query string, args []any, visit func(row []string) error) error {
	if !p.postgres {
		for i := len(args); i > 0; i-- {
			query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i), fmt.Sprintf("?%d", i))
		}
	}
	rows, err := p.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the book: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	columns, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("read the book: %w", err)
	}
	found, row := make([]sql.NullString, len(columns)), make([]string, len(columns))
	into := make([]any, len(columns))
	for i := range found {
		into[i] = &found[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read the book: %w", err)
		}
		for i, f := range found {
			row[i] = f.String
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the book: %w", err)
	}
	return nil
}
