package plural

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// RefundService gives money back. In this API a refund is an order of type
// REFUND with an id of its own.
type RefundService struct{ p *pipeline }

// RefundRequest says how much to give back.
type RefundRequest struct {
	// your own reference, unique among orders and refunds. So the refunded
	// order must not have this reference. Your reference has 1 to
	// MaxReference characters of A-Z a-z 0-9 - _, see Reference
	MerchantOrderReference string `json:"merchant_order_reference"`
	// always required; at least 100 paise. All refunds together must not be
	// more than the captured amount
	OrderAmount      Amount            `json:"order_amount"`
	MerchantMetadata map[string]string `json:"merchant_metadata,omitzero"` // up to 10 pairs of at most 256 characters
	Products         []Product         `json:"products,omitzero"`          // EMI purchases only
	SplitInfo        *SplitInfo        `json:"split_info,omitzero"`        // split orders only
	// further JSON fields, but none of the above
	Extra map[string]any `json:"-"`
}

// Create refunds an order in full or in part (Plural's refund documentation).
// Several partial refunds are possible, up to the captured amount. Create
// returns the refund. Its ParentOrderID is the refunded order, and its Status
// shows whether the bank has carried out the refund. The refund can be PENDING
// for days. A webhook then reports the result.
//
//	POST /api/pay/v1/refunds/{order_id}
//
// If an answer is lost or unclear, Create finds out what happened in the same
// way as [CaptureService.Create]. The results:
//
//   - nil: carried out. The books show this refund, with this reference, order
//     and amount. The refund is PROCESSED or on its way, so its Status may
//     still be PENDING.
//   - [ErrNotApplied]: final. Nothing was or will be given back under this
//     reference. There are three cases. In the first case, the refund has
//     FAILED or was CANCELLED. Then a new refund needs a new reference. In the
//     second case, the request asks for more money than is left to refund. In
//     the third case, no money was ever taken for the order. The error is a
//     [StateError].
//   - [ErrConflict]: final, and a person has to look into it. There are two
//     cases. Either the reference belongs to another order, to a refund of
//     another order, or to a refund of another amount. Then the error is a
//     [StateError], and also [ErrReferenceReused] if the other entry was there
//     before this call. Or the money was given back more than once. Then the
//     error is a [DoubleRefundError].
//   - [NeedsReview]: not final, and a person has to look into it. There are
//     three cases. Plural rejected the refund, and the books do not show why.
//     Or Plural answered with success and did nothing. Or Create has read the
//     books, and they do not show clearly what happened.
//   - any other error: the outcome is not known yet. Call again with the same
//     reference.
//
// A [ValidationError] means that nothing was sent, because the request is
// wrong. But an earlier call may have had an effect.
//
// A call sends a refund again only if the books did not show the refund during
// three seconds of reading. A new call sends the refund at once. In both cases
// there is no second refund if Plural keeps references unique, as it documents.
// With [WithSingleRefundSend], a call sends the refund only once. After the
// refund was carried out, Create reads the order again, to find a second refund
// under the same reference. If ctx has no deadline, a call keeps reading the
// books for at most 60 seconds.
//
// Do not pass an HTTP request's context, because it ends when the client
// disconnects.
func (s *RefundService) Create(
	ctx context.Context, orderID string, req *RefundRequest, opts ...CallOption,
) (*Order, error) {
	check := req.check()
	check.orderID(orderID)
	orderID = strings.Clone(orderID)
	write, err := s.p.newCall(ctx, opRefund, pathOfRefund(orderID), orderID, req, check, opts)
	if err != nil {
		return nil, err
	}
	reference, amount := strings.Clone(req.MerchantOrderReference), req.OrderAmount.clone()
	judge := func(r *Order) finding { return judgeRefund(r, orderID, reference, amount) }
	settle := trackedWrite{
		write:      write,
		orderID:    orderID,
		reference:  reference,
		resendable: !s.p.cfg.singleRefundSend,
		slowly:     true,
		makes:      true,
		own:        ownRefund(orderID, reference, amount, judge),
		readOnce:   lookAtRefund(orderID, reference, amount, judge),
		finalCheck: lookForDouble(orderID, reference),
	}
	return settle.runWrite(ctx)
}

// Find looks for a refund of an order in the books. It sends nothing that moves
// money. Use Find for the nightly reconciliation. Find reads the refund by its
// reference. If that does not settle the question, Find also reads the order.
// If these reads show the refund, or show that the reference belongs to another
// order or to a refund of another order, Find does not repeat the reads.
// Otherwise Find repeats them until several of them agree. Before Find returns
// nil, it reads the order, to find a second refund under the reference. The
// results:
//
//   - nil: the refund is in the books, PROCESSED or on its way.
//   - [ErrNotApplied]: the refund is not in the books and never will be,
//     because no money was ever taken for the order.
//   - [ErrConflict]: the reference belongs to something else, or the refund is
//     in the books more than once (a [DoubleRefundError]).
//   - [ErrNotFound]: the books have no such refund, or only a refund that
//     FAILED or was CANCELLED. A call that is still under way elsewhere may
//     still make the refund.
//   - [ErrOutcomeUnknown]: the books are unclear or cannot be read.
//   - [ValidationError]: nothing was sent, because the id or the reference is
//     not in the right form.
func (s *RefundService) Find(
	ctx context.Context, orderID, merchantOrderReference string, opts ...CallOption,
) (*Order, error) {
	var check requestCheck
	check.orderID(orderID)
	check.reference("merchant_order_reference", merchantOrderReference)
	orderID, merchantOrderReference = strings.Clone(orderID), strings.Clone(merchantOrderReference)
	ask, err := s.p.newCall(ctx, opFindRefund, pathByReference(merchantOrderReference), orderID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	judge := func(r *Order) finding {
		// Any amount in the books is accepted.
		return judgeRefund(r, orderID, merchantOrderReference, r.OrderAmount)
	}
	settle := trackedWrite{
		write: ask, isReadOnly: true, makes: true, orderID: orderID, reference: merchantOrderReference,
		readOnce:   lookAtRefund(orderID, merchantOrderReference, Amount{}, judge),
		finalCheck: lookForDouble(orderID, merchantOrderReference),
	}
	return settle.runWrite(ctx)
}

// Get reads a refund by its own order id. A request that fails is repeated.
//
//	GET /api/pay/v1/orders/{order_id}
//
// The errors are those of [OrderService.Get], and a [StateError]
// ([ErrReferenceReused]) if the order is not a refund. If the document does not
// show whether it is a refund, the error is an [Error].
func (s *RefundService) Get(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	o, err := s.p.getOrder(ctx, orderID, ofKnownType(decodeOrderOf(otherOrder(orderID))), opts)
	return insistOnRefund(opGetOrder, o, err)
}

// GetByReference reads a refund by the reference that it was created with. A
// request that fails is repeated.
//
//	GET /api/pay/v1/orders/reference/{merchant_order_reference}
//
// The errors are those of [OrderService.GetByReference], and a [StateError]
// ([ErrReferenceReused]) if the order is not a refund. If the document does not
// show whether it is a refund, the error is an [Error].
func (s *RefundService) GetByReference(
	ctx context.Context, merchantOrderReference string, opts ...CallOption,
) (*Order, error) {
	decode := ofKnownType(decodeOrderWith(merchantOrderReference))
	o, err := s.p.getByReference(ctx, merchantOrderReference, decode, opts)
	return insistOnRefund(opGetByReference, o, err)
}

// ofKnownType makes a decoder that also refuses a document that does not show
// whether it is an order or a refund.
func ofKnownType(decode decoder) decoder {
	return func(a *answer) (*Order, error) {
		o, err := decode(a)
		if err == nil && o.Type != OrderTypeRefund && o.Type != OrderTypeCharge {
			return o, fmt.Errorf("the type %q does not show whether it is a refund", clip(string(o.Type)))
		}
		return o, err
	}
}

func insistOnRefund(op operation, o *Order, err error) (*Order, error) {
	if err != nil {
		return nil, err
	}
	if o.Type == OrderTypeCharge {
		return nil, &StateError{
			Op: op.name, OrderID: o.OrderID, Reference: o.MerchantOrderReference, Order: o, Conflict: true, Reused: true,
			Reason: "the order is not a refund",
		}
	}
	return o, nil
}

// lookAtRefund returns a function that looks in the books for a refund. The
// function first looks up the reference. Then there are three cases:
//
//   - The look-up finds a document that shows the refund as carried out, and
//     the document has the id of a parent order. Then the function reads
//     nothing else.
//   - The look-up fails, and the error does not show that the reference is
//     unknown. Then the function returns the error.
//   - In all other cases, the function also reads the parent order.
func lookAtRefund(parentID, reference string, amount Amount, judge func(*Order) finding) booksReader {
	return func(ctx context.Context, write *call) (*Order, finding, error) {
		r, err := write.askReference(ctx, reference)
		if err != nil && !provesAbsence(err) {
			return r, finding{}, err
		}
		isParents := r != nil && r.OrderID == parentID
		if isParents {
			r = nil // the order itself has the reference, so a look-up by reference cannot show a refund
		}
		if r != nil && r.ParentOrderID != "" {
			if f := judge(r); f.verdict == verdictApplied {
				return r, f, nil
			}
		}
		parent, err := write.askOrder(ctx, parentID)
		switch {
		case r == nil && provesAbsence(err):
			return nil, absent(), nil
		case err != nil:
			return r, finding{}, err
		}
		listed := refundsIn(parent, reference)
		if r != nil {
			listed = append(listed, withParent(r, parent))
		}
		found, f := chooseEntry(listed, judge)
		switch {
		case found == nil && isParents:
			found, f = parent, unclear("the reference is that of the order itself")
		case found == nil:
			found, f = parent, judgeAbsence(parent, amount)
		}
		f.maybe = refundsOf(parent).nameless
		return found, f, nil
	}
}

// chooseEntry gets all entries with one reference. It returns the entry that
// decides the result, and the finding about that entry. If there are several
// kinds of entries, the kind that comes first in this list decides the result:
//
//   - a refund that was carried out
//   - an entry that conflicts with the request
//   - an entry that is unclear
//   - a refund that failed
//
// If all entries are refunds that failed, the newest refund decides the result.
func chooseEntry(refunds []*Order, judge func(*Order) finding) (found *Order, f finding) {
	rank := func(f finding) int {
		switch {
		case f.verdict == verdictApplied:
			return 3
		case f.verdict == verdictFinal && f.row != rowRefundFailed:
			return 2
		case f.verdict != verdictFinal:
			return 1
		}
		return 0
	}
	for _, r := range refunds {
		g := judge(r)
		if found == nil || rank(g) > rank(f) || rank(g) == rank(f) && g.since.After(f.since) {
			found, f = r, g
		}
	}
	f.seen = refunds
	return found, f
}

// lookForDouble returns a function that checks whether several refunds with the
// reference have reached the payer or are on their way. The function reads the
// parent order once, to find further refunds. If the parent order cannot be
// read, only the refunds that were seen before count.
func lookForDouble(parentID, reference string) func(context.Context, *trackedWrite, *booksResult) error {
	return func(ctx context.Context, s *trackedWrite, b *booksResult) error {
		alive, ask := noteRefund(slices.Clone(s.alive), b.order), s.write.settlingCopy()
		ask.cfg.tries = 1
		parent, err := ask.askOrder(ctx, parentID)
		if err == nil {
			for _, r := range refundsIn(parent, reference) {
				alive = noteRefund(alive, r)
			}
		}
		if len(alive) < 2 {
			return nil
		}
		slices.SortFunc(alive, func(a, b *Order) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt.Time), cmp.Compare(a.OrderID, b.OrderID))
		})
		return &DoubleRefundError{OrderID: parentID, Reference: reference, Refunds: alive}
	}
}

// withParent returns the refund with its ParentOrderID. If the refund's own
// document has none, the id comes from the parent order's list of refunds. In
// that list, the refund may have no reference. So withParent looks for the
// refund's id among the listed refunds with the same reference, and among those
// without a reference.
func withParent(r, parent *Order) *Order {
	if r.Type != OrderTypeRefund || r.ParentOrderID != "" {
		return r
	}
	for _, reference := range []string{r.MerchantOrderReference, ""} {
		for _, listed := range refundsIn(parent, reference) {
			if listed.OrderID == r.OrderID {
				own := *r
				own.ParentOrderID = listed.ParentOrderID
				return &own
			}
		}
	}
	return r
}

// MarshalJSON writes the JSON that Plural takes, with the fields of Extra.
func (r RefundRequest) MarshalJSON() ([]byte, error) {
	return encode(&r)
}

type refundFields RefundRequest

func (r *RefundRequest) parts() (fields any, extra map[string]any) {
	return (*refundFields)(r), r.Extra
}

// Validate makes the checks that [RefundService.Create] makes before it sends
// anything. It is for a shop that stores the request now and sends it later.
// The error is a [ValidationError].
func (r *RefundRequest) Validate(orderID string) error { return errOf(r.check(), opRefund, orderID, r) }

func (r *RefundRequest) check() requestCheck {
	if r == nil {
		return checkOfNil()
	}
	var c requestCheck
	c.reference("merchant_order_reference", r.MerchantOrderReference)
	c.amount("order_amount", r.OrderAmount)
	c.metadata("merchant_metadata", r.MerchantMetadata)
	addPart(&c, "split_info.", r.SplitInfo, (*SplitInfo).check)
	c.extra(r, r.Extra)
	return c
}

// ownRefund makes the function that judges the answer to a refund. The answer
// is the refund itself or, in Plural's older form of this answer, the parent
// order with its refunds.
func ownRefund(
	parentID, reference string, amount Amount, judge func(*Order) finding,
) func(*answer) (*Order, finding, error) {
	return func(a *answer) (*Order, finding, error) {
		o, err := decodeOrder(a)
		if o == nil {
			return nil, finding{}, err
		}
		var listed []*Order
		if o.Type != OrderTypeRefund {
			listed = refundsIn(o, reference)
		}
		found, f := chooseEntry(listed, judge)
		switch {
		case found != nil:
			err = nil // a listed refund counts, even if the rest of the order's document cannot be used
		case err != nil:
			found = o
		case o.OrderID == parentID:
			found, f = o, judgeAbsence(o, amount)
		default:
			found, f = o, judge(o)
		}
		f.maybe = refundsOf(o).nameless
		return found, f, err
	}
}

// refundsIn finds the refunds with our reference in a parent order. Such
// entries may leave out the type and the parent's id, so refundsIn adds both.
func refundsIn(parent *Order, reference string) []*Order {
	var found []*Order
	for _, r := range parent.Refunds {
		if r.MerchantOrderReference != reference {
			continue
		}
		if r.Type == "" {
			r.Type = OrderTypeRefund
		}
		if r.ParentOrderID == "" {
			r.ParentOrderID = parent.OrderID
		}
		found = append(found, &r)
	}
	return found
}
