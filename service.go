package plural

import (
	"context"
	"net/url"
	"slices"
)

func pathOfOrder(orderID string) string { return "/api/pay/v1/orders/" + url.PathEscape(orderID) }
func pathByReference(reference string) string {
	return "/api/pay/v1/orders/reference/" + url.PathEscape(reference)
}

// readOrder reads one order, repeating on failures.
func (k *call) readOrder(ctx context.Context, decode func(*answer) (*Order, error)) (*Order, error) {
	var o *Order
	err := k.read(ctx, func(a *answer) (err error) {
		o, err = decode(a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// reading makes a settling read: it asks what became of a write, under the write's own options, and is repeated on failures even if the write is not to be.
func (c *Client) reading(write *call, op operation, path, subject string, decode func(*answer) (*Order, error)) func(context.Context) (*Order, error) {
	return func(ctx context.Context) (*Order, error) {
		k, err := c.callWith(write.cfg, op, path, nil)
		if err != nil {
			return nil, err
		}
		k.subject, k.settles = subject, true
		return k.readOrder(ctx, decode)
	}
}

// lookAtOrder is the look at the books of a capture or a cancel: the order itself.
func (c *Client) lookAtOrder(write *call, orderID string, judge func(*Order) finding) func(context.Context) (*Order, finding, error) {
	read := c.reading(write, opGetOrder, pathOfOrder(orderID), orderID, decodeOrderOf(orderID))
	return func(ctx context.Context) (*Order, finding, error) {
		o, err := read(ctx)
		if err != nil {
			return nil, finding{}, err
		}
		return o, judge(o), nil
	}
}

// doubtsOf says which rejections the books are asked about before they are believed: those that an earlier life of the same write may have caused, because
// it was carried out or is still under way.
func doubtsOf(further ...ErrorCode) func(ErrorCode) bool {
	codes := append([]ErrorCode{
		CodeOperationNotAllowed, CodeDuplicateRequest, CodeOrderCancelled, CodePaymentPending, CodePaymentNotAuthorized,
	}, further...)
	return func(c ErrorCode) bool { return slices.Contains(codes, c) }
}
