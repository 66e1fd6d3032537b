package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/plural-go/plural"
)

// event takes a webhook, in the transaction that also records it as handled. It
// is a hint that something happened: the order is read again, and what that
// says counts.
func (s *shop) event(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
	id, err := e.OrderID()
	if err != nil && !errors.Is(err, plural.ErrNoOrder) {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO events (webhook_id, type, plural_id, received_at) VALUES ($1, $2, $3, $4)`,
		e.ID, string(e.Type), id, micro(time.Now()))
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "event", "event", e)
	if id == "" {
		return nil
	}
	var number string
	err = tx.QueryRowContext(ctx, `SELECT number FROM orders WHERE plural_id = $1`, id).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		number, err = s.numberOf(ctx, tx, e)
	}
	if err != nil || number == "" {
		return err
	}
	return s.lookSoon(ctx, tx, number)
}

// numberOf finds the shop's order by what the event carries: its number; "" if
// it is none of this shop's. It is for orders whose id the shop has not written
// down yet.
func (s *shop) numberOf(ctx context.Context, tx *sql.Tx, e *plural.Event) (string, error) {
	booked, err := e.Order()
	if err != nil {
		return "", nil //nolint:nilerr // an event without a readable order; the sweep finds whatever it was about
	}
	o, err := s.db.order(ctx, tx, booked.MerchantOrderReference)
	if errors.Is(err, errUnknownOrder) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return o.Number, nil
}
