package pluraltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Capture is money taken from one hold.
type Capture struct {
	OrderID   string
	Reference string // merchant_capture_reference
	Amount    Amount
	Full      bool   // the capture took the whole hold
	RequestID string // the Request-ID header; "" if the capture was made without a request
	At        time.Time
}

// Cancel is the release of one whole hold.
type Cancel struct {
	OrderID   string
	RequestID string
	At        time.Time
}

// Refund is one refund of an order, in any status.
type Refund struct {
	ID        string // the order id of the refund itself
	OrderID   string // the order that the refund belongs to
	Reference string // merchant_order_reference
	Amount    Amount
	Status    string // StatusPending, StatusProcessed, StatusFailed, or the status that a fault chose
	RequestID string
	At        time.Time
}

// Payment is one payment of an order.
type Payment struct {
	ID       string
	Status   string
	Method   string // "CARD", "POINTS", ...
	Amount   Amount
	Captured Amount // zero before a capture
	Code     string // code of error_detail; "" unless the payment failed
}

// Order is an order or a refund in the books.
type Order struct {
	ID               string
	ParentID         string // the order that a refund belongs to; "" for an order
	Reference        string // merchant_order_reference
	Type             string // "CHARGE" or "REFUND"
	Status           string // StatusCreated, ...
	Amount           Amount
	PreAuth          bool
	Payments         []Payment
	Captured         int64 // the sum taken, in minor units
	Refunded         int64 // the sum given back, in minor units
	RetriesRemaining int
	CallbackURL      string
	FailureURL       string
	RedirectURL      string // the checkout page
	HoldLapsed       bool   // the bank has released the hold; see LapseHold
	Payable          bool   // the payer can still pay or leave
	RequestID        string
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

func (s *Server) publicOrder(o *order) Order {
	shown := Order{
		ID: o.id, Reference: o.reference, Type: o.typ, Status: o.status, Amount: o.amount, PreAuth: o.preAuth,
		HoldLapsed: o.lapsed, Captured: o.capturedAmount(), Refunded: o.refundedAmount(false),
		RetriesRemaining: o.retries,
		CallbackURL:      o.callbackURL, FailureURL: o.failureURL, RequestID: o.requestID,
		CreatedAt: o.created, UpdatedAt: o.updated,
	}
	if o.parent != nil {
		shown.ParentID = o.parent.id
	} else {
		shown.RedirectURL, shown.Payable = s.redirectURL(o), o.isPayable()
	}
	for _, p := range o.payments {
		payment := Payment{ID: p.id, Status: p.status, Method: p.method, Amount: p.amount}
		if p.captured != nil {
			payment.Captured = Amount{p.capturedAmount(), p.captured.amount.Currency}
		}
		if p.failure != nil {
			payment.Code = p.failure.Code
		}
		shown.Payments = append(shown.Payments, payment)
	}
	return shown
}

// Orders returns the orders and refunds, oldest first.
func (s *Server) Orders() []Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Order, 0, len(s.inOrder))
	for _, o := range s.inOrder {
		list = append(list, s.publicOrder(o))
	}
	return list
}

// Order returns the order or the refund with this order id.
func (s *Server) Order(id string) (Order, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	if o == nil {
		return Order{}, false
	}
	return s.publicOrder(o), true
}

// OrdersByReference returns the orders and refunds with this
// merchant_order_reference, oldest first.
func (s *Server) OrdersByReference(reference string) []Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byRef[reference]
	list := make([]Order, 0, len(found))
	for _, o := range found {
		list = append(list, s.publicOrder(o))
	}
	return list
}

// Document returns the JSON document of an order or a refund, with its
// envelope. A GET request gets the same JSON. The result is nil if no order or
// refund has this id. The call does not count as a read.
func (s *Server) Document(id string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	if o == nil {
		return nil
	}
	return envelope(s.document(o, view{}))
}

// Captures returns the captures of an order. There is at most one, unless
// [WithMoreCaptures] or [WithCheckLag] allows more. A capture that is PENDING
// is not in the list yet.
func (s *Server) Captures(orderID string) []Capture {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.orders[orderID]; o != nil {
		return slices.Clone(o.captures)
	}
	return nil
}

// Cancels returns the voids of an order. There is at most one. If a payer
// leaves the checkout page, the order becomes CANCELLED, but there is no void.
func (s *Server) Cancels(orderID string) []Cancel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.orders[orderID]; o != nil {
		return slices.Clone(o.cancels)
	}
	return nil
}

// Refunds returns the refunds of an order, oldest first.
func (s *Server) Refunds(orderID string) []Refund {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil {
		return nil
	}
	var list []Refund
	for _, r := range o.refunds {
		list = append(list, Refund{
			ID: r.id, OrderID: o.id, Reference: r.reference, Amount: r.amount, Status: r.status,
			RequestID: r.requestID, At: r.created,
		})
	}
	return list
}

// Requests returns the API requests that have arrived, oldest first. Their
// bodies and headers are shared: do not change them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, 0, len(s.requests))
	for _, r := range s.requests {
		list = append(list, *r)
	}
	return list
}

// RequestsTo returns the requests of one operation (OpCapturesCreate, ...),
// oldest first.
func (s *Server) RequestsTo(op string) []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return r.Op != op })
}

// Doubles returns a list of mistakes: a write was applied twice, or too much
// money was taken or given back. Each text in the list describes one mistake.
// If nothing is wrong, the list is empty. These are the mistakes:
//   - Two orders have the same merchant_order_reference.
//   - Two payment links have the same reference.
//   - Two refunds have the same reference, even if they belong to different
//     orders. A refund that has ended without giving money back does not count.
//   - An order has two captures, two voids, or both a capture and a void.
//   - An order has captured more than was held.
//   - An order has refunded more than was captured.
func (s *Server) Doubles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	seen := map[string]bool{}
	found = append(found, s.linksMadeTwice()...)
	for _, o := range s.inOrder {
		if !seen[o.reference] {
			seen[o.reference] = true
			found = append(found, s.madeTwice(o.reference)...)
		}
		found = append(found, o.findDoubles()...)
	}
	return found
}

// linksMadeTwice reports the references with more than one payment link.
func (s *Server) linksMadeTwice() (found []string) {
	seen := map[string]bool{}
	for _, l := range s.inLinks {
		if seen[l.reference] {
			continue
		}
		seen[l.reference] = true
		if n := len(s.linksByRef[l.reference]); n > 1 {
			ids := make([]string, 0, n)
			for _, each := range s.linksByRef[l.reference] {
				ids = append(ids, each.id)
			}
			text := fmt.Sprintf("payment link %s made %d times: %s", l.reference, n, strings.Join(ids, ", "))
			found = append(found, text)
		}
	}
	return found
}

// madeTwice reports orders that share the reference, and refunds that share it.
func (s *Server) madeTwice(reference string) (found []string) {
	var orders, refunds []string
	for _, o := range s.byRef[reference] {
		switch {
		case o.typ == typeCharge:
			orders = append(orders, o.id)
		case o.isAlive():
			refunds = append(refunds, o.id+" of order "+o.parent.id)
		}
	}
	if len(orders) > 1 {
		text := fmt.Sprintf("order %s made %d times: %s", reference, len(orders), strings.Join(orders, ", "))
		found = append(found, text)
	}
	if len(refunds) > 1 {
		found = append(
			found,
			fmt.Sprintf("refund %s made %d times: %s", reference, len(refunds), strings.Join(refunds, ", ")),
		)
	}
	return found
}

// findDoubles returns the mistakes of one order:
//   - The order has two captures, two voids, or both a capture and a void.
//   - The order has captured more than was held.
//   - The order has refunded more than was captured.
func (o *order) findDoubles() (found []string) {
	if o.typ != typeCharge {
		return nil
	}
	report := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("order %s (%s): ", o.id, o.reference)+fmt.Sprintf(format, args...))
	}
	var captured int64
	for _, c := range o.captures {
		captured += c.Amount.Value
	}
	switch {
	case len(o.captures) > 1:
		report("captured %d times", len(o.captures))
	case captured > o.amount.Value:
		report("captured %d of %d", captured, o.amount.Value)
	}
	if len(o.cancels) > 1 {
		report("cancelled %d times", len(o.cancels))
	}
	if len(o.cancels) > 0 && len(o.captures) > 0 {
		report("captured and cancelled")
	}
	if refunded, taken := o.refundedAmount(true), o.capturedAmount(); refunded > taken {
		report("refunded %d of %d", refunded, taken)
	}
	return found
}

// AssertExactlyOnce calls t.Errorf for each mistake that [Server.Doubles]
// finds. If there is no mistake, nothing was applied twice. This does not show
// that anything was applied: check that with Captures or Refunds.
func (s *Server) AssertExactlyOnce(t TB) {
	t.Helper()
	for _, double := range s.Doubles() {
		t.Errorf("pluraltest: %s", double)
	}
}
