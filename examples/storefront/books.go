package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// keep is record in a transaction of its own.
func (s *shop) keep(ctx context.Context, number string, booked *plural.Order) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error { return s.record(ctx, tx, number, booked) })
}

// record keeps what Plural's books say of an order, or of its twin. A document
// that cannot be one of this shop's is for a person: reading it again changes
// nothing.
func (s *shop) record(ctx context.Context, tx *sql.Tx, number string, booked *plural.Order) error {
	if booked.MerchantOrderReference != firstNumber(number) || booked.OrderID == "" ||
		booked.OrderAmount.Currency != plural.CurrencyINR || booked.OrderAmount.Value <= 0 {
		s.log.ErrorContext(ctx, "Plural's books have another reference or no amount", "order", number, "books", booked)
		return nil
	}
	o, err := s.db.orderFor(ctx, tx, number, booked.OrderID, booked.OrderAmount)
	if err != nil {
		return err
	}
	if booked.OrderAmount != o.Amount {
		s.log.ErrorContext(ctx, "Plural's books have another amount", "order", o.Number, "books", booked)
		return nil
	}
	if err := s.db.record(ctx, tx, o, booked); err != nil {
		return err
	}
	return s.db.settleTwins(ctx, tx, o.Number)
}

// record keeps a document of the order. Reads may lag, and arrive out of order:
// an older document than the last one changes nothing. A document without a
// time is taken: the next one puts right what it has wrong.
func (s *store) record(ctx context.Context, tx *sql.Tx, o *order, booked *plural.Order) error {
	bookedAt := bookedAt(booked, time.Now())
	if !bookedAt.IsZero() && bookedAt.Before(o.BookedAt) {
		return nil
	}
	if bookedAt.IsZero() {
		bookedAt = o.BookedAt
	}
	captured, told := booked.CapturedAmount()
	if !told {
		captured = o.Captured
	}
	refunded, ok := booked.RefundedAmount()
	if !ok {
		refunded = o.Refunded
	}
	_, err := tx.ExecContext(ctx, `UPDATE orders SET status = $2, unsettled = $3, captured = $4,
		refunded = $5, booked_at = $6, looked_at = $7 WHERE number = $1`,
		o.Number, string(booked.Status), bit(pluralriver.MayChange(booked)), captured.Value,
		refunded.Value, micro(bookedAt), micro(time.Now()))
	if err != nil {
		return err
	}
	if err := s.refuseRefunds(ctx, tx, o.Number, booked.Refunds); err != nil {
		return err
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

// bookedAt is when a document was changed last; zero where it does not say. A
// time in the future does not count: every true document after it would count
// as older.
func bookedAt(booked *plural.Order, now time.Time) time.Time {
	const clocksApart = 5 * time.Minute
	at := booked.UpdatedAt.Time
	if at.Unix() <= 0 || at.After(now.Add(clocksApart)) {
		return time.Time{}
	}
	return at
}

// refuseRefunds takes back the decisions of refunds that have failed since they
// were accepted: the bank refused them. A refund of which the books list a
// second try under the same reference may still come.
func (s *store) refuseRefunds(ctx context.Context, tx *sql.Tx, number string, refunds []plural.Order) error {
	hasFailed := func(r plural.Order) bool {
		return r.Status == plural.OrderStatusFailed || r.Status == plural.OrderStatusCancelled
	}
	for _, r := range refunds {
		mayCome := slices.ContainsFunc(refunds, func(other plural.Order) bool {
			return other.MerchantOrderReference == r.MerchantOrderReference && !hasFailed(other)
		})
		if !hasFailed(r) || mayCome {
			continue
		}
		d, err := scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
			WHERE order_number = $1 AND kind = 'refund' AND reference = $2 AND state = 'done'`,
			number, r.MerchantOrderReference))
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.settle(ctx, tx, d, stateRefused, "the bank refused it"); err != nil {
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
	var captured int64
	for _, entry := range p.CaptureData {
		captured += entry.CaptureAmount.Value
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO payments
			(order_number, id, method, status, amount, captured, reason, paid_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (order_number, id) DO UPDATE SET status = excluded.status, amount = excluded.amount,
			captured = excluded.captured, reason = excluded.reason`,
		number, p.ID, string(p.PaymentMethod), string(p.Status), p.PaymentAmount.Value, captured, reason,
		micro(p.CreatedAt.Time))
	return err
}

// statusText is a status in words, or as it is where there are none.
func statusText(status plural.OrderStatus) string {
	return cmp.Or(status.Text(), string(status), "not at Plural yet")
}
