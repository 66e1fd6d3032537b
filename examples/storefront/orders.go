package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

// order is what a customer ordered, and what Plural's books said of it when
// they were last read.
type order struct {
	Number    string
	TwinOf    string // the order whose number stands for this one, too; see twins.go
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

// Reference is Plural's merchant_order_reference of the order.
func (o *order) Reference() string { return cmp.Or(o.TwinOf, o.Number) }

// payable reports whether the customer can still pay, as far as the shop knows.
func (o *order) payable() bool {
	return o.Status == "" || o.Status == plural.OrderStatusCreated || o.Status == plural.OrderStatusAttempted
}

// isPaid reports whether money is on hold, or was taken.
func (o *order) isPaid() bool {
	return o.Captured.Value > 0 || slices.Contains([]plural.OrderStatus{
		plural.OrderStatusAuthorized, plural.OrderStatusProcessed, plural.OrderStatusPartiallyCaptured,
		plural.OrderStatusPartiallyRefunded, plural.OrderStatusFullyRefunded,
	}, o.Status)
}

// isOver reports whether nothing was taken and nothing can be any more.
func (o *order) isOver() bool {
	return (o.Status == plural.OrderStatusFailed || o.Status == plural.OrderStatusCancelled) && o.Captured.Value == 0
}

// StatusText is what Plural's books say of the order, in words.
func (o *order) StatusText() string {
	if o.Status == "" && o.PluralID != "" {
		return "at Plural, not read yet"
	}
	return statusText(o.Status)
}

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

func (s *store) order(ctx context.Context, q querier, number string) (*order, error) {
	return scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE number = $1`, number))
}

func (s *store) orderByPluralID(ctx context.Context, q querier, id string) (*order, error) {
	return scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE plural_id = $1`, id))
}

// locked is the order, which nobody else changes until the transaction ends,
// nor its twins: the first of them is locked for all.
func (s *store) locked(ctx context.Context, tx *sql.Tx, number string) (*order, error) {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET version = version WHERE number = $1`, firstNumber(number))
	if err != nil {
		return nil, err
	}
	return s.order(ctx, tx, number)
}

// orders lists those first that somebody has to decide on, then those that were
// paid, each the newest first.
func (s *store) orders(ctx context.Context, most int) ([]*order, error) {
	rows, err := s.QueryContext(ctx, `SELECT `+orderColumns+` FROM orders
		ORDER BY CASE WHEN status = 'AUTHORIZED' THEN 0 WHEN captured > 0 THEN 1 ELSE 2 END, created_at DESC, number
		LIMIT $1`, most)
	return collect(rows, err, func(rows *sql.Rows) (*order, error) { return scanOrder(rows) })
}

// place writes an order down, unless its number is there: then it gives that
// one.
func (s *store) place(ctx context.Context, o *order) (*order, error) {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		isNew, err := s.insertOrder(ctx, tx, o)
		if err != nil || !isNew {
			return err
		}
		return s.note(ctx, tx, o.Number, "Ordered for "+o.Amount.Display())
	})
	if err != nil {
		return nil, err
	}
	return s.order(ctx, s, o.Number)
}

func (s *store) insertOrder(ctx context.Context, tx *sql.Tx, o *order) (isNew bool, err error) {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return false, err
	}
	result, err := tx.ExecContext(ctx,
		`INSERT INTO orders (number, twin_of, plural_id, lines, amount, looked_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING`,
		o.Number, o.TwinOf, o.PluralID, string(lines), o.Amount.Value, micro(time.Now()))
	return changed(result, err)
}

// moveOn makes pages that show the order as it was decide nothing any more.
func (s *store) moveOn(ctx context.Context, tx *sql.Tx, number string) error {
	_, err := tx.ExecContext(ctx, `UPDATE orders SET version = version + 1 WHERE number = $1`, number)
	return err
}

// changed reports whether a statement changed anything.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// orderNumber matches an order's number, and that of a twin behind it.
var orderNumber = regexp.MustCompile(`^(order-[a-z2-7]{26})(-[1-9][0-9]?)?$`)

// firstNumber is the number of the order that a number is a twin of, or that
// number itself.
func firstNumber(number string) string {
	if found := orderNumber.FindStringSubmatch(number); found != nil {
		return found[1]
	}
	return number
}
