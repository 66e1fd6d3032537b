package plural

import "context"

// CancelService releases money that is on hold.
type CancelService struct{ p *pipeline }

// Create cancels an order that is AUTHORIZED and releases its hold: PUT
// /api/pay/v1/orders/{order_id}/cancel, without a body (Plural's
// pre-authorisation guide, section 5). There is no partial cancel.
//
// A nil error means that the server's books show the order CANCELLED, whoever
// cancelled it. A lost answer is settled as [CaptureService.Create] settles it,
// and calling again is safe.
//
// Errors: [OutcomeUnknownError] when attempts or time ran out: call again.
// [StateError] ([ErrOperationNotAllowed]) when the order was captured, refunded
// or has failed. [Error] for what Plural rejects, and when this call could send
// nothing; it says nothing of an earlier call whose outcome is unknown. Do not
// pass an HTTP request's context.
func (s *CancelService) Create(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	var found checks
	found.orderID(orderID)
	write, err := s.p.newCall(ctx, opCancel, pathOfCancel(orderID), orderID, nil, found, opts)
	if err != nil {
		return nil, err
	}
	settle := settlement{
		write: write, orderID: orderID, resendable: true,
		decode: decodeOrderOf(orderID), judge: judgeCancel, look: lookAtOrder(write, orderID, judgeCancel),
	}
	return settle.run(ctx)
}
