package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/plural-go/plural"
)

// Plural may have two orders under one order number of the shop. This happens
// if the shop sends two requests at the same time, or repeats a request whose
// answer was lost, and Plural does not notice that the number is the same. A
// payer can pay both orders. So the shop stores the second order as an order of
// its own, called a twin. Then it knows about all money that is on hold or
// taken. The order that was paid first keeps the number.

// otherOrders returns the other orders that Plural has under the number of the
// order o.
func (s *orderBooks) otherOrders(ctx context.Context, o *order) ([]*order, error) {
	list, err := s.db.listTwins(ctx, s.db, o.Reference())
	if err != nil || o.TwinOf == "" {
		return list, err
	}
	first, err := s.db.order(ctx, s.db, o.TwinOf)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t *order) bool { return t.Number == o.Number })
	return append([]*order{first}, list...), nil
}

const maxTwins = 99

var errManyTwins = errors.New("too many orders at Plural under one number")

// orderFor returns the shop's order that has this id at Plural, and locks it.
// If Plural has a second order under the same number, orderFor stores the
// second order as a twin.
func (s *orderBooks) orderFor(
	ctx context.Context, tx *sql.Tx, number, id string, amount plural.Amount,
) (*order, error) {
	first, err := s.db.lockOrder(ctx, tx, firstNumber(number))
	if err != nil || first.PluralID == id {
		return first, err
	}
	if first.PluralID == "" && first.Amount == amount {
		first.PluralID = id
		return first, s.db.setPluralID(ctx, tx, first.Number, id)
	}
	twins, err := s.db.listTwins(ctx, tx, first.Number)
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
	if _, err := s.db.insertOrder(ctx, tx, twin); err != nil {
		return nil, err
	}
	for _, number := range []string{first.Number, twin.Number} {
		if err := s.db.addNote(ctx, tx, number, "Plural has a second order under this number: "+id); err != nil {
			return nil, err
		}
	}
	return s.db.order(ctx, tx, twin.Number)
}

// settleTwins gives the number without a suffix to the order that was paid. If
// a twin was paid, settleTwins exchanges the numbers of this twin and of the
// first order. There are three conditions:
//
//   - For the first order no money is held or taken, and no payment is under
//     way.
//   - The two orders have the same amount.
//   - Nobody has decided anything about either of the two orders.
func (s *orderBooks) settleTwins(ctx context.Context, tx *sql.Tx, number string) error {
	twins, err := s.db.listTwins(ctx, tx, firstNumber(number))
	if err != nil || len(twins) == 0 {
		return err
	}
	first, err := s.db.order(ctx, tx, firstNumber(number))
	if err != nil || !first.isPayable() && !first.isOver() {
		return err
	}
	for _, twin := range twins {
		if !twin.isPaid() || twin.Amount != first.Amount {
			continue
		}
		decided, err := s.db.anyDecided(ctx, tx, first.Number, twin.Number)
		if err != nil {
			return err
		}
		if !decided {
			return s.exchangeOrders(ctx, tx, first, twin)
		}
	}
	return nil
}

// exchangeOrders exchanges what the shop has stored about two orders at Plural:
// the id, the payment link, the payments, and what Plural's books show.
// Afterwards each of the two numbers stands for the other order at Plural.
func (s *orderBooks) exchangeOrders(ctx context.Context, tx *sql.Tx, first, twin *order) error {
	return errors.Join(
		s.db.tradePayments(ctx, tx, first.Number, twin.Number),
		s.db.standFor(ctx, tx, first.Number, twin), s.db.standFor(ctx, tx, twin.Number, first),
		s.db.addNote(
			ctx, tx, first.Number, "The second order at Plural was paid, and has this number now: "+twin.PluralID,
		),
		s.db.addNote(
			ctx, tx, twin.Number, "The other order at Plural was paid. This page has the unpaid one: "+first.PluralID,
		),
	)
}

// storeLink stores the id and the payment link that Plural returned for an
// order. If Plural has several orders under the shop's number, storeLink stores
// the link with the order that has this id.
func (s *orderBooks) storeLink(ctx context.Context, o *order, pluralID, link string) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error {
		o, err := s.orderFor(ctx, tx, o.Number, pluralID, o.Amount)
		if err != nil {
			return err
		}
		return s.db.setLink(ctx, tx, o.Number, link)
	})
}
