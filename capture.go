package plural

import "context"

// CaptureService takes money that is on hold.
type CaptureService struct{ p *pipeline }

// CaptureRequest says how much to take. Exactly one of CaptureAmount and
// FullAmount has to be given, so that a forgotten amount does not take the
// whole hold.
type CaptureRequest struct {
	MerchantCaptureReference string `json:"merchant_capture_reference"` // yours, unique; 1 to 50 of A-Z a-z 0-9 - _
	// 100 to 100 000 000 paise; the rest of the hold is released
	CaptureAmount Amount `json:"capture_amount,omitzero"`
	FullAmount    bool   `json:"-"` // take the whole hold
}

// Create captures an order that is AUTHORIZED, in full or in part: PUT
// /api/pay/v1/orders/{order_id}/capture (Plural's pre-authorisation guide,
// section 4). There is one capture per order; after a partial one Plural
// releases the rest. The result is the order; [Order.CapturedAmount] is what
// was taken.
//
// The request is validated first ([ValidationError]). A nil error means that
// the server's books show this capture, with this reference and amount. When an
// answer is lost or unclear, Create asks the books, and sends again where they
// show that nothing happened. It is idempotent by reference, across calls,
// clients and restarts.
//
// Errors: [OutcomeUnknownError] when attempts or time ran out before it was
// settled: call again with the same reference. [StateError] when the books rule
// the capture out: the order is cancelled, failed or captured otherwise
// ([ErrOperationNotAllowed]), or the reference was used for another amount
// ([ErrReferenceReused]). [Error] for what Plural rejects, and when this call
// could send nothing; it says nothing of an earlier call whose outcome is
// unknown.
//
// An order that was paid without a hold cannot be captured, and its books never
// say so beyond doubt, so that the outcome stays unknown however often Create
// is called: [Order.CanCapture] tells before the call. A rejection of an order
// that looks capturable, or not yet paid, is believed after several looks,
// which takes about a second.
//
// Do not pass an HTTP request's context: the payer closing the browser is no
// reason to leave a capture unsettled. A deadline bounds the call, settling
// included; a part of the time left is kept for that.
func (s *CaptureService) Create(
	ctx context.Context,
	orderID string,
	req *CaptureRequest,
	opts ...CallOption,
) (*Order, error) {
	found := missing()
	if req != nil {
		found = req.check()
	}
	found.orderID(orderID)
	write, err := s.p.newCall(ctx, opCapture, pathOfCapture(orderID), orderID, req, found, opts)
	if err != nil {
		return nil, err
	}
	judge := func(o *Order) finding { return judgeCapture(o, req.MerchantCaptureReference, req.CaptureAmount) }
	settle := settlement{
		write: write, orderID: orderID, reference: req.MerchantCaptureReference, resendable: true,
		decode: decodeOrderOf(orderID), judge: judge, look: lookAtOrder(write, orderID, judge),
	}
	return settle.run(ctx)
}

func (r *CaptureRequest) check() checks {
	var c checks
	c.reference("merchant_capture_reference", r.MerchantCaptureReference)
	switch {
	case r.FullAmount:
		c.must(r.CaptureAmount == Amount{}, "capture_amount", "has to be absent with FullAmount")
	case r.CaptureAmount == Amount{}:
		c.must(false, "capture_amount", "has to be given, or FullAmount")
	default:
		c.amount("capture_amount", r.CaptureAmount)
	}
	return c
}
