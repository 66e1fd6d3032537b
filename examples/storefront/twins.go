package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

// Plural may have two orders under one number: two requests were sent at the
// same time, or one whose answer was lost, and Plural did not notice. Both can
// be paid. The shop keeps the second as an order of its own, a twin, so it
// knows of all that is on hold or taken. The one that was paid first stands
// under the number; it is not replaced by the other.

// twins are the other orders under the number of the first, the oldest first.
func (s *store) twins(ctx context.Context, q querier, number string) ([]*order, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE twin_of = $1
		ORDER BY created_at, number`, number)
	return collect(rows, err, func(rows *sql.Rows) (*order, error) { return scanOrder(rows) })
}

// otherOrders are the orders under the number of o, without o.
func (s *store) otherOrders(ctx context.Context, o *order) ([]*order, error) {
	list, err := s.twins(ctx, s, o.Reference())
	if err != nil || o.TwinOf == "" {
		return list, err
	}
	first, err := s.order(ctx, s, o.TwinOf)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t *order) bool { return t.Number == o.Number })
	return append([]*order{first}, list...), nil
}

const maxTwins = 99

var errManyTwins = errors.New("too many orders at Plural under one number")

// orderFor is the shop's order that Plural has under this id, locked. A second
// one under the number becomes a twin.
func (s *store) orderFor(ctx context.Context, tx *sql.Tx, number, id string, amount plural.Amount) (*order, error) {
	first, err := s.locked(ctx, tx, firstNumber(number))
	if err != nil || first.PluralID == id {
		return first, err
	}
	if first.PluralID == "" && first.Amount == amount {
		first.PluralID = id
		_, err := tx.ExecContext(ctx, `UPDATE orders SET plural_id = $2 WHERE number = $1`, first.Number, id)
		return first, err
	}
	twins, err := s.twins(ctx, tx, first.Number)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(twins, func(o *order) bool { return o.PluralID == id }); i >= 0 {
		return twins[i], nil
	}
	if len(twins) >= maxTwins {
		return nil, fmt.Errorf("%w: %s", errManyTwins, first.Number)
	}
	twin := &order{
		Number: fmt.Sprintf("%s-%d", first.Number, len(twins)+1), TwinOf: first.Number,
		PluralID: id, Lines: first.Lines, Amount: amount,
	}
	if _, err := s.insertOrder(ctx, tx, twin); err != nil {
		return nil, err
	}
	for _, number := range []string{first.Number, twin.Number} {
		if err := s.note(ctx, tx, number, "Plural has a second order under this number: "+id); err != nil {
			return nil, err
		}
	}
	return s.order(ctx, tx, twin.Number)
}

// settleTwins has the number stand for the order that was paid, where the one
// it stands for was not, and nobody has decided anything about either.
func (s *store) settleTwins(ctx context.Context, tx *sql.Tx, number string) error {
	twins, err := s.twins(ctx, tx, firstNumber(number))
	if err != nil || len(twins) == 0 {
		return err
	}
	first, err := s.order(ctx, tx, firstNumber(number))
	if err != nil || !first.payable() && !first.isOver() {
		return err
	}
	for _, twin := range twins {
		if !twin.isPaid() || twin.Amount != first.Amount {
			continue
		}
		var decided bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM decisions WHERE order_number IN ($1, $2))`,
			first.Number, twin.Number).Scan(&decided)
		if err != nil {
			return err
		}
		if !decided {
			return s.trade(ctx, tx, first, twin)
		}
	}
	return nil
}

// trade has each of two orders stand for what the other one is at Plural.
func (s *store) trade(ctx context.Context, tx *sql.Tx, first, twin *order) error {
	put := func(number string, o *order) error {
		_, err := tx.ExecContext(ctx, `UPDATE orders SET plural_id = $2, link = $3, status = $4, unsettled = $5,
			captured = $6, refunded = $7, booked_at = $8, looked_at = $9, version = version + 1 WHERE number = $1`,
			number, o.PluralID, o.Link, string(o.Status), bit(o.Unsettled),
			o.Captured.Value, o.Refunded.Value, micro(o.BookedAt), micro(o.LookedAt))
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE payments SET order_number = CASE order_number WHEN $1 THEN $2 ELSE $1 END
		WHERE order_number IN ($1, $2)`, first.Number, twin.Number)
	return errors.Join(
		err, put(first.Number, twin), put(twin.Number, first),
		s.note(ctx, tx, first.Number, "The second order was paid, and stands here from now on: "+twin.PluralID),
		s.note(ctx, tx, twin.Number, "The other order was paid. This one stands here from now on: "+first.PluralID),
	)
}

// A process that makes an order at Plural has this long, and then another one
// may try.
const (
	createTimeout = 30 * time.Second
	createLease   = createTimeout + 5*time.Second
)

// mayCreate reports whether this process is the one to make the order at
// Plural: another one may be about to. Done ends that.
func (s *store) mayCreate(ctx context.Context, number string) (done func(), ok bool, err error) {
	now := time.Now()
	ok, err = changed(s.ExecContext(ctx, `UPDATE orders SET creating_at = $2 WHERE number = $1 AND creating_at < $3`,
		number, micro(now), micro(now.Add(-createLease))))
	return func() {
		_, _ = s.ExecContext(ctx, `UPDATE orders SET creating_at = 0 WHERE number = $1 AND creating_at = $2`,
			number, micro(now))
	}, ok, err
}

// link keeps what Plural gave an order. If two orders have the number, it is
// the one that has this id.
func (s *store) link(ctx context.Context, o *order, pluralID, link string) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		o, err := s.orderFor(ctx, tx, o.Number, pluralID, o.Amount)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE orders SET link = $2 WHERE number = $1`, o.Number, link)
		return err
	})
}

// linkOf is the way to pay an order. If two orders have the number, it is that
// of the first, so two tabs lead to one page. It is "" where there is none.
func (s *store) linkOf(ctx context.Context, number string) (link string, err error) {
	err = s.QueryRowContext(ctx, `SELECT link FROM orders WHERE (number = $1 OR twin_of = $1) AND link <> ''
		AND status IN ('', 'CREATED', 'ATTEMPTED') ORDER BY number LIMIT 1`, number).Scan(&link)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return link, err
}
