package plural

import (
	"errors"
	"fmt"
	"time"
)

// verdictKind is what an order document shows about a write.
type verdictKind int

const (
	verdictUnclear verdictKind = iota // the document does not show what happened: read again
	verdictNotYet                     // not carried out, and not possible now, but perhaps later
	verdictOpen                       // not carried out, and still possible
	verdictApplied                    // carried out
	// a row of evidence shows that the write was not carried out as asked
	// for, and never will be.
	verdictFinal
)

// otherOrder returns a function that checks documents. That function returns an
// error if a document is about an order other than orderID.
func otherOrder(orderID string) func(*Order) error {
	return func(o *Order) error {
		if o.OrderID != orderID {
			return errors.New("the answer is about another order")
		}
		return nil
	}
}

// A finding is a verdict together with the reason for the verdict.
type finding struct {
	verdict verdictKind
	reason  string    // for people
	row     *evidence // for a final verdict: the evidence

	pending bool      // unclear now, but later reads will show what happened
	since   time.Time // for a final verdict: the time of the entry in the books, if the entry has a time
	seen    []*Order  // for a refund: all entries in the books that have our reference
	maybe   []string  // for a refund: the ids of listed refunds that have no reference; one of them may be our refund

	link *PaymentLink // for a payment link: the document that was read
}

func unclear(reason string) finding { return finding{verdict: verdictUnclear, reason: reason} }
func applied() finding              { return finding{verdict: verdictApplied} }
func notYet(reason string) finding  { return finding{verdict: verdictNotYet, reason: reason} }
func open(reason string) finding    { return finding{verdict: verdictOpen, reason: reason} }
func absent() finding               { return notYet("there is no such order") }

func pending(reason string) finding {
	return finding{verdict: verdictUnclear, reason: reason, pending: true}
}

func final(row *evidence, format string, args ...any) finding {
	return finding{verdict: verdictFinal, row: row, reason: fmt.Sprintf(format, args...)}
}

// isConflict reports whether the error of this row is an [ErrConflict].
func (e *evidence) isConflict() bool { return !errors.Is(e.is, ErrNotApplied) }

// judgeCapture judges what the order o shows about a capture with our
// reference. The parameter amount is the amount to capture. Zero means the
// whole hold.
//
// In Plural's published documents, these things do not show whether a capture
// was full or partial:
//
//   - the order's status
//   - the field pre_auth
//   - a captured amount that equals the ordered amount, if the payer paid with
//     points and a card
//
// So judgeCapture adds up capture entries. An entry counts if it has our
// reference and is on a settled payment. While a payment is PENDING or
// AUTHORIZED, more entries may come, so nothing is final.
func judgeCapture(o *Order, reference string, amount Amount) finding {
	t := tallyOf(o)
	switch o.Status {
	case OrderStatusCancelled, OrderStatusFailed:
		if t.entries > 0 {
			return unclear("the order is " + string(o.Status) + " but carries a capture")
		}
		return final(rowCaptureOfEnded, "the order is %s", o.Status)
	case OrderStatusCreated, OrderStatusAttempted:
		return t.judgeUnpaid(o)
	case OrderStatusAuthorized:
		f := t.judgeHold("captured")
		isKnown := !t.held.unknown && t.authorized > 0 && !t.price.unknown
		if f.verdict == verdictOpen && isKnown && amount.Currency == t.held.Currency &&
			amount.Value > max(t.held.Value, o.OrderAmount.Value) {
			return final(rowCaptureTooMuch, "only %s is on hold", t.held)
		}
		return f
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		c := capturesUnder(o, reference)
		return c.judgePaid(o, &t, amount)
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(o.Status)))
}

// judgeUnpaid judges an order whose status says that the order is not paid. It
// is for captures and cancels.
func (t *tally) judgeUnpaid(o *Order) finding {
	switch {
	case t.isUnderWay():
		return pending("the order is " + string(o.Status) + " but has a payment under way")
	case t.liveEntries > 0 || t.settled > 0 || t.strange > 0:
		return unclear("the order is " + string(o.Status) + " but its payments do not fit that status")
	}
	return notYet("the order is not paid")
}

// judgeHold judges an order whose status says that money is on hold. It is for
// captures and cancels. The parameter outcome is "captured" or "cancelled", and
// is a part of the finding's reason.
func (t *tally) judgeHold(outcome string) finding {
	switch {
	case t.strange > 0:
		return unclear("a payment of the order is in an unknown status")
	case t.hasMovedOn():
		return pending("the order is AUTHORIZED but its payments do not fit that status")
	}
	return open("the order is not " + outcome)
}

// A captureSummary is a summary of an order's capture entries. It is made for
// one reference. The words "our entries" mean the entries with that reference.
type captureSummary struct {
	ours     int
	payments int       // the number of settled payments with an entry under our reference
	total    sum       // the sum of our entries on settled payments
	since    time.Time // the time of our last entry

	// the number of entries that have another reference or no reference. An
	// entry with another reference does not count if its payment has failed
	// or was cancelled
	others   int
	nameless bool // an entry has no reference, so it may be ours

	lost        bool // one of our entries is on a payment that ended without success
	without     bool // a settled payment has none of our entries
	short, over bool // our entries on a payment add up to less, or to more, than its amount
	unsized     bool // a settled payment has our entries, but no amount in the currency of these entries
	repeated    bool // on each of several payments, our entries have the same sum; they may all be one capture
}

func capturesUnder(o *Order, reference string) captureSummary {
	c := captureSummary{repeated: true}
	var first Amount
	for i := range o.Payments {
		own, count := c.add(&o.Payments[i], reference)
		if count == 0 {
			continue
		}
		if c.payments++; c.payments == 1 {
			first, c.total = own.Amount, own
			continue
		}
		c.repeated = c.repeated && own.Amount == first
		c.total.unknown = c.total.unknown || own.unknown
		c.total.add(own.Amount)
	}
	c.repeated = c.repeated && c.payments > 1
	return c
}

// This method adds the entries of a payment to the summary. If the payment is
// settled, the method returns the sum and the number of our entries on the
// payment.
func (c *captureSummary) add(p *Payment, reference string) (own sum, count int) {
	isTwice := false
	for i, entry := range p.CaptureData {
		if entry.MerchantCaptureReference != reference {
			isNameless := entry.MerchantCaptureReference == ""
			c.nameless = c.nameless || isNameless
			// An entry of a payment that has ended is from an earlier
			// attempt to pay. It does not count if it has a reference.
			if isNameless || !p.Status.hasEnded() {
				c.others++
			}
			continue
		}
		if count++; count == 1 {
			own = sumIn(entry.CaptureAmount.Currency)
		}
		own.add(entry.CaptureAmount)
		isTwice = isTwice || isRepeated(p.CaptureData, i)
		if entry.CreatedAt.After(c.since) {
			c.since = entry.CreatedAt.Time
		}
	}
	c.ours += count
	own.unknown = own.unknown || isTwice
	if !p.Status.isSettled() {
		c.lost = c.lost || count > 0 && !p.Status.isUnderWay()
		return sum{}, 0
	}
	if count == 0 {
		c.without = true
		return own, 0
	}
	size := p.amountIn(own.Currency)
	c.unsized = c.unsized || size == 0
	c.short = c.short || own.Value < size
	c.over = c.over || size > 0 && own.Value > size
	return own, count
}

// judgePaid is for an order that was paid. It judges the order's capture
// entries.
func (c *captureSummary) judgePaid(o *Order, t *tally, amount Amount) finding {
	switch {
	case t.strange > 0:
		return unclear("a payment of the order is in an unknown status")
	case c.lost:
		return unclear("the captured payment has failed or was cancelled")
	case t.isUnderWay():
		return pending("a payment of the order is still under way")
	case t.settled == 0:
		return unclear("the order is " + string(o.Status) + " but lists no payment that succeeded")
	case c.ours == 0 && c.others == 0:
		return final(rowNoHold, "the order was paid without a hold, or captured already")
	case c.nameless:
		return unclear("the order does not say under which reference all of it was captured")
	case c.ours == 0 && t.without:
		return unclear("a part of the order is captured under another reference")
	case c.ours == 0:
		return final(rowCaptureByOther, "the order is captured under another reference")
	case c.others > 0:
		return unclear("the order is captured under two references")
	case c.total.unknown:
		return unclear("the capture's amounts cannot be added up")
	case amount.Value == 0:
		return c.judgeFull(o, t)
	case c.total.Currency != amount.Currency:
		return unclear("the capture is in another currency")
	case c.total.Value != amount.Value:
		return c.judgeOtherAmount(amount.Value)
	}
	return applied()
}

func (c *captureSummary) judgeFull(o *Order, t *tally) finding {
	isWhole := c.total.Amount == o.OrderAmount || c.total.equals(t.price)
	isPart := c.total.Currency == o.OrderAmount.Currency && c.total.Value < o.OrderAmount.Value && !isWhole
	switch {
	case c.over:
		return unclear("more is captured than was held")
	case c.short:
		return c.judgeOtherAmount(0)
	case o.Status == OrderStatusPartiallyCaptured && isPart:
		return c.judgeOtherAmount(0)
	case o.Status == OrderStatusPartiallyCaptured:
		return unclear("the order is PARTIALLY_CAPTURED but captured in full")
	case c.unsized && !isWhole:
		return unclear("the order does not say how much was held on the captured payment")
	case (c.without || t.ended > 0) && !isWhole:
		return unclear("a part of the order is not captured")
	}
	return applied()
}

// judgeOtherAmount judges our entries if they do not add up to the amount of
// the request. The parameter askedAmount is the amount of the request, or 0 for
// the whole hold. Perhaps an entry is missing, or one capture is listed with
// each payment. If that could explain the difference, the finding is unclear.
func (c *captureSummary) judgeOtherAmount(askedAmount int64) finding {
	switch {
	case c.without && (askedAmount == 0 || c.total.Value < askedAmount):
		return unclear("a payment of the order does not show how much of it was captured")
	case c.payments > 1 && (c.over || c.repeated && askedAmount > 0):
		return unclear("the captures on the order's payments may be one capture, listed with each payment")
	}
	row := rowCaptureDiffers
	if c.payments > 1 || c.without {
		row = rowCapturesDiffer
	}
	f := final(row, "the reference was used to capture %s", c.total)
	f.since = c.since
	return f
}

// judgeCancel judges what the order o shows about a cancel. The status
// CANCELLED means that the cancel was carried out, no matter who cancelled the
// order and what the payments show.
func judgeCancel(o *Order) finding {
	t := tallyOf(o)
	switch o.Status {
	case OrderStatusCancelled:
		return applied()
	case OrderStatusAuthorized:
		return t.judgeHold("cancelled")
	case OrderStatusCreated, OrderStatusAttempted:
		return t.judgeUnpaid(o)
	case OrderStatusFailed:
		if t.entries > 0 {
			return unclear("the order is FAILED but carries a capture")
		}
		return final(rowCancelOfFailed, "the order is FAILED")
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		if t.isUnderWay() {
			return pending("a payment of the order is still under way")
		}
		if taken, isKnown := o.CapturedAmount(); isKnown && !t.price.unknown && taken == t.price.Amount {
			return final(rowCancelOfTaken, "the order is %s, and all of its money was taken", o.Status)
		}
		return unclear("the order is " + string(o.Status) + " and does not show that all of its money was taken")
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(o.Status)))
}

// judgeRefund judges whether the document r is the refund that was asked for.
// That refund has our reference and the given amount, and belongs to the order
// parentID.
//
// A bank can keep a refund PENDING for days. So a refund that was accepted
// counts as carried out, and its status shows whether the bank has finished.
func judgeRefund(r *Order, parentID, reference string, amount Amount) finding {
	f := unclear("the refund is " + clip(string(r.Status)))
	switch {
	case r.OrderID == parentID:
		return unclear("the reference is that of the order itself")
	case r.OrderAmount.Value == 0 || r.OrderAmount.Currency == "" || r.Type == "" || r.Status == "" || r.OrderID == "":
		return unclear("the refund's document is incomplete")
	case r.MerchantOrderReference != reference:
		return unclear("the document is about another reference")
	case r.Type == OrderTypeCharge:
		f = final(rowRefundIsOther, "the reference belongs to an order, and not to a refund")
	case r.Type != OrderTypeRefund:
		return unclear("the document is of the unknown type " + clip(string(r.Type)))
	case r.ParentOrderID == "":
		return unclear("the refund does not say which order it belongs to")
	case r.ParentOrderID != parentID:
		f = final(rowRefundIsOther, "the reference was used to refund order %s", clip(r.ParentOrderID))
	case r.OrderAmount != amount:
		f = final(rowRefundDiffers, "the reference was used to refund %s", r.OrderAmount)
	case isRefundAlive(r.Status):
		return applied()
	case hasRefundFailed(r.Status):
		f = final(rowRefundFailed, "the refund is %s; a new one needs a new reference", r.Status)
	}
	f.since = r.CreatedAt.Time
	return f
}

// judgeAbsence judges what the parent order shows about a refund that was not
// found. The parameter amount is the amount of that refund.
func judgeAbsence(parent *Order, amount Amount) finding {
	t := tallyOf(parent)
	taken, isKnown := parent.CapturedAmount()
	switch parent.Status {
	case OrderStatusCancelled, OrderStatusFailed:
		if isKnown && taken.Value == 0 && t.entries == 0 && len(parent.Refunds) == 0 {
			return final(rowRefundOfNothing, "the order is %s, and nothing was taken", parent.Status)
		}
		return unclear("the order is " + string(parent.Status) + " but its payments do not fit that status")
	case OrderStatusCreated, OrderStatusAttempted, OrderStatusAuthorized:
		return notYet("there is no such refund, and the order is " + string(parent.Status))
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		listed, total := parent.refundedAmount()
		left := taken.Value - listed.processed.Value
		switch {
		case len(listed.nameless) > 0:
			return unclear("the order has a refund that does not say its reference")
		case total.unknown:
			return unclear("the refunds of the order do not add up to " + string(parent.Status))
		case isKnown && amount.Currency == taken.Currency && amount.Value > left:
			return final(rowRefundTooMuch, "only %s is left to refund", Amount{left, taken.Currency})
		case parent.Status == OrderStatusFullyRefunded:
			return unclear("the order is FULLY_REFUNDED, and there is no such refund")
		}
		return open("there is no such refund")
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(parent.Status)))
}
