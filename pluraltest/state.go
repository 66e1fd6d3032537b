package pluraltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Amount is a sum of money in minor units (paise for INR).
type Amount struct {
	Value    int64  `json:"value"`
	Currency string `json:"currency"`
}

// The order, refund and payment statuses that Plural documents. A refund is an
// order as well, and uses CREATED, PENDING, PROCESSED and FAILED. Payments use
// PENDING, AUTHORIZED, CANCELLED, PROCESSED and FAILED.
const (
	StatusCreated           = "CREATED"
	StatusPending           = "PENDING"
	StatusAttempted         = "ATTEMPTED"
	StatusAuthorized        = "AUTHORIZED"
	StatusProcessed         = "PROCESSED"
	StatusPartiallyCaptured = "PARTIALLY_CAPTURED"
	StatusCancelled         = "CANCELLED"
	StatusFailed            = "FAILED"
	StatusPartiallyRefunded = "PARTIALLY_REFUNDED"
	StatusFullyRefunded     = "FULLY_REFUNDED"
)

const (
	typeCharge = "CHARGE"
	typeRefund = "REFUND"
)

// chargeMoves lists the statuses that may follow each status of a CHARGE order.
// An order is PENDING while a payment, a capture or a void is under way.
var chargeMoves = map[string][]string{
	StatusCreated:   {StatusPending, StatusCancelled},
	StatusAttempted: {StatusPending, StatusCancelled},
	StatusPending: {
		StatusAuthorized,
		StatusProcessed,
		StatusPartiallyCaptured,
		StatusAttempted,
		StatusFailed,
		StatusCancelled,
	},
	StatusAuthorized:        {StatusPending, StatusProcessed, StatusPartiallyCaptured, StatusCancelled, StatusFailed},
	StatusProcessed:         {StatusPartiallyRefunded, StatusFullyRefunded},
	StatusPartiallyCaptured: {StatusProcessed, StatusPartiallyRefunded, StatusFullyRefunded},
	StatusPartiallyRefunded: {StatusPartiallyRefunded, StatusFullyRefunded},
}

// refundMoves lists the statuses that may follow each status of a REFUND order.
var refundMoves = map[string][]string{
	StatusCreated: {StatusPending, StatusProcessed, StatusFailed},
	StatusPending: {StatusProcessed, StatusFailed},
}

// isAlive reports whether a refund has given money back or may still do so.
func (o *order) isAlive() bool {
	return o.status == StatusCreated || o.status == StatusPending || o.status == StatusProcessed
}

// order is one CHARGE or REFUND. Server.mu guards every field.
type order struct {
	id        string
	parent    *order
	reference string
	typ       string
	status    string
	amount    Amount
	preAuth   bool

	integrationMode string
	methods         []string
	notes           string
	callbackURL     string
	failureURL      string
	purchaseDetails json.RawMessage
	partPayment     *bool

	token        string // token of the checkout page, not percent-encoded
	challengeURL string
	retries      int
	lastError    *errorDetail
	link         *link // the payment link of the order, or nil

	payments []*payment
	refunds  []*order
	captures []Capture
	cancels  []Cancel

	heldAt    time.Time      // when the order became AUTHORIZED
	lapsed    bool           // the bank has released the hold
	ends      string         // the final status that a fault has chosen for a refund
	pending   *pendingResult // a write whose result is not final yet
	older     []version      // earlier versions of the document, the newest at the end
	lastEvent chan struct{}  // closed when the first attempt to send the order's latest event has ended

	requestID string
	created   time.Time
	updated   time.Time
}

// version is a document as it was before a change.
type version struct {
	document []byte
	until    time.Time
}

type payment struct {
	id        string
	parentID  string
	status    string
	amount    Amount
	method    string
	last4     string
	acquirer  *acquirerDoc
	failure   *errorDetail
	captured  *captureEntry
	more      []captureEntry // further captures, with WithMoreCaptures or WithCheckLag
	createdAt time.Time
	updatedAt time.Time
}

// capturedAmount returns the money taken from the payment.
func (p *payment) capturedAmount() int64 {
	var sum int64
	if p.captured != nil {
		sum = p.captured.amount.Value
	}
	for _, more := range p.more {
		sum += more.amount.Value
	}
	return sum
}

type captureEntry struct {
	reference string
	amount    Amount
	at        time.Time
}

type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// setStatus moves the order to another status. It panics if the order may not
// go from its present status to that status. Every operation checks the status
// first, so such a panic shows a bug of this package.
func (o *order) setStatus(status string) {
	moves := chargeMoves
	if o.typ == typeRefund {
		moves = refundMoves
	}
	if !slices.Contains(moves[o.status], status) && (o.ends == "" || status != o.ends) {
		panic(fmt.Sprintf("pluraltest: illegal transition of %s order %s: %s to %s", o.typ, o.id, o.status, status))
	}
	o.status = status
}

func (o *order) setPayments(status string, at time.Time) {
	for _, p := range o.payments {
		if p.status == StatusFailed && status != StatusFailed {
			continue // an earlier attempt of the payer stays failed
		}
		p.status, p.updatedAt = status, at
	}
}

// livePayments returns the payments that did not fail. Only these payments can
// have the order's held or captured money.
func (o *order) livePayments() []*payment {
	var live []*payment
	for _, p := range o.payments {
		if p.status != StatusFailed {
			live = append(live, p)
		}
	}
	return live
}

// capturedAmount returns the money taken from the order. For a pre-authorised
// order that is the captured sum. For any other paid order it is the whole
// amount.
func (o *order) capturedAmount() int64 {
	switch o.status {
	case StatusProcessed, StatusPartiallyCaptured, StatusPartiallyRefunded, StatusFullyRefunded:
	default:
		return 0
	}
	if !o.preAuth {
		return o.amount.Value
	}
	var sum int64
	for _, c := range o.captures {
		sum += c.Amount.Value
	}
	return sum
}

// refundedAmount returns the sum that refunds have given back. If pending is
// true, it includes the sums of refunds that may still give money back.
func (o *order) refundedAmount(pending bool) int64 {
	var sum int64
	for _, r := range o.refunds {
		if r.status == StatusProcessed || (pending && r.isAlive()) {
			sum += r.amount.Value
		}
	}
	return sum
}

// paidAmount returns the sum that the payer has paid so far. For a
// pre-authorised order it returns 0, even after a capture.
func (o *order) paidAmount() (sum int64) {
	for _, p := range o.payments {
		if p.status == StatusProcessed && !o.preAuth {
			sum += p.amount.Value
		}
	}
	return sum
}

// amountDue returns the sum that the payer still has to pay.
func (o *order) amountDue() int64 { return o.amount.Value - o.paidAmount() }

// openPayments returns the payments that are under way.
func (o *order) openPayments() []*payment {
	return slices.DeleteFunc(o.livePayments(), func(p *payment) bool { return p.status != StatusPending })
}

func (o *order) hasMethod(method string) bool {
	return slices.ContainsFunc(o.payments, func(p *payment) bool { return p.method == method })
}
