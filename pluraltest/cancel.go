package pluraltest

import (
	"net/http"
	"time"
)

// createCancel serves PUT /api/pay/v1/orders/{order_id}/cancel, which needs no
// body and ignores a body.
func (s *Server) createCancel(c *call) answer {
	o := s.orders[c.OrderID]
	switch {
	case o == nil:
		return s.notFound()
	case o.status == StatusCancelled && s.cfg.cancelDup == DuplicateReturnsExisting:
		return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view)))
	case o.status == StatusCancelled && s.cfg.cancelDup == DuplicateRejected:
		return errOrderCancelled.answer()
	case o.typ == typeCharge && o.status == StatusCreated && s.cfg.cancelUnpaid:
		s.voidOrder(o, c.RequestID)
		return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))).done()
	case o.typ != typeCharge || o.status != StatusAuthorized:
		return errNotAllowed.answer()
	}
	s.finishWrite(o, c, nil, func() { s.voidOrder(o, c.RequestID) })
	return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view))).done()
}

// voidOrder makes an order CANCELLED. If the order has a hold, voidOrder
// releases the whole hold.
func (s *Server) voidOrder(o *order, requestID string) {
	s.changeOrder(o, func(now time.Time) {
		o.setStatus(StatusCancelled)
		o.setPayments(StatusCancelled, now)
		o.cancels = append(o.cancels, Cancel{OrderID: o.id, RequestID: requestID, At: now})
	})
	s.emitEvent("ORDER_CANCELLED", o)
}

// Cancel voids an authorised order as the merchant's dashboard would.
func (s *Server) Cancel(orderID string) error {
	_, err := s.fromDashboard(orderID, nil, (*Server).createCancel)
	return err
}
