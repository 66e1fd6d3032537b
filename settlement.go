package plural

import (
	"context"
	"errors"
	"time"

	"github.com/plural-go/plural/internal/retry"
)

// settleWindow is how long an unsettled write is read again when the caller's
// context has no deadline.
const settleWindow = 60 * time.Second

// refundReferenceIsUnique says that Plural carries out one refund per
// reference, as it documents. It makes it safe to send a refund again whose
// answer was lost and which the books do not show. If Plural should turn out
// not to, refunds stop repeating by setting this to false.
const refundReferenceIsUnique = true

// settlement carries a write through: it sends, and when the answer leaves
// anything open it asks the books, until they tell what became of the write or
// attempts and time run out. It returns nil only for a write that the books
// show as carried out.
type settlement struct {
	write      *call
	orderID    string
	reference  string
	resendable bool // sending again cannot have a second effect

	decode func(*answer) (*Order, error)                      // the write's own answer
	judge  func(*Order) finding                               // that answer's document
	look   func(ctx context.Context) (*Order, finding, error) // one look at the books; the Order may be nil
}

// books is what the last looks said.
type books struct {
	order *Order
	finding
	err error // why the last look failed, if it did
}

func (s *settlement) run(ctx context.Context) (*Order, error) {
	ambiguous := false
	for {
		a := s.write.try(ctx)
		class := a.class()
		if class == classOK {
			o, err := s.decode(a)
			var f finding
			if err == nil {
				f = s.judge(o)
				switch f.verdict {
				case verdictApplied:
					return o, nil
				case verdictConflict, verdictClosed:
					return nil, s.ruledOut(o, f, nil)
				case verdictUnclear, verdictUnpaid, verdictOpen:
				}
			}
			if a.err = err; err == nil {
				a.err = errors.New(f.reason)
			}
			if class = classAmbiguous; a.document().code().isDefinitive() {
				class = classRejected
			}
		}
		failure := s.write.failure(a)
		switch class {
		case classNotSent, classThrottled:
			if failure.Retryable() && s.write.again(ctx, a) {
				continue
			}
			if !ambiguous {
				return nil, s.write.orEnded(ctx, failure)
			}
		case classRejected:
			if !ambiguous && !s.write.op.doubts(failure.Code) {
				return nil, failure
			}
		case classAmbiguous, classOK:
			ambiguous = true
		}
		b := s.read(ctx, ambiguous)
		switch b.verdict {
		case verdictApplied:
			return b.order, nil
		case verdictConflict:
			return nil, s.ruledOut(b.order, b.finding, nil) // what it was rejected for is not what is wrong
		case verdictClosed:
			return nil, s.ruledOut(b.order, b.finding, rejection(class, failure))
		case verdictOpen, verdictUnpaid:
			if !ambiguous && failure.Code != CodeDuplicateRequest {
				return nil, failure
			}
			if b.verdict == verdictOpen && ambiguous && s.resendable && s.write.again(ctx, a) {
				continue
			}
		case verdictUnclear:
		}
		return nil, s.unknown(ctx, b, failure)
	}
}

// read looks at the books until they settle the matter.
//
// After a try that may have been carried out, books that read open count at
// once: sending again is safe. After a rejection they contradict it or are
// behind, so that the rejection is believed only after as many looks in a row
// that find the write not carried out. What is under way is looked at until
// time runs out, what is otherwise unclear a few times, and so is an answer
// that cannot be used; a server that does not answer has been asked often
// enough by one look.
func (s *settlement) read(ctx context.Context, ambiguous bool) books {
	window := ctx
	_, isBounded := ctx.Deadline()
	if !isBounded {
		var cancel context.CancelFunc
		window, cancel = context.WithTimeout(ctx, settleWindow)
		defer cancel()
	}
	var b books
	agreed, inVain := 0, 0
	looks := max(s.write.p.cfg.retry.MaxAttempts, minLooks)
	for n := 1; ; n++ {
		var o *Order
		o, b.finding, b.err = s.look(window)
		if o != nil {
			b.order = o
		}
		inVain++
		switch b.verdict {
		case verdictApplied, verdictConflict, verdictClosed:
			return b
		case verdictOpen, verdictUnpaid:
			agreed++
			if agreed >= looks || b.verdict == verdictOpen && ambiguous {
				return b
			}
		case verdictUnclear:
			agreed = 0
			if b.pending {
				inVain = 0
			}
			if inVain >= looks || isExhausted(b.err) {
				return b
			}
		}
		if !s.pause(window, n) {
			break
		}
	}
	if !isBounded && ctx.Err() == nil {
		b.err = errors.New("not settled within " + settleWindow.String())
	}
	b.verdict = verdictUnclear
	return b
}

// pause waits before look number n+1: as long as the policy says, but no longer
// than half of the time left, so that the last look is near the end of it.
func (s *settlement) pause(window context.Context, n int) bool {
	policy := s.write.p.cfg.retry
	wait := policy.Backoff(n)
	if deadline, ok := window.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline)/2, policy.MinDelay))
	}
	return retry.Wait(window, wait)
}

// isExhausted says whether a look failed in a way that it has repeated by
// itself as often as allowed.
func isExhausted(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable()
}

func rejection(class class, failure *Error) error {
	if class == classRejected {
		return failure
	}
	return nil
}

func (s *settlement) ruledOut(o *Order, f finding, cause error) error {
	return &StateError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Order:     o,
		Reason:    f.reason,
		Err:       cause,
		reused:    f.verdict == verdictConflict,
	}
}

func (s *settlement) unknown(ctx context.Context, b books, failure *Error) error {
	err := s.write.orEnded(ctx, failure)
	switch {
	case b.err != nil:
		err = errors.Join(err, b.err)
	case b.reason != "" && (failure.Err == nil || failure.Err.Error() != b.reason):
		err = errors.Join(err, errors.New(b.reason))
	}
	return &OutcomeUnknownError{Op: s.write.op.op(), OrderID: s.orderID, Reference: s.reference, Last: b.order, Err: err}
}

// lookAtOrder is the look at the books of a capture or a cancel: the order
// itself.
func lookAtOrder(
	write *call,
	orderID string,
	judge func(*Order) finding,
) func(context.Context) (*Order, finding, error) {
	read := write.p.reading(write, opGetOrder, pathOfOrder(orderID), orderID, decodeOrderOf(orderID))
	return func(ctx context.Context) (*Order, finding, error) {
		o, err := read(ctx)
		if err != nil {
			return nil, finding{}, err
		}
		return o, judge(o), nil
	}
}
