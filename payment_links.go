package plural

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/wire"
)

// PaymentLinkService asks for money by message: Plural sends the customer a
// link to Plural's checkout. Each link has an ordinary order from the start.
// Use the order's id to capture, cancel or refund what the customer paid by the
// link.
//
// No status of a link proves that money was paid or is on hold. Store
// [PaymentLink.Expected] with the link, and pass it to [OrderService.Confirm]
// or [OrderService.ConfirmEvent].
type PaymentLinkService struct{ p *pipeline }

// PaymentLinkRequest asks for a payment link.
type PaymentLinkRequest struct {
	// your own reference, unique among payment links; 1 to MaxReference
	// characters of A-Z a-z 0-9 - _, see Reference
	MerchantPaymentLinkReference string `json:"merchant_payment_link_reference"`
	Amount                       Amount `json:"amount"` // 100 to 100 000 000 paise
	// who gets the link; an EmailID or a MobileNumber is required
	Customer    *Customer `json:"customer,omitzero"`
	Description string    `json:"description,omitzero"` // a text that the customer sees
	// the time at which the link expires: in the future, and within 180 days.
	// If it is zero, the link expires after 24 hours. The time is sent in UTC,
	// in whole seconds
	ExpireBy time.Time `json:"expire_by,omitzero"`
	// hold the money instead of taking it, and capture it or cancel the hold
	// later; possible only for cards (and points)
	PreAuth               bool            `json:"pre_auth,omitzero,string"`
	PartPayment           bool            `json:"part_payment,omitzero"` // the customer may pay in parts
	AllowedPaymentMethods []PaymentMethod `json:"allowed_payment_methods,omitzero"`
	// the payer's browser returns to CallbackURL, as for an order; after a
	// failure it returns to FailureCallbackURL, if that URL is given
	CallbackURL        string         `json:"callback_url,omitzero"`
	FailureCallbackURL string         `json:"failure_callback_url,omitzero"`
	Extra              map[string]any `json:"-"` // further JSON fields, but none of the above
}

// maxLinkLife is the longest time until a link expires (Plural's payment link
// documentation).
const maxLinkLife = 180 * 24 * time.Hour

// MarshalJSON writes the JSON that Plural takes, with the fields of Extra.
func (r PaymentLinkRequest) MarshalJSON() ([]byte, error) {
	return encode(&r)
}

type paymentLinkFields PaymentLinkRequest

func (r *PaymentLinkRequest) parts() (fields any, extra map[string]any) {
	plain := paymentLinkFields(*r)
	plain.ExpireBy = r.ExpireBy.UTC().Truncate(time.Second)
	return &plain, r.Extra
}

// Expected returns an [Expected] with the id of the link's order and the whole
// amount of the link. Store the result when the link is made, and check each
// callback and event against the stored value. Do not make an Expected from the
// order that a callback names, because then any old callback for the same
// amount would pass. As long as the customer has paid only a part of what is
// due, the check fails.
func (l *PaymentLink) Expected() Expected {
	return Expected{OrderID: strings.Clone(l.OrderID), OrderAmount: l.Amount.clone()}
}

// Create makes a payment link and has Plural send it to the customer (Plural's
// payment link documentation). The request is validated first.
//
//	POST /api/pay/v1/paymentlink
//
// Like [RefundService.Create], this Create is idempotent by reference, across
// calls, clients and restarts. The results:
//
//   - nil: the books have this link, with this reference and amount. An earlier
//     call may have made it, so look at its Status. Create does not compare the
//     time at which the link expires. So this time may differ from ExpireBy in
//     the request.
//   - [ErrConflict]: final. From Create, such an error also matches
//     [ErrReferenceReused]. There are two cases. In the first case, a link has
//     this reference, and its amount or its pre_auth differs from the request.
//     In the second case, two links have this reference, and the customer can
//     pay both. The error is a [PaymentLinkError].
//   - [NeedsReview]: not final, and a person has to look into it. There are two
//     cases. In the first case, Plural rejected the request, and the books have
//     no such link. In the second case, Create has read the books, and they do
//     not show clearly what happened.
//   - any other error: the outcome is not known yet. Call again with the same
//     reference. Another reference would make a second link.
//
// A [ValidationError] means that nothing was sent, because the request is
// wrong.
//
// When an answer is lost, or Plural says that the reference was used, Create
// reads the link by its reference. Create sends the request again, under the
// same reference, only if the books did not show the link during three seconds
// of reading. The repetition makes no second link if Plural keeps these
// references unique, as it documents. A look-up by reference shows only one
// link, so a second link may stay unseen. With [WithSingleRefundSend], a call
// sends the request for a link only once. If ctx has no deadline, a call keeps
// reading the books for at most 60 seconds.
//
// Do not pass an HTTP request's context, because it ends when the client
// disconnects.
func (s *PaymentLinkService) Create(
	ctx context.Context, req *PaymentLinkRequest, opts ...CallOption,
) (*PaymentLink, error) {
	check, reference := req.check(), ""
	if req != nil {
		reference = strings.Clone(req.MerchantPaymentLinkReference)
	}
	write, err := s.p.newCall(ctx, opCreateLink, pathOfLinks, reference, req, check, opts)
	if err != nil {
		return nil, err
	}
	amount, preAuth := req.Amount.clone(), req.PreAuth
	judge := func(l *PaymentLink) finding { return judgeLink(l, amount, preAuth) }
	settle := trackedWrite{
		write: write, reference: reference, isOfLink: true, makes: true, slowly: true,
		resendable: !s.p.cfg.singleRefundSend,
		own:        ownLink(decodeLinkWith(reference), judge),
		readOnce:   lookAtLinkReference(reference, judge),
		finalCheck: lookForDoubleLink(reference),
	}
	return settle.runLink(ctx)
}

// Get reads a payment link by its id. A request that fails is repeated.
//
//	GET /api/pay/v1/paymentlink/{payment_link_id}
//
// The errors are those of [OrderService.Get].
func (s *PaymentLinkService) Get(ctx context.Context, paymentLinkID string, opts ...CallOption) (*PaymentLink, error) {
	decode := decodeLinkOf(paymentLinkID)
	return readBy(ctx, s.p, opGetLink, "payment_link_id", paymentLinkID, pathOfLink, decode, opts)
}

// GetByReference reads a payment link by the merchant's reference. A request
// that fails is repeated.
//
//	GET /api/pay/v1/paymentlink/ref/{merchant_payment_link_reference}
//
// The errors are those of [OrderService.GetByReference].
func (s *PaymentLinkService) GetByReference(
	ctx context.Context, merchantPaymentLinkReference string, opts ...CallOption,
) (*PaymentLink, error) {
	const field = "merchant_payment_link_reference"
	decode := decodeLinkWith(merchantPaymentLinkReference)
	return readBy(
		ctx, s.p, opGetLinkByReference, field, merchantPaymentLinkReference, pathOfLinkReference, decode, opts,
	)
}

// Cancel withdraws a payment link, if nobody has paid with the link yet.
//
//	PUT /api/pay/v1/paymentlink/{payment_link_id}/cancel
//
// After a lost or unclear answer, and after a refusal, Cancel reads the link
// and its order to find out what happened. Cancel always reads the order before
// it returns nil. The results:
//
//   - nil: the link is CANCELLED, no matter who cancelled it, and its order
//     shows no money that is held or paid.
//   - [ErrConflict]: final. The payer was faster: the order was held or paid,
//     in full or in part. The error is a [PaymentLinkError], with the link and
//     the order. To give the money back, cancel or refund the order.
//   - [ErrNotApplied]: final. The link has expired, and its order shows no
//     payment or is CANCELLED. The error is a [StateError].
//   - [NeedsReview]: not final, and a person has to look into it. Plural
//     refused the cancel and the books do not show why, or Plural answered with
//     success and did nothing. A link that was opened (CLICKED,
//     PAYMENT_INITIATED) may still be paid, or may expire. Once the link is
//     paid or has expired, call again to get a final result.
//   - any other error: the outcome is not known yet. Call again.
//
// A [ValidationError] means that nothing was sent, because the text cannot be a
// link's id.
//
// A payment that was begun before the link was withdrawn may still be
// completed. Then a webhook reports the payment. Do not pass an HTTP request's
// context, because it ends when the client disconnects. If ctx has no deadline,
// Cancel keeps reading the books for at most 60 seconds.
func (s *PaymentLinkService) Cancel(
	ctx context.Context, paymentLinkID string, opts ...CallOption,
) (*PaymentLink, error) {
	var check requestCheck
	check.segment("payment_link_id", paymentLinkID)
	paymentLinkID = strings.Clone(paymentLinkID)
	write, err := s.p.newCall(ctx, opCancelLink, pathOfLink(paymentLinkID)+"/cancel", paymentLinkID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	judge := func(l *PaymentLink) finding { return judgeLinkCancel(l, nil) }
	settle := trackedWrite{
		write: write, orderID: paymentLinkID, isOfLink: true, resendable: true,
		own: ownLink(decodeLinkOf(paymentLinkID), judge), readOnce: lookAtLink(paymentLinkID),
		finalCheck: lookForPayer,
	}
	return settle.runLink(ctx)
}

// Notify asks Plural to send the link to the customer again, by e-mail or text
// message.
//
//	PATCH /api/pay/v1/paymentlink/{payment_link_id}/notify
//
// Each request that Plural accepts sends a message. So a call sends the request
// again only if no byte of the request was sent before, or if Plural refused
// the token. The errors:
//
//   - [Error]: Plural refused the request, or nothing could be sent. But if
//     StatusCode is 200 to 299 and Code is empty, Plural accepted the request.
//     Then the message went out, and only the link could not be read from the
//     answer.
//   - [OutcomeUnknownError]: the answer was lost. The message may have gone
//     out, and another call may send a second message.
//   - [ValidationError]: nothing was sent, because the text cannot be a link's
//     id.
func (s *PaymentLinkService) Notify(
	ctx context.Context, paymentLinkID string, opts ...CallOption,
) (*PaymentLink, error) {
	var check requestCheck
	check.segment("payment_link_id", paymentLinkID)
	paymentLinkID = strings.Clone(paymentLinkID)
	k, err := s.p.newCall(ctx, opNotifyLink, pathOfLink(paymentLinkID)+"/notify", paymentLinkID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	var l *PaymentLink
	err = k.sendOnce(ctx, func(a *answer) (err error) {
		l, err = decodeLinkOf(paymentLinkID)(a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Validate makes the checks that [PaymentLinkService.Create] makes before it
// sends anything. It is for a shop that stores the request now and sends it
// later. The error is a [ValidationError].
func (r *PaymentLinkRequest) Validate() error {
	check := r.check()
	check.encode(r)
	return check.err(opCreateLink)
}

// ValidatePaymentLinkID makes the checks that [PaymentLinkService.Cancel] makes
// before it sends anything. It is for a shop that stores the cancel now and
// sends it later. The error is a [ValidationError].
func ValidatePaymentLinkID(paymentLinkID string) error {
	var check requestCheck
	check.segment("payment_link_id", paymentLinkID)
	return check.err(opCancelLink)
}

func (r *PaymentLinkRequest) check() requestCheck {
	if r == nil {
		return checkOfNil()
	}
	var c requestCheck
	c.reference("merchant_payment_link_reference", r.MerchantPaymentLinkReference)
	c.amount("amount", r.Amount)
	addPart(&c, "customer.", r.Customer, (*Customer).check)
	c.limit(
		r.Customer != nil && (r.Customer.EmailID != "" || r.Customer.MobileNumber != ""),
		"customer",
		"must have an email_id or a mobile_number, to send the link to",
	)
	if !r.ExpireBy.IsZero() {
		left := time.Until(r.ExpireBy)
		c.limit(left > 0, "expire_by", "must be in the future")
		c.limit(left <= maxLinkLife, "expire_by", "must be within 180 days")
	}
	c.methods(r.AllowedPaymentMethods, r.PreAuth)
	c.url("callback_url", r.CallbackURL)
	c.url("failure_callback_url", r.FailureCallbackURL)
	c.extra(r, r.Extra)
	return c
}

// judgeLink judges whether the link that has our reference is the one that was
// asked for. A document without pre_auth matches both values of preAuth.
func judgeLink(l *PaymentLink, amount Amount, preAuth bool) finding {
	switch {
	case l.Amount.Value == 0 || l.Amount.Currency == "":
		return unclear("the payment link does not say its amount")
	case l.Amount != amount:
		return final(rowLinkDiffers, "the reference belongs to a payment link of %s", l.Amount)
	case l.PreAuth != nil && *l.PreAuth != preAuth:
		return final(rowLinkDiffers, "the reference belongs to a payment link with pre_auth %t", *l.PreAuth)
	}
	return applied()
}

// judgeLinkCancel looks at a link and its order, and judges whether the link
// was cancelled. The order is nil if it was not read. A payment counts more
// than the link's status: a shop that withdraws a link has to learn that the
// link was paid.
func judgeLinkCancel(l *PaymentLink, o *Order) finding {
	isCancelled := l.Status == PaymentLinkStatusCancelled
	switch {
	case o == nil && isCancelled:
		return applied()
	case o == nil && l.Status.IsKnown() && !l.Status.IsTerminal():
		return notYet("the payment link is " + string(l.Status))
	case o == nil:
		return unclear("the payment link is " + clip(string(l.Status)))
	}
	t := tallyOf(o)
	isOver := o.Status == OrderStatusCancelled || o.Status == OrderStatusFailed
	isHeld := o.Status == OrderStatusAuthorized && t.authorized > 0
	isUnpaid := o.Status == OrderStatusCreated || o.Status == OrderStatusAttempted
	switch {
	case !isOver && (isHeld || t.settled > 0):
		return final(rowLinkPaid, "the payer was faster, and the order is %s", clip(string(o.Status)))
	case isOver && (t.entries > 0 || o.Status == OrderStatusFailed && !t.tookNothing(o.Status)):
		return unclear("the order is " + string(o.Status) + " but its payments do not fit that status")
	case isCancelled && (isOver || (isUnpaid || o.Status == OrderStatusPending) && t.authorized+t.strange == 0):
		return applied()
	case o.Status == OrderStatusPending || !isOver && t.isUnderWay():
		return pending("a payment by the link is under way")
	case !isOver && (t.strange > 0 || !isUnpaid):
		return unclear("the order is " + clip(string(o.Status)) + ", and does not show a payment")
	}
	switch l.Status {
	case PaymentLinkStatusExpired:
		return final(rowLinkExpired, "the payment link has expired, and the order is %s", o.Status)
	case PaymentLinkStatusCreated, PaymentLinkStatusClicked:
		return open("the payment link is not cancelled")
	case PaymentLinkStatusPaymentInitiated:
		return notYet("a payment by the link was begun")
	case PaymentLinkStatusProcessed, PaymentLinkStatusPartialProcessed, PaymentLinkStatusCancelled:
	}
	return unclear("the payment link is " + clip(string(l.Status)) + ", and its order is " + string(o.Status))
}

// runLink calls runWrite for a write about a payment link, and returns the
// link.
func (s *trackedWrite) runLink(ctx context.Context) (*PaymentLink, error) {
	if _, err := s.runWrite(ctx); err != nil {
		return nil, err
	}
	return s.done, nil
}

// ownLink returns a function that reads the write's own answer: it decodes the
// link in the answer, and judges the link.
func ownLink(
	decode func(*answer) (*PaymentLink, error), judge func(*PaymentLink) finding,
) func(*answer) (*Order, finding, error) {
	return func(a *answer) (*Order, finding, error) {
		l, err := decode(a)
		if err != nil {
			return nil, finding{link: l}, err
		}
		f := judge(l)
		f.link = l
		return nil, f, nil
	}
}

// lookAtLinkReference returns a function that looks in the books for a new
// link.
func lookAtLinkReference(reference string, judge func(*PaymentLink) finding) booksReader {
	return func(ctx context.Context, write *call) (*Order, finding, error) {
		l, err := write.askLink(ctx, reference)
		switch {
		case provesAbsence(err):
			return nil, withLink(l, open("there is no such payment link")), nil
		case err != nil:
			return nil, finding{link: l}, err
		}
		return nil, withLink(l, judge(l)), nil
	}
}

// lookForDoubleLink returns a function that checks whether several links with
// the reference were seen. If the request was tried more than once, the
// function first looks up the reference again. If Plural keeps several links
// under one reference, this look-up shows the newest link.
func lookForDoubleLink(reference string) func(context.Context, *trackedWrite, *booksResult) error {
	return func(ctx context.Context, s *trackedWrite, b *booksResult) error {
		if s.write.attempts > 1 {
			ask := s.write.settlingCopy()
			ask.cfg.tries = 1
			if l, err := ask.askLink(ctx, reference); err == nil { // after an error, no link is remembered
				s.remember(nil, finding{link: l})
			}
		}
		if len(s.links) < 2 {
			return nil
		}
		ids := make([]string, 0, len(s.links))
		for _, l := range s.links {
			ids = append(ids, clip(l.PaymentLinkID))
		}
		return s.ruledOut(booksResult{
			order:   b.order,
			finding: withLink(b.link, final(rowLinkDouble, "the reference has two payment links: %s", strings.Join(ids, ", "))),
		}, nil)
	}
}

// lookForPayer reads the order of a link after the cancel's own answer has
// shown the link as CANCELLED. The payer may still have paid before the cancel,
// for example a part of the amount.
func lookForPayer(ctx context.Context, s *trackedWrite, b *booksResult) (err error) {
	if b.order != nil {
		return nil
	}
	again := *s
	again.write, again.finalCheck = s.write.settlingCopy(), nil
	again.readOnce = func(ctx context.Context, write *call) (*Order, finding, error) {
		return lookAtOrderOf(ctx, write, b.link)
	}
	b.order, err = again.conclude(ctx, again.readBooks(ctx), nil)
	return err
}

func withLink(l *PaymentLink, f finding) finding {
	f.link = l
	return f
}

// lookAtLink returns a function that looks up in the books what happened to the
// cancel of a link. The function reads the link and its order.
func lookAtLink(linkID string) booksReader {
	return func(ctx context.Context, write *call) (*Order, finding, error) {
		k, err := write.newSettlingRead(opGetLink, pathOfLink(linkID), linkID)
		if err != nil {
			return nil, finding{}, err
		}
		l, err := documentOrError(readDocument(ctx, k, decodeLinkOf(linkID)))
		switch {
		case provesAbsence(err):
			return nil, notYet("there is no such payment link"), nil
		case err != nil:
			return nil, finding{}, err
		}
		return lookAtOrderOf(ctx, write, l)
	}
}

// lookAtOrderOf reads the order of the link l. The caller has read the link
// itself. Together, the link and its order show whether the link was cancelled.
func lookAtOrderOf(ctx context.Context, write *call, l *PaymentLink) (*Order, finding, error) {
	o, err := write.askOrder(ctx, l.OrderID)
	switch {
	case provesAbsence(err):
		return nil, withLink(l, unclear("the order of the payment link is not found")), nil
	case err != nil:
		return nil, finding{link: l}, err
	}
	return o, withLink(l, judgeLinkCancel(l, o)), nil
}

// askLink looks up a link by its reference, to find out what happened to a
// write. It may return both an error and a link, as decodeLink does.
func (k *call) askLink(ctx context.Context, reference string) (*PaymentLink, error) {
	ask, err := k.newSettlingRead(opGetLinkByReference, pathOfLinkReference(reference), reference)
	if err != nil {
		return nil, err
	}
	return readDocument(ctx, ask, decodeLinkWith(reference))
}

// decodeLink reads an answer of the payment link API. It may return both an
// error and a link. Then the answer cannot be used, but it shows that the link
// exists.
func decodeLink(a *answer) (*PaymentLink, error) {
	l, err := parseLink(wire.Document(a.body))
	switch {
	case err != nil:
		return nil, err
	case l.PaymentLinkID == "":
		return nil, errors.New("the answer has no payment_link_id")
	case !isPathSegment(l.PaymentLinkID):
		return nil, errors.New("the answer's payment_link_id is not a valid id")
	case l.OrderID == "" || l.Status == "":
		return l, errors.New("the answer has no order_id or no status")
	case !isPathSegment(l.OrderID):
		return l, errors.New("the answer's order_id is not a valid id")
	case !isPayersURL(l.PaymentLink):
		return l, errors.New("the answer's payment_link is not an absolute https URL")
	}
	return l, nil
}

// decodeLinkOf makes a decoder that refuses an answer about another link.
func decodeLinkOf(linkID string) func(*answer) (*PaymentLink, error) {
	return func(a *answer) (*PaymentLink, error) {
		l, err := decodeLink(a)
		if l != nil && l.PaymentLinkID != linkID {
			return nil, errors.New("the answer is about another payment link")
		}
		return l, err
	}
}

// decodeLinkWith returns a decoder for answers about the link with our
// reference. The decoder refuses an answer with another reference. If an answer
// has no reference, the link in that answer may be ours. Then the decoder
// returns both the link and an error.
func decodeLinkWith(reference string) func(*answer) (*PaymentLink, error) {
	return func(a *answer) (*PaymentLink, error) {
		l, err := decodeLink(a)
		switch {
		case l == nil || l.MerchantPaymentLinkReference == reference:
			return l, err
		case l.MerchantPaymentLinkReference == "":
			return l, cmp.Or(err, errNoReference)
		}
		return nil, errOtherReference
	}
}
