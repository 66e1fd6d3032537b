package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
)

//go:embed schema.sql
var schema string

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
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return s, nil
}

// migrate makes the tables, those of River included. Several processes may do
// so at once: one waits for the other.
func (s *store) migrate(ctx context.Context) error {
	if s.inbox == sqlstore.Postgres {
		unlock, err := s.lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
	}
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(s.river, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// makeTables runs schema.sql, once for each version of it. PostgreSQL locks a
// table to see whether it has an index. At each start that would hold up the
// processes at work, or end in a deadlock with one of them.
func (s *store) makeTables(ctx context.Context) error {
	if _, err := s.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schemas (digest text PRIMARY KEY)`); err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(schema)))
	var made bool
	err := s.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM schemas WHERE digest = $1)`, digest).Scan(&made)
	if err != nil || made {
		return err
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO schemas (digest) VALUES ($1)`, digest)
		return err
	})
}

// lock holds a lock of PostgreSQL's on a connection of its own.
func (s *store) lock(ctx context.Context) (unlock func(), err error) {
	conn, err := s.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(5390217446)`); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(5390217446)`)
		_ = conn.Close()
	}, nil
}

// order is what a customer ordered, and what Plural's books said of it when
// they were last read.
type order struct {
	Number    string
	PluralID  string
	Link      string
	Lines     []line
	Amount    plural.Amount
	Status    plural.OrderStatus
	Unsettled bool
	Captured  plural.Amount
	Refunded  plural.Amount
	BookedAt  time.Time
	LookedAt  time.Time
	CreatedAt time.Time
	Version   int64
}

// line is one product of an order.
type line struct {
	ID       string        `json:"id"` // of the product
	Name     string        `json:"name"`
	Quantity int64         `json:"quantity"`
	Price    plural.Amount `json:"price"` // of one
}

var errUnknownOrder = errors.New("there is no such order")

const orderColumns = `number, plural_id, link, lines, amount, status, unsettled, captured, refunded,
	booked_at, looked_at, created_at, version`

func scanOrder(row interface{ Scan(dest ...any) error }) (*order, error) {
	var (
		o                             order
		lines                         string
		amount, captured, refunded    int64
		bookedAt, lookedAt, createdAt int64
		unsettled                     int
	)
	err := row.Scan(&o.Number, &o.PluralID, &o.Link, &lines, &amount, &o.Status, &unsettled, &captured, &refunded,
		&bookedAt, &lookedAt, &createdAt, &o.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknownOrder
	}
	if err != nil {
		return nil, err
	}
	o.Amount, o.Captured, o.Refunded = plural.INR(amount), plural.INR(captured), plural.INR(refunded)
	o.BookedAt, o.LookedAt, o.CreatedAt = fromMicro(bookedAt), fromMicro(lookedAt), fromMicro(createdAt)
	o.Unsettled = unsettled != 0
	return &o, json.Unmarshal([]byte(lines), &o.Lines)
}

func (s *store) order(ctx context.Context, q querier, number string) (*order, error) {
	return scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE number = $1`, number))
}

func (s *store) orderByPluralID(ctx context.Context, id string) (*order, error) {
	return scanOrder(s.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE plural_id = $1`, id))
}

// locked is the order, which nobody else changes until the transaction ends.
func (s *store) locked(ctx context.Context, tx *sql.Tx, number string) (*order, error) {
	if _, err := tx.ExecContext(ctx, `UPDATE orders SET version = version WHERE number = $1`, number); err != nil {
		return nil, err
	}
	return s.order(ctx, tx, number)
}

// orders lists those first that somebody has to decide on, then those that were
// paid, each the newest first.
func (s *store) orders(ctx context.Context, most int) ([]*order, error) {
	rows, err := s.QueryContext(ctx, `SELECT `+orderColumns+` FROM orders
		ORDER BY CASE WHEN status = 'AUTHORIZED' THEN 0 WHEN captured > 0 THEN 1 ELSE 2 END, created_at DESC LIMIT $1`, most)
	return collect(rows, err, func(rows *sql.Rows) (*order, error) { return scanOrder(rows) })
}

// place writes an order down, unless its number is there: then it gives that
// one.
func (s *store) place(ctx context.Context, o *order) (*order, error) {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return nil, err
	}
	err = s.transact(ctx, func(tx *sql.Tx) error {
		now := micro(time.Now())
		result, err := tx.ExecContext(ctx,
			`INSERT INTO orders (number, lines, amount, looked_at, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, o.Number, string(lines), o.Amount.Value, now, now)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return s.note(ctx, tx, o.Number, "Ordered for "+o.Amount.Display())
	})
	if err != nil {
		return nil, err
	}
	return s.order(ctx, s, o.Number)
}

// link keeps what Plural gave the order.
func (s *store) link(ctx context.Context, number, pluralID, link string) error {
	_, err := s.ExecContext(ctx, `UPDATE orders SET plural_id = $2, link = $3 WHERE number = $1`, number, pluralID, link)
	return err
}

// decision is what an operator decided.
type decision struct {
	Reference string
	Number    string // of the order
	Kind      string
	Amount    plural.Amount
	Whole     bool // all there was, which needed no amount
	State     string
	Reason    string
	JobID     int64
	DecidedAt time.Time
	EndedAt   time.Time
}

// The kinds and states of a decision.
const (
	kindCapture = "capture"
	kindCancel  = "cancel"
	kindRefund  = "refund"

	stateWaiting = "waiting"
	stateDone    = "done"
	stateRefused = "refused"
)

// decisions lists those about an order, the oldest first.
func (s *store) decisions(ctx context.Context, q querier, number string) ([]*decision, error) {
	rows, err := q.QueryContext(
		ctx,
		`SELECT reference, order_number, kind, amount, whole, state, reason, job_id, decided_at, ended_at
		FROM decisions WHERE order_number = $1 ORDER BY decided_at`,
		number,
	)
	return collect(rows, err, func(rows *sql.Rows) (*decision, error) {
		var (
			d                          decision
			amount, decidedAt, endedAt int64
			whole                      int
		)
		err := rows.Scan(
			&d.Reference, &d.Number, &d.Kind, &amount, &whole, &d.State, &d.Reason, &d.JobID, &decidedAt, &endedAt)
		d.Whole = whole != 0
		d.Amount, d.DecidedAt, d.EndedAt = plural.INR(amount), fromMicro(decidedAt), fromMicro(endedAt)
		return &d, err
	})
}

// waiting says what is still to be carried out, by order.
func (s *store) waiting(ctx context.Context) (map[string]string, error) {
	kinds := map[string]string{}
	rows, err := s.QueryContext(ctx, `SELECT d.order_number, d.kind, COALESCE(j.state IN ('discarded', 'cancelled'), true)
		FROM decisions d LEFT JOIN river_job j ON j.id = d.job_id WHERE d.state = 'waiting'`)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var number, kind string
		var isGivenUp bool
		err := rows.Scan(&number, &kind, &isGivenUp)
		kinds[number] = kind + " under way"
		if isGivenUp {
			kinds[number] = kind + " given up"
		}
		return struct{}{}, err
	})
	return kinds, err
}

// insertDecision writes one down that waits for its job, and moves the order
// on, so that pages which show it as it was decide nothing any more.
func (s *store) insertDecision(ctx context.Context, tx *sql.Tx, d *decision) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO decisions (reference, order_number, kind, amount, whole, state, job_id, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		d.Reference, d.Number, d.Kind, d.Amount.Value, bit(d.Whole), stateWaiting, d.JobID, micro(time.Now()))
	if err != nil {
		return err
	}
	return s.moveOn(ctx, tx, d.Number)
}

// endDecision writes down how one ended. It gives that decision.
func (s *store) endDecision(
	ctx context.Context,
	tx *sql.Tx,
	kind, pluralID, reference, state, reason string,
) (*decision, error) {
	d := &decision{Kind: kind, State: state, Reason: reason}
	// A cancel has no reference at Plural: there is one for an order.
	row := tx.QueryRowContext(ctx, `SELECT d.reference, d.order_number, d.amount FROM decisions d
		JOIN orders o ON o.number = d.order_number
		WHERE o.plural_id = $1 AND d.kind = $2 AND (d.reference = $3 OR $3 = '') AND d.state = 'waiting'`,
		pluralID, kind, reference)
	var amount int64
	if err := row.Scan(&d.Reference, &d.Number, &amount); err != nil {
		return nil, err
	}
	d.Amount = plural.INR(amount)
	_, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $2, reason = $3, ended_at = $4 WHERE reference = $1`,
		d.Reference, state, reason, micro(time.Now()))
	if err != nil {
		return nil, err
	}
	return d, s.moveOn(ctx, tx, d.Number)
}

func (s *store) moveOn(ctx context.Context, tx *sql.Tx, number string) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET version = version + 1 WHERE number = $1`, number)
	return err
}

// payment is an attempt to pay, from Plural's books.
type payment struct {
	ID     string
	Method plural.PaymentMethod
	Status plural.PaymentStatus
	Amount plural.Amount
	Reason string
	PaidAt time.Time
}

func (s *store) payments(ctx context.Context, number string) ([]payment, error) {
	rows, err := s.QueryContext(ctx, `SELECT id, method, status, amount, reason, paid_at
		FROM payments WHERE order_number = $1 ORDER BY paid_at, id`, number)
	return collect(rows, err, func(rows *sql.Rows) (p payment, err error) {
		var amount, paidAt int64
		err = rows.Scan(&p.ID, &p.Method, &p.Status, &amount, &p.Reason, &paidAt)
		p.Amount, p.PaidAt = plural.INR(amount), fromMicro(paidAt)
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

// note adds to an order's history.
func (s *store) note(ctx context.Context, q querier, number, what string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO history (order_number, happened_at, what) VALUES ($1, $2, $3)`,
		number, micro(time.Now()), what)
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

func micro(t time.Time) int64 { return t.UnixMicro() }

// fromMicro gives the zero time for 0.
func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
