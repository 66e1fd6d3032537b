package plural

import "context"

// CancelService releases money that is on hold.
type CancelService struct{ p *pipeline }

// Create cancels an order that is AUTHORIZED and releases its hold (Plural's
// pre-authorisation guide, section 5). There is no partial cancel.
//
//	PUT /api/pay/v1/orders/{order_id}/cancel
//
// There are three answers, as with [CaptureService.Create], and a lost or
// unclear one is settled in the same way:
//
//   - nil: carried out. The books show the order CANCELLED, whoever cancelled
//     it.
//   - [ErrNotApplied]: final. The order is not cancelled and cannot be.
//   - any other error: not known yet. Calling again is safe.
//
// The errors say why:
//
//   - [StateError] ([ErrOperationNotAllowed]), final: the order was captured,
//     refunded or has failed.
//   - [Error]: Plural rejected it, which is final where the books confirm it
//     (NotApplied), or this call could send nothing.
//   - [OutcomeUnknownError]: attempts or time ran out before it was settled.
//   - [ValidationError]: the id cannot be one, nothing was sent.
//
// Do not pass an HTTP request's context. Without a deadline the books are asked
// for up to 60 seconds.
func (s *CancelService) Create(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	var found checks
	found.orderID(orderID)
	write, err := s.p.newCall(ctx, opCancel, pathOfCancel(orderID), orderID, nil, found, opts)
	if err != nil {
		return nil, err
	}
	settle := settlement{
		write: write, orderID: orderID, resendable: true,
		decode: decodeOrderOf(orderID), judge: judgeCancel, look: lookAtOrder(orderID, judgeCancel),
	}
	return settle.run(ctx)
}
