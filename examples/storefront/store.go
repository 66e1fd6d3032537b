package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
)

//go:embed schema
var schema embed.FS

// store is the shop's database. The statements are the same for SQLite and
// PostgreSQL.
type store struct {
	*sql.DB

	inbox    sqlstore.Dialect
	river    riverdriver.Driver[*sql.Tx]
	transact func(ctx context.Context, work func(tx *sql.Tx) error) error
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// openStore opens a database and makes its tables.
func openStore(ctx context.Context, where string) (*store, error) {
	s := &store{}
	var err error
	if strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://") {
		s.DB, err = sql.Open("pgx", where)
		if err != nil {
			return nil, err
		}
		s.SetMaxOpenConns(20)
		s.SetMaxIdleConns(20)
		s.inbox, s.river = sqlstore.Postgres, riverdatabasesql.New(s.DB)
	} else {
		s.DB, err = sql.Open("sqlite", "file:"+where+
			"?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
		if err != nil {
			return nil, err
		}
		s.SetMaxOpenConns(1) // SQLite has one writer at a time
		s.inbox, s.river = sqlstore.SQLite, riversqlite.New(s.DB)
	}
	s.transact = pluralriver.SQL(s.DB)
	if err := s.makeTables(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return s, nil
}

// makeTables makes those of River, and runs each file of the folder schema once,
// in their order. Several processes may do so at once: one waits for the other.
// PostgreSQL locks a table to see whether it has an index. At each start that
// would hold up the processes at work, or end in a deadlock with one of them.
func (s *store) makeTables(ctx context.Context) error {
	if err := pluralriver.Migrate(ctx, s.river); err != nil {
		return err
	}
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		if s.inbox == sqlstore.Postgres {
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(5390217446)`); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schemas (digest text PRIMARY KEY)`); err != nil {
			return err
		}
		for _, name := range names {
			text, err := schema.ReadFile(name)
			if err != nil {
				return err
			}
			if err := runOnce(ctx, tx, text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

func runOnce(ctx context.Context, tx *sql.Tx, text []byte) error {
	digest := fmt.Sprintf("%x", sha256.Sum256(text))
	var made bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM schemas WHERE digest = $1)`, digest).Scan(&made)
	if err != nil || made {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO schemas (digest) VALUES ($1)`, digest)
	return err
}

// payment is an attempt to pay, from Plural's books.
type payment struct {
	ID       string
	Method   plural.PaymentMethod
	Status   plural.PaymentStatus
	Amount   plural.Amount
	Captured plural.Amount // of Amount
	Reason   string
	PaidAt   time.Time
}

func (s *store) payments(ctx context.Context, number string) ([]payment, error) {
	rows, err := s.QueryContext(ctx, `SELECT id, method, status, amount, captured, reason, paid_at
		FROM payments WHERE order_number = $1 ORDER BY paid_at, id`, number)
	return collect(rows, err, func(rows *sql.Rows) (p payment, err error) {
		var amount, captured, paidAt int64
		err = rows.Scan(&p.ID, &p.Method, &p.Status, &amount, &captured, &p.Reason, &paidAt)
		p.Amount, p.Captured, p.PaidAt = plural.INR(amount), plural.INR(captured), fromMicro(paidAt)
		return p, err
	})
}

// entry is one line of an order's history.
type entry struct {
	At   time.Time
	What string
}

func (s *store) history(ctx context.Context, number string) ([]entry, error) {
	rows, err := s.QueryContext(
		ctx,
		`SELECT happened_at, what FROM history WHERE order_number = $1 ORDER BY happened_at`,
		number,
	)
	return collect(rows, err, func(rows *sql.Rows) (e entry, err error) {
		var at int64
		err = rows.Scan(&at, &e.What)
		e.At = fromMicro(at)
		return e, err
	})
}

// note adds to an order's history. PostgreSQL refuses a zero byte, which an
// event's type can have.
func (s *store) note(ctx context.Context, q querier, number, what string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO history (order_number, happened_at, what) VALUES ($1, $2, $3)`,
		number, micro(time.Now()), strings.ReplaceAll(what, "\x00", "\uFFFD"))
	return err
}

// collect reads all rows.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// bit is a truth that both databases can keep.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// micro gives 0 for the zero time, and for what is older than 1970.
func micro(t time.Time) int64 { return max(t.UnixMicro(), 0) }

// fromMicro gives the zero time for 0.
func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
