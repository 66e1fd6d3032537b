package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// event handles a webhook, in the transaction that also records it as handled.
// A webhook only hints that something happened: the order is read again, and
// that answer counts.
//
// The SDK's README shows Orders.ConfirmEvent, which reads the order at once.
// Here a job reads the order. While this function runs, its transaction holds
// one of the shop's connections, and it has four seconds. ConfirmEvent may take
// longer if the books lag, and a rollback would not undo it. The sweep and the
// payer's return also lead to such a job, so one place stores what the books
// show (books.go). A shop without an open transaction uses
// plural.NewWebhookHandler, and calls ConfirmEvent.
func (s *till) event(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
	s.log.InfoContext(ctx, "event", "event", e)
	id, err := e.OrderID()
	if errors.Is(err, plural.ErrNoOrder) || hasZero(id) {
		return nil
	}
	if err != nil {
		return err
	}
	o, err := s.db.orderByPluralID(ctx, tx, id)
	if errors.Is(err, errUnknownOrder) {
		o, err = s.orderOfEvent(ctx, tx, e)
	}
	if o == nil || err != nil {
		return err
	}
	if err := s.db.note(ctx, tx, o.Number, fmt.Sprintf("Plural tells of %.100s (%s)", e.Type, e.ID)); err != nil {
		return err
	}
	if o.PluralID == id && o.isOver() {
		return nil // the order never changes again
	}
	return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: id})
}

// orderOfEvent finds the shop's order by the number in the event; nil if the
// order is not this shop's. It is for orders whose id the shop has not stored
// yet, and for a second order under the number.
func (s *till) orderOfEvent(ctx context.Context, tx *sql.Tx, e *plural.Event) (*order, error) {
	booked, err := e.Order()
	if err != nil || hasZero(booked.MerchantOrderReference) {
		return nil, nil //nolint:nilerr,nilnil // without a readable order; the sweep finds whatever it was about
	}
	o, err := s.db.order(ctx, tx, booked.MerchantOrderReference)
	if errors.Is(err, errUnknownOrder) {
		return nil, nil //nolint:nilnil // another shop's, which is not an error
	}
	return o, err
}

// hasZero reports whether a text has a zero byte. No order's name has one, and
// PostgreSQL refuses to look for it.
func hasZero(text string) bool { return strings.Contains(text, "\x00") }
