package pluraltest

import (
	"slices"
	"time"
)

// captureByLegs captures an order with several payments, one payment after the
// other. Once the first payment is captured, the order is no longer AUTHORIZED.
// Its other payments are still AUTHORIZED then. The capture enters the books
// when the last payment has succeeded or failed. The capture's amount is the
// sum that was taken by then.
func (s *Server) captureByLegs(o *order, c *call, entry Capture) {
	whole := map[*payment]*captureEntry{}
	s.changeOrder(o, func(now time.Time) {
		allocateCapture(o, entry, now)
		entry.Full = entry.Amount == o.amount
		for _, p := range o.livePayments() {
			whole[p], p.captured = p.captured, nil
		}
		if entry.Full || s.cfg.quirks.has(QuirkPartProcessed) {
			o.setStatus(StatusProcessed)
		} else {
			o.setStatus(StatusPartiallyCaptured)
		}
	})
	legs := slices.DeleteFunc(o.livePayments(), func(p *payment) bool { return whole[p] == nil })
	c.legs = len(legs)
	if c.reversed {
		slices.Reverse(legs)
	}
	s.captureLegs(o, c, entry, legs, whole)
}

// captureLegs takes the money of the first payment now, and the money of the
// other payments later.
func (s *Server) captureLegs(o *order, c *call, entry Capture, legs []*payment, whole map[*payment]*captureEntry) {
	leg, rest := legs[0], legs[1:]
	fails := len(rest) == 0 && c.legs > 1 && c.result == resultByLegsFails
	s.changeOrder(o, func(now time.Time) {
		leg.updatedAt = now
		if fails {
			entry.Amount.Value -= whole[leg].amount.Value
			entry.Full = false
			leg.status, leg.failure = StatusFailed, declinedByAcquirer()
		} else {
			leg.status, leg.captured = StatusProcessed, whole[leg]
			leg.captured.at = now
		}
		if len(rest) > 0 {
			return
		}
		entry.At = now
		o.captures = append(o.captures, entry)
		for _, p := range o.livePayments() {
			if p.captured == nil {
				p.status, p.updatedAt = StatusCancelled, now // the capture did not need this payment's hold
			}
		}
	})
	switch {
	case len(rest) > 0:
		s.delayWrite(o, c, func() { s.captureLegs(o, c, entry, rest, whole) })
		return
	case fails:
		c.record.setEffect(EffectFailed, s.now())
	default:
		c.record.setEffect(EffectAppliedLate, s.now())
	}
	s.emitEvent("ORDER_PROCESSED", o)
}
