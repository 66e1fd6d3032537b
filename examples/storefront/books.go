package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/plural-go/plural"
)

// look reads an order from Plural, and keeps what its books say.
func (s *shop) look(ctx context.Context, o *order) error {
	var (
		booked *plural.Order
		err    error
	)
	if o.PluralID != "" {
		booked, err = s.client.Orders.Get(ctx, o.PluralID)
	} else {
		// the answer to its creation was lost, or is on its way
		booked, err = s.client.Orders.GetByReference(ctx, o.Number)
	}
	if errors.Is(err, plural.ErrNotFound) && o.PluralID == "" {
		return nil // the customer has not got to the checkout
	}
	if err != nil {
		return err
	}
	return s.db.transact(ctx, func(tx *sql.Tx) error { return s.record(ctx, tx, o.Number, booked) })
}

// record keeps what Plural's books say of an order. A document of another order,
// or without an amount, is for a person: reading it again changes nothing.
func (s *shop) record(ctx context.Context, tx *sql.Tx, number string, booked *plural.Order) error {
	o, err := s.db.locked(ctx, tx, number)
	if err != nil {
		return err
	}
	if booked.MerchantOrderReference != o.Number || booked.OrderAmount != o.Amount {
		s.log.ErrorContext(ctx, "Plural's books have another reference or amount", "order", number, "books", booked)
		return nil
	}
	return s.db.record(ctx, tx, o, booked)
}

// record keeps a document of the order. Reads may lag, and arrive out of order:
// an older document than the last one changes nothing.
func (s *store) record(ctx context.Context, tx *sql.Tx, o *order, booked *plural.Order) error {
	if booked.UpdatedAt.Before(o.BookedAt) {
		return nil
	}
	captured, told := booked.CapturedAmount()
	if !told {
		captured = o.Captured
	}
	refunded, ok := booked.RefundedAmount()
	if !ok {
		refunded = o.Refunded
	}
	// A paid order changes only where money is given back: by the shop or on
	// Plural's dashboard, and by a bank that takes its time.
	refunding, _ := booked.RefundingAmount()
	settled := booked.Status.IsTerminal() || booked.CanRefund() && told && refunding.Value == 0
	_, err := tx.ExecContext(ctx, `UPDATE orders SET plural_id = $2, status = $3, unsettled = $4, captured = $5,
		refunded = $6, booked_at = $7, looked_at = $8 WHERE number = $1`,
		o.Number, booked.OrderID, string(booked.Status), bit(!settled), captured.Value,
		refunded.Value, max(micro(booked.UpdatedAt.Time), 0), micro(time.Now()))
	if err != nil {
		return err
	}
	for _, r := range booked.Refunds {
		if err := s.refuseRefund(ctx, tx, o.Number, &r); err != nil {
			return err
		}
	}
	for _, p := range booked.Payments {
		if err := s.recordPayment(ctx, tx, o.Number, p); err != nil {
			return err
		}
	}
	if booked.Status == o.Status && captured == o.Captured && refunded == o.Refunded {
		return nil
	}
	if err := s.moveOn(ctx, tx, o.Number); err != nil {
		return err
	}
	what := "Plural's books: " + statusText(booked.Status)
	if captured.Value > 0 {
		what += ", captured " + captured.Display()
	}
	if refunded.Value > 0 {
		what += ", refunded " + refunded.Display()
	}
	return s.note(ctx, tx, o.Number, what)
}

// refuseRefund takes back the decision of a refund that has failed since it was
// accepted: the bank refused it.
func (s *store) refuseRefund(ctx context.Context, tx *sql.Tx, number string, r *plural.Order) error {
	if r.Status != plural.OrderStatusFailed && r.Status != plural.OrderStatusCancelled {
		return nil
	}
	result, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $3, reason = $4
		WHERE order_number = $1 AND kind = 'refund' AND reference = $2 AND state = 'done'`,
		number, r.MerchantOrderReference, stateRefused, "the bank refused it")
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if err := s.moveOn(ctx, tx, number); err != nil {
		return err
	}
	return s.note(ctx, tx, number, "Refund of "+r.OrderAmount.Display()+" refused by the bank")
}

func (s *store) recordPayment(ctx context.Context, tx *sql.Tx, number string, p plural.Payment) error {
	if p.ID == "" {
		return nil
	}
	reason := ""
	if p.ErrorDetail != nil {
		reason = cmp.Or(p.ErrorDetail.Code.Text(), string(p.ErrorDetail.Code))
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO payments (order_number, id, method, status, amount, reason, paid_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (order_number, id) DO UPDATE
		SET status = excluded.status, amount = excluded.amount, reason = excluded.reason`,
		number, p.ID, string(p.PaymentMethod), string(p.Status), p.PaymentAmount.Value, reason,
		max(micro(p.CreatedAt.Time), 0))
	return err
}

// statusText is a status in words, or as it is where there are none.
func statusText(status plural.OrderStatus) string {
	return cmp.Or(status.Text(), string(status), "not at Plural yet")
}
