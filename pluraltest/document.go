package pluraltest

import (
	"encoding/json"
	"strings"
	"time"
)

// orderDoc is the JSON of an order. Its fields have the same sequence as in the
// published samples.
type orderDoc struct {
	OrderID                 string          `json:"order_id"`
	ParentOrderID           string          `json:"parent_order_id,omitempty"`
	MerchantOrderReference  string          `json:"merchant_order_reference"`
	Type                    string          `json:"type"`
	Status                  string          `json:"status"`
	ChallengeURL            string          `json:"challenge_url,omitempty"`
	CallbackURL             string          `json:"callback_url,omitempty"`
	FailureCallbackURL      string          `json:"failure_callback_url,omitempty"`
	MerchantID              string          `json:"merchant_id"`
	OrderAmount             Amount          `json:"order_amount"`
	PreAuth                 any             `json:"pre_auth,omitempty"`
	PartPayment             *bool           `json:"part_payment,omitempty"`
	AllowedPaymentMethods   []string        `json:"allowed_payment_methods,omitempty"`
	Notes                   string          `json:"notes,omitempty"`
	PurchaseDetails         json.RawMessage `json:"purchase_details,omitempty"`
	Payments                []paymentDoc    `json:"payments"`
	Refunds                 []orderDoc      `json:"refunds,omitzero"`
	CreatedAt               string          `json:"created_at"`
	UpdatedAt               string          `json:"updated_at"`
	IntegrationMode         string          `json:"integration_mode,omitempty"`
	PaymentRetriesRemaining *int            `json:"payment_retries_remaining,omitempty"`
}

type paymentDoc struct {
	ID                       string         `json:"id"`
	MerchantPaymentReference *string        `json:"merchant_payment_reference,omitempty"`
	ParentPaymentID          string         `json:"parent_payment_id,omitempty"`
	Status                   string         `json:"status"`
	PaymentAmount            Amount         `json:"payment_amount"`
	PaymentMethod            string         `json:"payment_method"`
	PaymentOption            map[string]any `json:"payment_option,omitzero"`
	AcquirerData             *acquirerDoc   `json:"acquirer_data,omitempty"`
	ErrorDetail              *errorDetail   `json:"error_detail,omitempty"`
	CaptureData              any            `json:"capture_data,omitempty"`
	OfferData                map[string]any `json:"offer_data,omitzero"`
	CreatedAt                string         `json:"created_at,omitempty"`
	UpdatedAt                string         `json:"updated_at,omitempty"`
}

type acquirerDoc struct {
	ApprovalCode      string `json:"approval_code"`
	AcquirerReference string `json:"acquirer_reference"`
	RRN               string `json:"rrn"`
	IsAggregator      bool   `json:"is_aggregator"`
}

type captureDoc struct {
	MerchantCaptureReference string `json:"merchant_capture_reference"`
	CaptureAmount            Amount `json:"capture_amount"`
	CreatedAt                string `json:"created_at"`
}

// A value of the type view says how to show a document.
type view struct {
	webhook       bool
	points        bool // as in the vendor's camelCase samples, which show fewer fields for each payment
	noCaptureData bool
	noParent      bool
	otherOrder    bool
}

// document builds the document that shows one order. Server.mu must be held.
func (s *Server) document(o *order, v view) orderDoc {
	retries := o.retries
	doc := orderDoc{
		OrderID:                o.id,
		MerchantOrderReference: o.reference,
		Type:                   o.typ,
		Status:                 o.status,
		ChallengeURL:           o.challengeURL,
		CallbackURL:            o.callbackURL,
		FailureCallbackURL:     o.failureURL,
		MerchantID:             s.MerchantID,
		OrderAmount:            o.amount,
		PreAuth:                s.preAuthValue(o, v),
		PartPayment:            o.partPayment,
		AllowedPaymentMethods:  o.methods,
		Notes:                  o.notes,
		PurchaseDetails:        o.purchaseDetails,
		Payments:               make([]paymentDoc, 0, len(o.payments)),
		CreatedAt:              s.stamp(o.created),
		UpdatedAt:              s.stamp(o.updated),
		IntegrationMode:        o.integrationMode,
	}
	if o.parent != nil && !v.noParent {
		doc.ParentOrderID = o.parent.id
	}
	if v.otherOrder {
		doc.OrderID = s.newID("order", "another", o.id)
		doc.MerchantOrderReference = "another-" + o.reference
	}
	if o.typ == typeCharge {
		doc.PaymentRetriesRemaining = &retries
	}
	for _, p := range o.payments {
		doc.Payments = append(doc.Payments, s.paymentDocument(o, p, v))
	}
	if s.cfg.quirks.has(QuirkEmptyLists) {
		doc.Refunds = []orderDoc{}
	}
	for _, r := range o.refunds {
		if s.cfg.quirks.has(QuirkNoRefundList) {
			break
		}
		nested := v
		nested.otherOrder = false
		doc.Refunds = append(doc.Refunds, s.document(r, nested))
	}
	return doc
}

func (s *Server) preAuthValue(o *order, v view) any {
	if o.typ == typeRefund {
		switch {
		case !v.webhook:
			return nil // answers about refunds have no pre_auth
		case s.cfg.quirks.has(QuirkStringPreAuth):
			return "false"
		}
		return false
	}
	value := o.preAuth
	if s.cfg.quirks.has(QuirkPreAuthFalse) && len(o.captures) > 0 {
		value = false
	}
	if s.cfg.quirks.has(QuirkStringPreAuth) {
		if value {
			return "true"
		}
		return "false"
	}
	return value
}

func (s *Server) paymentDocument(o *order, p *payment, v view) paymentDoc {
	doc := paymentDoc{
		ID:              p.id,
		ParentPaymentID: p.parentID,
		Status:          p.status,
		PaymentAmount:   p.amount,
		PaymentMethod:   p.method,
		PaymentOption:   paymentOption(o, p),
		AcquirerData:    p.acquirer,
		ErrorDetail:     p.failure,
		CreatedAt:       s.stamp(p.createdAt),
		UpdatedAt:       s.stamp(p.updatedAt),
	}
	if o.typ == typeRefund {
		empty := ""
		doc.MerchantPaymentReference = &empty
		doc.OfferData = map[string]any{}
	}
	if o.status == StatusCancelled && s.cfg.quirks.has(QuirkCancelledPaymentProcessed) && p.status == StatusCancelled {
		doc.Status = StatusProcessed
	}
	if !v.noCaptureData {
		doc.CaptureData = s.captureData(p, v)
	}
	if v.points {
		doc.AcquirerData, doc.CreatedAt, doc.UpdatedAt = nil, "", ""
		if p.method == "POINTS" && o.typ == typeCharge {
			doc.PaymentOption = emptyCard()
		}
	}
	if doc.PaymentOption == nil && s.cfg.quirks.has(QuirkEmptyLists) {
		doc.PaymentOption = map[string]any{}
	}
	return doc
}

// captureData returns the capture_data of a payment. It returns nil if the
// payment has none.
func (s *Server) captureData(p *payment, v view) any {
	if p.captured == nil {
		if v.points || s.cfg.quirks.has(QuirkEmptyLists) {
			return []captureDoc{}
		}
		return nil
	}
	entry := captureDoc{
		MerchantCaptureReference: p.captured.reference,
		CaptureAmount:            p.captured.amount,
		CreatedAt:                s.stamp(p.captured.at),
	}
	if s.cfg.quirks.has(QuirkCaptureDataObject) {
		return entry
	}
	list := []captureDoc{entry}
	for _, more := range p.more {
		list = append(list, captureDoc{more.reference, more.amount, s.stamp(more.at)})
	}
	return list
}

// emptyCard makes the payment_option of a payment with points, as the vendor's
// camelCase samples have it. The option is a card whose fields are empty.
func emptyCard() map[string]any {
	return map[string]any{"card_data": map[string]any{
		"card_type": "", "network_name": "", "issuer_name": "", "product_name": "",
		"card_category": "", "country_code": "",
	}}
}

func paymentOption(o *order, p *payment) map[string]any {
	if o.typ == typeRefund {
		return nil
	}
	switch p.method {
	case "CARD", "CREDIT_EMI", "DEBIT_EMI":
		return map[string]any{"card_data": map[string]any{
			"card_type": "CREDIT", "network_name": "VISA", "issuer_name": "NONE", "card_category": "CONSUMER",
			"country_code": "IND", "token_txn_type": "ALT_TOKEN", "last4_digit": p.last4,
		}}
	case "UPI":
		return map[string]any{"upi_data": map[string]any{
			"txn_mode": "COLLECT", "payee": map[string]any{}, "payer": map[string]any{"vpa": "success@upi"},
		}}
	case "NETBANKING":
		return map[string]any{"netbanking_data": map[string]any{"pay_code": "NB1531", "txn_mode": "REDIRECT"}}
	}
	return nil
}

// The method stamp formats a time with milliseconds, because nearly every
// sample has milliseconds. With QuirkNanoseconds, the time has nine decimals.
func (s *Server) stamp(t time.Time) string {
	if s.cfg.quirks.has(QuirkNanoseconds) {
		return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// The function envelope puts a document into "data", as answers about orders
// and refunds do.
func envelope(data any) []byte {
	return marshal(map[string]any{"data": data})
}

// marshal encodes without escaping <, > and &, as the service does.
func marshal(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("pluraltest: " + err.Error()) // only types of this package are encoded
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// maxOlder is how many earlier versions of a document the server keeps, for
// reads that must show an old state.
const maxOlder = 8

// changeOrder calls the function mutate to change the order. Before that, it
// saves the present version of the order's document, for reads that must show
// an old state. It also saves two other documents that the change can affect:
//   - If the order is a refund, changeOrder saves the document of the parent
//     order.
//   - If the order has a payment link, changeOrder saves the document of the
//     link.
func (s *Server) changeOrder(o *order, mutate func(now time.Time)) {
	now := s.now()
	for _, each := range []*order{o, o.parent} {
		if each == nil {
			continue
		}
		each.older = append(each.older, version{envelope(s.document(each, view{})), now})
		if len(each.older) > maxOlder {
			each.older = each.older[1:]
		}
	}
	if o.link != nil {
		s.keepLink(o.link, now)
		o.link.updated = now
	}
	mutate(now)
	o.updated = now
}

// asOf returns the document as it was at an earlier time. It returns false if
// the order did not exist then.
func (s *Server) asOf(o *order, at time.Time, v view) ([]byte, bool) {
	if o.created.After(at) {
		return nil, false
	}
	for _, old := range o.older {
		if old.until.After(at) {
			return old.document, true
		}
	}
	return envelope(s.document(o, v)), true
}
