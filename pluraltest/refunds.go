package pluraltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// createRefund serves POST /api/pay/v1/refunds/{order_id}.
func (s *Server) createRefund(c *call) answer {
	var req struct {
		Reference json.RawMessage   `json:"merchant_order_reference"`
		Amount    json.RawMessage   `json:"order_amount"`
		Old       json.RawMessage   `json:"merchant_refund_reference"`
		OldAmount json.RawMessage   `json:"refund_amount"`
		Metadata  map[string]string `json:"merchant_metadata"`
	}
	if !decode(c.body, &req) {
		return errMalformed.answer()
	}
	if s.cfg.oldRefunds && len(req.Reference) == 0 {
		req.Reference = req.Old
	}
	reference, apiErr := s.cfg.limits.parseReference("Merchant Order Reference", req.Reference)
	if apiErr != nil {
		return apiErr.answer()
	}
	read := []string{"order_amount"}
	if s.cfg.pluginRefunds || s.cfg.oldRefunds {
		read = append(read, "refund_amount")
		if len(req.Amount) == 0 {
			req.Amount = req.OldAmount
		}
		if apiErr := s.cfg.limits.sameAmount(req.Amount, req.OldAmount); apiErr != nil {
			return apiErr.answer()
		}
	}
	if apiErr := unreadMoney(c.body, read...); apiErr != nil {
		return apiErr.answer()
	}
	parent := s.orders[c.OrderID]
	if parent == nil {
		return s.notFound()
	}
	left := parent.capturedAmount() - parent.refundedAmount(true)
	amount := Amount{left, parent.amount.Currency}
	if len(req.Amount) > 0 && string(req.Amount) != "null" {
		if amount, apiErr = s.cfg.limits.parseAmount(req.Amount); apiErr != nil {
			return apiErr.answer()
		}
	}
	if taken := s.findByReference(reference); len(taken) > 0 && s.cfg.refundDup != DuplicateAccepted && !c.insert {
		first := taken[0]
		if s.cfg.refundDup == DuplicateRejected || first.typ != typeRefund || first.parent != parent {
			return errDuplicate.answer()
		}
		return jsonAnswer(http.StatusOK, envelope(s.document(first, c.view)))
	}
	switch parent.status {
	case StatusProcessed, StatusPartiallyCaptured, StatusPartiallyRefunded:
	case StatusCancelled:
		return errOrderCancelled.answer()
	default:
		return errNotAllowed.answer()
	}
	switch {
	case parent.typ != typeCharge:
		return errNotAllowed.answer()
	case amount.Currency != parent.amount.Currency:
		return invalid("Refund amount currency must be the currency of the order").answer()
	case amount.Value > left || left <= 0:
		return errAmountLimit.answer()
	case amount.Value < s.cfg.limits.minAmount: // the request has no amount, and too little is left
		return tooSmall(s.cfg.limits.minAmount).answer()
	}
	if c.checking {
		return answer{}.done()
	}
	o := s.refund(parent, c, reference, amount, req.Metadata)
	return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))).done()
}

// sameAmount refuses a refund that names two different sums, because the server
// would have to guess which sum is meant.
func (l requestLimits) sameAmount(amount, old json.RawMessage) *apiError {
	if len(old) == 0 {
		return nil
	}
	a, apiErr := l.parseAmount(amount)
	if apiErr != nil {
		return apiErr
	}
	b, apiErr := l.parseAmount(old)
	if apiErr == nil && a != b {
		return invalid("order_amount and refund_amount are not the same")
	}
	return apiErr
}

func (s *Server) refund(parent *order, c *call, reference string, amount Amount, metadata map[string]string) *order {
	now := s.now()
	o := &order{
		id:              s.newID("refund", parent.reference, reference, itoa(len(s.byRef[reference]))),
		parent:          parent,
		reference:       reference,
		typ:             typeRefund,
		status:          StatusCreated,
		amount:          amount,
		integrationMode: parent.integrationMode,
		notes:           parent.notes,
		requestID:       c.RequestID,
		purchaseDetails: refundDetails(parent.purchaseDetails, metadata),
		ends:            c.ends,
		created:         now,
		updated:         now,
	}
	end := StatusProcessed
	switch {
	case c.result == resultFailed || c.result == resultPendingFails:
		end = StatusFailed
	case c.ends != "":
		end = c.ends
	}
	isPending := c.result == resultPending || c.result == resultPendingFails
	s.changeOrder(parent, func(now time.Time) {
		o.payments = s.refundLegs(o, parent, amount.Value, now)
		parent.refunds = append(parent.refunds, o)
		s.addToBooks(o)
		if isPending {
			o.setStatus(StatusPending)
			o.setPayments(StatusPending, now)
		} else {
			s.endRefund(o, end, now)
		}
	})
	if isPending {
		record := c.record
		s.delayWrite(o, c, func() {
			s.changeOrder(o, func(now time.Time) { s.endRefund(o, end, now) })
			s.settleRefund(o, record)
		})
	} else {
		s.settleRefund(o, c.record)
	}
	return o
}

// settleRefund records how a refund has ended, and sends its event.
func (s *Server) settleRefund(o *order, record *FaultRecord) {
	state := EffectAppliedLate
	if o.status != StatusProcessed {
		state = EffectFailed
	}
	record.setEffect(state, o.updated)
	s.emitEvent("REFUND_"+o.status, o)
}

// endRefund gives a refund its final status. It also updates the status of the
// parent order.
func (s *Server) endRefund(o *order, status string, now time.Time) {
	o.setStatus(status)
	o.updated = now
	for _, leg := range o.payments {
		leg.status, leg.updatedAt = status, now
	}
	parent := o.parent
	switch {
	case status != StatusProcessed:
	case parent.refundedAmount(false) == parent.capturedAmount():
		parent.setStatus(StatusFullyRefunded)
	default:
		parent.setStatus(StatusPartiallyRefunded)
	}
	parent.updated = now
}

// refundLegs divides a refund among the parent's payments, from the first to
// the last.
func (s *Server) refundLegs(o, parent *order, left int64, now time.Time) []*payment {
	given := map[string]int64{}
	for _, r := range parent.refunds {
		for _, leg := range r.payments {
			if r.isAlive() {
				given[leg.parentID] += leg.amount.Value
			}
		}
	}
	var legs []*payment
	for _, p := range parent.livePayments() {
		taken := p.amount.Value
		if parent.preAuth {
			taken = p.capturedAmount()
		}
		part := min(left, taken-given[p.id])
		if part <= 0 {
			continue
		}
		left -= part
		id := o.id + "-" + suffix(p.method) + "-" + letters(s.digest("leg", o.id, p.id), 1)
		acquirer := s.newAcquirerData(id, "")
		acquirer.RRN = ""
		legs = append(legs, &payment{
			id: id, parentID: p.id, status: StatusPending, method: p.method, acquirer: acquirer,
			amount: Amount{part, p.amount.Currency}, createdAt: now, updatedAt: now,
		})
	}
	return legs
}

// refundDetails returns the parent's purchase_details with the refund's own
// metadata.
func refundDetails(parent json.RawMessage, metadata map[string]string) json.RawMessage {
	details := map[string]json.RawMessage{}
	if len(parent) > 0 {
		_ = json.Unmarshal(parent, &details)
	}
	if len(metadata) > 0 {
		details["merchant_metadata"] = marshal(metadata)
	}
	return marshal(details)
}

// Refund refunds an order as the merchant's dashboard would and returns the
// refund's order id. A zero amount refunds all that is left.
func (s *Server) Refund(orderID, reference string, amount Amount) (string, error) {
	body := map[string]any{"merchant_order_reference": reference}
	if amount != (Amount{}) {
		body["order_amount"] = amount
	}
	raw, err := s.fromDashboard(orderID, body, (*Server).createRefund)
	if err != nil {
		return "", err
	}
	var doc struct {
		Data struct {
			OrderID string `json:"order_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", fmt.Errorf("pluraltest: refund: %w", err)
	}
	return doc.Data.OrderID, nil
}
