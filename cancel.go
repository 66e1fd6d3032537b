package plural

import (
	"context"
	"strings"
)

// CancelService releases money that is on hold.
type CancelService struct{ p *pipeline }

// Create asks Plural to cancel an order that is AUTHORIZED. The cancel releases
// all of the money that is on hold (Plural's pre-authorisation guide, section
// 5). There is no partial cancel.
//
//	PUT /api/pay/v1/orders/{order_id}/cancel
//
// If an answer is lost or unclear, Create finds out what happened in the same
// way as [CaptureService.Create]. The results, and how to test for each:
//
//   - nil: the order is cancelled. The books show it as CANCELLED, no matter
//     who cancelled it.
//   - [ErrNotApplied]: final, and nothing was cancelled. The order has failed,
//     or all of its money was taken. The error is a [StateError].
//   - [NeedsReview]: not final, and a person has to look into it. There are
//     three cases. In the first case, Plural rejected the cancel, and the books
//     do not show a final reason. For example, the order is not paid yet, or
//     only a part of the money was captured. In the second case, Plural
//     answered with success and did nothing. In the third case, the books were
//     read and are unclear.
//   - any other error: it is not known yet whether the order is cancelled.
//     Calling again is safe.
//
// A [ValidationError] means that this call sent nothing, because orderID cannot
// be an order's id. An earlier call may have had an effect.
//
// Do not pass an HTTP request's context, because it ends when the browser
// closes the connection. If the context has no deadline, Create keeps reading
// the books for at most 60 seconds.
func (s *CancelService) Create(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	var check requestCheck
	check.orderID(orderID)
	orderID = strings.Clone(orderID)
	write, err := s.p.newCall(ctx, opCancel, pathOfCancel(orderID), orderID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	settle := trackedWrite{
		write: write, orderID: orderID, resendable: true,
		own: ownOrder(decodeOrderOf(otherOrder(orderID)), judgeCancel), readOnce: lookAtOrder(orderID, judgeCancel),
	}
	return settle.runWrite(ctx)
}

// ValidateCancel makes the checks that [CancelService.Create] makes before it
// sends anything. It is for a shop that stores the cancel now and sends it
// later. The error is a [ValidationError].
func ValidateCancel(orderID string) error { return errOf(requestCheck{}, opCancel, orderID, nil) }
