package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
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

// A store is the shop's database, with all SQL statements. The statements are
// the same for SQLite and PostgreSQL. They run directly on the database, or in
// a transaction. The rules for orders are in the types orderBooks and
// staffDesk.
type store struct {
	*sql.DB
	orderRows
	decisionRows
	historyRows
	arrivalRows

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

// makeTables makes River's tables. Then it runs each file of the folder schema
// once, sorted by name. If several processes do so at once, they wait for each
// other. It does not run the files at every start, because CREATE INDEX IF NOT
// EXISTS locks the table even if the index exists. The lock would delay the
// processes that are already running, or lead to a deadlock with one of them.
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

// orderRows has the SQL statements about orders.
type orderRows struct{}

const orderColumns = `number, twin_of, plural_id, link, lines, amount, status, unsettled, captured, refunded,
	booked_at, looked_at, created_at, version`

func scanOrder(row interface{ Scan(dest ...any) error }) (*order, error) {
	var (
		o                             order
		lines                         string
		amount, captured, refunded    int64
		bookedAt, lookedAt, createdAt int64
		unsettled                     int
	)
	err := row.Scan(&o.Number, &o.TwinOf, &o.PluralID, &o.Link, &lines, &amount, &o.Status, &unsettled,
		&captured, &refunded, &bookedAt, &lookedAt, &createdAt, &o.Version)
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

func (orderRows) order(ctx context.Context, q querier, number string) (*order, error) {
	return scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE number = $1`, number))
}

func (orderRows) orderByPluralID(ctx context.Context, q querier, id string) (*order, error) {
	return scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE plural_id = $1`, id))
}

// lockOrder locks an order until the transaction ends, and returns the order.
// The lock also covers the other orders under the same number (see twins.go).
// If another transaction calls lockOrder for one of these orders, the other
// transaction has to wait. To do this, lockOrder locks one row: the row of the
// order whose number has no suffix.
func (orderRows) lockOrder(ctx context.Context, tx *sql.Tx, number string) (*order, error) {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET version = version WHERE number = $1`, firstNumber(number))
	if err != nil {
		return nil, err
	}
	return orderRows{}.order(ctx, tx, number)
}

// listOrders returns the orders that need a decision, then the orders with a
// captured amount, and then all others. Each of the three groups begins with
// its newest order.
func (orderRows) listOrders(ctx context.Context, q querier, most int) ([]*order, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+orderColumns+` FROM orders
		ORDER BY CASE WHEN status = 'AUTHORIZED' THEN 0 WHEN captured > 0 THEN 1 ELSE 2 END, created_at DESC, number
		LIMIT $1`, most)
	return collectRows(rows, err, func(rows *sql.Rows) (*order, error) { return scanOrder(rows) })
}

// Plural may have two orders under one order number of the shop. This happens
// if the shop sends two requests at the same time, or repeats a request whose
// answer was lost, and Plural does not notice that the number is the same. A
// payer can pay both orders. So the shop stores the second order as an order of
// its own, called a twin. Then it knows about all money that is on hold or
// taken. The order that was paid first keeps the number.

// listTwins returns the twins of an order: the further orders that Plural has
// under the order's number. The oldest of these orders comes first.
func (orderRows) listTwins(ctx context.Context, q querier, number string) ([]*order, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE twin_of = $1
		ORDER BY created_at, number`, number)
	return collectRows(rows, err, func(rows *sql.Rows) (*order, error) { return scanOrder(rows) })
}

func (orderRows) insertOrder(ctx context.Context, tx *sql.Tx, o *order) (isNew bool, err error) {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return false, err
	}
	result, err := tx.ExecContext(ctx,
		`INSERT INTO orders (number, twin_of, plural_id, lines, amount, looked_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING`,
		o.Number, o.TwinOf, o.PluralID, string(lines), o.Amount.Value, toMicro(time.Now()))
	return hasChangedRows(result, err)
}

// moveOn raises the order's version. After that, nobody can make a decision
// from a page that shows an older version.
func (orderRows) moveOn(ctx context.Context, tx *sql.Tx, number string) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET version = version + 1 WHERE number = $1`, number)
	return err
}

// saveBooks stores what Plural's books say about an order.
func (orderRows) saveBooks(ctx context.Context, tx *sql.Tx, o *order) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET status = $2, unsettled = $3, captured = $4,
		refunded = $5, booked_at = $6, looked_at = $7 WHERE number = $1`,
		o.Number, string(o.Status), boolAsInt(o.Unsettled), o.Captured.Value, o.Refunded.Value,
		toMicro(o.BookedAt), toMicro(time.Now()))
	return err
}

// The method standFor changes the row of the order that has the given number.
// It copies some values of the order o into this row: the id at Plural, the
// payment link, and what Plural's books show.
func (orderRows) standFor(ctx context.Context, tx *sql.Tx, number string, o *order) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET plural_id = $2, link = $3, status = $4, unsettled = $5,
		captured = $6, refunded = $7, booked_at = $8, looked_at = $9, version = version + 1 WHERE number = $1`,
		number, o.PluralID, o.Link, string(o.Status), boolAsInt(o.Unsettled),
		o.Captured.Value, o.Refunded.Value, toMicro(o.BookedAt), toMicro(o.LookedAt))
	return err
}

func (orderRows) setPluralID(ctx context.Context, tx *sql.Tx, number, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET plural_id = $2 WHERE number = $1`, number, id)
	return err
}

func (orderRows) setLink(ctx context.Context, tx *sql.Tx, number, link string) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET link = $2 WHERE number = $1`, number, link)
	return err
}

// linkOf returns the link at which an order can be paid. If two orders have the
// number, it returns the link of the first, so two browser tabs lead to the
// same page. It returns "" if there is no link.
func (orderRows) linkOf(ctx context.Context, q querier, number string) (link string, err error) {
	err = q.QueryRowContext(ctx, `SELECT link FROM orders WHERE (number = $1 OR twin_of = $1) AND link <> ''
		AND status IN ('', 'CREATED', 'ATTEMPTED') ORDER BY number LIMIT 1`, number).Scan(&link)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return link, err
}

// A process has this much time to make an order at Plural. After that another
// process may try.
const (
	createTimeout = 30 * time.Second
	createLease   = createTimeout + 5*time.Second
)

// mayCreate reports whether this process may make the order at Plural. Only one
// process at a time may do so. Call the returned function when this process has
// made the order, or has failed to make it.
func (orderRows) mayCreate(
	ctx context.Context, q querier, number string,
) (done func(), ok bool, err error) {
	now := time.Now()
	ok, err = hasChangedRows(q.ExecContext(ctx,
		`UPDATE orders SET creating_at = $2 WHERE number = $1 AND creating_at < $3`,
		number, toMicro(now), toMicro(now.Add(-createLease))))
	return func() {
		_, _ = q.ExecContext(ctx, `UPDATE orders SET creating_at = 0 WHERE number = $1 AND creating_at = $2`,
			number, toMicro(now))
	}, ok, err
}

// isNews reports whether the shop has to read the order from Plural after a
// payer's return. The order's row has the time and the status of the last
// return after which the shop had to read the order. In two cases isNews
// replaces these values with those of the new return, and returns true:
//
//   - The two returns have different statuses.
//   - The stored return is older than ten seconds (repeatPause).
func (orderRows) isNews(ctx context.Context, q querier, o *order, status plural.OrderStatus) (bool, error) {
	now := time.Now()
	return hasChangedRows(q.ExecContext(ctx, `UPDATE orders SET returned_at = $2, returned_as = $3
		WHERE number = $1 AND (returned_at < $4 OR returned_as <> $3)`,
		o.Number, toMicro(now), string(status), toMicro(now.Add(-repeatPause))))
}

// takeUnreadOrders finds orders that the shop has not read for some time. They
// may still change, or they do not agree with the shop's decisions. In the row
// of each of these orders, takeUnreadOrders stores the current time as the time
// of the last read.
func (orderRows) takeUnreadOrders(ctx context.Context, tx *sql.Tx, after time.Duration) ([]order, error) {
	now := time.Now()
	rows, err := tx.QueryContext(ctx, `SELECT number, plural_id FROM orders o
		WHERE looked_at < $1 AND created_at < $1 AND (created_at > $2 OR booked_at > $2
				OR EXISTS (SELECT 1 FROM decisions WHERE order_number = o.number AND decided_at > $2))
			AND ((unsettled = 1 AND created_at > $2)
			OR captured <> (SELECT COALESCE(SUM(amount), 0) FROM decisions
				WHERE order_number = o.number AND kind = 'capture' AND state = 'done')
			OR refunded <> (SELECT COALESCE(SUM(amount), 0) FROM decisions
				WHERE order_number = o.number AND kind = 'refund' AND state = 'done'))
		ORDER BY looked_at, number LIMIT 200`, toMicro(now.Add(-after)), toMicro(now.Add(-sweepAge)))
	found, err := collectRows(rows, err, func(rows *sql.Rows) (o order, err error) {
		return o, rows.Scan(&o.Number, &o.PluralID)
	})
	if err != nil {
		return nil, err
	}
	// Every process locks the rows in this sequence, so there is no deadlock.
	slices.SortFunc(found, func(a, b order) int { return cmp.Compare(a.Number, b.Number) })
	for _, o := range found {
		_, err := tx.ExecContext(ctx, `UPDATE orders SET looked_at = $2 WHERE number = $1`, o.Number, toMicro(now))
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// If an order has not changed for sweepAge, the sweep does not read it any
// more. This matters for an order that nobody pays. It also matters for an
// order whose sums differ from the decisions, for example because somebody
// refunded it on Plural's dashboard.
const sweepAge = 30 * 24 * time.Hour

// decisionRows has the SQL statements about decisions.
type decisionRows struct{}

const decisionColumns = `reference, order_number, kind, amount, whole, state, reason, job_id, decided_at, ended_at`

func scanDecision(row interface{ Scan(dest ...any) error }) (*decision, error) {
	var (
		d                          decision
		amount, decidedAt, endedAt int64
		whole                      int
	)
	err := row.Scan(
		&d.Reference, &d.Number, &d.Kind, &amount, &whole, &d.State, &d.Reason, &d.JobID, &decidedAt, &endedAt)
	d.Whole = whole != 0
	d.Amount, d.DecidedAt, d.EndedAt = plural.INR(amount), fromMicro(decidedAt), fromMicro(endedAt)
	return &d, err
}

// listDecisions returns the decisions about an order, the oldest first.
func (decisionRows) listDecisions(ctx context.Context, q querier, number string) ([]*decision, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number = $1 ORDER BY decided_at`, number)
	return collectRows(rows, err, func(rows *sql.Rows) (*decision, error) { return scanDecision(rows) })
}

// findDecision finds a decision about an order by the decision's reference.
func (decisionRows) findDecision(ctx context.Context, q querier, number, reference string) (*decision, error) {
	d, err := scanDecision(q.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number = $1 AND reference = $2`, number, reference))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknownOrder
	}
	return d, err
}

// decisionOfJob returns the decision that a job carries out. The decision and
// the job have the same reference. The job of a cancel has no reference, and
// belongs to the order's last decision to cancel.
func (decisionRows) decisionOfJob(
	ctx context.Context, tx *sql.Tx, kind, pluralID, reference string,
) (*decision, error) {
	if reference != "" {
		return scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
			WHERE reference = $1 AND kind = $2`, reference, kind))
	}
	return scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number IN (SELECT number FROM orders WHERE plural_id = $1) AND kind = $2
		ORDER BY decided_at DESC LIMIT 1`, pluralID, kind))
}

// refundDone returns the decision for a refund, if that refund was carried out.
// Otherwise it returns nil.
func (decisionRows) refundDone(ctx context.Context, tx *sql.Tx, number, reference string) (*decision, error) {
	d, err := scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number = $1 AND kind = 'refund' AND reference = $2 AND state = 'done'`, number, reference))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // none
	}
	return d, err
}

// waitingTexts returns texts about the decisions that wait, or that a person
// has to look at. The keys of the map are the numbers of the orders.
func (decisionRows) waitingTexts(ctx context.Context, q querier) (map[string]string, error) {
	kinds := map[string]string{}
	rows, err := q.QueryContext(ctx, `SELECT d.order_number, d.kind,
			d.state = 'to be seen' OR d.reason <> '' OR COALESCE(j.state IN ('discarded', 'cancelled'), true)
		FROM decisions d LEFT JOIN river_job j ON j.id = d.job_id WHERE d.state IN ('waiting', 'to be seen')`)
	_, err = collectRows(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var number, kind string
		var isTroubled bool
		err := rows.Scan(&number, &kind, &isTroubled)
		if isTroubled {
			kinds[number] = kind + ": look at it"
		} else if kinds[number] == "" {
			kinds[number] = kind + " under way"
		}
		return struct{}{}, err
	})
	return kinds, err
}

func (decisionRows) insertDecision(ctx context.Context, tx *sql.Tx, d *decision) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO decisions (reference, order_number, kind, amount, whole, state, job_id, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		d.Reference, d.Number, d.Kind, d.Amount.Value, boolAsInt(d.Whole), stateWaiting, d.JobID, toMicro(time.Now()))
	return err
}

func (decisionRows) saveDecision(ctx context.Context, tx *sql.Tx, d *decision) error {
	_, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $2, reason = $3, ended_at = $4 WHERE reference = $1`,
		d.Reference, d.State, d.Reason, toMicro(d.EndedAt))
	return err
}

// anyDecided reports whether there is a decision about either of two orders.
func (decisionRows) anyDecided(ctx context.Context, tx *sql.Tx, one, other string) (decided bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM decisions WHERE order_number IN ($1, $2))`,
		one, other).Scan(&decided)
	return decided, err
}

// historyRows has the SQL statements about an order's payments and its history.
type historyRows struct{}

func (historyRows) payments(ctx context.Context, q querier, number string) ([]payment, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, method, status, amount, captured, reason, paid_at
		FROM payments WHERE order_number = $1 ORDER BY paid_at, id`, number)
	return collectRows(rows, err, func(rows *sql.Rows) (p payment, err error) {
		var amount, captured, paidAt int64
		err = rows.Scan(&p.ID, &p.Method, &p.Status, &amount, &captured, &p.Reason, &paidAt)
		p.Amount, p.Captured, p.PaidAt = plural.INR(amount), plural.INR(captured), fromMicro(paidAt)
		return p, err
	})
}

func (historyRows) savePayment(ctx context.Context, tx *sql.Tx, number string, p *payment) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO payments
			(order_number, id, method, status, amount, captured, reason, paid_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (order_number, id) DO UPDATE SET status = excluded.status, amount = excluded.amount,
			captured = excluded.captured, reason = excluded.reason`,
		number, p.ID, string(p.Method), string(p.Status), p.Amount.Value, p.Captured.Value, p.Reason, toMicro(p.PaidAt))
	return err
}

// tradePayments exchanges the payments of two orders.
func (historyRows) tradePayments(ctx context.Context, tx *sql.Tx, one, other string) error {
	_, err := tx.ExecContext(ctx, `UPDATE payments SET order_number = CASE order_number WHEN $1 THEN $2 ELSE $1 END
		WHERE order_number IN ($1, $2)`, one, other)
	return err
}

func (historyRows) history(ctx context.Context, q querier, number string) ([]entry, error) {
	rows, err := q.QueryContext(ctx, `SELECT happened_at, what FROM history
		WHERE order_number = $1 ORDER BY happened_at`, number)
	return collectRows(rows, err, func(rows *sql.Rows) (e entry, err error) {
		var at int64
		err = rows.Scan(&at, &e.What)
		e.At = fromMicro(at)
		return e, err
	})
}

// addNote adds an entry to an order's history. The type of a webhook's event
// may contain a byte with the value 0, and PostgreSQL refuses such a text. So
// addNote replaces these bytes.
func (historyRows) addNote(ctx context.Context, q querier, number, what string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO history (order_number, happened_at, what) VALUES ($1, $2, $3)`,
		number, toMicro(time.Now()), strings.ReplaceAll(what, "\x00", "\uFFFD"))
	return err
}

// addNoteOnce adds an entry to an order's history, unless the history has it
// already.
func (historyRows) addNoteOnce(ctx context.Context, tx *sql.Tx, number, what string) (isNew bool, err error) {
	return hasChangedRows(tx.ExecContext(ctx, `INSERT INTO history (order_number, happened_at, what)
		SELECT CAST($1 AS text), CAST($2 AS bigint), CAST($3 AS text)
		WHERE NOT EXISTS (SELECT 1 FROM history WHERE order_number = $1 AND what = $3)`, number, toMicro(time.Now()), what))
}

// arrivalRows has the SQL statements about money that has reached the bank.
type arrivalRows struct{}

// listArrivals returns what the shop has stored about the transfer of an
// order's payments to the shop's bank account.
func (arrivalRows) listArrivals(ctx context.Context, q querier, number string) ([]arrival, error) {
	rows, err := q.QueryContext(ctx, `SELECT a.payment_id, a.utr, a.day, a.status FROM arrivals a
		JOIN payments p ON p.id = a.payment_id WHERE p.order_number = $1 ORDER BY a.day, a.utr, a.payment_id`, number)
	return collectRows(rows, err, func(rows *sql.Rows) (a arrival, err error) {
		err = rows.Scan(&a.PaymentID, &a.UTR, &a.Day, &a.Status)
		return a, err
	})
}

func (arrivalRows) saveArrival(ctx context.Context, q querier, a *arrival) error {
	_, err := q.ExecContext(ctx, `INSERT INTO arrivals (payment_id, utr, day, status) VALUES ($1, $2, $3, $4)
		ON CONFLICT (payment_id, utr) DO UPDATE SET day = excluded.day, status = excluded.status`,
		a.PaymentID, a.UTR, a.Day, string(a.Status))
	return err
}

// isRead reports whether all lines of a settlement are stored, and the
// settlement has not changed since then.
func (arrivalRows) isRead(ctx context.Context, q querier, utr, mark string) (isRead bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM settlements_read WHERE utr = $1 AND mark = $2)`,
		utr, mark).Scan(&isRead)
	return isRead, err
}

func (arrivalRows) markRead(ctx context.Context, q querier, utr, mark string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO settlements_read (utr, mark) VALUES ($1, $2)
		ON CONFLICT (utr) DO UPDATE SET mark = excluded.mark`, utr, mark)
	return err
}

// collectRows returns a list with one value for each row. The function scan
// makes the value.
func collectRows[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (list []T, _ error) {
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

// hasChangedRows reports whether a statement has changed any row.
func hasChangedRows(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// boolAsInt turns a boolean into a number that both databases can store.
func boolAsInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// toMicro returns a time in microseconds. It returns 0 for the zero time, and
// for times before 1970.
func toMicro(t time.Time) int64 { return max(t.UnixMicro(), 0) }

// fromMicro turns microseconds into a time. It returns the zero time for 0.
func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
