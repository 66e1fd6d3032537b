package pluraltest

import (
	"fmt"
	"time"
)

// Lapse is the way in which a hold ends if nobody captures the money. There are
// three such ways: the hold ends at the bank alone, in the books of Plural
// alone, or in both places. Plural does not document how long a hold lasts, or
// which status the order gets.
type Lapse int

// The ways in which a hold can end without a capture.
const (
	LapseEverywhere Lapse = iota // the bank has released the hold, and the order is CANCELLED
	// The bank has released the hold, but the order still has the status
	// AUTHORIZED. A capture is refused with PAYMENT_EXPIRED. A cancel
	// succeeds, because there is nothing left to release.
	LapseAtBank
	LapseInBooks // the order is CANCELLED, and the bank still holds the money
)

// WithHoldLifetime makes a hold end by itself if the hold is not captured or
// cancelled within this time. The time runs on the server's clock, which
// [Server.Advance] moves. Without this option a hold lasts until
// [Server.LapseHold].
func WithHoldLifetime(d time.Duration, where Lapse) Option {
	return func(c *config) { c.holdLifetime, c.holdLapse = max(d, 0), where }
}

// LapseHold ends the hold of an order now, without a capture. If a hold has
// ended only at the bank, a second call can end the hold in the books too.
// LapseHold returns an error if the order is not AUTHORIZED, because the order
// then has no hold.
func (s *Server) LapseHold(orderID string, where Lapse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil || o.status != StatusAuthorized {
		return fmt.Errorf("pluraltest: lapse: there is no hold of an order %q", orderID)
	}
	s.lapse(o, where)
	return nil
}

func (s *Server) lapse(o *order, where Lapse) {
	if where != LapseInBooks {
		o.lapsed = true
	}
	if where == LapseAtBank {
		return
	}
	s.changeOrder(o, func(now time.Time) {
		o.setPayments(StatusCancelled, now)
		o.setStatus(StatusCancelled)
	})
	s.emitEvent("ORDER_CANCELLED", o)
}

// startHold records that a hold begins now. If holds have a lifetime, startHold
// also schedules the end of the hold. s.mu must be held.
func (s *Server) startHold(o *order, now time.Time) {
	o.heldAt = now
	if s.cfg.holdLifetime > 0 {
		j := s.schedule(s.cfg.holdLifetime, func(dropped bool) {
			if !dropped {
				s.lapseDue()
			}
		})
		j.isClock = true
	}
}

// lapseDue ends every hold that has reached its lifetime. s.mu must be held.
func (s *Server) lapseDue() {
	if s.cfg.holdLifetime == 0 {
		return
	}
	now := s.now()
	for _, o := range s.inOrder {
		isOld := !o.heldAt.IsZero() && !now.Before(o.heldAt.Add(s.cfg.holdLifetime))
		if isOld && o.status == StatusAuthorized && !o.lapsed {
			s.lapse(o, s.cfg.holdLapse)
		}
	}
}
