package ledger

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"
)

// dialect is what differs between the databases: placeholders, locks, and the
// codes of errors.
type dialect string

const (
	sqlite   dialect = "sqlite"
	postgres dialect = "postgres"
)

// Codes of PostgreSQL (class 22 is about values that a column cannot hold).
const (
	pgSerialization  = "40001"
	pgDeadlock       = "40P01"
	pgUnique         = "23505"
	pgIntegrityClass = "23"
	pgDataErrorClass = "22"
	pgLimitClass     = "54" // too many columns, statement too complex

	pgConnectionClass   = "08"
	pgResourcesClass    = "53" // too many connections, disk full
	pgInterventionClass = "57" // starting up, shutting down
)

// rebind turns the placeholder "?" into those of the dialect. Queries have no "?"
// elsewhere.
func (d dialect) rebind(query string) string {
	if d != postgres {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// lockRows is appended to a SELECT of accounts that the transaction will write. It
// locks them in the order of their IDs by bytes, whatever the database's
// collation, as every transaction does. SQLite has one writer at a time and needs
// no locks.
func (d dialect) lockRows() string {
	if d == postgres {
		return ` ORDER BY id COLLATE "C" FOR UPDATE`
	}
	return ""
}

// errOpened tells that an account was opened by another worker after this
// transaction looked for it.
var errOpened = errors.New("an account was opened meanwhile")

// raced reports whether a transaction lost against another one and may be tried
// again at once: what it read has changed, it was the victim of a deadlock, or
// another one inserted the same booking, account or end first.
func raced(err error) bool {
	if errors.Is(err, errOpened) {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == pgSerialization || pg.Code == pgDeadlock || pg.Code == pgUnique
	}
	if lite, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		return lite.Code()&0xff == sqlitecode.SQLITE_BUSY
	}
	return false
}

// unreachable reports whether a database server was not there, or not yet: anything
// but an answer of its own that refuses.
func (d dialect) unreachable(err error) bool {
	if d != postgres {
		return false
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		_, unresolved := errors.AsType[*net.DNSError](err)
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		return connecting || unresolved || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case pgConnectionClass, pgResourcesClass, pgInterventionClass:
		return true
	}
	return false
}

// unbookable reports whether the database refuses the content of a transaction,
// so that the same one will never succeed.
func unbookable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		class := pg.Code[:min(2, len(pg.Code))]
		return class == pgIntegrityClass || class == pgDataErrorClass || class == pgLimitClass
	}
	if lite, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		switch lite.Code() & 0xff {
		case sqlitecode.SQLITE_CONSTRAINT, sqlitecode.SQLITE_MISMATCH, sqlitecode.SQLITE_TOOBIG:
			return true
		}
	}
	return false
}
