package pluraltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The statuses that a payment link can have and an order cannot.
const (
	StatusClicked          = "CLICKED"           // the payer has opened the link
	StatusPaymentInitiated = "PAYMENT_INITIATED" // a payment has started and has not ended yet
	StatusPartialProcessed = "PARTIAL_PROCESSED" // the payer has paid only a part of the amount
	StatusExpired          = "EXPIRED"
)

const (
	linkLifetime    = 24 * time.Hour // a link without expire_by lasts as long as a dashboard link does by default
	maxLinkLifetime = 180 * 24 * time.Hour
)

// link is a payment link. Server.mu guards every field.
type link struct {
	id          string
	reference   string
	code        string // the last part of the link's short URL
	order       *order
	description string
	expireBy    time.Time
	ended       string // CANCELLED or EXPIRED; "" if the link has not ended in one of these ways
	clicked     bool
	spec        linkSpec
	messages    []Notification
	older       []version // earlier versions of the link's document, the newest at the end
	requestID   string
	created     time.Time
	updated     time.Time
}

// linkSpec has the fields of a link's request that the server only repeats in
// its answers.
type linkSpec struct {
	customer, products, metadata, split, account json.RawMessage

	coupon Amount
	mcc    *bool
	failed *string // failure_callback_url
}

// WithDuplicateLinks selects the answer to a repeated
// merchant_payment_link_reference. By default the answer is the existing link,
// even if the rest of the request differs. With [DuplicateRejected] the answer
// is 422 DUPLICATE_REQUEST. With [DuplicateAccepted] a second link is made, and
// a client that reads the link by its reference gets the newest link.
func WithDuplicateLinks(mode DuplicateMode) Option { return func(c *config) { c.linkDup = mode } }

// linkStatus returns the status of a link. The payer's actions decide the
// status, unless the link was cancelled or has expired.
func (s *Server) linkStatus(l *link) string {
	o, settled := l.order, l.settledAmount()
	switch {
	case l.ended != "":
		return l.ended
	case settled > 0 && settled < o.amount.Value:
		return StatusPartialProcessed
	case o.status == StatusAuthorized && s.cfg.quirks.has(QuirkHeldLinkInitiated):
		return StatusPaymentInitiated
	case settled > 0:
		return StatusProcessed
	case o.status == StatusCancelled:
		return StatusCancelled
	case o.status == StatusPending:
		return StatusPaymentInitiated
	case l.clicked || o.status != StatusCreated:
		return StatusClicked
	}
	return StatusCreated
}

// isOver reports whether the link was cancelled or has expired. It returns
// false if l is nil.
func (l *link) isOver() bool { return l != nil && l.ended != "" }

type linkDoc struct {
	PaymentLink        string          `json:"payment_link"`
	PaymentLinkID      string          `json:"payment_link_id"`
	Status             string          `json:"status"`
	Amount             Amount          `json:"amount"`
	AmountDue          Amount          `json:"amount_due"`
	OrderID            string          `json:"order_id"`
	Reference          string          `json:"merchant_payment_link_reference"`
	Description        string          `json:"description,omitempty"`
	ExpireBy           string          `json:"expire_by"`
	AllowedMethods     []string        `json:"allowed_payment_methods,omitempty"`
	PreAuth            *bool           `json:"pre_auth,omitempty"`
	FailureCallbackURL *string         `json:"failure_callback_url"`
	IsMCCTransaction   *bool           `json:"is_mcc_transaction,omitempty"`
	Customer           json.RawMessage `json:"customer,omitempty"`
	ProductDetails     json.RawMessage `json:"product_details,omitempty"`
	Coupon             *Amount         `json:"cart_coupon_discount_amount,omitempty"`
	Metadata           json.RawMessage `json:"merchant_metadata,omitempty"`
	SplitInfo          json.RawMessage `json:"split_info,omitempty"`
	AccountDetails     json.RawMessage `json:"account_details,omitempty"`
	CreatedAt          string          `json:"created_at"`
	UpdatedAt          string          `json:"updated_at"`
}

// linkDocument makes the JSON of a link. The JSON has no "data" around it,
// unless QuirkWrappedLinks is set.
func (s *Server) linkDocument(l *link, v view) []byte {
	o := l.order
	preAuth := o.preAuth
	doc := linkDoc{
		PaymentLink:        s.linkURL(l),
		PaymentLinkID:      l.id,
		Status:             s.linkStatus(l),
		Amount:             o.amount,
		AmountDue:          Amount{o.amount.Value - l.settledAmount(), o.amount.Currency},
		OrderID:            o.id,
		Reference:          l.reference,
		Description:        l.description,
		ExpireBy:           l.expireBy.UTC().Format("2006-01-02T15:04Z"), // without seconds, as published
		AllowedMethods:     o.methods,
		PreAuth:            &preAuth,
		FailureCallbackURL: l.spec.failed,
		IsMCCTransaction:   l.spec.mcc,
		Customer:           l.spec.customer,
		ProductDetails:     l.spec.products,
		Metadata:           l.spec.metadata,
		SplitInfo:          l.spec.split,
		AccountDetails:     l.spec.account,
		CreatedAt:          s.stamp(l.created),
		UpdatedAt:          s.stamp(l.updated),
	}
	if l.spec.coupon.Value > 0 {
		doc.Coupon = &l.spec.coupon
	}
	if s.cfg.quirks.has(QuirkLinkWithoutPreAuth) {
		doc.PreAuth, doc.IsMCCTransaction = nil, nil
	}
	if v.otherOrder {
		doc.PaymentLinkID, doc.Reference = s.newLinkID("another", l.id), "another-"+l.reference
	}
	if s.cfg.quirks.has(QuirkWrappedLinks) {
		return envelope(doc)
	}
	return marshal(doc)
}

// settledAmount returns how much of the link's amount is no longer due. If the
// order has a hold, or had a hold that has ended, the result is the whole
// amount. Otherwise the result is the sum that the payer has paid.
func (l *link) settledAmount() int64 {
	if !l.order.heldAt.IsZero() {
		return l.order.amount.Value
	}
	return l.order.paidAmount()
}

func (s *Server) linkURL(l *link) string { return s.URL + linkPath + l.code }

// newLinkID makes an id of the documented form, pl-v1-<yymmddhhmmss>-aa-<6
// letters>.
func (s *Server) newLinkID(names ...string) string {
	for salt := 0; ; salt++ {
		id := "pl-" + "v1-" + s.now().UTC().Format("060102150405") + "-aa-" +
			letters(s.digest(append(names, itoa(salt), "link")...), 6)
		if s.links[id] == nil {
			return id
		}
	}
}

// createLink serves POST /api/pay/v1/paymentlink.
func (s *Server) createLink(c *call) answer {
	spec, apiErr := s.parseLink(c.body)
	if apiErr != nil {
		return apiErr.answer()
	}
	if taken := s.linksByRef[spec.Reference]; len(taken) > 0 && s.cfg.linkDup != DuplicateAccepted {
		if s.cfg.linkDup == DuplicateRejected {
			return errDuplicateLink.answer()
		}
		return jsonAnswer(http.StatusOK, s.linkDocument(taken[0], c.view))
	}
	l := s.makeLink(spec, c.RequestID)
	return jsonAnswer(http.StatusOK, s.linkDocument(l, c.view)).done()
}

func (s *Server) makeLink(spec LinkSpec, requestID string) *link {
	now := s.now()
	n := itoa(len(s.linksByRef[spec.Reference]))
	id := s.newLinkID(spec.Reference, n)
	details := map[string]json.RawMessage{}
	if len(spec.Customer) > 0 {
		details["customer"] = spec.Customer
	}
	if len(spec.Metadata) > 0 {
		details["merchant_metadata"] = spec.Metadata
	}
	// Plural chooses the reference of the link's order. The merchant does not know
	// it.
	reference := uuidFrom(s.digest("order of link", spec.Reference, n))
	if s.cfg.quirks.has(QuirkLinkReferenceInOrder) && len(s.byRef[spec.Reference]) == 0 {
		reference = spec.Reference
	}
	o, _, _ := s.createOrder(OrderSpec{
		Reference: reference, Amount: spec.Amount, PreAuth: spec.PreAuth,
		Methods: spec.Methods, CallbackURL: spec.CallbackURL, FailureURL: spec.FailureURL, Notes: spec.Description,
		PurchaseDetails: marshal(details), PartPayment: spec.PartPayment,
	}, requestID)
	l := &link{
		id: id, reference: spec.Reference, code: letters(s.digest("short", id), 7), order: o,
		description: spec.Description, expireBy: spec.ExpireBy, spec: spec.echo,
		requestID: requestID, created: now, updated: now,
	}
	if l.expireBy.IsZero() {
		l.expireBy = now.Add(linkLifetime)
	}
	l.spec.customer, l.spec.metadata = spec.Customer, spec.Metadata
	if spec.FailureURL != "" {
		l.spec.failed = &spec.FailureURL
	}
	o.link = l
	if len(s.inLinks) == 0 || l.expireBy.Before(s.nextExpiry) {
		s.nextExpiry = l.expireBy
	}
	s.links[id] = l
	s.inLinks = append(s.inLinks, l)
	s.linksByRef[l.reference] = append(s.linksByRef[l.reference], l)
	s.linksByCode[l.code] = l
	s.recordMessage(l, false)
	return l
}

// getLink serves GET /api/pay/v1/paymentlink/{payment_link_id}.
func (s *Server) getLink(c *call) answer {
	l := s.links[c.OrderID]
	if l == nil {
		return s.noLink()
	}
	return jsonAnswer(http.StatusOK, s.linkDocument(l, c.view))
}

// getLinkByReference serves GET
// /api/pay/v1/paymentlink/ref/{merchant_payment_link_reference}. If several
// links have the reference, it shows the newest link.
func (s *Server) getLinkByReference(c *call) answer {
	found := s.linksByRef[c.Reference]
	if len(found) == 0 {
		return s.noLink()
	}
	return jsonAnswer(http.StatusOK, s.linkDocument(found[len(found)-1], c.view))
}

// readLinkStale shows an old version of a link. If the parameter lag is zero,
// the answer has the version before the last change. Otherwise the parameter is
// an age, and the answer has the version that was valid that long ago. If there
// is no such version, the answer is "not found".
func (s *Server) readLinkStale(c *call, lag time.Duration) answer {
	l := s.links[c.OrderID]
	if c.Op == OpPaymentLinksGetByReference {
		found := s.linksByRef[c.Reference]
		found = slices.DeleteFunc(slices.Clone(found), func(l *link) bool { return l.created.After(s.now().Add(-lag)) })
		l = nil
		if len(found) > 0 {
			l = found[len(found)-1]
		}
	}
	at := s.now().Add(-lag)
	switch {
	case l == nil || lag > 0 && l.created.After(at), lag == 0 && len(l.older) == 0:
		return s.noLink()
	case lag == 0:
		return jsonAnswer(http.StatusOK, l.older[len(l.older)-1].document)
	}
	for _, old := range l.older {
		if old.until.After(at) {
			return jsonAnswer(http.StatusOK, old.document)
		}
	}
	return jsonAnswer(http.StatusOK, s.linkDocument(l, c.view))
}

// noLink returns the answer when a link does not exist. Plural has not
// published the answer of the real service.
func (s *Server) noLink() answer { return s.noRecords() }

// cancelLink serves PUT /api/pay/v1/paymentlink/{payment_link_id}/cancel.
func (s *Server) cancelLink(c *call) answer {
	l := s.links[c.OrderID]
	switch {
	case l == nil:
		return s.noLink()
	case !s.takesCalls(l):
		return errNotAllowed.answer()
	}
	s.endLink(l, StatusCancelled)
	return jsonAnswer(http.StatusOK, s.linkDocument(l, c.view)).done()
}

// takesCalls reports whether a client may cancel a link, or send the link's
// message again. The vendor's own tools say that a link must be CREATED for
// both calls.
func (s *Server) takesCalls(l *link) bool {
	status := s.linkStatus(l)
	return status == StatusCreated || status == StatusClicked && s.cfg.quirks.has(QuirkClickedLinkCancels)
}

// notifyLink serves PATCH /api/pay/v1/paymentlink/{payment_link_id}/notify.
func (s *Server) notifyLink(c *call) answer {
	l := s.links[c.OrderID]
	switch {
	case l == nil:
		return s.noLink()
	case !s.takesCalls(l):
		return errNotAllowed.answer()
	}
	s.recordMessage(l, true)
	return jsonAnswer(http.StatusOK, s.linkDocument(l, c.view)).done()
}

// changeLink changes the link. Before that, it saves the present version of the
// link's document, for reads that must show an old state.
func (s *Server) changeLink(l *link, at time.Time, mutate func()) {
	s.keepLink(l, at)
	mutate()
	l.updated = at
}

func (s *Server) keepLink(l *link, at time.Time) {
	l.older = append(l.older, version{s.linkDocument(l, view{}), at})
	if len(l.older) > maxOlder {
		l.older = l.older[1:]
	}
}

func (s *Server) endLink(l *link, status string) {
	at := s.now()
	if status == StatusExpired && l.expireBy.Before(at) {
		at = l.expireBy
	}
	s.changeLink(l, at, func() { l.ended = status })
}

// expireDue ends every link that has reached its expiry time. A link does not
// expire while a payment is under way, or after the link is paid in full. s.mu
// must be held.
func (s *Server) expireDue() {
	if len(s.inLinks) == 0 {
		return
	}
	now := s.now()
	if s.nextExpiry.After(now) {
		return
	}
	s.nextExpiry = now.Add(maxLinkLifetime)
	for _, l := range s.inLinks {
		switch {
		case l.ended != "" || l.settledAmount() >= l.order.amount.Value || l.order.status == StatusCancelled:
		case l.order.status != StatusPending && !l.expireBy.After(now):
			s.endLink(l, StatusExpired)
		case l.expireBy.Before(s.nextExpiry):
			s.nextExpiry = l.expireBy
		}
	}
}

// Notification is a message to a link's customer.
type Notification struct {
	LinkID string
	Email  string // where the message goes; Email or Mobile may be empty
	Mobile string // the number with its country code
	Text   string // the text that the customer gets
	Resent bool   // false for the message that is sent when the link is created, true for each other message
	At     time.Time
}

// recordMessage records the message that sends a link to its customer.
func (s *Server) recordMessage(l *link, resent bool) {
	var customer struct {
		First   string `json:"first_name"`
		Email   string `json:"email_id"`
		Mobile  string `json:"mobile_number"`
		Country string `json:"country_code"`
	}
	_ = json.Unmarshal(l.spec.customer, &customer) // the request was checked on arrival
	n := Notification{LinkID: l.id, Email: customer.Email, Resent: resent, At: s.now()}
	if customer.Mobile != "" {
		country := strings.TrimPrefix(customer.Country, "+")
		if country == "" {
			country = "91"
		}
		n.Mobile = "+" + country + " " + customer.Mobile
	}
	greeting := "Hello"
	if customer.First != "" {
		greeting += " " + customer.First
	}
	what := ""
	if l.description != "" {
		what = " for " + l.description
	}
	n.Text = fmt.Sprintf("%s, merchant %s asks you to pay %s%s: %s (until %s)", greeting, s.MerchantID,
		formatMoney(l.order.amount), what, s.linkURL(l), l.expireBy.UTC().Format("2 Jan 2006 15:04 UTC"))
	l.messages = append(l.messages, n)
}

// Notifications returns the messages that were sent for a payment link, oldest
// first. The first message was sent when the link was created. Each call of
// /notify, or of [Server.NotifyLink], sends another message.
func (s *Server) Notifications(linkID string) []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.links[linkID]; l != nil {
		return slices.Clone(l.messages)
	}
	return nil
}

// Link is a payment link in the books.
type Link struct {
	ID          string
	Reference   string // merchant_payment_link_reference
	OrderID     string
	URL         string // payment_link, the address that the customer opens
	Status      string // StatusCreated, StatusClicked, ...
	Amount      Amount
	Due         Amount // amount_due
	PreAuth     bool
	Description string
	RequestID   string
	ExpireBy    time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Links returns all payment links, oldest first.
func (s *Server) Links() []Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	return s.showLinks(s.inLinks)
}

// Link returns the payment link with this id.
func (s *Server) Link(id string) (Link, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	l := s.links[id]
	if l == nil {
		return Link{}, false
	}
	return s.showLinks([]*link{l})[0], true
}

// LinksByReference returns the payment links with this
// merchant_payment_link_reference, oldest first.
func (s *Server) LinksByReference(reference string) []Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	return s.showLinks(s.linksByRef[reference])
}

func (s *Server) showLinks(links []*link) []Link {
	list := make([]Link, 0, len(links))
	for _, l := range links {
		list = append(list, Link{
			ID: l.id, Reference: l.reference, OrderID: l.order.id, URL: s.linkURL(l), Status: s.linkStatus(l),
			Amount: l.order.amount, Due: Amount{l.order.amount.Value - l.settledAmount(), l.order.amount.Currency},
			PreAuth: l.order.preAuth, Description: l.description, RequestID: l.requestID,
			ExpireBy: l.expireBy, CreatedAt: l.created, UpdatedAt: l.updated,
		})
	}
	return list
}

// LinkDocument returns the JSON document of a payment link. A GET request gets
// the same JSON. The result is nil if no link has this id.
func (s *Server) LinkDocument(id string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	l := s.links[id]
	if l == nil {
		return nil
	}
	return s.linkDocument(l, view{})
}

// OpenLink opens the link as the customer would: CREATED becomes CLICKED.
func (s *Server) OpenLink(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	l := s.links[id]
	if l == nil {
		return fmt.Errorf("pluraltest: open: there is no payment link %q", id)
	}
	s.open(l)
	return nil
}

func (s *Server) open(l *link) {
	if !l.clicked && l.ended == "" {
		s.changeLink(l, s.now(), func() { l.clicked = true })
	}
}

// CancelLink cancels a payment link as the merchant's dashboard would.
func (s *Server) CancelLink(id string) error {
	_, err := s.fromDashboard(id, nil, (*Server).cancelLink)
	return err
}

// NotifyLink sends a link's message again as the merchant's dashboard would.
func (s *Server) NotifyLink(id string) error {
	_, err := s.fromDashboard(id, nil, (*Server).notifyLink)
	return err
}
