package plural

import (
	"fmt"
	"slices"
	"time"
)

// verdict is what an order document says about a write: whether it has been
// carried out, can be, or never will.
type verdict int

const (
	verdictUnclear  verdict = iota // the document does not tell: read again
	verdictUnpaid                  // nothing was ever authorised, so nothing was carried out; it may be later
	verdictOpen                    // not carried out; it may still be
	verdictAbsent                  // there is no such order
	verdictNoHold                  // the money was taken, by this or outright: the document does not say
	verdictApplied                 // carried out
	verdictConflict                // our reference stands for something else
	verdictClosed                  // not carried out, and it never can be
)

// finding is a verdict with its reason, for people.
type finding struct {
	verdict verdict
	reason  string

	pending   bool // unclear now, and reading on will tell
	callAgain bool // unclear to this call, and a new call will tell

	// a conflict that may be with this very write, carried out with an amount that
	// was rounded, discounted or converted
	mayBeOurs bool
	// when the books made that entry, if they say; one older than the write is
	// another's
	since    time.Time
	mayBeOld bool // closed by a document that may be older than the write
}

func unclear(reason string) finding { return finding{verdict: verdictUnclear, reason: reason} }
func pending(reason string) finding {
	return finding{verdict: verdictUnclear, reason: reason, pending: true}
}

func callAgain(reason string) finding {
	return finding{verdict: verdictUnclear, reason: reason, callAgain: true}
}
func applied() finding             { return finding{verdict: verdictApplied} }
func unpaid() finding              { return finding{verdict: verdictUnpaid, reason: "the order is not paid"} }
func open(reason string) finding   { return finding{verdict: verdictOpen, reason: reason} }
func closed(reason string) finding { return finding{verdict: verdictClosed, reason: reason} }
func absent() finding              { return finding{verdict: verdictAbsent, reason: "there is no such order"} }

func noHold() finding {
	return finding{verdict: verdictNoHold, reason: "the order was paid without a hold, or captured already"}
}

func conflict(format string, args ...any) finding {
	return finding{verdict: verdictConflict, reason: fmt.Sprintf(format, args...)}
}

// judgeCapture says what o tells about a capture under reference: of amount, or
// of the whole hold when amount is zero.
//
// Neither the status nor pre_auth tells a partial capture from a full one, and
// captured == ordered does not tell a full one where the payer paid from points
// and a card: published documents have all three otherwise. What counts are the
// capture entries under our reference, on payments that are settled. While a
// payment is PENDING or AUTHORIZED, more entries may come: nothing is final.
func judgeCapture(o *Order, reference string, amount Amount) finding {
	c := collectCaptures(o, reference)
	switch o.Status {
	case OrderStatusCancelled, OrderStatusFailed:
		if c.ours > 0 || c.nameless {
			return unclear("the order is " + string(o.Status) + " but carries a capture")
		}
		return closed("the order is " + string(o.Status))
	case OrderStatusCreated, OrderStatusAttempted:
		switch {
		case c.underWay:
			return pending("the order is " + string(o.Status) + " but has a payment under way")
		case c.ours+c.others > 0 || c.settled > 0 || c.strange:
			return unclear("the order is " + string(o.Status) + " but has a payment that is not")
		}
		return unpaid()
	case OrderStatusAuthorized:
		switch {
		case c.strange:
			return unclear("a payment of the order is in an unknown status")
		case c.ours+c.others > 0 || c.settled > 0 || o.hasPaymentIn(PaymentStatusPending):
			return pending("the order is AUTHORIZED but its payments have moved on")
		}
		return open("the order is not captured")
	case OrderStatusProcessed,
		OrderStatusPartiallyCaptured,
		OrderStatusPartiallyRefunded,
		OrderStatusFullyRefunded:
		return c.judge(o, amount)
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(o.Status)))
}

// captures are the capture entries of an order, ours told from others, and what
// its payments are besides.
type captures struct {
	ours, others int
	total        Amount    // of ours, on settled payments
	summed       bool      // total holds: ours are in one currency
	since        time.Time // when the last of ours was made

	nameless bool // one of the others has no reference, so that it may be ours

	oursUnderWay bool // one of ours is on a payment under way
	oursLost     bool // one of ours is on a payment neither settled nor under way
	short, over  bool // ours are below, or above, their own payment's amount
	unsized      bool // ours are on a payment whose amount in their currency the document does not say

	settled  int  // payments that are settled
	without  bool // one of those has no entry of ours
	underWay bool // a payment is PENDING or AUTHORIZED
	ended    bool // a payment is FAILED or CANCELLED
	strange  bool // a payment is in a status that this package does not know
}

func collectCaptures(o *Order, reference string) captures {
	c := captures{summed: true}
	for i := range o.Payments {
		c.add(&o.Payments[i], reference)
	}
	return c
}

func (c *captures) add(p *Payment, reference string) {
	switch {
	case p.Status.isSettled():
		c.settled++
	case p.Status.isUnderWay():
		c.underWay = true
	case p.Status.hasEnded():
		c.ended = true
	default:
		c.strange = true
	}
	own := Amount{}
	mine := 0
	for _, entry := range p.CaptureData {
		if entry.MerchantCaptureReference != reference {
			isNameless := entry.MerchantCaptureReference == ""
			c.nameless = c.nameless || isNameless
			if isNameless || !p.Status.hasEnded() { // else it is an earlier attempt of somebody's
				c.others++
			}
			continue
		}
		mine++
		if entry.CreatedAt.After(c.since) {
			c.since = entry.CreatedAt.Time
		}
		c.oursUnderWay = c.oursUnderWay || p.Status.isUnderWay()
		c.oursLost = c.oursLost || !p.Status.isUnderWay() && !p.Status.isSettled()
		if mine == 1 {
			own.Currency = entry.CaptureAmount.Currency
		}
		sum, ok := own.plus(entry.CaptureAmount)
		c.summed = c.summed && ok
		own = sum
	}
	c.ours += mine
	if !p.Status.isSettled() {
		return
	}
	if mine == 0 {
		c.without = true
		return
	}
	if c.total.Currency == "" {
		c.total.Currency = own.Currency
	}
	sum, ok := c.total.plus(own)
	c.summed = c.summed && ok
	c.total = sum
	size := p.amountIn(own.Currency)
	c.unsized = c.unsized || size == 0
	c.short = c.short || own.Value < size
	c.over = c.over || size > 0 && own.Value > size
}

// judge judges the captures of an order that has been paid.
func (c *captures) judge(o *Order, amount Amount) finding {
	switch {
	case c.strange:
		return unclear("a payment of the order is in an unknown status")
	case c.oursLost:
		return unclear("the captured payment has failed or was cancelled")
	case c.underWay:
		return pending("a payment of the order is still under way")
	case c.ours == 0 && c.others == 0:
		return noHold()
	case c.nameless:
		return unclear("the order does not say under which reference all of it was captured")
	case c.ours == 0:
		return closed("the order is captured under another reference")
	case c.others > 0:
		return unclear("the order is captured under two references")
	case !c.summed || c.total.Value == 0 || c.total.Currency == "":
		return unclear("the capture's amounts cannot be added up")
	case amount.Value == 0:
		return c.judgeFull(o)
	case c.total.Currency != amount.Currency:
		return unclear("the capture is in another currency")
	case c.total.Value != amount.Value:
		return c.otherAmount()
	}
	return applied()
}

func (c *captures) judgeFull(o *Order) finding {
	sameCurrency := c.total.Currency == o.OrderAmount.Currency
	isWhole := sameCurrency && c.total.Value == o.OrderAmount.Value
	isPart := sameCurrency && c.total.Value < o.OrderAmount.Value
	switch {
	case c.short:
		return c.otherAmount()
	case c.over:
		return unclear("more is captured than was held")
	case o.Status == OrderStatusPartiallyCaptured && isPart:
		return c.otherAmount()
	case o.Status == OrderStatusPartiallyCaptured:
		return unclear("the order is PARTIALLY_CAPTURED but captured whole")
	case c.unsized && !isWhole:
		return unclear("the order does not say how much of it was held on the captured payment")
	case (c.without || c.ended) && !isWhole:
		return unclear("a part of the order is not captured")
	}
	return applied()
}

func (c *captures) otherAmount() finding {
	f := conflict("the reference was used to capture %s", c.total)
	f.mayBeOurs, f.since = true, c.since
	return f
}

func (o *Order) hasPaymentIn(status PaymentStatus) bool {
	return slices.ContainsFunc(o.Payments, func(p Payment) bool { return p.Status == status })
}

// judgeCancel says what o tells about a cancellation: CANCELLED is CANCELLED,
// whoever did it and whatever its payments read.
func judgeCancel(o *Order) finding {
	c := collectCaptures(o, "")
	switch o.Status {
	case OrderStatusCancelled:
		return applied()
	case OrderStatusAuthorized:
		switch {
		case c.strange:
			return unclear("a payment of the order is in an unknown status")
		case c.ours+c.others > 0 || c.settled > 0 || o.hasPaymentIn(PaymentStatusPending):
			return pending("the order is AUTHORIZED but its payments have moved on")
		}
		return open("the order is not cancelled")
	case OrderStatusCreated, OrderStatusAttempted:
		if c.underWay {
			return pending("the order is " + string(o.Status) + " but has a payment under way")
		}
		return unpaid()
	case OrderStatusFailed:
		return closed("the order is FAILED")
	case OrderStatusProcessed,
		OrderStatusPartiallyCaptured,
		OrderStatusPartiallyRefunded,
		OrderStatusFullyRefunded:
		if c.underWay {
			return pending("a payment of the order is still under way")
		}
		return closed("the order is " + string(o.Status))
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(o.Status)))
}

// judgeRefund says what the refund r, found under our reference, tells about a
// refund of amount on the order parentID.
//
// A bank can keep a refund PENDING for days. Accepted is applied; its status
// tells the rest.
func judgeRefund(r *Order, parentID, reference string, amount Amount) finding {
	switch {
	case r.OrderID == parentID:
		return unclear("the reference is that of the order itself")
	case r.OrderAmount.Value == 0 || r.OrderAmount.Currency == "" || r.Type == "" || r.Status == "":
		return unclear("the refund's document is incomplete")
	case r.MerchantOrderReference != reference:
		return unclear("the document is of another reference")
	case r.Type != OrderTypeRefund:
		return conflict("the reference belongs to an order of type %s", clip(string(r.Type)))
	case r.ParentOrderID == "":
		return unclear("the refund does not say which order it belongs to")
	case r.ParentOrderID != parentID:
		return conflict("the reference was used to refund order %s", clip(r.ParentOrderID))
	case r.OrderAmount != amount:
		f := conflict("the reference was used to refund %s", r.OrderAmount)
		f.mayBeOurs, f.since = true, r.CreatedAt.Time
		return f
	}
	switch r.Status {
	case OrderStatusProcessed, OrderStatusPending, OrderStatusCreated:
		return applied()
	case OrderStatusFailed, OrderStatusCancelled:
		f := closed("the refund is " + string(r.Status) + "; a new one needs a new reference")
		f.mayBeOld, f.since = true, r.CreatedAt.Time
		return f
	default:
		return unclear("the refund is " + clip(string(r.Status)))
	}
}

// judgeAbsence says what the parent tells about a refund that is not there.
func judgeAbsence(parent *Order) finding {
	switch parent.Status {
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded:
		return open("there is no such refund")
	case OrderStatusCreated, OrderStatusAttempted, OrderStatusAuthorized,
		OrderStatusCancelled, OrderStatusFailed, OrderStatusFullyRefunded:
		f := unpaid()
		f.reason = "there is no such refund, and the order is " + string(parent.Status)
		return f
	case OrderStatusPending:
		return pending("the order is PENDING")
	}
	return unclear("the order is " + clip(string(parent.Status)))
}
