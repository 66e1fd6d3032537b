package plural

import (
	"fmt"
	"slices"
)

// verdict is what an order document says about a write: whether it has been
// carried out, can be, or never will.
type verdict int

const (
	verdictUnclear  verdict = iota // the document does not tell: read again
	verdictUnpaid                  // nothing was ever authorised, so nothing was carried out; it may be later
	verdictOpen                    // not carried out; it may still be
	verdictApplied                 // carried out
	verdictConflict                // our reference stands for something else
	verdictClosed                  // not carried out, and it never can be
)

func (v verdict) String() string {
	switch v {
	case verdictUnpaid:
		return "unpaid"
	case verdictOpen:
		return "open"
	case verdictApplied:
		return "applied"
	case verdictConflict:
		return "conflict"
	case verdictClosed:
		return "closed"
	case verdictUnclear:
	}
	return "unclear"
}

// finding is a verdict with its reason, for people.
type finding struct {
	verdict verdict
	reason  string
	pending bool // unclear because it is under way, so that reading on will tell
}

func unclear(reason string) finding { return finding{verdict: verdictUnclear, reason: reason} }
func pending(reason string) finding {
	return finding{verdict: verdictUnclear, reason: reason, pending: true}
}
func applied() finding             { return finding{verdict: verdictApplied} }
func unpaid() finding              { return finding{verdict: verdictUnpaid, reason: "the order is not paid"} }
func open(reason string) finding   { return finding{verdict: verdictOpen, reason: reason} }
func closed(reason string) finding { return finding{verdict: verdictClosed, reason: reason} }
func conflict(format string, args ...any) finding {
	return finding{verdict: verdictConflict, reason: fmt.Sprintf(format, args...)}
}

// judgeCapture says what o tells about a capture under reference: of amount, or
// of the whole hold when amount is zero.
//
// Neither the status nor pre_auth tells a partial capture from a full one, and
// captured == ordered does not tell a full one where the payer paid from points
// and a card: published documents have all three otherwise. What counts are the
// capture entries under our reference.
func judgeCapture(o *Order, reference string, amount Amount) finding {
	c := collectCaptures(o, reference)
	switch o.Status {
	case OrderStatusCancelled, OrderStatusFailed:
		if c.ours > 0 {
			return unclear("the order is " + string(o.Status) + " but carries the capture")
		}
		return closed("the order is " + string(o.Status))
	case OrderStatusCreated, OrderStatusAttempted:
		if c.ours == 0 && c.others == 0 {
			return unpaid()
		}
		return unclear("the order is " + string(o.Status) + " but carries a capture")
	case OrderStatusAuthorized:
		if c.ours == 0 && c.others == 0 {
			return open("the order is not captured")
		}
	case OrderStatusProcessed, OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded:
		if c.ours == 0 && c.others == 0 {
			return unclear("the order does not say under which reference it was captured")
		}
	case OrderStatusPending:
		return pending("the order is PENDING")
	default:
		return unclear("the order is " + clip(string(o.Status)))
	}
	switch {
	case c.ours == 0 && c.taken:
		return closed("the order is captured under another reference")
	case c.ours == 0 && c.nameless && !c.pending:
		return unclear("the order does not say under which reference it was captured")
	case c.ours == 0 || c.unsettled:
		return finding{verdictUnclear, "the captured payment is PENDING or FAILED", c.pending}
	case !c.summed || c.total.Value == 0 || c.total.Currency == "":
		return unclear("the capture's amounts cannot be added up")
	case amount.Value == 0:
		return judgeFullCapture(o, c)
	case c.total.Currency != amount.Currency:
		return unclear("the capture is in another currency")
	case c.total.Value != amount.Value && c.nameless:
		return unclear("the order does not say under which reference a part of it was captured")
	case c.total.Value != amount.Value:
		return conflict("the reference was used to capture %s", c.total)
	}
	return applied()
}

func judgeFullCapture(o *Order, c captures) finding {
	sameCurrency := c.total.Currency == o.OrderAmount.Currency
	switch {
	case c.short && c.nameless:
		return unclear("the order does not say under which reference a part of it was captured")
	case c.short:
		return conflict("the reference was used to capture %s", c.total)
	case c.unsized && sameCurrency && c.total.Value < o.OrderAmount.Value:
		return unclear("the order does not say how much of it was held on the captured payment")
	case o.Status == OrderStatusPartiallyCaptured && sameCurrency && c.total.Value >= o.OrderAmount.Value:
		return unclear("the order is PARTIALLY_CAPTURED but captured whole")
	case o.Status == OrderStatusPartiallyCaptured:
		return conflict("the reference was used for a partial capture, of %s", c.total)
	case o.Status == OrderStatusAuthorized || o.hasPaymentIn(PaymentStatusAuthorized):
		return unclear("a part of the hold is not captured")
	case o.hasPaymentIn(PaymentStatusCancelled) && sameCurrency && c.total.Value < o.OrderAmount.Value:
		return unclear("a part of the hold was released") // or the payer gave up an attempt; either alone would tell nothing
	}
	return applied()
}

// captures are the capture entries of an order, ours told from others.
type captures struct {
	ours, others int
	nameless     bool   // one of the others has no reference, so that it may be ours
	taken        bool   // one of those that have a reference is on a payment neither PENDING nor FAILED
	total        Amount // of ours
	summed       bool   // total holds: ours are in one currency
	unsettled    bool   // one of ours is on a PENDING or FAILED payment
	pending      bool   // an entry is on a PENDING payment
	short        bool   // ours are below their own payment's amount
	unsized      bool   // one of ours is on a payment whose amount in its currency the document does not say
}

func collectCaptures(o *Order, reference string) captures {
	c := captures{summed: true}
	for i := range o.Payments {
		c.add(&o.Payments[i], reference)
	}
	return c
}

func (c *captures) add(p *Payment, reference string) {
	isSettled := p.Status != PaymentStatusPending && p.Status != PaymentStatusFailed
	before, beforeOurs := c.total.Value, c.ours
	for _, entry := range p.CaptureData {
		c.pending = c.pending || p.Status == PaymentStatusPending
		if entry.MerchantCaptureReference != reference {
			c.others++
			c.nameless = c.nameless || entry.MerchantCaptureReference == ""
			c.taken = c.taken || isSettled && entry.MerchantCaptureReference != ""
			continue
		}
		if c.ours == 0 {
			c.total.Currency = entry.CaptureAmount.Currency
		}
		c.ours++
		c.unsettled = c.unsettled || !isSettled
		if total, ok := c.total.plus(entry.CaptureAmount); ok {
			c.total = total
		} else {
			c.summed = false
		}
	}
	if c.ours > beforeOurs {
		size := p.amountIn(c.total.Currency)
		c.short = c.short || c.total.Value-before < size
		c.unsized = c.unsized || size == 0
	}
}

func (o *Order) hasPaymentIn(status PaymentStatus) bool {
	return slices.ContainsFunc(o.Payments, func(p Payment) bool { return p.Status == status })
}

// amountIn is the payment's amount in a currency; 0 when the document does not
// say.
func (p *Payment) amountIn(c Currency) int64 {
	switch c {
	case p.PaymentAmount.Currency:
		return p.PaymentAmount.Value
	case p.BaseAmount.Currency:
		return p.BaseAmount.Value
	}
	return 0
}

// judgeCancel says what o tells about a cancellation: CANCELLED is CANCELLED,
// whoever did it and whatever its payments read.
func judgeCancel(o *Order) finding {
	switch o.Status {
	case OrderStatusCancelled:
		return applied()
	case OrderStatusAuthorized:
		return open("the order is not cancelled")
	case OrderStatusCreated, OrderStatusAttempted:
		return unpaid()
	case OrderStatusProcessed,
		OrderStatusPartiallyCaptured,
		OrderStatusPartiallyRefunded,
		OrderStatusFullyRefunded,
		OrderStatusFailed:
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
		return conflict("the reference was used to refund %s", r.OrderAmount)
	case r.Status == OrderStatusFailed:
		return closed("the refund FAILED; a new one needs a new reference")
	}
	return applied()
}
