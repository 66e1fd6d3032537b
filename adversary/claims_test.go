package adversary_test

import (
	"encoding/json"
	"fmt"

	"github.com/plural-go/plural"
)

// A finding is one mistake of the package under test.
type finding struct {
	kind, detail string
}

// checkClaims reads a document with methods of the package, such as
// CapturedAmount and CanRefund. The gateway made this document from the true
// state of an order. checkClaims compares the results of the methods with this
// true state. The results "false" and "amount not known" always count as right.
func (g *gateway) checkClaims(c *call, truth order, r *refund, data []byte, f docFault) {
	var o plural.Order
	bad := func(kind, format string, args ...any) {
		detail := fmt.Sprintf(format, args...) + ": " + f.String() + brief(string(data))
		if f.entriesTwice || f.entriesOnEveryLeg || f.refundsTwice {
			kind += ", with lists that repeat entries"
		}
		g.findings = append(g.findings, finding{"claim: " + kind, detail})
		g.record(c.name(), "   !! %s: %s", kind, detail)
	}
	if err := json.Unmarshal(data, &o); err != nil {
		bad("a document does not decode", "%v", err)
		return
	}
	if r != nil {
		if amount, ok := o.CapturedAmount(); ok {
			bad("CapturedAmount of a refund", "%v", amount)
		}
		if o.CanCapture() || o.CanCancel() || o.CanRefund() {
			bad("a refund can be captured, cancelled or refunded", "")
		}
		return
	}
	amount := func(name string, of func() (plural.Amount, bool), want int64) {
		if got, ok := of(); ok && got.Value != want {
			bad(name, "says %d, but the true amount is %d", got.Value, want)
		}
	}
	taken, given := truth.takenSum(), truth.refunded(refund.isGood)
	amount("CapturedAmount", o.CapturedAmount, taken)
	amount("RefundedAmount", o.RefundedAmount, given)
	amount(
		"RefundingAmount",
		o.RefundingAmount,
		truth.refunded(func(r refund) bool { return r.status == pending || r.status == created }),
	)
	amount("RefundableAmount", o.RefundableAmount, taken-given)
	// As documented, CanRefund may be true even if RefundableAmount is not
	// known.
	if _, known := o.RefundableAmount(); o.CanRefund() && (known && taken-given <= 0 || taken == 0) {
		bad("CanRefund", "taken %d, given back %d", taken, given)
	}
	holds := truth.status == authorized && !truth.hasBegunCapture()
	hold := int64(0)
	if holds {
		hold = truth.held()
	}
	// No document shows that the bank has released a hold. If a document has no
	// payments, it also does not show that a capture is under way.
	if !truth.lapsed && (holds || !f.noPayments) {
		amount("CapturableAmount", o.CapturableAmount, hold)
		if o.CanCapture() && !holds {
			bad("CanCapture", "")
		}
		if o.CanCancel() && !holds {
			bad("CanCancel", "")
		}
	}
	g.checkPaid(&o, truth, f, bad)
}

// If Expected.Check accepts an order, checkPaid checks that the gateway really
// holds or has taken money for the order. If the payments have no offer and no
// fee, this money must be the order's amount less the coupon.
func (g *gateway) checkPaid(o *plural.Order, truth order, f docFault, bad func(kind, format string, args ...any)) {
	want := plural.Expected{MerchantOrderReference: truth.reference, OrderAmount: plural.INR(truth.amount)}
	if want.Check(o) != nil || truth.lapsed {
		return
	}
	if g.sc.partialReadsProcessed && (f.noCaptures || f.noPayments) {
		return // in such a document a partial capture looks like a full one
	}
	got := truth.held() + truth.takenSum()
	switch {
	case got == 0:
		bad("Expected.Check", "nil, but nothing is held or taken")
	case truth.offer == 0 && truth.fee == 0 && got != truth.amount-truth.coupon:
		bad("Expected.Check", "nil, but %d of %d are held or taken", got, truth.amount-truth.coupon)
	}
}
