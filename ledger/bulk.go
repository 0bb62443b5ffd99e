package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// maxRows bounds the rows of one statement. Statements have powers of two of rows
// up to it, so that there are few different texts and the database's prepared
// statements are used again.
const maxRows = 64

// tx is a transaction with the statements of its dialect.
type tx struct {
	*sql.Tx
	dialect    dialect
	statements *statements // nil: every text is given to the database as it is
}

// rows collects rows for one table.
type rows struct {
	columns int
	args    []any
}

func (r *rows) add(values ...any) {
	if r.columns == 0 {
		r.columns = len(values)
	}
	if len(values) != r.columns {
		panic(fmt.Sprintf("ledger: row of %d values for %d columns", len(values), r.columns))
	}
	r.args = append(r.args, values...)
}

func (r *rows) len() int {
	if r.columns == 0 {
		return 0
	}
	return len(r.args) / r.columns
}

// insert writes the rows: head is "INSERT INTO t (a, b)", tail what comes behind
// the values. It empties r.
func (t tx) insert(ctx context.Context, r *rows, head, tail string) error {
	return t.insertReturning(ctx, r, head, tail, nil)
}

// insertReturning is like insert and calls each for every row that the statement
// returns.
func (t tx) insertReturning(ctx context.Context, r *rows, head, tail string, each func(*sql.Rows) error) error {
	args := r.args
	for left := r.len(); left > 0; {
		n := powerOfTwo(left)
		query := head + " VALUES " + groups(n, r.columns) + " " + tail
		some := args[:n*r.columns]
		args, left = args[len(some):], left-n
		if each == nil {
			if _, err := t.ExecContext(ctx, t.dialect.rebind(query), some...); err != nil {
				return fmt.Errorf("%s: %w", head, err)
			}
			continue
		}
		if err := t.each(ctx, query, some, each); err != nil {
			return fmt.Errorf("%s: %w", head, err)
		}
	}
	r.args = r.args[:0]
	return nil
}

// each runs a query and calls a function for every row.
func (t tx) each(ctx context.Context, query string, args []any, each func(*sql.Rows) error) error {
	return eachRow(ctx, t, t.dialect.rebind(query), args, each)
}

// eachIn runs a query once per some of the keys; "(?)" in it is replaced by the
// list of keys.
func (t tx) eachIn(ctx context.Context, query string, keys []string, each func(*sql.Rows) error) error {
	for len(keys) > 0 {
		n := powerOfTwo(len(keys))
		args := make([]any, n)
		for i, k := range keys[:n] {
			args[i] = k
		}
		keys = keys[n:]
		if err := t.each(ctx, strings.Replace(query, "(?)", groups(1, n), 1), args, each); err != nil {
			return err
		}
	}
	return nil
}

// querier is a transaction or a pool of connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func eachRow(ctx context.Context, q querier, query string, args []any, each func(*sql.Rows) error) (err error) {
	found, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := found.Close(); err == nil {
			err = closeErr
		}
	}()
	for found.Next() {
		if err := each(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// powerOfTwo is the largest power of two up to n and maxRows; n > 0.
func powerOfTwo(n int) int {
	p := 1
	for p*2 <= min(n, maxRows) {
		p *= 2
	}
	return p
}

// groups is "(?, ?), (?, ?)" for n groups of columns.
func groups(n, columns int) string {
	group := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(group+", ", n-1) + group
}
