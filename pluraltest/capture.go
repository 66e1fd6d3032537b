package pluraltest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// createCapture serves PUT /api/pay/v1/orders/{order_id}/capture.
func (s *Server) createCapture(c *call) answer {
	var req struct {
		Reference json.RawMessage `json:"merchant_capture_reference"`
		Amount    json.RawMessage `json:"capture_amount"`
	}
	if !decode(c.body, &req) {
		return errMalformed.answer()
	}
	reference, apiErr := s.cfg.limits.parseReference("Merchant Capture Reference", req.Reference)
	if apiErr != nil {
		return apiErr.answer()
	}
	if apiErr := unreadMoney(c.body, "capture_amount"); apiErr != nil {
		return apiErr.answer()
	}
	o := s.orders[c.OrderID]
	if o == nil {
		return s.notFound()
	}
	amount := o.amount
	if len(req.Amount) > 0 && string(req.Amount) != "null" {
		if amount, apiErr = s.cfg.limits.parseAmount(req.Amount); apiErr != nil {
			return apiErr.answer()
		}
	}
	if s.mayCaptureMore(o, amount) {
		s.captureMore(o, Capture{OrderID: o.id, Reference: reference, Amount: amount, RequestID: c.RequestID})
		return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))).done()
	}
	if repeated := s.repeatedCapture(o, reference); repeated != nil {
		return repeated(c)
	}
	switch {
	case o.status == StatusCancelled:
		return errOrderCancelled.answer()
	case o.typ != typeCharge || o.status != StatusAuthorized || !o.preAuth:
		return errNotAllowed.answer()
	case amount.Currency != o.amount.Currency:
		return invalid("Capture amount currency must be the currency of the order").answer()
	case amount.Value > o.amount.Value:
		return errAmountLimit.answer()
	case o.lapsed:
		return errHoldLapsed.answer()
	}
	s.captureHold(o, c, Capture{OrderID: o.id, Reference: reference, Amount: amount, RequestID: c.RequestID})
	return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))).done()
}

// repeatedCapture returns the answer to a second capture under the same
// reference. If it returns nil, the capture gets the same checks as a capture
// with a new reference.
func (s *Server) repeatedCapture(o *order, reference string) func(*call) answer {
	if len(o.captures) == 0 || o.captures[0].Reference != reference {
		return nil
	}
	switch s.cfg.captureDup {
	case DuplicateRejected:
		return func(*call) answer { return errDuplicate.answer() }
	case DuplicateReturnsExisting:
		return func(c *call) answer { return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))) }
	case DuplicateAccepted:
	}
	return nil
}

// mayCaptureMore reports whether an order that was captured can be captured
// again. The amount must be in the order's currency and fit into the rest of
// the hold. One of these two conditions must also be true:
//   - The server has the option WithMoreCaptures.
//   - The server has the option WithCheckLag, and the first capture is so
//     recent that the check does not see it.
func (s *Server) mayCaptureMore(o *order, amount Amount) bool {
	left := int64(0)
	for _, p := range o.livePayments() {
		if p.captured != nil { // the first capture has released the hold of any other payment
			left += p.amount.Value - p.capturedAmount()
		}
	}
	if len(o.captures) == 0 || amount.Currency != o.amount.Currency || amount.Value > left {
		return false
	}
	return s.cfg.moreCaptures || s.cfg.checkLag > 0 && s.now().Sub(o.captures[0].At) < s.cfg.checkLag
}

// captureMore takes more money from a hold after a partial capture.
func (s *Server) captureMore(o *order, entry Capture) {
	s.changeOrder(o, func(now time.Time) {
		entry.At = now
		left := entry.Amount.Value
		for _, p := range o.livePayments() {
			part := min(left, p.amount.Value-p.capturedAmount())
			if p.captured == nil || part <= 0 {
				continue
			}
			left -= part
			p.more = append(p.more, captureEntry{entry.Reference, Amount{part, entry.Amount.Currency}, now})
		}
		o.captures = append(o.captures, entry)
		if o.status == StatusPartiallyCaptured && o.capturedAmount() == o.amount.Value {
			o.setStatus(StatusProcessed)
		}
	})
	s.emitEvent("ORDER_PROCESSED", o)
}

// captureHold carries out the first capture of a hold. The capture releases the
// rest of the hold, unless the server allows a second capture: see
// mayCaptureMore.
func (s *Server) captureHold(o *order, c *call, entry Capture) {
	if c.result == resultByLegs || c.result == resultByLegsFails {
		s.captureByLegs(o, c, entry)
		return
	}
	s.finishWrite(o, c, func(now time.Time) { allocateCapture(o, entry, now) }, func() { s.completeCapture(o, entry) })
}

// finishWrite carries out a capture or a void. The field c.result says how the
// write ends:
//   - If the write succeeds at once, finishWrite calls onSuccess.
//   - If the write is PENDING at first, finishWrite calls onPending at once,
//     unless onPending is nil. If the write then succeeds, finishWrite calls
//     onSuccess at that time.
//   - If the write fails, finishWrite ends the hold of the order.
func (s *Server) finishWrite(o *order, c *call, onPending func(now time.Time), onSuccess func()) {
	switch c.result {
	case resultFailed:
		s.failHold(o)
		c.record.setEffect(EffectFailed, s.now())
	case resultPending, resultPendingFails:
		s.changeOrder(o, func(now time.Time) {
			o.setStatus(StatusPending)
			o.setPayments(StatusPending, now)
			if onPending != nil {
				onPending(now)
			}
		})
		fails, record := c.result == resultPendingFails, c.record
		s.delayWrite(o, c, func() {
			if fails {
				s.failHold(o)
				record.setEffect(EffectFailed, s.now())
				return
			}
			onSuccess()
			record.setEffect(EffectAppliedLate, s.now())
		})
	case resultDone, resultByLegs, resultByLegsFails:
		onSuccess()
	}
}

func (s *Server) completeCapture(o *order, entry Capture) {
	s.changeOrder(o, func(now time.Time) {
		entry.At = now
		entry.Full = entry.Amount == o.amount
		allocateCapture(o, entry, now)
		for _, p := range o.livePayments() {
			p.status, p.updatedAt = StatusProcessed, now
			if p.captured == nil {
				p.status = StatusCancelled // the capture did not need this payment's hold
			}
		}
		o.captures = append(o.captures, entry)
		if entry.Full || s.cfg.quirks.has(QuirkPartProcessed) {
			o.setStatus(StatusProcessed)
		} else {
			o.setStatus(StatusPartiallyCaptured)
		}
	})
	s.emitEvent("ORDER_PROCESSED", o)
}

// allocateCapture spreads a capture over the order's payments, from the first
// to the last.
func allocateCapture(o *order, entry Capture, now time.Time) {
	left := entry.Amount.Value
	for _, p := range o.livePayments() {
		part := min(left, p.amount.Value)
		left -= part
		p.captured = nil
		if part > 0 {
			p.captured = &captureEntry{entry.Reference, Amount{part, entry.Amount.Currency}, now}
		}
	}
}

// failHold ends an order whose capture or void was refused by the acquirer.
func (s *Server) failHold(o *order) {
	s.changeOrder(o, func(now time.Time) {
		for _, p := range o.livePayments() {
			p.status, p.updatedAt, p.captured = StatusFailed, now, nil
			p.failure = declinedByAcquirer()
			o.lastError = p.failure
			p.acquirer = s.newAcquirerData(p.id, "")
			p.acquirer.RRN = ""
		}
		o.setStatus(StatusFailed)
	})
	s.emitEvent("PAYMENT_FAILED", o)
	s.emitEvent("ORDER_FAILED", o)
}

func declinedByAcquirer() *errorDetail {
	return &errorDetail{"PAYMENT_DECLINED", "Transaction declined by Acquirer due to unknown reason"}
}

// Capture captures an order as the merchant's dashboard would. A zero amount
// captures the whole order.
func (s *Server) Capture(orderID, reference string, amount Amount) error {
	body := map[string]any{"merchant_capture_reference": reference}
	if amount != (Amount{}) {
		body["capture_amount"] = amount
	}
	_, err := s.fromDashboard(orderID, body, (*Server).createCapture)
	return err
}

// fromDashboard runs an operation without a request, as the merchant's
// dashboard would. If the service refuses, the error has the service's answer.
func (s *Server) fromDashboard(orderID string, body any, run operation) (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	a := run(s, &call{Request: &Request{OrderID: orderID}, body: marshal(body)})
	if a.status != http.StatusOK {
		return nil, errors.New("pluraltest: " + itoa(a.status) + " " + string(a.body))
	}
	return a.body, nil
}
