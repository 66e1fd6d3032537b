package plural

import (
	"slices"
	"strings"

	"github.com/plural-go/plural/internal/wire"
)

// A tally adds up the payments of an order. Three kinds of code use the tally:
// the verdicts about writes, methods that return amounts, and methods such as
// [Order.CanCapture]. So their results cannot contradict each other. If an
// amount cannot be read, or is not in the order's currency, the sum is not
// known.
type tally struct {
	price sum // what the payer owes: the order's amount minus the coupon

	authorized, pending, settled, ended, strange int // the number of payments in each state

	held  sum // the sum of the AUTHORIZED payments
	taken sum // the sum of the settled payments, with their full amounts

	entries     int           // the number of capture entries, on any payment
	liveEntries int           // the number of capture entries on payments that have not ended
	captured    sum           // the sum of the entries on settled payments
	first       []CaptureData // the entries of the first settled payment
	repeated    bool          // two payments have the same entries, perhaps one list that is shown twice
	without     bool          // a settled payment has no entry
	over        bool          // the entries on a settled payment add up to more than the payment's amount
	otherwise   bool          // a settled payment has an offer or a fee, which can explain a different amount
}

func tallyOf(o *Order) tally {
	currency := o.OrderAmount.Currency
	t := tally{
		price: priceOf(o),
		held:  sumIn(currency), taken: sumIn(currency), captured: sumIn(currency),
	}
	for i := range o.Payments {
		t.add(&o.Payments[i], currency)
	}
	return t
}

func (t *tally) add(p *Payment, currency Currency) {
	amount := Amount{p.amountIn(currency), currency}
	t.entries += len(p.CaptureData)
	if !p.Status.hasEnded() {
		t.liveEntries += len(p.CaptureData)
	}
	switch {
	case p.Status.isSettled():
		t.settled++
		t.taken.add(amount)
		t.without = t.without || len(p.CaptureData) == 0
		t.otherwise = t.otherwise || holdsData(p.OfferData) || holdsData(p.ConvenienceFeeBreakdown)
		own := sumIn(currency)
		for i, entry := range p.CaptureData {
			own.add(entry.CaptureAmount)
			t.captured.add(entry.CaptureAmount)
			t.captured.unknown = t.captured.unknown || isRepeated(p.CaptureData, i)
		}
		t.over = t.over || amount.Value > 0 && own.Value > amount.Value
		isSame := t.settled > 1 && len(t.first) > 0 && slices.EqualFunc(t.first, p.CaptureData, isSameEntry)
		t.repeated = t.repeated || isSame && own.Value != amount.Value
		if t.settled == 1 {
			t.first = p.CaptureData
		}
	case p.Status.hasEnded():
		t.ended++
	case p.Status == PaymentStatusAuthorized:
		t.authorized++
		t.held.add(amount)
	case p.Status == PaymentStatusPending:
		t.pending++
	default:
		t.strange++
	}
}

// isRepeated reports whether an earlier entry has the reference of entry i. An
// order is captured only once, so the two entries may be one capture that is
// listed twice.
func isRepeated(entries []CaptureData, i int) bool {
	return slices.ContainsFunc(entries[:i], func(earlier CaptureData) bool {
		return earlier.MerchantCaptureReference == entries[i].MerchantCaptureReference
	})
}

func isSameEntry(a, b CaptureData) bool {
	return a.MerchantCaptureReference == b.MerchantCaptureReference && a.CaptureAmount == b.CaptureAmount &&
		a.CreatedAt.Equal(b.CreatedAt.Time)
}

// isUnderWay reports whether a payment's money may still be taken.
func (t *tally) isUnderWay() bool { return t.authorized+t.pending > 0 }

// hasMovedOn reports whether an order shows more than a hold: a capture, a
// settled payment or a pending payment. It is for orders whose status says that
// money is on hold.
func (t *tally) hasMovedOn() bool { return t.liveEntries > 0 || t.settled > 0 || t.pending > 0 }

// The type sum is the result of an addition. Once an unusable amount was added,
// the sum is not known.
type sum struct {
	Amount

	unknown bool
}

func sumIn(c Currency) sum { return sum{Amount: Amount{Currency: c}, unknown: c == ""} }

func (s *sum) add(a Amount) {
	total, err := s.Add(a)
	s.unknown = s.unknown || err != nil || a.Value <= 0
	s.Amount = total
}

// equals reports whether both sums are known and equal.
func (s *sum) equals(other sum) bool { return !s.unknown && !other.unknown && s.Amount == other.Amount }

// priceOf returns what the payer of an order has to pay.
func priceOf(o *Order) sum {
	price, coupon := sum{Amount: o.OrderAmount}, o.CartCouponDiscountAmount
	price.unknown = price.Value <= 0 || price.Currency == ""
	if coupon.Value == 0 {
		price.unknown = price.unknown || o.hidesCoupon()
		return price
	}
	price.unknown = price.unknown || coupon.Currency != price.Currency || coupon.Value < 0 || coupon.Value > price.Value
	price.Value -= coupon.Value
	return price
}

// hidesCoupon reports whether the document has a coupon that cannot be read.
func (o *Order) hidesCoupon() bool {
	if !strings.Contains(o.raw, "oupon") {
		return false
	}
	var said struct {
		Coupon *Amount `json:"cart_coupon_discount_amount"`
	}
	return wire.Unmarshal(o.raw, &said) != nil
}

// holdsData reports whether a raw part of a document is not empty.
func holdsData(raw []byte) bool {
	switch string(raw) {
	case "", "null", "{}", "[]", `""`, "false", "0":
		return false
	}
	return true
}

// CapturedAmount returns the amount that was taken from the payer. That is the
// amount to book as paid. After a partial capture it is less than OrderAmount.
// The amount is the sum of the capture entries of the settled payments. If the
// order was paid without a hold, by methods that cannot hold money (UPI,
// NETBANKING, WALLET), the amount is the sum of the settled payments.
//
// The second result is false if the document does not show the amount. For a
// sale by card without a hold, the second result is always false. The reason is
// that the document of a captured hold may leave out the capture. Then the
// document looks the same as that of a sale by card without a hold. For such a
// sale by card, use the amount of your own order, which [OrderService.Confirm]
// has compared with the payment.
//
// The second result is false in these cases:
//
//   - the order is a refund, is PENDING or has an unknown status;
//   - a payment has an unknown status, or does not fit the order's status, such
//     as a payment that is still under way in a paid order;
//   - one settled payment has a capture entry, and another settled payment has
//     none;
//   - an amount cannot be read, is not in the order's currency, or is more than
//     the amount of its payment or of the order;
//   - a payment has two entries with one reference, or several payments have
//     the same entries;
//   - there is no capture entry, but the money may have been on hold, for
//     example because a payment used a method that can hold money, such as
//     CARD;
//   - the order was paid without a hold, and the payments do not add up to
//     OrderAmount minus CartCouponDiscountAmount. Fees and offers are never
//     included.
//
// Payments that failed or were cancelled do not count, and their captures do
// not count either.
func (o *Order) CapturedAmount() (Amount, bool) {
	if o.Type == OrderTypeRefund {
		return Amount{}, false
	}
	t := tallyOf(o)
	switch o.Status {
	case OrderStatusCreated, OrderStatusAttempted, OrderStatusFailed, OrderStatusAuthorized, OrderStatusCancelled:
		return Amount{Currency: o.OrderAmount.Currency}, t.tookNothing(o.Status)
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		return o.takenAmount(&t)
	default:
		return Amount{}, false
	}
}

// tookNothing is for an order whose status s means that no money was taken. It
// reports whether the order's payments confirm this.
func (t *tally) tookNothing(s OrderStatus) bool {
	mayBeHeld := s == OrderStatusAuthorized || s == OrderStatusCancelled
	return t.settled+t.pending+t.strange+t.liveEntries == 0 && (mayBeHeld || t.authorized == 0)
}

// takenAmount returns the amount that was taken for a paid order.
func (o *Order) takenAmount(t *tally) (Amount, bool) {
	switch {
	case t.settled == 0 || t.isUnderWay() || t.strange > 0:
		return Amount{}, false
	case t.liveEntries > 0:
		isTooMuch := t.captured.Value > o.OrderAmount.Value
		if t.captured.unknown || t.without || t.over || t.repeated || isTooMuch {
			return Amount{}, false
		}
		return t.captured.Amount, true
	case o.PreAuth || o.Status == OrderStatusPartiallyCaptured || o.mayHaveBeenHeld() || !t.taken.equals(t.price):
		return Amount{}, false
	}
	return t.taken.Amount, true
}

func (o *Order) mayHaveBeenHeld() bool {
	for i := range o.Payments {
		if p := &o.Payments[i]; p.Status.isSettled() && p.PaymentMethod.mayBeHeld() {
			return true
		}
	}
	return false
}

// This type has the sums of an order's refunds. Each refund counts once, even
// if it is listed several times.
type refunds struct {
	processed, underWay sum
	listed              bool     // at least one refund is PROCESSED, PENDING or CREATED
	strange             bool     // a refund has an unknown status, or is listed with two statuses
	nameless            []string // the ids of the refunds that have no reference, and have not failed
}

func refundsOf(o *Order) refunds {
	currency := o.OrderAmount.Currency
	r := refunds{processed: sumIn(currency), underWay: sumIn(currency)}
	counted := map[string]OrderStatus{}
	for i := range o.Refunds {
		one := &o.Refunds[i]
		if one.MerchantOrderReference == "" && !hasRefundFailed(one.Status) {
			r.nameless = append(r.nameless, one.OrderID)
		}
		if before, isListed := counted[one.OrderID]; isListed && one.OrderID != "" {
			r.strange = r.strange || before != one.Status
			continue
		}
		counted[one.OrderID] = one.Status
		switch one.Status {
		case OrderStatusProcessed:
			r.processed.add(one.OrderAmount)
			r.listed = true
		case OrderStatusPending, OrderStatusCreated:
			r.underWay.add(one.OrderAmount)
			r.listed = true
		case OrderStatusFailed, OrderStatusCancelled:
		default:
			r.strange = true
		}
	}
	return r
}

// isRefundAlive reports whether a refund in this status has reached the payer,
// or is on its way.
func isRefundAlive(s OrderStatus) bool {
	return s == OrderStatusProcessed || s == OrderStatusPending || s == OrderStatusCreated
}

// hasRefundFailed reports whether the status of a refund is FAILED or
// CANCELLED. A refund in these statuses has given nothing back, and its status
// never changes again.
func hasRefundFailed(s OrderStatus) bool { return s == OrderStatusFailed || s == OrderStatusCancelled }

// noteRefund updates a list of refunds that have reached the payer or are on
// the way. If r is such a refund and is not in the list yet, noteRefund adds r.
// If r has failed, noteRefund removes r from the list.
func noteRefund(alive []*Order, r *Order) []*Order {
	isSame := func(one *Order) bool { return one.OrderID == r.OrderID }
	switch {
	case hasRefundFailed(r.Status):
		return slices.DeleteFunc(alive, isSame)
	case isRefundAlive(r.Status) && r.OrderID != "" && !slices.ContainsFunc(alive, isSame):
		return append(alive, r)
	}
	return alive
}

// The method total returns the sum of the money that was given back and the
// money that is on its way.
func (r *refunds) total() sum {
	total := r.processed
	if r.underWay.Value > 0 {
		total.add(r.underWay.Amount)
	}
	total.unknown = total.unknown || r.underWay.unknown || r.strange
	return total
}

// refundedAmount returns the refunds of an order, and their sum. The sum counts
// as known only if it agrees with the order's status. If it does not agree,
// refunds may be missing in the list.
func (o *Order) refundedAmount() (refunds, sum) {
	r := refundsOf(o)
	total := r.total()
	most, isKnown := o.CapturedAmount()
	if !isKnown {
		price := priceOf(o)
		most, isKnown = price.Amount, !price.unknown
	}
	total.unknown = total.unknown || o.Type == OrderTypeRefund || isKnown && total.Value > most.Value
	switch o.Status {
	case OrderStatusPartiallyRefunded:
		total.unknown = total.unknown || !r.listed || isKnown && r.processed.Value >= most.Value
	case OrderStatusFullyRefunded:
		total.unknown = total.unknown || !isKnown || total.Value != most.Value
	case OrderStatusProcessed, OrderStatusPartiallyCaptured:
		total.unknown = total.unknown || r.processed.Value > 0
	default:
		total.unknown = total.unknown || r.listed || !o.Status.IsKnown()
	}
	return r, total
}

// RefundedAmount returns the sum of the order's refunds that are PROCESSED,
// PENDING or CREATED. That is the money that was given back or is on its way to
// the payer. [Order.RefundingAmount] returns only the sum of the refunds that
// are PENDING or CREATED. [Order.RefundableAmount] returns what can still be
// refunded.
//
// The second result is false if the document does not show the amount, for
// example in these cases:
//
//   - the order is a refund, or has an unknown status;
//   - the list of refunds does not fit the order's status;
//   - the refunds add up to more than was captured. If that amount is not
//     known, they add up to more than the payer had to pay;
//   - a refund has an unknown status, or is listed with two statuses;
//   - an amount cannot be added up.
func (o *Order) RefundedAmount() (Amount, bool) {
	_, total := o.refundedAmount()
	return amountIfKnown(total)
}

// RefundingAmount returns the sum of the refunds that are PENDING or CREATED.
// This money is on its way to the payer, and is a part of
// [Order.RefundedAmount]. The bank may still refuse these refunds.
func (o *Order) RefundingAmount() (Amount, bool) {
	r, total := o.refundedAmount()
	r.underWay.unknown = r.underWay.unknown || total.unknown
	return amountIfKnown(r.underWay)
}

func amountIfKnown(s sum) (Amount, bool) {
	if s.unknown {
		return Amount{}, false
	}
	return s.Amount, true
}

// RefundableAmount returns what can still be refunded: [Order.CapturedAmount]
// minus [Order.RefundedAmount], which includes refunds that are on their way.
// The second result is false when the document does not show one of the two
// amounts.
//
// For a sale by card without a hold, the second result is always false, because
// the captured amount is not known. Keep your own sum of the refunds of such a
// sale, compare it with the order's amount, and ask [Order.CanRefund].
//
// To refund the rest, choose a reference and store it before you read the
// order. Then call [RefundService.Create] with that reference until the answer
// is final. If the first call made the refund, a repeated call finds this
// refund. It does not refund the money a second time.
func (o *Order) RefundableAmount() (Amount, bool) {
	captured, isKnown := o.CapturedAmount()
	refunded, isSaid := o.RefundedAmount()
	if !isKnown || !isSaid {
		return Amount{}, false
	}
	left, err := captured.Sub(refunded)
	if err != nil || left.Value < 0 {
		return Amount{}, false
	}
	return left, true
}

// CapturableAmount returns what can be captured now. While the order is
// AUTHORIZED and nothing was captured, that is the whole hold. Otherwise it is
// zero. The second result is false in these cases:
//
//   - the order is a refund, is PENDING or has an unknown status;
//   - the payments do not fit the order's status (unless the order is FAILED or
//     CANCELLED);
//   - the order is AUTHORIZED, and the held amounts do not add up to
//     OrderAmount minus CartCouponDiscountAmount.
func (o *Order) CapturableAmount() (Amount, bool) {
	if o.Type == OrderTypeRefund {
		return Amount{}, false
	}
	nothing := Amount{Currency: o.OrderAmount.Currency}
	t := tallyOf(o)
	switch o.Status {
	case OrderStatusAuthorized:
		if t.strange > 0 || t.hasMovedOn() || !t.held.equals(t.price) {
			return Amount{}, false
		}
		return t.held.Amount, true
	case OrderStatusFailed, OrderStatusCancelled:
		return nothing, true
	case OrderStatusCreated, OrderStatusAttempted,
		OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		return nothing, t.strange == 0 && !t.isUnderWay()
	default:
		return Amount{}, false
	}
}

// CanCapture reports whether the order is a hold that can be captured. The
// order must be AUTHORIZED, and nothing may have been captured yet. If payments
// are listed, the money of one of them must be on hold. An order can be
// captured only once.
func (o *Order) CanCapture() bool {
	if o.Type == OrderTypeRefund || o.Status != OrderStatusAuthorized {
		return false
	}
	t := tallyOf(o)
	return t.strange == 0 && !t.hasMovedOn() && (t.authorized > 0 || t.ended == 0)
}

// CanCancel reports whether the order is a hold that can be released. The
// result is the same as that of [Order.CanCapture].
func (o *Order) CanCancel() bool {
	return o.CanCapture()
}

// CanRefund reports whether money was taken that can be given back. The order
// must be PROCESSED, PARTIALLY_CAPTURED or PARTIALLY_REFUNDED.
// [Order.RefundableAmount] must be positive or not known. If payments are
// listed, one of them must have succeeded.
func (o *Order) CanRefund() bool {
	if o.Type == OrderTypeRefund {
		return false
	}
	switch o.Status {
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded:
		left, isKnown := o.RefundableAmount()
		t := tallyOf(o)
		isTaken := t.settled > 0 || len(o.Payments) == 0
		return isTaken && (!isKnown || left.Value > 0)
	default:
		return false
	}
}

// isUnpaid reports whether the order is not paid yet, not even in part. Both
// the order's status and its payments must show this.
func (o *Order) isUnpaid() bool {
	t := tallyOf(o)
	return o.Status.isUnpaid() && t.authorized+t.settled+t.strange == 0
}

// amountIn returns the payment's amount in a currency. It returns 0 when the
// document does not show that amount.
func (p *Payment) amountIn(c Currency) int64 {
	switch c {
	case p.PaymentAmount.Currency:
		return p.PaymentAmount.Value
	case p.BaseAmount.Currency:
		return p.BaseAmount.Value
	}
	return 0
}
