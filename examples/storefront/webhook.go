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

// handleEvent handles a webhook in a transaction. The same transaction also
// records that the webhook was handled. A webhook only shows that something may
// have happened. The shop then reads the order from Plural, and trusts only
// what it has read.
//
// The SDK's README shows Orders.ConfirmEvent, which reads the order at once.
// Here a job reads the order, for two reasons:
//   - The transaction of the webhook holds one of the shop's connections, and
//     must end within four seconds. ConfirmEvent may take longer if Plural
//     answers with an older state.
//   - The sweep also inserts such jobs. So for a webhook and for a sweep, the
//     same code in books.go stores what Plural's books show.
//
// A shop that handles events without a transaction uses
// plural.NewWebhookHandler, and calls ConfirmEvent.
func (s *shopTill) handleEvent(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
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
	if err := s.db.addNote(ctx, tx, o.Number, fmt.Sprintf("Plural tells of %.100s (%s)", e.Type, e.ID)); err != nil {
		return err
	}
	if o.PluralID == id && o.isOver() {
		return nil // the order was cancelled or has failed, so it does not change again
	}
	return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: id})
}

// orderOfEvent finds the shop's order by the number in the event. It returns
// nil if the order belongs to another shop. The method is needed in two cases:
// the shop has not stored Plural's id of the order yet, or Plural has a second
// order under the same number.
func (s *shopTill) orderOfEvent(ctx context.Context, tx *sql.Tx, e *plural.Event) (*order, error) {
	booked, err := e.Order()
	if err != nil || hasZero(booked.MerchantOrderReference) {
		return nil, nil //nolint:nilerr,nilnil // the event has no readable order; the sweep finds the order later
	}
	o, err := s.db.order(ctx, tx, booked.MerchantOrderReference)
	if errors.Is(err, errUnknownOrder) {
		return nil, nil //nolint:nilnil // an order of another shop is not an error
	}
	return o, err
}

// hasZero reports whether a text has a byte with the value 0. The shop does not
// search its database for such a text: no id or number of an order has such a
// byte, and PostgreSQL would return an error.
func hasZero(text string) bool { return strings.Contains(text, "\x00") }
