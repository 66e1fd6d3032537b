package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/plural-go/plural"
)

// event takes a webhook, in the transaction that also records it as handled. It
// is a hint that something happened: the order is read again, and what that
// says counts.
func (s *shop) event(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
	s.log.InfoContext(ctx, "event", "event", e)
	id, err := e.OrderID()
	if errors.Is(err, plural.ErrNoOrder) {
		return nil
	}
	if err != nil {
		return err
	}
	var number string
	err = tx.QueryRowContext(ctx, `SELECT number FROM orders WHERE plural_id = $1`, id).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		number, err = s.numberOf(ctx, tx, e)
	}
	if err != nil || number == "" {
		return err
	}
	if err := s.db.note(ctx, tx, number, "Plural tells of "+string(e.Type)+" ("+e.ID+")"); err != nil {
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
