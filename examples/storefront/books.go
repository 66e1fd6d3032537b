package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	err = s.db.transact(ctx, func(tx *sql.Tx) error { return s.db.record(ctx, tx, o.Number, booked) })
	if errors.Is(err, errAnotherOrder) {
		s.log.ErrorContext(ctx, "a person has to look at Plural's dashboard", "order", o.Number, "error", err)
		return nil // reading it again changes nothing
	}
	return err
}

var errAnotherOrder = errors.New("the books of Plural have another amount or reference")

// record keeps what Plural's books say of an order. Reads may lag, and arrive
// out of order: an older document than the last one changes nothing.
func (s *store) record(ctx context.Context, tx *sql.Tx, number string, booked *plural.Order) error {
	o, err := s.locked(ctx, tx, number)
	if err != nil {
		return err
	}
	switch {
	case booked.MerchantOrderReference != o.Number || booked.OrderAmount != o.Amount:
		return fmt.Errorf("order %s: %w", number, errAnotherOrder)
	case booked.UpdatedAt.Before(o.BookedAt):
		return nil
	}
	captured, ok := booked.CapturedAmount()
	if !ok {
		captured = o.Captured
	}
	refunded, ok := booked.RefundedAmount()
	if !ok {
		refunded = o.Refunded
	}
	// A paid order changes only where money is given back: by the shop or on
	// Plural's dashboard, and by a bank that takes its time.
	_, told := booked.CapturedAmount()
	refunding, _ := booked.RefundingAmount()
	settled := booked.Status.IsTerminal() || booked.CanRefund() && told && refunding.Value == 0
	_, err = tx.ExecContext(
		ctx,
		`UPDATE orders SET plural_id = $2, status = $3, unsettled = $4, captured = $5, refunded = $6,
		booked_at = $7, looked_at = $8 WHERE number = $1`,
		number,
		booked.OrderID,
		string(booked.Status),
		bit(!settled),
		captured.Value,
		refunded.Value,
		max(micro(booked.UpdatedAt.Time), 0),
		micro(time.Now()),
	)
	if err != nil {
		return err
	}
	if err := s.refuseRefunds(ctx, tx, number, booked.Refunds); err != nil {
		return err
	}
	for _, p := range booked.Payments {
		if err := s.recordPayment(ctx, tx, number, p); err != nil {
			return err
		}
	}
	if booked.Status == o.Status && captured == o.Captured && refunded == o.Refunded {
		return nil
	}
	if err := s.moveOn(ctx, tx, number); err != nil {
		return err
	}
	what := "Plural's books: " + statusText(booked.Status)
	if captured.Value > 0 {
		what += ", captured " + captured.Display()
	}
	if refunded.Value > 0 {
		what += ", refunded " + refunded.Display()
	}
	return s.note(ctx, tx, number, what)
}

// refuseRefunds takes back the decisions whose refunds have failed since they
// were accepted: the bank refused them.
func (s *store) refuseRefunds(ctx context.Context, tx *sql.Tx, number string, refunds []plural.Order) error {
	for _, r := range refunds {
		if r.Status != plural.OrderStatusFailed && r.Status != plural.OrderStatusCancelled {
			continue
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
		if err := s.note(ctx, tx, number, "Refund of "+r.OrderAmount.Display()+" refused by the bank"); err != nil {
			return err
		}
	}
	return nil
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
