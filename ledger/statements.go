package ledger

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
)

// maxStatements bounds the statements kept. There are a few dozen texts, most of them
// in seven sizes.
const maxStatements = 512

// statements keeps the writer's statements prepared, since SQLite parses every text
// anew otherwise, which takes longer than to run it. With pgx there are none: it keeps
// its own. It is for concurrent use.
type statements struct {
	db *sql.DB // static; has one connection

	mu     sync.Mutex // guards everything below
	ready  map[string]*sql.Stmt
	wanted map[string]bool // not prepared yet
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, ready: map[string]*sql.Stmt{}, wanted: map[string]bool{}}
}

// find returns the prepared statement, nil if there is none yet: it will be there for
// transactions behind the next prepare.
func (s *statements) find(query string) *sql.Stmt {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.ready[query]; st != nil {
		return st
	}
	if len(s.ready)+len(s.wanted) < maxStatements {
		s.wanted[query] = true
	}
	return nil
}

// prepare prepares what was looked for in vain. The only connection must be free, so
// it is called between transactions. A text that cannot be prepared is run as it is:
// that says what is wrong with it.
func (s *statements) prepare(ctx context.Context) {
	if s == nil {
		return
	}
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = map[string]bool{}
	s.mu.Unlock()
	for query := range wanted {
		st, err := s.db.PrepareContext(ctx, query)
		if err != nil {
			slog.Debug("a statement is not prepared", "component", "ledger", "error", err)
			continue
		}
		s.mu.Lock()
		if s.ready[query] == nil {
			s.ready[query], st = st, nil
		}
		s.mu.Unlock()
		if st != nil {
			_ = st.Close() // another transaction was first
		}
	}
}

// ExecContext runs a statement, a prepared one if there is.
func (t tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if st := t.statements.find(query); st != nil {
		return t.StmtContext(ctx, st).ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a query, a prepared one if there is.
func (t tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if st := t.statements.find(query); st != nil {
		return t.StmtContext(ctx, st).QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}
