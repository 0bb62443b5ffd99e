package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

const (
	// DefaultInitialCredit is what an account is opened with, in minor units:
	// 1,000.00 play credits.
	DefaultInitialCredit = 100_000
	// MaxAmount bounds the amount of one booking, in minor units.
	MaxAmount = 1_000_000_000_000_000
	// MaxBalance bounds a balance and the points of a score: the largest integer
	// that browsers and Redis scores hold exactly.
	MaxBalance = 1<<53 - 1
)

const (
	// sqliteBusy is how long SQLite waits for a lock of another process, such as
	// a backup.
	sqliteBusy = 5 * time.Second
	// sqliteReaders and postgresConns bound the connections of one process: the
	// readers answer queries, which are bounded as well (queryWorkers).
	sqliteReaders = 4
	postgresConns = 16
	// postgresTimeout ends statements and idle transactions that hang, so that a
	// stuck worker does not keep its locks.
	postgresTimeout = "30000"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Book is the ledger's database. It is safe for concurrent use.
type Book struct {
	write      *sql.DB     // static after Open
	read       *sql.DB     // static after Open; the same as write on PostgreSQL
	dialect    dialect     // static after Open
	statements *statements // static after Open; of write
	initial    int64       // static after Open: credit of a fresh account
	custody    bool        // static after Open: players' money is in a wallet of the operator's
	id         string      // static after Open: identity of this ledger
	waits      waits       // static after Open

	sums summing
	mu   sync.Mutex // guards done
	done bool       // closed
}

// Option changes how a Book is opened.
type Option func(*Book)

// InitialCredit sets what accounts are opened with, in minor units; 0 for
// nothing. Without this option it is DefaultInitialCredit.
func InitialCredit(amount int64) Option { return func(b *Book) { b.initial = amount } }

// Custody says that the players' money is in a wallet of the operator's, which a Worker
// asks. A book is one or the other for ever: it is fixed when it is first opened.
func Custody() Option { return func(b *Book) { b.custody = true } }

// ErrUnreachable is returned by Open for a database that may be there later: nobody
// answers at its address, or it is starting or stopping.
var ErrUnreachable = errors.New("the database cannot be reached")

// Open opens the book at databaseURL and brings its schema up to date. A URL that
// begins with postgres:// or postgresql:// names a PostgreSQL database; anything
// else is the path of a SQLite file, which is made if it is missing, in a
// directory that exists. Several processes may open the same PostgreSQL database
// at once; a SQLite file belongs to one. The caller calls Close.
func Open(ctx context.Context, databaseURL string, options ...Option) (*Book, error) {
	b := &Book{initial: DefaultInitialCredit, waits: waits{queueWait, queueWaitMost}}
	for _, o := range options {
		o(b)
	}
	if b.initial < 0 || b.initial > MaxAmount {
		return nil, fmt.Errorf("open ledger: initial credit %d is not within 0 to %d", b.initial, int64(MaxAmount))
	}
	var err error
	scheme, _, isURL := strings.Cut(databaseURL, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		err = b.openPostgres(databaseURL)
	case isURL:
		return nil, fmt.Errorf("open ledger: a database URL begins with postgres://, or is the path of a SQLite file; %q is neither", scheme+"://")
	default:
		err = b.openSQLite(databaseURL)
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := b.prepare(ctx); err != nil {
		if b.dialect.unreachable(err) {
			err = fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), b.Close())
	}
	return b, nil
}

// Close waits for what is under way and closes the database. A second call does
// nothing.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return nil
	}
	b.done = true
	b.sums.close()
	err := b.write.Close()
	if b.read != b.write && b.read != nil {
		err = errors.Join(b.read.Close(), err)
	}
	if err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

// Database is the kind of database: "sqlite" or "postgres".
func (b *Book) Database() string { return string(b.dialect) }

func (b *Book) openPostgres(databaseURL string) error {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return fmt.Errorf("postgres: %w", err) // pgx leaves the password out
	}
	defaults := map[string]string{
		"application_name":                    "tickcast-ledger",
		"statement_timeout":                   postgresTimeout,
		"idle_in_transaction_session_timeout": postgresTimeout,
	}
	for k, v := range defaults {
		if _, ok := config.RuntimeParams[k]; !ok {
			config.RuntimeParams[k] = v
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	b.write, b.read, b.dialect = db, db, postgres
	return nil
}

// openSQLite opens one connection that writes, since SQLite has one writer, and
// some that read beside it (WAL). A committed transaction is on the disk
// (synchronous=FULL): its result is told to others.
func (b *Book) openSQLite(path string) error {
	if path == "" || path == ":memory:" || strings.HasPrefix(path, "file:") {
		return fmt.Errorf("sqlite: %q is not the path of a file", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(absolute)); err != nil || !info.IsDir() {
		return fmt.Errorf("sqlite: %s is not a directory", filepath.Dir(absolute))
	}
	// SQLite would make the file readable for everybody.
	f, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", sqliteBusy.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	if b.write, err = openSQLiteFile(absolute, pragmas); err != nil {
		return err
	}
	b.write.SetMaxOpenConns(1)
	b.statements = newStatements(b.write)
	pragmas.Del("_txlock")
	pragmas.Add("_pragma", "query_only(1)")
	if b.read, err = openSQLiteFile(absolute, pragmas); err != nil {
		return errors.Join(err, b.write.Close())
	}
	b.read.SetMaxOpenConns(sqliteReaders)
	b.read.SetMaxIdleConns(sqliteReaders)
	b.dialect = sqlite
	return nil
}

func openSQLiteFile(path string, query url.Values) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return db, nil
}

// prepare migrates the schema and reads the ledger's identity, which is drawn
// when the database is first opened.
func (b *Book) prepare(ctx context.Context) error {
	if err := b.write.PingContext(ctx); err != nil {
		return fmt.Errorf("reach %s: %w", b.dialect, err)
	}
	if err := b.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := b.write.ExecContext(ctx,
		b.dialect.rebind(`INSERT INTO facts (name, value) VALUES ('identity', ?) ON CONFLICT (name) DO NOTHING`),
		uuid.NewString()); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	row := b.write.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = 'identity'`)
	if err := row.Scan(&b.id); err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	return b.fixCustody(ctx)
}

// fixCustody notes where the players' money is, or compares with what is noted. A book
// from before there were wallets has players.
func (b *Book) fixCustody(ctx context.Context) error {
	want := map[bool]string{false: "ledger", true: "wallet"}
	query := b.dialect.rebind(`INSERT INTO facts (name, value)
		SELECT 'money', CASE WHEN EXISTS (SELECT 1 FROM accounts WHERE kind = 'player') THEN 'ledger' ELSE CAST(? AS TEXT) END WHERE 1 = 1
		ON CONFLICT (name) DO NOTHING`)
	if _, err := b.write.ExecContext(ctx, query, want[b.custody]); err != nil {
		return fmt.Errorf("note where the money is: %w", err)
	}
	var noted string
	if err := b.write.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = 'money'`).Scan(&noted); err != nil {
		return fmt.Errorf("read where the money is: %w", err)
	}
	if noted != want[b.custody] {
		return fmt.Errorf("the players' money is in the %s by this book, and cannot be in the %s: that takes a book of its own", noted, want[b.custody])
	}
	if !b.custody {
		return nil
	}
	query = `INSERT INTO accounts (id, kind, guest, name, balance, version, opened)
		VALUES (?, 'house', 0, 'Wallet', NULL, 0, 0) ON CONFLICT (id) DO NOTHING`
	if _, err := b.write.ExecContext(ctx, b.dialect.rebind(query), walletAccount); err != nil {
		return fmt.Errorf("open the wallet's account: %w", err)
	}
	return nil
}

func (b *Book) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	kind := goose.DialectSQLite3
	if b.dialect == postgres {
		kind = goose.DialectPostgres
		// Workers that start together must not migrate together.
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(kind, b.write, files, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
