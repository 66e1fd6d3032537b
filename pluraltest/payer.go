package pluraltest

import (
	"fmt"
	"slices"
	"time"
)

// Decision is what the payer does on the checkout page.
type Decision struct {
	kind   decisionKind
	method string
	points int64
	part   int64 // the amount of a part payment
	code   string
	reason string
	final  bool
}

type decisionKind int

const (
	payerApproves decisionKind = iota
	payerFails
	payerLeaves
	payerWaits
)

// The payer's decisions.
var (
	// Approve means that the payment succeeds. The payer pays by card. If the
	// order does not take cards, the payer pays by the first method that the
	// order takes. A pre-authorised order becomes AUTHORIZED. Any other order
	// becomes PROCESSED.
	Approve = Decision{kind: payerApproves}
	// FailOTP means that the payer enters a wrong one-time password. The
	// payment fails with USER_AUTHENTICATION_FAILED.
	FailOTP = Decision{kind: payerFails, code: "USER_AUTHENTICATION_FAILED", reason: "Consumer Authentication failed"}
	// LetExpire means that the payer waits until the time limit for the payment
	// is over. The payment fails with PAYMENT_EXPIRED.
	LetExpire = Decision{kind: payerFails, code: "PAYMENT_EXPIRED", reason: "The payment has expired"}
	// CancelPayment means that the payer cancels the payment on the page. The
	// order is then CANCELLED. If the payer has already paid a part of the
	// amount, the order does not change.
	CancelPayment = Decision{kind: payerLeaves}
	// LeavePending means that the payer starts a payment that takes time. The
	// order is PENDING until the next decision.
	LeavePending = Decision{kind: payerWaits}
)

// Decline makes the issuer refuse the payment. The error of the payment has the
// code PAYMENT_DECLINED. The parameter reason is the message of that error. The
// order is ATTEMPTED, or FAILED when no retry is left.
func Decline(reason string) Decision {
	return Decision{kind: payerFails, code: "PAYMENT_DECLINED", reason: reason}
}

// DeclineFor does the same as [Decline] with another code, such as
// INSUFFICIENT_FUNDS.
func DeclineFor(code, reason string) Decision {
	return Decision{kind: payerFails, code: code, reason: reason}
}

// Final returns the same decision, but the payer gets no other try: the order
// is FAILED at once.
func (d Decision) Final() Decision { d.final = true; return d }

// ApproveBy pays by a method: "CARD", "UPI", "NETBANKING", "WALLET" or
// "POINTS".
func ApproveBy(method string) Decision { return Decision{kind: payerApproves, method: method} }

// ApproveWithPoints makes two payments on one order. It pays this many minor
// units with points, and the rest by card.
func ApproveWithPoints(points int64) Decision {
	return Decision{kind: payerApproves, points: points}
}

// ApprovePart pays only a part of the order's amount. The parameter value is
// the sum to pay, in minor units. The order must allow part payment. The order
// is ATTEMPTED until the last part is paid. Plural has not published that
// status for such orders. After the last part the order is PROCESSED.
func ApprovePart(value int64) Decision { return Decision{kind: payerApproves, part: value} }

// Pay carries out the payer's decision about an order. It returns the form that
// the browser then posts to the merchant. It returns an error if the order is
// not open for payment, or does not take the method. An order can be paid by
// its allowed_payment_methods. A hold can be made only by CARD and POINTS.
func (s *Server) Pay(orderID string, d Decision) (Return, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Return{}, errClosed
	}
	s.expireDue()
	o := s.orders[orderID]
	if o == nil || o.typ != typeCharge {
		return Return{}, fmt.Errorf("pluraltest: pay: no order %q", orderID)
	}
	if err := s.applyDecision(o, d); err != nil {
		return Return{}, err
	}
	return s.returnOf(o), nil
}

// isPayable reports whether the payer can decide about the order.
func (o *order) isPayable() bool {
	switch o.status {
	case StatusCreated, StatusAttempted:
		return !o.link.isOver()
	case StatusPending:
		return o.pending == nil // a capture or a void sets o.pending, and a payment does not
	default:
		return false
	}
}

// applyDecision carries out the payer's decision. s.mu must be held.
func (s *Server) applyDecision(o *order, d Decision) error {
	if !o.isPayable() {
		if o.link.isOver() {
			return fmt.Errorf("pluraltest: pay: payment link %s is %s", o.link.id, o.link.ended)
		}
		return fmt.Errorf("pluraltest: pay: order %s is %s", o.id, o.status)
	}
	if d.part != 0 && (o.partPayment == nil || !*o.partPayment || o.preAuth || d.part < 0 || d.part > o.amountDue()) {
		return fmt.Errorf("pluraltest: pay: a part of %d is refused: order %s has %d left to pay",
			d.part, o.id, o.amountDue())
	}
	if d.points < 0 || d.points > 0 && d.points >= o.amountDue() {
		return fmt.Errorf("pluraltest: pay: %d points are refused for an order of %d", d.points, o.amount.Value)
	}
	method, err := o.methodFor(d)
	if err != nil {
		return err
	}
	d.method = method
	switch d.kind {
	case payerLeaves:
		if o.paidAmount() > 0 {
			return nil // the paid parts stay paid, and the rest stays due
		}
		s.changeOrder(o, func(now time.Time) {
			o.setPayments(StatusCancelled, now)
			o.setStatus(StatusCancelled)
			o.lastError = nil
		})
		s.emitEvent("ORDER_CANCELLED", o)
	case payerWaits:
		s.changeOrder(o, func(now time.Time) { s.startPayments(o, d, now) })
	case payerApproves:
		s.changeOrder(o, func(now time.Time) {
			s.startPayments(o, d, now)
			status := StatusProcessed
			if o.preAuth {
				status = StatusAuthorized
			}
			for _, p := range o.openPayments() {
				p.status, p.updatedAt = status, now
				p.acquirer = s.newAcquirerData(p.id, "831000")
			}
			if o.amountDue() > 0 && !o.preAuth {
				status = StatusAttempted
			}
			o.setStatus(status)
			if o.preAuth {
				s.startHold(o, now)
			}
			o.lastError = nil
		})
		if o.status != StatusAttempted {
			s.emitEvent("ORDER_"+o.status, o)
		}
	case payerFails:
		s.changeOrder(o, func(now time.Time) {
			s.startPayments(o, d, now)
			o.lastError = &errorDetail{d.code, d.reason}
			for _, p := range o.openPayments() {
				p.status, p.updatedAt, p.failure = StatusFailed, now, o.lastError
				p.acquirer = s.newAcquirerData(p.id, "")
				p.acquirer.RRN = ""
			}
			if d.final || o.retries == 0 {
				o.retries = 0
				o.setStatus(StatusFailed)
				return
			}
			o.retries--
			o.setStatus(StatusAttempted)
		})
		s.emitEvent("PAYMENT_FAILED", o)
		if o.status == StatusFailed {
			s.emitEvent("ORDER_FAILED", o)
		}
	}
	return nil
}

// methodFor returns the method by which the payer pays, or tries to pay.
func (o *order) methodFor(d Decision) (string, error) {
	wanted := []string{d.method}
	switch {
	case d.kind == payerLeaves:
		return "", nil
	case o.status == StatusPending:
		underway := o.currentPayment().method
		if d.points > 0 || d.method != "" && d.method != underway {
			return "", fmt.Errorf("pluraltest: pay: a payment of order %s by %s is under way", o.id, underway)
		}
		return underway, nil
	case d.points > 0:
		wanted = []string{"CARD", "POINTS"}
	case d.method == "":
		usual := append([]string{"CARD"}, o.methods...)
		usual = slices.DeleteFunc(usual, func(m string) bool { return !o.canBePaidBy(m) })
		if len(usual) == 0 {
			return "", fmt.Errorf("pluraltest: pay: there is no method that order %s takes", o.id)
		}
		wanted = usual[:1]
	}
	for _, method := range wanted {
		if !o.canBePaidBy(method) {
			return "", fmt.Errorf("pluraltest: pay: order %s does not take %q", o.id, method)
		}
	}
	return wanted[0], nil
}

// canBePaidBy reports whether the order can be paid by a method. Only cards and
// points can be held.
func (o *order) canBePaidBy(method string) bool {
	return slices.Contains(knownMethods, method) && o.allows(method) &&
		(!o.preAuth || method == "CARD" || method == "POINTS")
}

// startPayments adds the payer's payments to the order, with the status
// PENDING. If the order is PENDING already, startPayments does nothing, because
// the order then has such payments.
func (s *Server) startPayments(o *order, d Decision, now time.Time) {
	if o.status == StatusPending {
		return
	}
	o.setStatus(StatusPending)
	due := o.amountDue()
	if d.part > 0 {
		due = d.part
	}
	s.addPayment(o, d.method, due-d.points, now)
	if d.points > 0 {
		s.addPayment(o, "POINTS", d.points, now)
	}
}

func (s *Server) addPayment(o *order, method string, value int64, now time.Time) {
	n := len(o.payments)
	o.payments = append(o.payments, &payment{
		id:        o.id + "-" + suffix(method) + "-" + string(base62[(n*7+11)%len(base62)]),
		status:    StatusPending,
		amount:    Amount{value, o.amount.Currency},
		method:    method,
		last4:     "1112",
		createdAt: now,
		updatedAt: now,
	})
}

// The function suffix returns the two letters of a payment's id that stand for
// the method.
func suffix(method string) string {
	switch method {
	case "UPI":
		return "up"
	case "NETBANKING":
		return "nb"
	case "POINTS":
		return "pt"
	case "CREDIT_EMI":
		return "ce"
	case "DEBIT_EMI":
		return "de"
	case "WALLET":
		return "wa"
	default:
		return "cc"
	}
}
