package plural

import (
	"context"
	"strings"
)

// CaptureService takes money that is on hold.
type CaptureService struct{ p *pipeline }

// Find looks for a capture in the books. It sends nothing that moves money. Use
// it for the nightly reconciliation. It reads the order with GET
// /api/pay/v1/orders/{order_id} until several reads agree.
//
//   - nil: the books show that the capture was carried out. It is one of
//     [Order.Captures].
//   - [ErrNotApplied]: the capture is not in the books, and can no longer be
//     made. The order is cancelled, or it has failed, or it was captured under
//     another reference.
//   - [ErrNoHold], which is an [ErrConflict]: the money was taken, and the
//     books do not show under which reference.
//   - [ErrNotFound]: the capture is not in the books. If a call is still under
//     way elsewhere, that call may still make the capture.
//   - [ErrOutcomeUnknown]: the books are unclear or cannot be read.
//   - [ValidationError]: nothing was sent, because the id or the reference is
//     not in the right form.
func (s *CaptureService) Find(
	ctx context.Context, orderID, merchantCaptureReference string, opts ...CallOption,
) (*Order, error) {
	var check requestCheck
	check.orderID(orderID)
	check.reference("merchant_capture_reference", merchantCaptureReference)
	orderID, merchantCaptureReference = strings.Clone(orderID), strings.Clone(merchantCaptureReference)
	ask, err := s.p.newCall(ctx, opFindCapture, pathOfOrder(orderID), orderID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	judge := func(o *Order) finding {
		// Find accepts any amount that the books show.
		return judgeCapture(o, merchantCaptureReference, capturesUnder(o, merchantCaptureReference).total.Amount)
	}
	settle := trackedWrite{
		write: ask, isReadOnly: true, orderID: orderID, reference: merchantCaptureReference,
		readOnce: lookAtOrder(orderID, judge),
	}
	return settle.runWrite(ctx)
}

// CaptureRequest says how much to capture. Exactly one of CaptureAmount and
// FullAmount must be given, so a forgotten amount does not take the whole hold.
type CaptureRequest struct {
	// your own unique reference, of 1 to MaxReference characters from A-Z a-z
	// 0-9 - _; see Reference
	MerchantCaptureReference string `json:"merchant_capture_reference"`
	// 100 to 100 000 000 paise; the rest of the hold is released
	CaptureAmount Amount `json:"capture_amount,omitzero"`
	FullAmount    bool   `json:"-"` // take the whole hold
}

// Create captures an order that is AUTHORIZED, in full or in part (Plural's
// pre-authorisation guide, section 4). An order can be captured once. After a
// partial capture Plural releases the rest. Create returns the order;
// [Order.CapturedAmount] gives the amount that was taken.
//
//	PUT /api/pay/v1/orders/{order_id}/capture
//
// The results, and how to test for each:
//
//   - nil: the capture was carried out. The server's books show it, with this
//     reference and amount.
//   - [ErrNotApplied]: final. Nothing was carried out under this reference, and
//     nothing will be, by this call or any other. The books show one of four
//     reasons: the order is cancelled, the order has failed, the order was
//     captured under another reference, or the request asks for more money than
//     is on hold. The error is a [StateError].
//   - [ErrConflict]: final, and a person has to look into it. The books show
//     something other than what was asked for. The error is a [StateError].
//     There are two cases. In the first case, another amount is booked under
//     this reference. If that amount was booked before this call, the error is
//     also [ErrReferenceReused]. In the second case, the money was taken, and
//     the books do not show by which capture. Then the error is also
//     [ErrNoHold].
//   - [NeedsReview]: not final, and a person has to look into it. There are
//     three cases. In the first case, Plural rejected the capture, and the
//     books do not show why. Then the error is an [Error]. But if an earlier
//     try of this call may have been carried out, the error is an
//     [OutcomeUnknownError]. In the second case, Plural answered with success
//     and did nothing. In the third case, the books were read and are unclear.
//     In the second and third case, the error is an [OutcomeUnknownError].
//   - any other error: it is not known yet what happened. Call again with the
//     same reference.
//
// A [ValidationError] means that this call sent nothing, because the request is
// wrong. An earlier call may have had an effect.
//
// If an answer is lost or unclear, or Plural rejects the capture, Create reads
// the books. After a lost or unclear answer, Create sends the capture again in
// one case: the capture is not in the books, and the order can still be
// captured. Create is idempotent by reference, across calls, clients and
// restarts. docs/finals.md lists what makes an answer final.
//
// Plural answers from replicas that lag behind. Some results depend on several
// entries in the books. Before Create returns such a result, it reads the books
// for three seconds, and all these reads have to agree. Give the call at least
// five seconds, so there is time for these reads.
//
// Do not pass an HTTP request's context. Such a context ends when the payer
// closes the browser. Then the call also ends, perhaps before it knows whether
// the order was captured. The context's deadline limits the whole call, and
// part of that time is kept for reading the books. Without a deadline, Create
// keeps reading the books for at most 60 seconds.
func (s *CaptureService) Create(
	ctx context.Context, orderID string, req *CaptureRequest, opts ...CallOption,
) (*Order, error) {
	check := req.check()
	check.orderID(orderID)
	orderID = strings.Clone(orderID)
	write, err := s.p.newCall(ctx, opCapture, pathOfCapture(orderID), orderID, req, check, opts)
	if err != nil {
		return nil, err
	}
	reference, amount := strings.Clone(req.MerchantCaptureReference), req.CaptureAmount.clone()
	judge := func(o *Order) finding { return judgeCapture(o, reference, amount) }
	settle := trackedWrite{
		write: write, orderID: orderID, reference: reference, resendable: true,
		own: ownOrder(decodeOrderOf(otherOrder(orderID)), judge), readOnce: lookAtOrder(orderID, judge),
	}
	return settle.runWrite(ctx)
}

// Validate makes the checks that [CaptureService.Create] makes before it sends
// anything. It is for a shop that stores the request now and sends it later.
// The error is a [ValidationError].
func (r *CaptureRequest) Validate(orderID string) error {
	return errOf(r.check(), opCapture, orderID, r)
}

func (r *CaptureRequest) check() requestCheck {
	if r == nil {
		return checkOfNil()
	}
	var c requestCheck
	c.reference("merchant_capture_reference", r.MerchantCaptureReference)
	switch {
	case r.FullAmount:
		c.must(r.CaptureAmount == Amount{}, "capture_amount", "must be left out when FullAmount is set: give one of the two")
	case r.CaptureAmount == Amount{}:
		c.must(false, "capture_amount", "is required: give CaptureAmount, or set FullAmount to capture the whole hold")
	default:
		c.amount("capture_amount", r.CaptureAmount)
	}
	return c
}
