package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/plural-go/plural/internal/retry"
)

// settleWindow is how long an unsettled write is read again when the caller's
// context has no deadline.
const settleWindow = 60 * time.Second

// refundReferenceIsUnique says that Plural carries out one refund per
// reference, as it documents. It makes it safe to send a refund again whose
// answer was lost and which the books do not show. If that proves wrong, set it
// to false: a call then sends a refund once.
const refundReferenceIsUnique = true

// lookSpan is over what time looks at the books have to agree, at the least:
// replicas lag. It is half of the caller's time where that is shorter.
const lookSpan = 3 * time.Second

// clockSlack is what a time in a document may differ from the Date of an answer
// and still be the same moment: Date has whole seconds.
const clockSlack = 2 * time.Second

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

	decode func(*answer) (*Order, error)                      // the write's own answer
	judge  func(*Order) finding                               // that answer's document
	look   func(ctx context.Context) (*Order, finding, error) // one look at the books; the Order may be nil
	twice  func(ctx context.Context) error                    // whether it was carried out twice; may be nil

	ambiguous bool // the write may have been carried out
	resent    bool // it was sent again after that

	began    time.Time // when the write was first sent, by our clock
	answered time.Time // when its last answer came, by our clock
	date     string    // and by the server's, in a header
}

// books is what the last looks said.
type books struct {
	order *Order
	finding
	err    error         // why the last look failed, if it did
	agreed time.Duration // for how long the looks have said so
}

// isStuck says whether the books were read and do not tell, though nothing that
// they show is under way.
func (b books) isStuck() bool {
	return b.err == nil && b.order != nil && b.verdict == verdictUnclear && !b.pending && !b.callAgain
}

func (s *settlement) run(ctx context.Context) (o *Order, err error) {
	s.began = time.Now()
	s.write.reference = s.reference
	defer s.write.observe(ctx, s.began, &err)
	for {
		a := s.write.try(ctx)
		s.readClock(a)
		class, own := s.judgeAnswer(a)
		if class == classOK {
			return s.conclude(ctx, own, class, nil)
		}
		failure := s.write.failure(a)
		switch {
		case s.write.retries(ctx, a, class, failure):
			continue
		case !s.ambiguous && needsNoLook(class, failure):
			return nil, s.write.orEnded(ctx, failure)
		}
		s.ambiguous = s.ambiguous || class == classAmbiguous
		b := s.read(ctx)
		if b.verdict == verdictOpen && s.ambiguous && s.mayResend(b) && s.write.again(ctx, a) {
			s.resent = true
			continue
		}
		return s.conclude(ctx, b, class, failure)
	}
}

// mayResend says whether a write that the books do not show can be sent again.
// A server that checks a reference before it makes the refund could make two:
// no time of the caller's is too short for the span that has to pass first.
func (s *settlement) mayResend(b books) bool {
	return s.resendable && (!s.slowly || b.agreed >= lookSpan)
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
		case f.verdict == verdictApplied,
			f.verdict == verdictClosed,
			f.verdict == verdictConflict && s.isAnothers(f):
			return classOK, books{order: o, finding: f}
		}
		err = errors.New(f.reason)
	}
	a.err = err
	if a.document().code().isDefinitive() {
		return classRejected, books{}
	}
	return classAmbiguous, books{}
}

// needsNoLook says whether the first answer to a write is the answer to the
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
func (s *settlement) conclude(ctx context.Context, b books, class class, failure *Error) (*Order, error) {
	switch b.verdict {
	case verdictApplied:
		if s.resent {
			return s.onlyOnce(ctx, b)
		}
		return b.order, nil
	case verdictConflict: // what it was rejected for is not what is wrong
		return nil, s.ruledOut(b, nil)
	case verdictClosed, verdictNoHold:
		if class == classRejected {
			return nil, s.ruledOut(b, failure)
		}
		return nil, s.ruledOut(b, nil)
	case verdictOpen, verdictUnpaid, verdictAbsent:
		if !s.ambiguous {
			if s.believes(failure, b.verdict) {
				return nil, failure
			}
			b.reason += ", so that another request for it may be under way"
		}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, failure)
}

// find asks the books without sending anything.
func (s *settlement) find(ctx context.Context) (o *Order, err error) {
	s.write.reference = s.reference
	defer s.write.observe(ctx, time.Now(), &err)
	b := s.read(ctx)
	switch b.verdict {
	case verdictApplied:
		return s.onlyOnce(ctx, b)
	case verdictConflict, verdictClosed, verdictNoHold:
		return nil, s.ruledOut(b, nil)
	case verdictOpen, verdictUnpaid, verdictAbsent:
		err := fmt.Errorf("%s: %w", b.reason, ErrNotFound)
		return nil, &Error{Op: s.write.op.op(), OrderID: s.orderID, RequestID: s.write.requestID, Err: err}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, nil)
}

// settle asks the books once more what became of a write that may have been
// carried out, without sending anything.
func (s *settlement) settle(ctx context.Context) (*Order, error) {
	again := *s
	again.ambiguous = true
	b := again.read(ctx)
	switch b.verdict {
	case verdictApplied:
		return s.onlyOnce(ctx, b)
	case verdictConflict, verdictClosed:
		return nil, s.ruledOut(b, nil)
	case verdictOpen, verdictUnpaid, verdictAbsent, verdictNoHold, verdictUnclear:
	}
	return nil, s.unknown(ctx, b, nil)
}

// onlyOnce is what the books show as carried out, unless that was done twice.
func (s *settlement) onlyOnce(ctx context.Context, b books) (*Order, error) {
	if s.twice != nil {
		if err := s.twice(ctx); err != nil {
			return nil, err
		}
	}
	return b.order, nil
}

// believes says whether a rejection is the answer, given what several looks at
// the books agree on. Where they confirm it, it is marked as not applied; where
// they contradict it, it is not believed.
func (s *settlement) believes(failure *Error, v verdict) bool {
	switch {
	case failure.Code == CodeOrderNotFound:
		failure.NotApplied = v == verdictAbsent
	case failure.Code.speaksOfState():
		if v == verdictOpen {
			return false
		}
		failure.NotApplied = v == verdictUnpaid
	case failure.Code.speaksOfRequest():
		failure.NotApplied = v != verdictAbsent
	}
	return true
}

// readClock notes what the server's clock says.
func (s *settlement) readClock(a *answer) {
	if date := a.header.Get("Date"); date != "" {
		s.date, s.answered = date, time.Now()
	}
}

// isOlder says whether something was there, beyond doubt, before this write was
// sent.
func (s *settlement) isOlder(t time.Time) bool {
	date, err := http.ParseTime(s.date)
	if err != nil || t.IsZero() {
		return false
	}
	ahead := date.Sub(s.answered)
	return t.Add(clockSlack).Before(s.began.Add(ahead))
}

// isAnothers says whether a conflict is with another write for certain. Amounts
// that differ by rounding, discount or fee may be this write's own.
func (s *settlement) isAnothers(f finding) bool { return !f.mayBeOurs || s.isOlder(f.since) }

// weigh turns findings that may be of another life of the reference into
// unclear ones. A write that was rejected made none of them.
func (s *settlement) weigh(f finding) finding {
	switch {
	case !s.ambiguous:
		return f
	case f.verdict == verdictConflict && !s.isAnothers(f):
		return callAgain(f.reason + ", by this call or by another")
	case f.verdict == verdictClosed && f.mayBeOld && (f.since.IsZero() || s.isOlder(f.since)):
		return callAgain(f.reason + ", but may be older than this call")
	case f.verdict == verdictNoHold:
		return callAgain("the order does not say under which reference it was captured")
	}
	return f
}

// read looks at the books until they settle the matter.
//
// Books that say that the write was carried out, or never can be, count at
// once. Books that do not show it may be behind, so that they count only when
// several looks agree over lookSpan; except that a capture or a cancel that may
// have been carried out is sent again at once, which can have no second effect.
// What is under way is looked at until time runs out, what is otherwise unclear
// for as long as what has to agree, and so is an answer that cannot be used; a
// server that does not answer has been asked often enough by one look.
func (s *settlement) read(ctx context.Context) books {
	s.write.askedBooks = true
	window := ctx
	_, isBounded := ctx.Deadline()
	if !isBounded {
		var cancel context.CancelFunc
		window, cancel = context.WithTimeout(ctx, settleWindow)
		defer cancel()
	}
	span := lookSpan
	if deadline, ok := window.Deadline(); ok {
		span = min(span, time.Until(deadline)/2)
	}
	var b books
	agreed, inVain := streak{}, streak{}
	for n := 1; ; n++ {
		before := b.verdict
		var o *Order
		o, b.finding, b.err = s.look(window)
		b.finding = s.weigh(b.finding)
		if o != nil {
			b.order = o
		}
		if b.verdict != before {
			agreed = streak{}
		}
		inVain.count()
		switch b.verdict {
		case verdictApplied, verdictConflict, verdictClosed:
			return b
		case verdictOpen, verdictUnpaid, verdictAbsent, verdictNoHold:
			agreed.count()
			b.agreed = time.Since(agreed.since)
			if agreed.lasted(span) || b.verdict == verdictOpen && s.ambiguous && !s.slowly {
				return b
			}
		case verdictUnclear:
			if b.pending {
				inVain = streak{}
			}
			if inVain.lasted(span) || isExhausted(b.err) {
				return b
			}
		}
		if !s.pause(ctx, window, n, span) {
			break
		}
	}
	if !isBounded && ctx.Err() == nil {
		b.err = errors.New("not settled within " + settleWindow.String())
	}
	b.verdict = verdictUnclear
	return b
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

func (s *streak) lasted(span time.Duration) bool {
	return s.looks >= minLooks && time.Since(s.since) >= span
}

// pause waits before look number n+1: as long as the policy says, but no less
// than spreads the looks over the span, and no longer than half of the time
// left, so that the last look is near the end of it.
func (s *settlement) pause(ctx, window context.Context, n int, span time.Duration) bool {
	policy := s.write.p.cfg.retry
	wait := max(policy.Backoff(n), span/(2*minLooks))
	if n <= 2*minLooks {
		wait = min(wait, span/2)
	}
	if deadline, ok := window.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline)/2, policy.MinDelay))
	}
	if !retry.Fits(ctx, wait) {
		s.write.cut = true
	}
	return retry.Wait(window, wait)
}

// isExhausted says whether a look failed in a way that it has repeated by
// itself as often as allowed.
func isExhausted(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable()
}

func (s *settlement) ruledOut(b books, rejection *Error) error {
	state := &StateError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Order:     b.order,
		Reason:    b.reason,
		Reused:    b.verdict == verdictConflict,
		NoHold:    b.verdict == verdictNoHold,
	}
	if rejection != nil {
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

		NeedsReview: b.isStuck(),
	}
}

// lookAtOrder is the look at the books of a capture or a cancel: the order
// itself.
func lookAtOrder(
	write *call,
	orderID string,
	judge func(*Order) finding,
) func(context.Context) (*Order, finding, error) {
	return func(ctx context.Context) (*Order, finding, error) {
		read := write.p.reading(write, opGetOrder, pathOfOrder(orderID), orderID, decodeOrderOf(orderID))
		o, err := read(ctx)
		switch {
		case provesAbsence(err):
			return nil, absent(), err
		case err != nil:
			return nil, finding{}, err
		}
		return o, judge(o), nil
	}
}
