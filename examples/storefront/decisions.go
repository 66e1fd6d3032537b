package main

import (
	"strings"
	"time"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// A decision is something that an operator decided about an order.
type decision struct {
	Reference string
	Number    string // of the order
	Kind      string
	Amount    plural.Amount
	Whole     bool // the operator chose the whole amount, and did not enter a sum
	State     string
	Reason    string // explains the state; a waiting decision has a reason only if a person has to look
	JobID     int64
	DecidedAt time.Time
	EndedAt   time.Time
}

// The kinds and states of a decision.
const (
	kindCapture = "capture"
	kindCancel  = "cancel"
	kindRefund  = "refund"

	stateWaiting    = "waiting"
	stateDone       = "done"
	stateRefused    = "refused"     // nothing was carried out, and nothing will be
	stateReview     = "to be seen"  // money may have moved, but not as the operator decided: a person has to look
	stateWrittenOff = "written off" // a person has looked, and closed the decision
)

// Troubled reports whether a person has to look at the decision.
func (d *decision) Troubled() bool {
	return d.State == stateReview || d.State == stateWaiting && d.Reason != ""
}

// Text describes a decision in words.
func (d *decision) Text() string {
	about := map[string]string{
		kindCapture: "Capture of " + d.Amount.Display(),
		kindCancel:  "Cancellation",
		kindRefund:  "Refund of " + d.Amount.Display(),
	}[d.Kind]
	switch d.State {
	case stateDone:
		return strings.TrimSpace(about + " carried out " + d.Reason)
	case stateRefused:
		return about + " not carried out: " + d.Reason
	case stateReview:
		return about + " has to be looked at: " + d.Reason
	case stateWrittenOff:
		return about + " written off"
	}
	if d.Reason != "" {
		return about + " decided, and has to be looked at: " + d.Reason
	}
	return about + " decided"
}

// args returns the arguments of the job that carries out a decision.
func (d *decision) args(o *order) pluralriver.MoneyArgs {
	switch d.Kind {
	case kindCapture:
		if d.Whole {
			return pluralriver.CaptureArgs{OrderID: o.PluralID, Reference: d.Reference, Full: true}
		}
		return pluralriver.CaptureArgs{OrderID: o.PluralID, Reference: d.Reference, Amount: d.Amount}
	case kindCancel:
		return pluralriver.CancelArgs{OrderID: o.PluralID}
	}
	return pluralriver.RefundArgs{OrderID: o.PluralID, Reference: d.Reference, Amount: d.Amount}
}

// decisionSums has the totals of the decisions about one order. Refused
// decisions do not count.
type decisionSums struct {
	ends      int           // number of captures and cancels
	cancels   int           // number of cancels that wait or were carried out
	isInDoubt bool          // a person has to look at a capture or cancel, or has already closed it (stateWrittenOff)
	captured  plural.Amount // sum of the captures that were carried out
	refunded  plural.Amount // sum of the refunds that were carried out
	refunding plural.Amount // sum of all decided refunds, except those that were refused or written off
	waiting   int           // number of decisions that wait to be carried out
}

func sumDecisions(decisions []*decision) decisionSums {
	sum := decisionSums{captured: plural.INR(0), refunded: plural.INR(0), refunding: plural.INR(0)}
	for _, d := range decisions {
		if d.State == stateRefused {
			continue
		}
		if d.State == stateWaiting {
			sum.waiting++
		}
		if d.Kind == kindRefund {
			sum.addRefund(d)
			continue
		}
		sum.ends++
		sum.isInDoubt = sum.isInDoubt || d.Troubled() || d.State == stateWrittenOff
		switch {
		case d.Kind == kindCancel && (d.State == stateWaiting || d.State == stateDone):
			sum.cancels++
		case d.Kind == kindCapture && d.State == stateDone:
			sum.captured.Value += d.Amount.Value
		}
	}
	return sum
}

// addRefund adds a refund to the sums, unless it was written off.
func (s *decisionSums) addRefund(d *decision) {
	if d.State != stateWrittenOff {
		s.refunding.Value += d.Amount.Value
	}
	if d.State == stateDone {
		s.refunded.Value += d.Amount.Value
	}
}

// canCapture reports whether the hold of an order can be captured. If the order
// is a second order under one number (see twins.go), canCapture returns false,
// because the customer owes the money only once.
func (s *decisionSums) canCapture(o *order) bool {
	return o.Status == plural.OrderStatusAuthorized && s.ends == 0 && o.TwinOf == ""
}

// canCancel reports whether the hold of an order can be released. A hold can be
// released even if the shop does not know what happened to a capture. Plural
// carries out either the capture or the cancel, never both, and its books show
// which.
func (s *decisionSums) canCancel(o *order) bool {
	return o.Status == plural.OrderStatusAuthorized && s.cancels == 0 && (s.ends == 0 || s.isInDoubt)
}

// refundableAmount returns the amount that can still be refunded. It takes the
// captured amount in Plural's books, and subtracts two sums:
//   - The refunds that were carried out, here or on Plural's dashboard.
//   - The decided refunds whose result is open, because they still wait, or
//     because a person has to look at them.
func (s *decisionSums) refundableAmount(o *order) plural.Amount {
	waiting := s.refunding.Value - s.refunded.Value
	return plural.INR(o.Captured.Value - max(o.Refunded.Value, s.refunded.Value) - waiting)
}

// decisionError is an error with a text for the operator. The text explains
// why a decision cannot be made.
type decisionError string

func (p decisionError) Error() string { return string(p) }

const (
	errChanged     = decisionError("This order has changed since you opened it. Look at it again, then decide.")
	errNoHold      = decisionError("There is no hold to capture or cancel.")
	errTooMuch     = decisionError("That is more than can be taken or given back.")
	errTooLittle   = decisionError("Plural moves no less than one rupee.")
	errAmount      = decisionError("Enter an amount in rupees, such as 499.50.")
	errStillEnding = decisionError("An earlier decision has not ended yet. Try again in a minute.")
	errNotInDoubt  = decisionError("Nobody has to look at this decision, so there is nothing to write off.")
)

// leastAmount is the smallest sum that Plural captures or refunds, in paise.
// The shop checks this before it stores a decision. Without the check, InsertTx
// would return an error, and the operator would see an error page that does not
// name the reason.
const leastAmount = 100
