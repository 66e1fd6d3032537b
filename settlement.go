package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/plural-go/plural/internal/retry"
)

// settleWindow is how long an unsettled write is read again when the caller's
// context has no deadline.
const settleWindow = 60 * time.Second

// lookSpan is over what time looks at the books have to agree, at the least:
// replicas lag.
const lookSpan = 3 * time.Second

// settlement carries a write through: it sends, and when the answer leaves
// anything open it asks the books, until they tell what became of the write or
// attempts and time run out. It returns nil only for a write that the books
// show as carried out.
type settlement struct {
	write      *call
	orderID    string
	reference  string
	resendable bool // sending again cannot have a second effect
	slowly     bool // send again only after the books have not shown the first for lookSpan
	once       bool // never send again what may have been received

	decode func(*answer) (*Order, error)                                // the write's own answer
	judge  func(*Order) finding                                         // that answer's document
	look   look                                                         // one look at the books
	twice  func(ctx context.Context, write *call, alive []*Order) error // whether there are more than one; may be nil

	rejected  bool      // the last answer to the write refused it
	refused   ErrorCode // why an answer refused it, if it says
	ambiguous bool      // the write may have been carried out
	asks      bool      // nothing is written: it asks for what others did

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

func (s *settlement) run(ctx context.Context) (o *Order, err error) {
	began := time.Now()
	s.write.clock = &serverClock{began: began}
	s.write.reference = s.reference
	defer s.write.observe(ctx, began, &err)
	for {
		a := s.write.try(ctx)
		class, own := s.judgeAnswer(a)
		if class == classOK {
			return s.conclude(ctx, own, nil)
		}
		failure := s.write.failure(a)
		switch {
		case (class != classThrottled || !s.once) && s.write.retries(ctx, a, class, failure):
			continue
		case !s.ambiguous && needsNoLook(class, failure):
			return nil, s.write.orEnded(ctx, failure)
		}
		s.ambiguous = s.ambiguous || class == classAmbiguous
		if s.rejected = class == classRejected; s.rejected {
			s.refused = failure.Code
		}
		b := s.read(ctx)
		if b.verdict == verdictOpen && s.ambiguous && s.resendable && s.write.again(ctx, a) {
			continue
		}
		return s.conclude(ctx, b, failure)
	}
}

// judgeAnswer judges the document that the write itself was answered with. The
// class is OK only if that settles the matter.
func (s *settlement) judgeAnswer(a *answer) (class, books) {
	class := a.class()
	if class != classOK {
		return class, books{}
	}
	o, err := s.decode(a)
	if err == nil {
		f := s.judge(o)
		switch {
		case f.verdict == verdictApplied, f.verdict == verdictFinal && !f.row.twice:
			return classOK, books{order: o, finding: f}
		case f.row == rowRefundFailed && s.write.clock.mayBeNewer(f.since):
			s.failed = o.OrderID
		}
		err = errors.New(f.reason)
	}
	a.err = err
	if a.document().code().isDefinitive() {
		return classRejected, books{}
	}
	return classAmbiguous, books{}
}

// needsNoLook reports whether the first answer to a write is the answer to the
// call: nothing was sent or taken, or the credentials are refused, without
// which the books cannot be read either.
func needsNoLook(class class, failure *Error) bool {
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
		if !s.ambiguous && failure != nil {
			failure.NeedsReview = true // Plural rejected it, and the books do not show why
			return nil, failure
		}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, failure)
}

// find asks the books without sending anything.
func (s *settlement) find(ctx context.Context) (o *Order, err error) {
	s.asks = true
	s.write.reference = s.reference
	began := time.Now()
	s.write.clock = &serverClock{began: began}
	defer s.write.observe(ctx, began, &err)
	b := s.read(ctx)
	switch b.verdict {
	case verdictApplied:
		return s.onlyOnce(ctx, b)
	case verdictFinal:
		return nil, s.ruledOut(b, nil)
	case verdictOpen, verdictNotYet:
		err := fmt.Errorf("%s: %w", b.reason, ErrNotFound)
		return nil, &Error{Op: s.write.op.op(), OrderID: s.orderID, RequestID: s.write.requestID, Err: err}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, nil)
}

// settle asks the books again what became of a write that may have been carried
// out, without sending anything. It shares nothing with the call that ended.
func (s *settlement) settle(ctx context.Context) (*Order, error) {
	again := *s
	again.write, again.alive = s.write.asking(), slices.Clone(s.alive)
	again.ambiguous = true
	b := again.read(ctx)
	switch b.verdict {
	case verdictApplied:
		return again.onlyOnce(ctx, b)
	case verdictFinal:
		return nil, again.ruledOut(b, nil)
	case verdictOpen, verdictNotYet, verdictUnclear:
	}
	return nil, again.unknown(ctx, b, nil)
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
	case f.row == rowNoHold && s.ambiguous:
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
		if !s.pause(ctx, window, n) {
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
	return s.ambiguous && s.resendable && !s.slowly && s.write.attempts < s.write.maxAttempts()
}

// streak counts looks in a row.
type streak struct {
	looks int
	since time.Time
}

func (s *streak) count() {
	if s.looks == 0 {
		s.since = time.Now()
	}
	s.looks++
}

// countIf counts, or begins again.
func (s *streak) countIf(same bool) {
	if !same {
		*s = streak{}
		return
	}
	s.count()
}

func (s *streak) lasted(span time.Duration) bool {
	return s.looks >= minLooks && time.Since(s.since) >= span
}

// pause waits before look number n+1: as long as the policy says, but no less
// than spreads the looks over lookSpan, and no longer than half of the time
// left, so the last look is near the end of it.
func (s *settlement) pause(ctx, window context.Context, n int) bool {
	policy := s.write.p.cfg.retry
	wait := max(policy.Backoff(n), lookSpan/(2*minLooks))
	if n <= 2*minLooks {
		wait = min(wait, lookSpan/2)
	}
	if deadline, ok := window.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline)/2, policy.MinDelay))
	}
	if !retry.Fits(ctx, wait) {
		s.write.cut = true
	}
	return retry.Wait(window, wait)
}

// isExhausted reports whether a look failed in a way that it has repeated by
// itself as often as allowed.
func isExhausted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable()
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
		read := write.p.reading(write, opGetOrder, pathOfOrder(orderID), orderID, decodeOrderOf(orderID))
		o, err := read(ctx)
		switch {
		case provesAbsence(err):
			return nil, absent(), nil
		case err != nil:
			return nil, finding{}, err
		}
		return o, judge(o), nil
	}
}
