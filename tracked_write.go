package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// trackedWrite carries out a write, and finds out what happened to it. The
// method runWrite sends the request. If the answer leaves anything open, the
// method reads the books until they show what happened to the write, or until
// the attempts or the time run out. The error is nil only if the answer or the
// books show the write as carried out.
type trackedWrite struct {
	write      *call
	orderID    string
	reference  string
	isReadOnly bool // the call sends no write, and only reads the books to find out what other calls did
	resendable bool // the write can be sent again without a second effect, even if Plural may have received it
	slowly     bool // before the write is sent again, all reads during lookSpan must show that it was not carried out
	makes      bool // the call makes a refund or a payment link with the reference, or looks for such a refund

	own      func(*answer) (*Order, finding, error) // returns what the write's own answer shows
	readOnce booksReader                            // reads the books once

	// a function that is called before the call returns nil. The function may
	// find a second effect, or a payment that came before a link was cancelled.
	// The field may be nil
	finalCheck func(context.Context, *trackedWrite, *booksResult) error

	rejected bool      // the last answer to the write was a refusal
	undone   bool      // the last answer was a success, but its document shows that the write was not carried out
	refused  ErrorCode // the code of the refusal, if it has one
	isOfLink bool      // the write makes or cancels a payment link

	// the id of the failed refund in the write's own answer. The field is
	// set only if the refund may have been made after the write was sent
	failedID string

	alive []*Order       // the refunds of the reference that were seen and did not fail
	links []*PaymentLink // the payment links of the reference that were seen
	// the ids of the refunds and payment links that were seen and may be
	// ours. A document may be ours if it has our reference or no reference.
	// The ids of refunds that have failed are left out
	shownIDs []string
	done     *PaymentLink // the payment link that the books show as made, or as cancelled
}

// A booksReader reads the books once, to find out what happened to a write. The
// Order may be nil.
type booksReader func(ctx context.Context, write *call) (*Order, finding, error)

// A booksResult holds what Plural's books have shown.
type booksResult struct {
	order *Order
	finding
	err error // why the last read of the books failed, if it did
	// the books were read several times, for at least lookSpan. Either all of
	// these reads agreed, or none of them led to a result
	whole bool
	// the call's time is over, and something is still under way. The books have
	// shown for at least lookSpan that it is under way
	drags bool
}

// isStuck reports whether the books stay unclear. That is so if all of these
// conditions hold:
//
//   - The books were read for at least lookSpan, and this led to no result.
//   - The last read of the books did not fail.
//   - In the last read, the books were unclear, and showed nothing that is
//     still under way.
func (b booksResult) isStuck() bool {
	return b.whole && b.err == nil && b.verdict == verdictUnclear && !b.pending
}

// runWrite sends the write, and finds out what happened to the write. If the
// field isReadOnly is true, runWrite sends no write, and only reads the books.
func (s *trackedWrite) runWrite(ctx context.Context) (o *Order, err error) {
	began := time.Now()
	s.write.clock = &serverClock{began: began}
	s.write.reference = s.reference
	defer s.write.notifyObserver(ctx, began, &err)
	if s.isReadOnly {
		return s.conclude(ctx, s.readBooks(ctx), nil)
	}
	repeats := repeatNotTaken
	if !s.resendable {
		repeats = repeatUnsent
	}
	var own booksResult
	accept := func(a *answer) (err error) {
		own, err = s.judgeAnswer(a)
		return err
	}
	for {
		s.undone = false
		class, failure := s.write.send(ctx, accept, repeats)
		switch {
		case failure == nil:
			return s.conclude(ctx, own, nil)
		case !s.write.ambiguous && needsNoRead(class, failure):
			return nil, failure
		}
		if s.rejected = class == classRejected; s.rejected {
			s.refused = failure.Code
		}
		b := s.readBooks(ctx)
		if b.verdict == verdictOpen && s.write.ambiguous && s.resendable && s.write.waitToRepeat(ctx, failure) {
			continue
		}
		return s.conclude(ctx, b, failure)
	}
}

// judgeAnswer judges the document in the write's own answer. The error explains
// why that document does not show what happened.
func (s *trackedWrite) judgeAnswer(a *answer) (booksResult, error) {
	o, f, err := s.own(a)
	s.remember(o, f)
	if err != nil {
		return booksResult{}, err
	}
	switch {
	case f.verdict == verdictApplied, f.verdict == verdictFinal && !f.row.needsAgreement:
		return booksResult{order: o, finding: f}, nil
	case f.row == rowRefundFailed && s.write.clock.mayBeNewer(f.since):
		s.failedID = o.OrderID
	}
	s.undone = f.verdict == verdictOpen || f.verdict == verdictNotYet
	return booksResult{}, errors.New(f.reason)
}

// maybeRefund reports whether a document may be about our refund. If the
// document shows that the refund has failed, maybeRefund returns false. Callers
// must not pass the document of the order itself. If the status of a refund is
// unknown, the refund may have reached the payer. If a document does not say
// its type or its reference, it may be about our refund.
func (s *trackedWrite) maybeRefund(o *Order) bool {
	isOurs := o.MerchantOrderReference == s.reference || o.MerchantOrderReference == "" && o.OrderID != ""
	return o.Type != OrderTypeCharge && isOurs && !hasRefundFailed(o.Status)
}

// needsNoRead reports whether the call can end after an answer to the write,
// without reading the books. The call can end in these cases:
//
//   - Nothing was sent.
//   - Plural refused the request because of too many requests.
//   - Plural refused the credentials. Without credentials the books cannot be
//     read.
func needsNoRead(class answerClass, failure *Error) bool {
	switch class {
	case classNotSent, classThrottled:
		return true
	case classRejected:
		return failure.StatusCode == http.StatusUnauthorized
	case classOK, classAmbiguous:
	}
	return false
}

// The method conclude turns what the books have shown into the result of the
// call. The parameter answerErr is the error from the write's own answer. It is
// nil if that answer was not an error.
func (s *trackedWrite) conclude(ctx context.Context, b booksResult, answerErr *Error) (*Order, error) {
	switch b.verdict {
	case verdictApplied:
		return s.runFinalCheck(ctx, b)
	case verdictFinal:
		return nil, s.ruledOut(b, answerErr)
	case verdictOpen, verdictNotYet:
		switch {
		case s.write.ambiguous:
		case s.isReadOnly:
			err := fmt.Errorf("%s: %w", b.reason, ErrNotFound)
			return nil, &Error{Op: s.write.op.op(), OrderID: s.orderID, RequestID: s.write.requestID, Err: err}
		case answerErr != nil:
			answerErr.NeedsReview = true // Plural rejected the write, and the books do not show why
			return nil, answerErr
		}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, answerErr)
}

// settleAgain reads the books again after a call has ended with an unknown
// outcome. It does not send the write again. It shares no changing data with
// the call that ended.
func (s *trackedWrite) settleAgain(ctx context.Context) (*Order, error) {
	again := *s
	again.write, again.alive, again.shownIDs = s.write.settlingCopy(), slices.Clone(s.alive), slices.Clone(s.shownIDs)
	again.write.ambiguous = true
	return again.conclude(ctx, again.readBooks(ctx), nil)
}

// runFinalCheck calls the function finalCheck, if there is one, and returns the
// document that shows the write as carried out. If finalCheck finds something
// else, such as a second refund, runFinalCheck returns an error.
func (s *trackedWrite) runFinalCheck(ctx context.Context, b booksResult) (*Order, error) {
	if s.finalCheck != nil {
		if err := s.finalCheck(ctx, s, &b); err != nil {
			return nil, err
		}
	}
	s.done = b.link
	return b.order, nil
}

// This method stores the refunds and payment links that a document has shown.
func (s *trackedWrite) remember(o *Order, f finding) {
	for _, r := range f.seen {
		s.noteRefund(r)
	}
	for _, id := range f.maybe {
		s.noteShown(id)
	}
	switch {
	case !s.makes:
	case s.isOfLink && f.link != nil:
		s.noteShown(f.link.PaymentLinkID)
		isSeen := func(l *PaymentLink) bool { return l.PaymentLinkID == f.link.PaymentLinkID }
		if f.link.MerchantPaymentLinkReference == s.reference && !slices.ContainsFunc(s.links, isSeen) {
			s.links = append(s.links, f.link)
		}
	case !s.isOfLink && o != nil && o.OrderID != s.orderID:
		if s.maybeRefund(o) {
			s.noteShown(o.OrderID)
		}
		if o.Type == OrderTypeRefund && o.MerchantOrderReference == s.reference {
			s.noteRefund(o)
		}
	}
}

// noteRefund stores a refund that has our reference. If the refund has failed,
// noteRefund removes what was stored about the refund.
func (s *trackedWrite) noteRefund(r *Order) {
	s.alive = noteRefund(s.alive, r)
	if r.OrderID != "" && hasRefundFailed(r.Status) {
		s.shownIDs = slices.DeleteFunc(s.shownIDs, func(id string) bool { return id == r.OrderID })
	}
}

// noteShown adds an id to the list shownIDs, unless the list already has this
// id. It stores a copy, because the id itself would keep the whole document in
// memory.
func (s *trackedWrite) noteShown(id string) {
	if !slices.Contains(s.shownIDs, id) {
		s.shownIDs = append(s.shownIDs, strings.Clone(id))
	}
}

// hasShownOther reports whether a refund other than o was seen. Refunds that
// are known to have failed do not count.
func (s *trackedWrite) hasShownOther(o *Order) bool {
	return slices.ContainsFunc(s.shownIDs, func(id string) bool { return id != o.OrderID }) ||
		slices.ContainsFunc(s.alive, func(r *Order) bool { return r.OrderID != o.OrderID })
}

// isNew reports whether it is certain that the refund o, which has failed, is
// newer than the write. The parameter madeAt is the time at which the refund
// was made. There are two ways to be certain:
//
//   - By the server's clock, the refund was made after the write was sent.
//   - The refund was in the write's own answer, and may have been made after
//     the write was sent. Also, the Date headers of the answers do not
//     contradict each other.
func (s *trackedWrite) isNew(o *Order, madeAt time.Time) bool {
	clock := s.write.clock
	return clock.isNewer(madeAt) || o.OrderID == s.failedID && !clock.isContradictory()
}

// weighFinding replaces a finding that is not enough to show what happened to
// this write. The new finding is not final. All other findings stay as they
// are. These findings are replaced:
//
//   - A refund has failed, but another refund was seen. The other refund may be
//     ours, and is not known to have failed.
//   - A refund has failed, but the refund may be older than the write.
//   - A refund has failed, and this call sends no write (the field isReadOnly
//     is true). Then another call may still make a refund.
//   - The books show that the amount of the write is too large. But Plural
//     refused the write because of the order's state or an earlier request, and
//     not because of the amount. So something is missing in the books.
//   - The books do not show a refund or a payment link that was shown before.
//     So the books are not complete.
//   - Money was taken, and the order has no capture entries. But the write may
//     have been carried out. Then this write itself may have taken the money.
func (s *trackedWrite) weighFinding(o *Order, f finding) finding {
	switch {
	case f.row == rowRefundFailed && s.hasShownOther(o):
		return unclear(f.reason + ", but another one was seen that has not failed")
	case f.row == rowRefundFailed && s.isReadOnly:
		return notYet(f.reason)
	case f.row == rowRefundFailed && !s.isNew(o, f.since):
		return unclear(f.reason + ", but may be older than this call")
	case (f.row == rowCaptureTooMuch || f.row == rowRefundTooMuch) && s.refused.speaksOfState():
		return notYet(f.reason)
	case (len(s.shownIDs) > 0 || len(s.alive) > 0) && f.restsOnAbsence():
		what := "refund"
		if s.isOfLink {
			what = "payment link"
		}
		return unclear("the " + what + " was there, and is not shown any more")
	case f.row == rowNoHold && s.write.ambiguous:
		return notYet("the order does not say under which reference it was captured")
	}
	return f
}

// restsOnAbsence reports whether a finding assumes that the refund or payment
// link does not exist. If it does exist, such a finding is wrong.
func (f finding) restsOnAbsence() bool {
	return f.verdict == verdictOpen || f.verdict == verdictNotYet ||
		f.row == rowRefundTooMuch || f.row == rowRefundOfNothing
}

// readBooks reads the books until they show what happened to the write.
//
// Reading the books once is enough in these cases:
//
//   - The books show the write as carried out.
//   - The books show what a row of evidence describes, and this row needs only
//     one read of the books (the row's field needsAgreement is false).
//   - The books show that the write was not carried out, and the write can be
//     sent again at once (see resendsAtOnce). Only a capture or a cancel is
//     sent again at once, because it cannot have a second effect.
//   - The books could not be read, although the request was repeated as often
//     as allowed.
//
// Any other result counts only if the books show it again and again for at
// least lookSpan, because replicas may answer with an older state. If the call
// has less time than lookSpan, such a result cannot count. If something is
// under way, the method keeps reading until the call's time is over. If the
// books are unclear for another reason, or an answer cannot be used, the method
// keeps reading until lookSpan is over.
func (s *trackedWrite) readBooks(ctx context.Context) booksResult {
	s.write.askedBooks = true
	window := ctx
	_, isBounded := ctx.Deadline()
	if !isBounded {
		var cancel context.CancelFunc
		window, cancel = context.WithTimeout(ctx, settleWindow)
		defer cancel()
	}
	var b booksResult
	var agreed, inVain, underWay streak
	for n := 1; ; n++ {
		before := b.finding
		var o *Order
		o, b.finding, b.err = s.readOnce(window, s.write)
		s.remember(o, b.finding)
		b.finding = s.weighFinding(o, b.finding)
		// A document that has no id or no status shows only that the order
		// exists.
		if o != nil && o.OrderID != "" && o.Status != "" {
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
			if b.whole || !b.row.needsAgreement {
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
		if !s.write.waitForNextRead(ctx, window, n) {
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

// resendsAtOnce reports whether the write may be sent again after the books
// were read only once. The caller checks that the books show the write as not
// carried out.
func (s *trackedWrite) resendsAtOnce() bool {
	return s.write.ambiguous && s.resendable && !s.slowly && s.write.attempts < s.write.maxAttempts()
}

// stallLimit is how long something may be under way before a person should look
// at it.
const stallLimit = 5 * time.Minute

// hasStalled reports whether an order has not changed for longer than
// stallLimit. It is also true if the order's times or the server's clock are
// not known.
func (s *trackedWrite) hasStalled(o *Order) bool {
	changed := o.UpdatedAt.Time
	if changed.IsZero() {
		changed = o.CreatedAt.Time
	}
	now, isKnown := s.write.clock.serverNow()
	return !isKnown || changed.IsZero() || now.Sub(changed) > stallLimit
}

func (s *trackedWrite) ruledOut(b booksResult, rejection *Error) error {
	if b.link != nil && b.row.isConflict() {
		return &PaymentLinkError{Op: s.write.op.op(), Link: b.link, Order: b.order, Reason: b.reason}
	}
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
	// The rejection does not explain a conflict that the books show. So after a
	// conflict, state.Err stays nil. But if the hold is missing (NoHold),
	// state.Err is the rejection, although this is a conflict too.
	if rejection != nil && s.rejected && (!state.Conflict || state.NoHold) {
		state.Err = rejection
	}
	return state
}

func (s *trackedWrite) unknown(ctx context.Context, b booksResult, answerErr *Error) error {
	var causes []error
	if answerErr != nil {
		causes = append(causes, s.write.orEnded(ctx, answerErr))
	} else if err, _ := s.write.contextErrors(ctx); err != nil {
		causes = append(causes, err)
	}
	switch {
	case b.err != nil:
		causes = append(causes, b.err)
	case b.reason != "" && (answerErr == nil || answerErr.Err == nil || answerErr.Err.Error() != b.reason):
		causes = append(causes, errors.New(b.reason))
	}
	settle := s.settleAgain
	if s.isOfLink {
		settle = nil // settleAgain cannot return a link
	}
	return &OutcomeUnknownError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Last:      b.order,
		Err:       errors.Join(causes...),
		settle:    settle,

		NeedsReview: b.isStuck() || b.whole && (s.rejected || s.undone) && !isTemporary(b.err) ||
			b.drags && s.hasStalled(b.order),
	}
}

// ownOrder returns a function that reads the write's own answer: it decodes the
// order in the answer, and judges the order. The function may return both an
// error and an order, as decode does.
func ownOrder(decode decoder, judge func(*Order) finding) func(*answer) (*Order, finding, error) {
	return func(a *answer) (*Order, finding, error) {
		o, err := decode(a)
		if err != nil {
			return o, finding{}, err
		}
		return o, judge(o), nil
	}
}

// lookAtOrder returns a function that looks in the books for a capture or a
// cancel. The function reads the order.
func lookAtOrder(orderID string, judge func(*Order) finding) booksReader {
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
