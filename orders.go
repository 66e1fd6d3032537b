package plural

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/wire"
)

// OrderService creates and reads orders.
type OrderService struct{ p *pipeline }

// CreateOrderRequest asks for an order with a link to the hosted checkout.
type CreateOrderRequest struct {
	// your own reference, unique among orders and refunds; 1 to MaxReference
	// characters of A-Z a-z 0-9 - _, see Reference
	MerchantOrderReference string          `json:"merchant_order_reference"`
	OrderAmount            Amount          `json:"order_amount"` // 100 to 100 000 000 paise
	IntegrationMode        IntegrationMode `json:"integration_mode,omitzero"`
	// hold the money instead of taking it, and capture it or cancel the hold
	// later; possible only for cards (and points)
	PreAuth               bool            `json:"pre_auth"`
	AllowedPaymentMethods []PaymentMethod `json:"allowed_payment_methods,omitzero"`
	Notes                 string          `json:"notes,omitzero"`
	// the payer's browser returns to this URL with a cross-site POST: see
	// Verifier.VerifyCallbackRequest
	CallbackURL string `json:"callback_url,omitzero"`
	// the browser returns to this URL after a failure; "" means CallbackURL
	FailureCallbackURL string           `json:"failure_callback_url,omitzero"`
	PurchaseDetails    *PurchaseDetails `json:"purchase_details,omitzero"`
	PartPayment        bool             `json:"part_payment,omitzero"` // the payer may pay in parts
	PluginData         *PluginData      `json:"plugin_data,omitzero"`  // which shop plugin sends the request
	Extra              map[string]any   `json:"-"`                     // further JSON fields, but none of the above
}

// MarshalJSON writes the JSON that Plural takes, with the fields of Extra.
func (r CreateOrderRequest) MarshalJSON() ([]byte, error) {
	return encode(&r)
}

type createOrderFields CreateOrderRequest

func (r *CreateOrderRequest) parts() (fields any, extra map[string]any) {
	return (*createOrderFields)(r), r.Extra
}

// CheckoutOrder is a new order with its checkout link.
type CheckoutOrder struct {
	Token           string `json:"token"` // the link's token, for a page that uses Plural's script
	OrderID         string `json:"order_id"`
	RedirectURL     string `json:"redirect_url"`  // send the payer to this https URL, which is percent-encoded already
	ResponseCode    int    `json:"response_code"` // Plural's own code; 200 means success
	ResponseMessage string `json:"response_message"`
}

// Create makes an order and its checkout link (Plural's pre-authorisation
// guide, section 2). The request is validated first.
//
//	POST /api/checkout/v1/orders
//
// If a reference was used before, Plural may answer with the existing order and
// its link, even if the amount is different. This answer looks the same as the
// answer to a new order, so Create cannot recognise it. Use each reference
// once. [OrderService.Confirm] compares the amount in any case.
//
// After a lost answer Create tries again under the same reference. Plural gives
// the link only in the answer to a create, so a repeated create may not get it.
// The errors:
//
//   - [ValidationError]: nothing was sent, because the request is wrong.
//   - [DuplicateOrderError] ([ErrDuplicateRequest]): the order exists already,
//     as requested, but Plural does not return the order's link again.
//   - [StateError] ([ErrReferenceReused], which is an [ErrConflict]): the
//     reference belongs to another order, or to an order with another amount.
//   - [OutcomeUnknownError]: the attempts or the time ran out, and it is not
//     known whether the order exists. No payer has the link yet, so call again
//     with the same reference.
//   - [Error]: Plural rejected the request, or nothing could be sent.
func (s *OrderService) Create(
	ctx context.Context, req *CreateOrderRequest, opts ...CallOption,
) (order *CheckoutOrder, err error) {
	check, subject := req.check(), ""
	if req != nil {
		subject = strings.Clone(req.MerchantOrderReference)
	}
	write, err := s.p.newCall(ctx, opCreateOrder, checkoutPath, subject, req, check, opts)
	if err != nil {
		return nil, err
	}
	defer write.notifyObserver(ctx, time.Now(), &err)
	var created *CheckoutOrder
	accept := func(a *answer) (err error) {
		created, err = decodeCheckoutOrder(a)
		return err
	}
	class, failure := write.send(ctx, accept, repeatCreate)
	isInDoubt := write.ambiguous || class == classRejected && failure.Err != nil // a rejection whose answer also has data
	switch {
	case !isInDoubt && failure == nil:
		return created, nil
	case !isInDoubt && failure.Code != CodeDuplicateRequest:
		return nil, failure
	}
	return s.reconcileOrder(ctx, write, req, created, failure)
}

// reconcileOrder reads the order that has the reference, and compares it with
// the requested order. The parameter link is nil if no answer had a link.
func (s *OrderService) reconcileOrder(
	ctx context.Context, write *call, req *CreateOrderRequest, link *CheckoutOrder, failure *Error,
) (*CheckoutOrder, error) {
	write.askedBooks = true
	reference := write.reference
	o, err := documentOrError(write.askReference(ctx, reference))
	if err == nil {
		switch f := judgeOrder(o, req); f.verdict {
		case verdictFinal:
			return nil, &StateError{
				Op: write.op.op(), Reference: reference, Order: o, Reason: f.reason, Conflict: true, Reused: true,
			}
		case verdictApplied:
			switch {
			case link == nil:
				return nil, &DuplicateOrderError{Order: o}
			case link.OrderID == o.OrderID:
				return link, nil
			}
			err = errors.New("the link and the reference lead to different orders")
		case verdictUnclear, verdictNotYet, verdictOpen:
			err = errors.New(f.reason)
		}
	}
	if failure != nil {
		err = errors.Join(write.orEnded(ctx, failure), err)
	}
	return nil, &OutcomeUnknownError{Op: write.op.op(), Reference: reference, Last: o, Err: err}
}

// Get reads an order or a refund by its id. A request that fails is repeated.
//
//	GET /api/pay/v1/orders/{order_id}
//
// The errors:
//
//   - [Error], which is [ErrNotFound] if there is no such order. The HTTP
//     status varies: Plural's documentation and sample answers show 404, 422
//     and 400. The emulator answers with 422, unless its option WithNotFound
//     selects another status.
//   - [ValidationError]: nothing was sent, because the text cannot be an
//     order's id.
func (s *OrderService) Get(ctx context.Context, orderID string, opts ...CallOption) (*Order, error) {
	return s.p.getOrder(ctx, orderID, decodeOrderOf(otherOrder(orderID)), opts)
}

// GetByReference reads an order or a refund by the merchant's reference. Orders
// and refunds share one namespace. A request that fails is repeated.
//
//	GET /api/pay/v1/orders/reference/{merchant_order_reference}
//
// The errors:
//
//   - [Error], which is [ErrNotFound] if the reference is unknown. The HTTP
//     status varies, as for [OrderService.Get].
//   - [ValidationError]: nothing was sent, because the text cannot be a
//     reference.
func (s *OrderService) GetByReference(
	ctx context.Context, merchantOrderReference string, opts ...CallOption,
) (*Order, error) {
	return s.p.getByReference(ctx, merchantOrderReference, decodeOrderWith(merchantOrderReference), opts)
}

// Expected describes the order that the payer has to pay. It needs the amount,
// and either the reference or the order id, but not both.
type Expected struct {
	MerchantOrderReference string
	// Plural's id of the order. Store the id when it comes with the checkout
	// link. Never take it from the callback or event that is being checked.
	OrderID     string
	OrderAmount Amount // the amount that the order was created with
}

// Check compares the order o, which was read from the server, with e. It also
// requires that the order is held or paid. Held means AUTHORIZED after a
// pre-authorisation. Paid means PROCESSED. The amounts have to add up to the
// order's amount minus its coupon:
//
//   - If the order is held, the held amounts have to add up.
//   - If the order is paid and lists captures, the captured amounts have to add
//     up.
//   - If the order is paid and lists no captures, the paid amounts have to add
//     up. But with an offer or a fee, these amounts may differ. Then Check
//     trusts Plural's status, unless the payer may pay in parts.
//
// [OrderService.Confirm] makes the same check after it has read the order. Use
// Check for an order that you have read without a callback, for example after a
// webhook. The error is a [NotPaidError], or a [ValidationError] if o is nil or
// e is incomplete.
func (e Expected) Check(o *Order) error {
	check := e.check()
	check.must(o != nil, "order", "is required")
	if err := check.err(opCheck); err != nil {
		return err
	}
	if reason := e.mismatch(o); reason != "" {
		return &NotPaidError{Order: o, Mismatch: true, Reason: reason}
	}
	if reason := o.notPaid(); reason != "" {
		return &NotPaidError{Order: o, Reason: reason}
	}
	return nil
}

// The method mismatch returns the reason why o is not the expected order, or ""
// if it is.
func (e Expected) mismatch(o *Order) string {
	switch {
	case o.Type == OrderTypeRefund:
		return "it is a refund"
	case e.OrderID != "" && o.OrderID != e.OrderID:
		return "it has another order_id than the expected order"
	case e.MerchantOrderReference != "" && o.MerchantOrderReference != e.MerchantOrderReference:
		return "it has another merchant_order_reference than the expected order"
	case o.OrderAmount != e.OrderAmount:
		return fmt.Sprintf("it is for %s, not for %s", o.OrderAmount, e.OrderAmount)
	}
	return ""
}

// notPaid returns the reason why the order is neither held nor paid in full. It
// returns "" if the order is held or paid in full.
func (o *Order) notPaid() string {
	t := tallyOf(o)
	switch {
	case o.Status == OrderStatusAuthorized && o.saysPreAuth() && !o.PreAuth:
		return "it is AUTHORIZED but was not pre-authorised"
	case o.Status == OrderStatusAuthorized && (t.strange > 0 || t.hasMovedOn()):
		return "it is AUTHORIZED, but its payments do not fit that status"
	case o.Status == OrderStatusAuthorized && !t.held.equals(t.price):
		return fmt.Sprintf("it is AUTHORIZED, but does not show that %s is on hold", t.price)
	case o.Status == OrderStatusAuthorized:
		return ""
	case o.Status != OrderStatusProcessed:
		return "it is " + clip(string(o.Status))
	case t.strange > 0 || t.isUnderWay() || t.settled == 0:
		return "it is PROCESSED, but its payments do not fit that status"
	case t.liveEntries > 0:
		captured, isKnown := o.CapturedAmount()
		switch {
		case !isKnown:
			return "its captures cannot be added up"
		case captured != t.price.Amount:
			return fmt.Sprintf("it is PROCESSED, but %s of %s was captured", captured, t.price)
		}
	case !t.taken.equals(t.price) && (!t.otherwise || o.PartPayment):
		// An offer or a fee can explain why the payments do not add up
		// to the price. But if the payer may pay in parts, a part may
		// still be unpaid.
		return fmt.Sprintf("it is PROCESSED, but its payments do not add up to %s", t.price)
	}
	return ""
}

func (e Expected) check() requestCheck {
	var c requestCheck
	switch {
	case e.OrderID != "" && e.MerchantOrderReference != "":
		c.must(false, "order_id", "must be left out when merchant_order_reference is given: give one of the two")
	case e.OrderID != "":
		c.orderID(e.OrderID)
	default:
		c.segment("merchant_order_reference", e.MerchantOrderReference)
	}
	c.must(e.OrderAmount.Value > 0, "order_amount.value", "must be what the order was created with, in paise")
	c.must(e.OrderAmount.Currency != "", "order_amount.currency", "must be what the order was created with, such as INR")
	return c
}

// Confirm is for the moment when the payer comes back. It takes the verified
// callback and the expected order, and reads the order from Plural. It returns
// the order only if it is the expected order and is held or paid: AUTHORIZED
// after a pre-authorisation, or PROCESSED.
//
// A callback alone does not prove a payment: its signature covers neither the
// amount nor a time. Plural may answer a read with an older state of the order.
// So Confirm reads the order again, for up to two seconds, in two cases:
//
//   - The order is not found.
//   - The callback says that the order is paid, and the order that was read is
//     still CREATED, PENDING or ATTEMPTED.
//
// The errors:
//
//   - [NotPaidError]: the order that was read is another order, or is not paid.
//     The error has that order.
//   - [ErrInvalidSignature]: no [Verifier] made the Callback, or the Callback
//     was changed, or it was decoded from JSON.
//   - the errors of [OrderService.Get]. A [ValidationError] may also mean that
//     the [Expected] in the parameter want is incomplete.
//
// A payer who closes the browser sends no callback. So use webhooks as well:
// see [OrderService.ConfirmEvent].
func (s *OrderService) Confirm(ctx context.Context, cb *Callback, want Expected, opts ...CallOption) (*Order, error) {
	if !cb.isVerified() {
		return nil, fmt.Errorf("plural: confirm order: the callback was not verified: %w", ErrInvalidSignature)
	}
	check := want.check()
	if err := check.err(opConfirm); err != nil {
		return nil, err
	}
	saysPaid := cb.ErrorCode == "" && (cb.Status == OrderStatusAuthorized || cb.Status == OrderStatusProcessed)
	o, err := s.getReal(ctx, cb.OrderID, want.isBehind(saysPaid), opts)
	if err != nil {
		return nil, err
	}
	return want.acceptOrder(o)
}

// acceptOrder returns the order if it is the expected order and is held or
// paid.
func (e Expected) acceptOrder(o *Order) (*Order, error) {
	if err := e.Check(o); err != nil {
		return nil, err
	}
	return o, nil
}

// isBehind makes a function that reports whether a document may be out of date.
// Plural may answer a read with an older state of the order. A document may be
// out of date if it shows that the order is not paid yet, but a callback or an
// event says that the order is paid. The parameter saysPaid is true if the
// callback or the event says so.
func (e Expected) isBehind(saysPaid bool) func(*Order) bool {
	return func(o *Order) bool {
		notPaid, ok := errors.AsType[*NotPaidError](e.Check(o))
		return saysPaid && ok && notPaid.MayStillBePaid()
	}
}

// ConfirmEvent is for a webhook. It takes the order's id from the event, and
// reads that order from Plural. For the event of a refund, it reads the
// refunded order. Like [OrderService.Confirm], ConfirmEvent returns the order
// only if it is the expected order and is held or paid. ConfirmEvent uses two
// parts of the event: the order's id, and the type of the event. The type
// matters only if the order is not paid yet. So the event may be old, and may
// come from a queue.
//
// An event may say that the order is paid (ORDER_AUTHORIZED, ORDER_PROCESSED)
// before the books show the payment. If the books still do not show the payment
// after two seconds, the error is [ErrOutcomeUnknown], and not [ErrNotPaid].
// Return this error to the webhook handler, so Plural delivers the event again.
// If the order is not the expected one, or is unpaid for another reason, the
// error is a [NotPaidError] with the order. [NotPaidError.WasPaid] is true
// after a partial capture or a refund. For an event that is not about an order,
// the error is [ErrNoOrder]. If the order in the event cannot be decoded, the
// error is [ErrMalformedWebhook]. Other errors are those of [OrderService.Get].
func (s *OrderService) ConfirmEvent(ctx context.Context, e *Event, want Expected, opts ...CallOption) (*Order, error) {
	check := want.check()
	check.must(e != nil, "event", "is required")
	if err := check.err(opConfirm); err != nil {
		return nil, err
	}
	id, err := e.OrderID()
	if err != nil {
		return nil, err
	}
	isBehind := want.isBehind(e.Type == EventOrderAuthorized || e.Type == EventOrderProcessed)
	o, err := s.getReal(ctx, id, isBehind, opts)
	if err == nil && o.Type == OrderTypeRefund && o.ParentOrderID != "" && o.ParentOrderID != id {
		o, err = s.getReal(ctx, o.ParentOrderID, isBehind, opts) // the event did not say which order was refunded
	}
	if err != nil {
		return nil, err
	}
	if isBehind(o) {
		return nil, &OutcomeUnknownError{
			Op: opConfirm.name, OrderID: o.OrderID, Last: o,
			Err: errors.New("the books do not show the payment of the event yet"),
		}
	}
	return want.acceptOrder(o)
}

// The shortest and the longest time between two reads that Wait makes.
const (
	minPoll = time.Second
	maxPoll = 10 * time.Second
)

// Wait reads the order again and again, one to ten seconds apart. After each
// read, Wait calls the given function with the order. If the function returns
// true, Wait returns the order. If the function is nil, Wait returns the order
// as soon as its status is not CREATED, not PENDING and not ATTEMPTED. Then the
// payer has paid or given up, or the payment has failed.
//
// Wait also ends when ctx ends, so ctx should have a deadline. In this case the
// error is an [Error] that wraps the context's error. Other errors are those of
// [OrderService.Get]. With an error, Wait also returns the order that it read
// last, or nil. If the order is not found, Wait reads the order again for up to
// two seconds, because Plural may not find a new order at once. A webhook is
// the better way to learn of a payment. Wait is for programs that have no
// server.
func (s *OrderService) Wait(
	ctx context.Context, orderID string, until func(*Order) bool, opts ...CallOption,
) (*Order, error) {
	if until == nil {
		until = func(o *Order) bool { return !o.Status.isUnpaid() }
	}
	orderID = strings.Clone(orderID)
	var last *Order
	for wait := minPoll; ; wait = min(wait*3/2, maxPoll) {
		o, err := s.getReal(ctx, orderID, nil, opts)
		if err != nil {
			return last, err
		}
		if last = o; until(o) {
			return o, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return last, &Error{Op: opWait.name, OrderID: orderID, Err: endOf(ctx)}
		}
	}
}

// Plural may not find a new order at once, because replicas answer with an
// older state. So the package reads such an order again, for the time
// missingSpan in all. missingWait is the wait between two reads.
const (
	missingSpan = 2 * time.Second
	missingWait = missingSpan / minLooks
)

// getReal reads an order that should exist. It reads the order again, for up to
// missingSpan, in two cases: the order is not found, or the function isBehind
// reports that the document may be out of date. After missingSpan, getReal
// returns the result of the last read.
//
// A 404 may come from a gateway and not from the orders API. Such a 404 shows
// nothing about the order, so its error does not match [ErrNotFound].
func (s *OrderService) getReal(
	ctx context.Context, orderID string, isBehind func(*Order) bool, opts []CallOption,
) (*Order, error) {
	began := time.Now()
	for {
		o, err := s.Get(ctx, orderID, opts...)
		lags := errors.Is(err, ErrNotFound) || err == nil && isBehind != nil && isBehind(o)
		if !lags {
			return o, err
		}
		if time.Since(began) < missingSpan && retry.Wait(ctx, missingWait) {
			continue
		}
		if err == nil {
			return o, nil
		}
		if ended := endOf(ctx); ended != nil {
			return nil, &Error{Op: opGetOrder.name, OrderID: orderID, Err: errors.Join(ended, foreign.NoVerdict(err))}
		}
		if !provesAbsence(err) {
			return nil, foreign.NoVerdict(err)
		}
		return nil, err
	}
}

func (r *CreateOrderRequest) check() requestCheck {
	if r == nil {
		return checkOfNil()
	}
	var c requestCheck
	c.reference("merchant_order_reference", r.MerchantOrderReference)
	c.amount("order_amount", r.OrderAmount)
	c.url("callback_url", r.CallbackURL)
	c.url("failure_callback_url", r.FailureCallbackURL)
	c.methods(r.AllowedPaymentMethods, r.PreAuth)
	addPart(&c, "purchase_details.", r.PurchaseDetails, (*PurchaseDetails).check)
	c.extra(r, r.Extra)
	return c
}

// judgeOrder judges whether the order that has our reference is the one that
// req asks for. A document without pre_auth matches both values of req.PreAuth.
func judgeOrder(o *Order, req *CreateOrderRequest) finding {
	switch {
	case o.Type == OrderTypeRefund:
		return final(rowOrderDiffers, "the reference belongs to a refund")
	case o.Type != "" && o.Type != OrderTypeCharge:
		return unclear("the document is of the unknown type " + clip(string(o.Type)))
	case o.MerchantOrderReference != req.MerchantOrderReference:
		return unclear("the document is about another reference")
	case o.OrderAmount.Value == 0 || o.OrderAmount.Currency == "":
		return unclear("the order does not say its amount")
	case o.OrderAmount != req.OrderAmount:
		return final(rowOrderDiffers, "the reference belongs to an order of %s", o.OrderAmount)
	// In Plural's samples, paid orders show a wrong pre_auth. So the field
	// counts only for an unpaid order.
	case o.saysPreAuth() && o.PreAuth != req.PreAuth && o.isUnpaid():
		return final(rowOrderDiffers, "the reference belongs to an order with pre_auth %t", o.PreAuth)
	}
	return applied()
}

// decodeCheckoutOrder reads an answer of the checkout API. In Plural's samples
// the answer is flat, but some integrators report that it is wrapped in "data".
func decodeCheckoutOrder(a *answer) (*CheckoutOrder, error) {
	var o CheckoutOrder
	if err := wire.Unmarshal(a.body, &o); err != nil {
		return nil, err
	}
	if o.OrderID == "" {
		var wrapped struct {
			Data *CheckoutOrder `json:"data"`
		}
		if err := wire.Unmarshal(a.body, &wrapped); err != nil {
			return nil, err
		}
		if wrapped.Data != nil {
			o = *wrapped.Data
		}
	}
	switch {
	case o.ResponseCode != 0 && o.ResponseCode != 200:
		return nil, errors.New("the answer has a response_code other than 200")
	case o.OrderID == "" || o.RedirectURL == "":
		return nil, errors.New("the answer has no order_id or no redirect_url")
	case !isPayersURL(o.RedirectURL):
		return nil, errors.New("the answer's redirect_url is not an absolute https URL")
	}
	return &o, nil
}
