package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// settlement carries a write through: it sends, and when the answer leaves
// anything open it asks the books, until they tell what became of the write or
// attempts and time run out. It returns nil only for a write that the books
// show as carried out.
type settlement struct {
	write      *call
	orderID    string
	reference  string
	asks       bool // nothing is written: it asks for what others did
	resendable bool // what may have been received may be sent again, without a second effect
	slowly     bool // but only after the books have not shown the first for lookSpan

	decode decoder                                                      // the write's own answer
	judge  func(*Order) finding                                         // that answer's document
	look   look                                                         // one look at the books
	twice  func(ctx context.Context, write *call, alive []*Order) error // whether there are more than one; may be nil

	rejected bool      // the last answer to the write refused it
	refused  ErrorCode // why an answer refused it, if it says

	failed string // the refund that the write itself was answered with, FAILED

	alive []*Order // the refunds of the reference that have been seen, and did not fail
}

// look is one look at the books, for a write. The Order may be nil.
type look func(ctx context.Context, write *call) (*Order, finding, error)

// books is what the last looks said.
type books struct {
	order *Order
	finding
	err   error // why the last look failed, if it did
	whole bool  // they were looked at for as long as it takes
	drags bool  // or for as long as there was time, and showed something under way
}

// isStuck reports whether the books were read and do not tell, though nothing
// that they show is under way.
func (b books) isStuck() bool {
	return b.whole && b.err == nil && b.order != nil && b.verdict == verdictUnclear && !b.pending
}

// run carries the write through, or, of one that asks, looks at the books only.
func (s *settlement) run(ctx context.Context) (o *Order, err error) {
	began := time.Now()
	s.write.clock = &serverClock{began: began}
	s.write.reference = s.reference
	defer s.write.observe(ctx, began, &err)
	if s.asks {
		return s.conclude(ctx, s.read(ctx), nil)
	}
	repeats := repeatNotTaken
	if !s.resendable {
		repeats = repeatUnsent
	}
	var own books
	accept := func(a *answer) (err error) {
		own, err = s.judgeAnswer(a)
		return err
	}
	for {
		class, failure := s.write.send(ctx, accept, repeats)
		switch {
		case failure == nil:
			return s.conclude(ctx, own, nil)
		case !s.write.ambiguous && needsNoLook(class, failure):
			return nil, failure
		}
		if s.rejected = class == classRejected; s.rejected {
			s.refused = failure.Code
		}
		b := s.read(ctx)
		if b.verdict == verdictOpen && s.write.ambiguous && s.resendable && s.write.waitToRepeat(ctx, failure) {
			continue
		}
		return s.conclude(ctx, b, failure)
	}
}

// judgeAnswer judges the document that the write itself was answered with. The
// error is why that does not settle the matter.
func (s *settlement) judgeAnswer(a *answer) (books, error) {
	o, err := s.decode(a)
	if err != nil {
		return books{}, err
	}
	f := s.judge(o)
	switch {
	case f.verdict == verdictApplied, f.verdict == verdictFinal && !f.row.twice:
		return books{order: o, finding: f}, nil
	case f.row == rowRefundFailed && s.write.clock.mayBeNewer(f.since):
		s.failed = o.OrderID
	}
	return books{}, errors.New(f.reason)
}

// needsNoLook reports whether the first answer to a write is the answer to the
// call: nothing was sent or taken, or the credentials are refused, without
// which the books cannot be read either.
func needsNoLook(class answerClass, failure *Error) bool {
	switch class {
	case classNotSent, classThrottled:
		return true
	case classRejected:
		return failure.StatusCode == http.StatusUnauthorized
	case classOK, classAmbiguous:
	}
	return false
}

// conclude makes the call's answer of what the books say. The failure is nil
// when the write's own answer said it.
func (s *settlement) conclude(ctx context.Context, b books, failure *Error) (*Order, error) {
	switch b.verdict {
	case verdictApplied:
		return s.onlyOnce(ctx, b)
	case verdictFinal:
		return nil, s.ruledOut(b, failure)
	case verdictOpen, verdictNotYet:
		switch {
		case s.write.ambiguous:
		case s.asks:
			err := fmt.Errorf("%s: %w", b.reason, ErrNotFound)
			return nil, &Error{Op: s.write.op.op(), OrderID: s.orderID, RequestID: s.write.requestID, Err: err}
		case failure != nil:
			failure.NeedsReview = true // Plural rejected it, and the books do not show why
			return nil, failure
		}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, failure)
}

// settle asks the books again what became of a write that may have been carried
// out, without sending anything. It shares nothing with the call that ended.
func (s *settlement) settle(ctx context.Context) (*Order, error) {
	again := *s
	again.write, again.alive = s.write.settlingCopy(), slices.Clone(s.alive)
	again.write.ambiguous = true
	return again.conclude(ctx, again.read(ctx), nil)
}

// onlyOnce is what the books show as carried out, unless that was done twice.
func (s *settlement) onlyOnce(ctx context.Context, b books) (*Order, error) {
	if s.twice != nil {
		if err := s.twice(ctx, s.write, withRefund(s.alive, b.order)); err != nil {
			return nil, err
		}
	}
	return b.order, nil
}

// weigh turns findings that do not hold for this write into others. A refund
// that FAILED before the write was sent tells nothing of the write. Nor does an
// order without capture entries, where the write may have been what took the
// money. An amount that is too large is not why a write was refused for the
// order's state: then there is more in the books than they show.
func (s *settlement) weigh(o *Order, f finding) finding {
	switch {
	case f.row == rowRefundFailed && s.asks:
		return notYet(f.reason)
	case f.row == rowRefundFailed && o.OrderID != s.failed && !s.write.clock.isNewer(f.since):
		return unclear(f.reason + ", but may be older than this call")
	case (f.row == rowCaptureTooMuch || f.row == rowRefundTooMuch) && s.refused.speaksOfState():
		return notYet(f.reason)
	case f.row == rowNoHold && s.write.ambiguous:
		return notYet("the order does not say under which reference it was captured")
	}
	return f
}

// read looks at the books until they settle the matter.
//
// Books that show the write as carried out count at once, and so does a row of
// evidence that one look is enough for. Everything else counts only when
// several looks agree over lookSpan, since replicas lag; except that a capture
// or a cancel that may have been carried out is sent again at once, which can
// have no second effect. What is under way is looked at until time runs out,
// what is otherwise unclear for as long as what has to agree, and so is an
// answer that cannot be used; a server that does not answer has been asked
// often enough by one look. With less time than lookSpan only what counts at
// once does.
func (s *settlement) read(ctx context.Context) books {
	s.write.askedBooks = true
	window := ctx
	_, isBounded := ctx.Deadline()
	if !isBounded {
		var cancel context.CancelFunc
		window, cancel = context.WithTimeout(ctx, settleWindow)
		defer cancel()
	}
	var b books
	var agreed, inVain, underWay streak
	for n := 1; ; n++ {
		before := b.finding
		var o *Order
		o, b.finding, b.err = s.look(window, s.write)
		for _, r := range b.alive {
			s.alive = withRefund(s.alive, r)
		}
		b.finding = s.weigh(o, b.finding)
		if o != nil {
			b.order = o
			underWay.countIf(b.pending)
		}
		if b.verdict != before.verdict || b.row != before.row {
			agreed = streak{}
		}
		inVain.count()
		agreed.count()
		b.whole = agreed.lasted(lookSpan)
		switch b.verdict {
		case verdictApplied:
			return b
		case verdictFinal:
			if b.whole || !b.row.twice {
				return b
			}
		case verdictOpen, verdictNotYet:
			if b.whole || b.verdict == verdictOpen && s.resendsAtOnce() {
				return b
			}
		case verdictUnclear:
			if b.pending {
				inVain = streak{}
			}
			if b.whole = inVain.lasted(lookSpan); b.whole || isExhausted(b.err) {
				return b
			}
		}
		if !s.write.waitToLook(ctx, window, n) {
			break
		}
	}
	b.whole, b.drags = false, underWay.lasted(lookSpan) && !errors.Is(ctx.Err(), context.Canceled)
	if !isBounded && ctx.Err() == nil {
		b.err = errors.New("not settled within " + settleWindow.String())
	}
	b.verdict = verdictUnclear
	return b
}

// resendsAtOnce reports whether one look that does not show the write is enough
// to send it again.
func (s *settlement) resendsAtOnce() bool {
	return s.write.ambiguous && s.resendable && !s.slowly && s.write.attempts < s.write.maxAttempts()
}

// patience is how long something may be under way before a person should look.
const patience = 5 * time.Minute

// hasStalled reports whether nothing has changed about an order for longer than
// that, or whether its times do not tell.
func (s *settlement) hasStalled(o *Order) bool {
	changed := o.UpdatedAt.Time
	if changed.IsZero() {
		changed = o.CreatedAt.Time
	}
	now, isKnown := s.write.clock.now()
	return !isKnown || changed.IsZero() || now.Sub(changed) > patience
}

func (s *settlement) ruledOut(b books, rejection *Error) error {
	state := &StateError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Order:     b.order,
		Reason:    b.reason,
		Conflict:  b.row.isConflict(),
		NoHold:    b.row == rowNoHold,
	}
	state.Reused = state.Conflict && !state.NoHold && s.write.clock.isOlder(b.since)
	if rejection != nil && s.rejected && (!state.Conflict || state.NoHold) { // else it is not what is wrong
		state.Err = rejection
	}
	return state
}

func (s *settlement) unknown(ctx context.Context, b books, failure *Error) error {
	var causes []error
	if failure != nil {
		causes = append(causes, s.write.orEnded(ctx, failure))
	} else if err := endOf(ctx); err != nil {
		causes = append(causes, err)
	}
	switch {
	case b.err != nil:
		causes = append(causes, b.err)
	case b.reason != "" && (failure == nil || failure.Err == nil || failure.Err.Error() != b.reason):
		causes = append(causes, errors.New(b.reason))
	}
	return &OutcomeUnknownError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Last:      b.order,
		Err:       errors.Join(causes...),
		settle:    s.settle,

		NeedsReview: b.isStuck() || b.whole && b.err == nil && s.rejected || b.drags && s.hasStalled(b.order),
	}
}

// lookAtOrder is the look at the books of a capture or a cancel: the order
// itself.
func lookAtOrder(orderID string, judge func(*Order) finding) look {
	return func(ctx context.Context, write *call) (*Order, finding, error) {
		o, err := write.askOrder(ctx, orderID)
		switch {
		case provesAbsence(err):
			return nil, absent(), nil
		case err != nil:
			return nil, finding{}, err
		}
		return o, judge(o), nil
	}
}
