package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// orderBooks has what the shop knows about its orders: the shop's own rows, and
// what Plural's books said about the orders. It has nothing to do with pages.
type orderBooks struct {
	db    *store
	river *river.Client[*sql.Tx] // inserts jobs, in the transaction of the decision
	log   *slog.Logger
}

// The method place stores an order. If there already is an order with this
// number, the method returns that order, and stores nothing.
func (s *orderBooks) place(ctx context.Context, o *order) (*order, error) {
	err := s.db.transact(ctx, func(tx *sql.Tx) error {
		isNew, err := s.db.insertOrder(ctx, tx, o)
		if err != nil || !isNew {
			return err
		}
		return s.db.addNote(ctx, tx, o.Number, "Ordered for "+o.Amount.Display())
	})
	if err != nil {
		return nil, err
	}
	return s.db.order(ctx, s.db, o.Number)
}

// onSeen stores what Plural's books show about an order. The jobs of
// contrib/river that read an order call onSeen after each read.
func (s *orderBooks) onSeen(ctx context.Context, tx *sql.Tx, booked *plural.Order) error {
	number := booked.MerchantOrderReference
	if !orderNumber.MatchString(number) || firstNumber(number) != number {
		s.log.ErrorContext(ctx, "Plural's books have another reference", "books", booked)
		return nil
	}
	err := s.recordDocumentTx(ctx, tx, number, booked)
	if errors.Is(err, errUnknownOrder) {
		return nil // the order belongs to another shop
	}
	return err
}

// onLapsing is called for a hold that is older than pace.Hold. The bank may
// release such a hold at any time. onLapsing adds a note to the order's
// history, but only once.
func (s *orderBooks) onLapsing(ctx context.Context, tx *sql.Tx, booked *plural.Order) error {
	o, err := s.db.orderByPluralID(ctx, tx, booked.OrderID)
	if errors.Is(err, errUnknownOrder) {
		return nil
	}
	if err != nil {
		return err
	}
	isNew, err := s.db.addNoteOnce(ctx, tx, o.Number, "The hold may lapse any day: capture it, or cancel the order")
	if isNew {
		s.log.WarnContext(ctx, "a hold may lapse any day", "order", o.Number)
		err = s.db.moveOn(ctx, tx, o.Number)
	}
	return err
}

// ordersToRead finds the orders that the shop has to read again. That is needed
// because customers close their browsers, webhooks come late, and a read after
// a capture may not show the capture yet.
func (s *orderBooks) ordersToRead(
	ctx context.Context, tx *sql.Tx, after time.Duration,
) ([]pluralriver.LookArgs, error) {
	orders, err := s.db.takeUnreadOrders(ctx, tx, after)
	looks := make([]pluralriver.LookArgs, 0, len(orders))
	for i := range orders {
		looks = append(looks, lookAt(&orders[i]))
	}
	return looks, err
}

// lookAt returns the arguments of a job that reads an order from Plural. If the
// shop does not know the order's id at Plural, the job uses the order's number.
func lookAt(o *order) pluralriver.LookArgs {
	if o.PluralID == "" {
		return pluralriver.LookArgs{Reference: o.Reference()}
	}
	return pluralriver.LookArgs{OrderID: o.PluralID}
}

// lookSoon stores a job in the transaction. Once the transaction is committed,
// the job reads an order from Plural.
func (s *orderBooks) lookSoon(ctx context.Context, tx *sql.Tx, args pluralriver.LookArgs) error {
	return pluralriver.LookTx(ctx, s.river, tx, args, &river.InsertOpts{Queue: queueBooks, MaxAttempts: 3})
}

// recordDocument does the same as recordDocumentTx, but in a transaction of its
// own.
func (s *orderBooks) recordDocument(ctx context.Context, number string, booked *plural.Order) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error { return s.recordDocumentTx(ctx, tx, number, booked) })
}

// recordDocumentTx stores what Plural's books say about an order. If Plural has
// a second order under the same number, the document may be about that second
// order: see twins.go. If the document has a wrong reference, no id or a wrong
// amount, recordDocumentTx stores nothing, and logs an error. Then a person has
// to look, because another read would not help.
func (s *orderBooks) recordDocumentTx(ctx context.Context, tx *sql.Tx, number string, booked *plural.Order) error {
	if booked.MerchantOrderReference != firstNumber(number) || booked.OrderID == "" ||
		booked.OrderAmount.Currency != plural.CurrencyINR || booked.OrderAmount.Value <= 0 {
		s.log.ErrorContext(ctx, "Plural's books have another reference or no amount", "order", number, "books", booked)
		return nil
	}
	o, err := s.orderFor(ctx, tx, number, booked.OrderID, booked.OrderAmount)
	if err != nil {
		return err
	}
	if booked.OrderAmount != o.Amount {
		s.log.ErrorContext(ctx, "Plural's books have another amount", "order", o.Number, "books", booked)
		return nil
	}
	if err := s.recordOrder(ctx, tx, o, booked); err != nil {
		return err
	}
	return s.settleTwins(ctx, tx, o.Number)
}

// recordOrder stores what Plural's document of the order shows. Plural may
// answer with an older state, so an older document may come after a newer one.
// A document that is older than the stored one changes nothing. A document
// without a time is always stored, and the next document corrects it.
func (s *orderBooks) recordOrder(ctx context.Context, tx *sql.Tx, o *order, booked *plural.Order) error {
	at := bookedAt(booked, time.Now())
	if !at.IsZero() && at.Before(o.BookedAt) {
		return nil
	}
	now := *o
	now.Status, now.Unsettled = booked.Status, pluralriver.MayChange(booked)
	if !at.IsZero() {
		now.BookedAt = at
	}
	captured, isCapturedKnown := booked.CapturedAmount()
	if isCapturedKnown {
		now.Captured = captured
	}
	refunded, isRefundedKnown := booked.RefundedAmount()
	if isRefundedKnown {
		now.Refunded = refunded
	}
	// A document may leave out captures or refunds, and a later one may show
	// them.
	now.Unsettled = now.Unsettled || !isCapturedKnown || !isRefundedKnown
	if err := s.db.saveBooks(ctx, tx, &now); err != nil {
		return err
	}
	if err := s.refuseRefunds(ctx, tx, o.Number, booked.Refunds); err != nil {
		return err
	}
	for i := range booked.Payments {
		if booked.Payments[i].ID == "" {
			continue
		}
		if err := s.db.savePayment(ctx, tx, o.Number, paymentOf(&booked.Payments[i])); err != nil {
			return err
		}
	}
	if now.Status == o.Status && now.Captured == o.Captured && now.Refunded == o.Refunded {
		return nil
	}
	if err := s.db.moveOn(ctx, tx, o.Number); err != nil {
		return err
	}
	what := "Plural's books: " + statusText(now.Status)
	if now.Captured.Value > 0 {
		what += ", captured " + now.Captured.Display()
	}
	if now.Refunded.Value > 0 {
		what += ", refunded " + now.Refunded.Display()
	}
	return s.db.addNote(ctx, tx, o.Number, what)
}

// bookedAt returns the time of a document's last change. It returns zero if the
// document has no such time. It also returns zero if the time is more than five
// minutes in the future. If the shop stored such a time, it would ignore the
// next documents, because they would seem to be older than the stored document.
func bookedAt(booked *plural.Order, now time.Time) time.Time {
	const clocksApart = 5 * time.Minute
	at := booked.UpdatedAt.Time
	if at.Unix() <= 0 || at.After(now.Add(clocksApart)) {
		return time.Time{}
	}
	return at
}

// refuseRefunds is for refunds that Plural accepted, and that the bank refused
// later. It marks the decision for such a refund as refused. Plural's books may
// list another refund with the same reference. If the other refund has not
// failed, it may succeed, and refuseRefunds does not change the decision.
func (s *orderBooks) refuseRefunds(ctx context.Context, tx *sql.Tx, number string, refunds []plural.Order) error {
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
		d, err := s.db.refundDone(ctx, tx, number, r.MerchantOrderReference)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		if err := s.settle(ctx, tx, d, stateRefused, "the bank refused it"); err != nil {
			return err
		}
	}
	return nil
}

// The method settle stores the state of a decision, and adds an entry to the
// order's history.
func (s *orderBooks) settle(ctx context.Context, tx *sql.Tx, d *decision, state, reason string) error {
	if d.State == state && d.Reason == reason {
		return nil
	}
	d.State, d.Reason = state, reason
	if state != stateWaiting {
		d.EndedAt = time.Now()
	}
	return errors.Join(
		s.db.saveDecision(ctx, tx, d), s.db.moveOn(ctx, tx, d.Number), s.db.addNote(ctx, tx, d.Number, d.Text()),
	)
}

func paymentOf(p *plural.Payment) *payment {
	one := &payment{
		ID: p.ID, Method: p.PaymentMethod, Status: p.Status, Amount: p.PaymentAmount, Captured: plural.INR(0),
		PaidAt: p.CreatedAt.Time,
	}
	if p.ErrorDetail != nil {
		one.Reason = cmp.Or(p.ErrorDetail.Code.Text(), string(p.ErrorDetail.Code))
	}
	for _, entry := range p.CaptureData {
		one.Captured.Value += entry.CaptureAmount.Value
	}
	return one
}
