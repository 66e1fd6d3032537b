package plural

import (
	"context"
	"errors"
	"net/http"
)

// RefundService gives money back. In this API a refund is an order of type
// REFUND with an id of its own.
type RefundService struct{ p *pipeline }

// RefundRequest says how much to give back.
type RefundRequest struct {
	// yours, for this refund; 1 to 50 of A-Z a-z 0-9 - _, and not the order's own
	MerchantOrderReference string `json:"merchant_order_reference"`
	// always required; at least 100 paise, all refunds together up to what was
	// captured
	OrderAmount      Amount            `json:"order_amount"`
	MerchantMetadata map[string]string `json:"merchant_metadata,omitzero"` // up to 10 pairs of up to 256 characters
	Products         []Product         `json:"products,omitzero"`          // EMI purchases only
	SplitInfo        *SplitInfo        `json:"split_info,omitzero"`        // split orders only
	// further fields of the request; none of the above
	Extra map[string]any `json:"-"`
}

// Create refunds an order in full or in part: POST
// /api/pay/v1/refunds/{order_id} (Plural's refund documentation). Partial
// refunds may follow one another up to the captured amount. The result is the
// refund: its ParentOrderID is the order, its Status tells whether the bank has
// carried it out; PENDING can last for days and ends with a webhook.
//
// A nil error means that the server's books show this refund, with this
// reference, parent and amount, and not FAILED. A lost answer is settled as
// [CaptureService.Create] settles it; calling again with the same reference is
// safe, by Plural's documented uniqueness of the reference.
//
// Errors: [OutcomeUnknownError] when attempts or time ran out: call again with
// the same reference. [StateError] when the refund FAILED: a new one needs a
// new reference ([ErrOperationNotAllowed]), or when the reference stands for
// something else ([ErrReferenceReused]). [Error] for what Plural rejects, which
// is believed after several looks where an earlier call may be the cause, and
// when this call could send nothing; it says nothing of an earlier call whose
// outcome is unknown. Do not pass an HTTP request's context.
func (s *RefundService) Create(
	ctx context.Context,
	orderID string,
	req *RefundRequest,
	opts ...CallOption,
) (*Order, error) {
	found := missing()
	if req != nil {
		found = req.check()
	}
	found.orderID(orderID)
	write, err := s.p.newCall(ctx, opRefund, pathOfRefund(orderID), orderID, req, found, opts)
	if err != nil {
		return nil, err
	}
	judge := func(r *Order) finding { return judgeRefund(r, orderID, req.MerchantOrderReference, req.OrderAmount) }
	settle := settlement{
		write:      write,
		orderID:    orderID,
		reference:  req.MerchantOrderReference,
		resendable: refundReferenceIsUnique,
		decode: decodeRefund(
			req.MerchantOrderReference,
		),
		judge: judge,
		look:  s.look(write, orderID, req.MerchantOrderReference, judge),
	}
	return settle.run(ctx)
}

// Get reads a refund by its own order id: GET /api/pay/v1/orders/{order_id}. It
// is repeated on failures. The error is [ErrNotFound] when there is no such
// order, and a [StateError] when it is not a refund.
func (s *RefundService) Get(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	return insistOnRefund(s.p.getOrder(ctx, orderID, opts))
}

// GetByReference reads a refund by the reference that it was created with: GET
// /api/pay/v1/orders/reference/{merchant_order_reference}. It is repeated on
// failures. The error is [ErrNotFound] when there is no such order, and a
// [StateError] when it is not a refund.
func (s *RefundService) GetByReference(
	ctx context.Context,
	merchantOrderReference string,
	opts ...CallOption,
) (*Order, error) {
	return insistOnRefund(s.p.getByReference(ctx, merchantOrderReference, opts))
}

func insistOnRefund(o *Order, err error) (*Order, error) {
	if err != nil {
		return nil, err
	}
	if o.Type != OrderTypeRefund {
		return nil, &StateError{
			Op: opGetOrder.name, OrderID: o.OrderID, Reference: o.MerchantOrderReference, Order: o, reused: true,
			Reason: "the order is of type " + clip(string(o.Type)) + ", not a refund",
		}
	}
	return o, nil
}

// look reads a refund by its reference, and from its parent what that leaves
// open: whether it is there at all, and whose it is.
func (s *RefundService) look(
	write *call,
	parentID, reference string,
	judge func(*Order) finding,
) func(context.Context) (*Order, finding, error) {
	readRefund := s.p.reading(write, opGetByReference, pathByReference(reference), reference, decodeOrderWith(reference))
	readParent := s.p.reading(write, opGetOrder, pathOfOrder(parentID), parentID, decodeOrderOf(parentID))
	return func(ctx context.Context) (*Order, finding, error) {
		r, err := readRefund(ctx)
		if err != nil && !provesAbsence(err) {
			return nil, finding{}, err
		}
		if r != nil && r.ParentOrderID != "" {
			if f := judge(r); f.verdict == verdictApplied {
				return r, f, nil
			}
		}
		parent, parentErr := readParent(ctx)
		if parentErr != nil {
			return r, finding{}, parentErr
		}
		found := together(r, refundIn(parent, reference), func(r *Order) bool { return judge(r).verdict == verdictApplied })
		if found == nil {
			return nil, open("there is no such refund"), nil
		}
		return found, judge(found), nil
	}
}

// together chooses between what stands under the reference and the refund of
// that reference inside its parent. Either may be missing. The former is the
// whole document, but may lack its parent, and be another order or an earlier
// refund that FAILED.
func together(byReference, nested *Order, isApplied func(*Order) bool) *Order {
	switch {
	case byReference == nil:
		return nested
	case nested == nil:
		return byReference
	case byReference.Type == OrderTypeRefund && byReference.ParentOrderID == "":
		attributed := *byReference
		attributed.ParentOrderID = nested.ParentOrderID
		byReference = &attributed
	}
	if !isApplied(byReference) && isApplied(nested) {
		return nested
	}
	return byReference
}

// provesAbsence says whether a failed look-up is evidence that the reference is
// unknown: ORDER_NOT_FOUND, or 400 "no matching records". A bare 404 or a
// firewall's page is none.
func provesAbsence(err error) bool {
	var e *Error
	return errors.As(err, &e) &&
		(e.Code == CodeOrderNotFound && e.StatusCode >= http.StatusBadRequest && e.StatusCode < 500 ||
			e.isNoMatchingRecords())
}

// MarshalJSON writes the request as Plural takes it, Extra included.
func (r RefundRequest) MarshalJSON() ([]byte, error) {
	type fields RefundRequest
	return encodeWith(fields(r), r.Extra)
}

func (r *RefundRequest) check() checks {
	var c checks
	c.reference("merchant_order_reference", r.MerchantOrderReference)
	c.amount("order_amount", r.OrderAmount)
	c.metadata("merchant_metadata", r.MerchantMetadata)
	if r.SplitInfo != nil {
		r.SplitInfo.check(&c, "split_info.")
	}
	c.extra(*r, r.Extra)
	return c
}

// decodeRefund reads the answer to a refund: the refund itself or, in the older
// shape, its parent with the refund inside.
func decodeRefund(reference string) func(*answer) (*Order, error) {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if o == nil {
			return nil, err
		}
		if o.Type != OrderTypeRefund {
			if r := refundIn(o, reference); r != nil && r.OrderID != "" && r.Status != "" {
				return r, nil
			}
		}
		return o, err
	}
}

// refundIn finds the refund with our reference among a parent's refunds.
// Entries there may leave out what the parent implies.
func refundIn(parent *Order, reference string) *Order {
	var found *Order
	for i := range parent.Refunds {
		if parent.Refunds[i].MerchantOrderReference != reference {
			continue
		}
		r := parent.Refunds[i]
		if r.Type == "" {
			r.Type = OrderTypeRefund
		}
		if r.ParentOrderID == "" {
			r.ParentOrderID = parent.OrderID
		}
		if found == nil || found.Status == OrderStatusFailed {
			found = &r
		}
	}
	return found
}
