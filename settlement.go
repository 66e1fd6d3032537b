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

// The type settlement carries out a write. It has nothing to do with the
// exported type [Settlement], which is a payout. It sends the request. If the
// answer leaves anything open, it reads the books until they show what happened
// to the write, or until the attempts or the time run out. Its error is nil
// only if the books show the write as carried out.
type settlement struct {
	write      *call
	orderID    string
	reference  string
	asks       bool // there is no write: only read the books to find out what other calls did
	resendable bool // the write can be sent again without a second effect, even if Plural may have received it
	slowly     bool // the write is sent again only if no look during lookSpan has shown it
	makes      bool // the call makes, or looks for, a refund or a payment link with the reference

	own  func(*answer) (*Order, finding, error) // returns what the answer to the write itself shows
	look look                                   // reads the books once

	// looks again before the call returns nil. It looks for a second effect, or
	// for a payer who was faster than the cancel of a link. It may be nil
	lastLook func(context.Context, *settlement, *books) error

	rejected bool      // the last answer to the write was a refusal
	undone   bool      // the last answer was a success whose document shows the write as not carried out
	refused  ErrorCode // the code of the refusal, if it has one
	isOfLink bool      // the write makes or cancels a payment link

	failed string // the id of the FAILED refund in the answer to the write itself, if it may be newer than the call

	alive []*Order       // the refunds of the reference that were seen and did not fail
	links []*PaymentLink // the payment links of the reference that were seen
	shown []string       // the ids of the documents seen that have, or may have, the reference and may not have failed
	done  *PaymentLink   // the payment link that the books show as made, or as cancelled
}

// A look reads the books once, to find out what happened to a write. The Order
// may be nil.
type look func(ctx context.Context, write *call) (*Order, finding, error)

// This type holds what the last looks at Plural's books have shown.
type books struct {
	order *Order
	finding
	err   error // why the last look failed, if it did
	whole bool  // the looks agreed for lookSpan, or stayed unclear for lookSpan
	drags bool  // the looks showed something under way until the call's time was over
}

// isStuck reports whether the books were read and are unclear, and show nothing
// under way.
func (b books) isStuck() bool {
	return b.whole && b.err == nil && b.verdict == verdictUnclear && !b.pending
}

// run carries out the write. If the settlement only asks, run only looks at the
// books.
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
		s.undone = false
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

// judgeAnswer judges the document in the answer to the write itself. The error
// explains why that document does not show what happened.
func (s *settlement) judgeAnswer(a *answer) (books, error) {
	o, f, err := s.own(a)
	s.remember(o, f)
	if err != nil {
		return books{}, err
	}
	switch {
	case f.verdict == verdictApplied, f.verdict == verdictFinal && !f.row.twice:
		return books{order: o, finding: f}, nil
	case f.row == rowRefundFailed && s.write.clock.mayBeNewer(f.since):
		s.failed = o.OrderID
	}
	s.undone = f.verdict == verdictOpen || f.verdict == verdictNotYet
	return books{}, errors.New(f.reason)
}

// maybeRefund reports whether a document, which is not the order's own, is or
// may be a refund that has the reference and has not failed. A refund in an
// unknown status may have reached the payer. A document that does not say its
// type or its reference may be about our refund.
func (s *settlement) maybeRefund(o *Order) bool {
	isOurs := o.MerchantOrderReference == s.reference || o.MerchantOrderReference == "" && o.OrderID != ""
	return o.Type != OrderTypeCharge && isOurs && !hasRefundFailed(o.Status)
}

// needsNoLook reports whether the call can end after an answer to the write,
// without reading the books. It can if nothing was sent, if Plural refused the
// request because of too many requests, or if it refused the credentials.
// Without credentials the books cannot be read.
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

// conclude turns the state of the books into the result of the call. failure is
// the error from the answer to the write itself, or nil if that answer was not
// an error.
func (s *settlement) conclude(ctx context.Context, b books, failure *Error) (*Order, error) {
	switch b.verdict {
	case verdictApplied:
		return s.lookedAgain(ctx, b)
	case verdictFinal:
		return nil, s.ruledOut(b, failure)
	case verdictOpen, verdictNotYet:
		switch {
		case s.write.ambiguous:
		case s.asks:
			err := fmt.Errorf("%s: %w", b.reason, ErrNotFound)
			return nil, &Error{Op: s.write.op.op(), OrderID: s.orderID, RequestID: s.write.requestID, Err: err}
		case failure != nil:
			failure.NeedsReview = true // Plural rejected the write, and the books do not show why
			return nil, failure
		}
	case verdictUnclear:
	}
	return nil, s.unknown(ctx, b, failure)
}

// settle reads the books again, to find out what happened to a write that may
// have been carried out. It does not send the write again. It shares no
// changing data with the call that ended.
func (s *settlement) settle(ctx context.Context) (*Order, error) {
	again := *s
	again.write, again.alive, again.shown = s.write.settlingCopy(), slices.Clone(s.alive), slices.Clone(s.shown)
	again.write.ambiguous = true
	return again.conclude(ctx, again.read(ctx), nil)
}

// lookedAgain makes the last look, and returns the document that shows the
// write as carried out. If the last look shows something else, such as a second
// refund, it returns an error.
func (s *settlement) lookedAgain(ctx context.Context, b books) (*Order, error) {
	if s.lastLook != nil {
		if err := s.lastLook(ctx, s, &b); err != nil {
			return nil, err
		}
	}
	s.done = b.link
	return b.order, nil
}

// remember notes what a document has shown.
func (s *settlement) remember(o *Order, f finding) {
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

// noteRefund remembers a refund that has the reference, or forgets it if it has
// failed.
func (s *settlement) noteRefund(r *Order) {
	s.alive = noteRefund(s.alive, r)
	if r.OrderID != "" && hasRefundFailed(r.Status) {
		s.shown = slices.DeleteFunc(s.shown, func(id string) bool { return id == r.OrderID })
	}
}

// noteShown notes an id. It copies the id, because the id would keep the whole
// document in memory.
func (s *settlement) noteShown(id string) {
	if !slices.Contains(s.shown, id) {
		s.shown = append(s.shown, strings.Clone(id))
	}
}

// hasShownOther reports whether a refund other than o was seen, and may not
// have failed.
func (s *settlement) hasShownOther(o *Order) bool {
	return slices.ContainsFunc(s.shown, func(id string) bool { return id != o.OrderID }) ||
		slices.ContainsFunc(s.alive, func(r *Order) bool { return r.OrderID != o.OrderID })
}

// isNew reports whether a FAILED refund, made at the time since, is certainly
// from this call. That is also so if it was in the answer to the write itself,
// unless the Dates of later answers contradict the Date of that answer.
func (s *settlement) isNew(o *Order, since time.Time) bool {
	clock := s.write.clock
	return clock.isNewer(since) || o.OrderID == s.failed && !clock.contradicts()
}

// weigh replaces a finding that proves nothing about this write. There are four
// cases. A FAILED refund proves nothing if it may be older than the write, or
// if another refund was seen that may have the reference and may not have
// failed. If money was taken but the order has no capture entries, this write
// itself may have taken it. If a document that was shown before is missing now,
// the books are not complete. If Plural refused the write because of the
// order's state, the amount was not too large. If the books suggest that it
// was, something is missing in them.
func (s *settlement) weigh(o *Order, f finding) finding {
	switch {
	case f.row == rowRefundFailed && s.hasShownOther(o):
		return unclear(f.reason + ", but another one was seen that has not failed")
	case f.row == rowRefundFailed && s.asks:
		return notYet(f.reason)
	case f.row == rowRefundFailed && !s.isNew(o, f.since):
		return unclear(f.reason + ", but may be older than this call")
	case (f.row == rowCaptureTooMuch || f.row == rowRefundTooMuch) && s.refused.speaksOfState():
		return notYet(f.reason)
	case (len(s.shown) > 0 || len(s.alive) > 0) && f.restsOnAbsence():
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

// restsOnAbsence reports whether a finding depends on the books not showing the
// refund or the payment link.
func (f finding) restsOnAbsence() bool {
	return f.verdict == verdictOpen || f.verdict == verdictNotYet ||
		f.row == rowRefundTooMuch || f.row == rowRefundOfNothing
}

// The method read looks at the books until they show what happened to the
// write.
//
// If the books show the write as carried out, one look is enough. One look is
// also enough for the rows of evidence whose field twice is false. Anything
// else counts only if several looks agree over lookSpan, because replicas lag
// behind. There is one exception: a capture or a cancel whose outcome is not
// known is sent again after one look, because that cannot have a second effect.
// If something is under way, read keeps looking until the call's time is over.
// If the books are unclear for another reason, or an answer cannot be used, it
// keeps looking for lookSpan. If the server does not answer, read ends after
// one look, because the request of that look was repeated already. If the call
// has less time than lookSpan, only findings for which one look is enough can
// count.
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
		s.remember(o, b.finding)
		b.finding = s.weigh(o, b.finding)
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
// to send the write again.
func (s *settlement) resendsAtOnce() bool {
	return s.write.ambiguous && s.resendable && !s.slowly && s.write.attempts < s.write.maxAttempts()
}

// patience is how long something may be under way before a person should look
// at it.
const patience = 5 * time.Minute

// hasStalled reports whether an order has not changed for longer than patience.
// It is also true if the order's times or the server's clock are not known.
func (s *settlement) hasStalled(o *Order) bool {
	changed := o.UpdatedAt.Time
	if changed.IsZero() {
		changed = o.CreatedAt.Time
	}
	now, isKnown := s.write.clock.serverNow()
	return !isKnown || changed.IsZero() || now.Sub(changed) > patience
}

func (s *settlement) ruledOut(b books, rejection *Error) error {
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
	if rejection != nil && s.rejected && (!state.Conflict || state.NoHold) { // otherwise the conflict is the problem
		state.Err = rejection
	}
	return state
}

func (s *settlement) unknown(ctx context.Context, b books, failure *Error) error {
	var causes []error
	if failure != nil {
		causes = append(causes, s.write.orEnded(ctx, failure))
	} else if err, _ := s.write.ended(ctx); err != nil {
		causes = append(causes, err)
	}
	switch {
	case b.err != nil:
		causes = append(causes, b.err)
	case b.reason != "" && (failure == nil || failure.Err == nil || failure.Err.Error() != b.reason):
		causes = append(causes, errors.New(b.reason))
	}
	settle := s.settle
	if s.isOfLink {
		settle = nil // settle cannot return a link
	}
	return &OutcomeUnknownError{
		Op:        s.write.op.op(),
		OrderID:   s.orderID,
		Reference: s.reference,
		Last:      b.order,
		Err:       errors.Join(causes...),
		settle:    settle,

		NeedsReview: b.isStuck() || b.whole && (s.rejected || s.undone) && !isPassing(b.err) ||
			b.drags && s.hasStalled(b.order),
	}
}

// ownOrder makes the function that judges the order in the answer to the write
// itself. The function may return both an error and an order, as decode does.
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
