package pluralotel

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/plural-go/plural"
)

// The values of plural.outcome. For a money call they show what happened to the
// money. After NeedsReview, NoHold, Conflict and DoubleRefund a person has to
// look. More than a few Unknown in an hour should raise an alert.
const (
	OutcomeOK           = "ok"            // the call succeeded
	OutcomeNotApplied   = "not_applied"   // ErrNotApplied: final, nothing was carried out
	OutcomeConflict     = "conflict"      // ErrConflict: final, and a person has to look
	OutcomeNoHold       = "no_hold"       // ErrNoHold: a conflict in which the money is not on hold any more
	OutcomeUnknown      = "unknown"       // ErrOutcomeUnknown: calling again settles the outcome
	OutcomeNeedsReview  = "needs_review"  // NeedsReview: not final, and a person has to look
	OutcomeDoubleRefund = "double_refund" // DoubleRefundError: a person has to contact Plural about the second refund
	OutcomeNotFound     = "not_found"     // ErrNotFound
	OutcomeRejected     = "rejected"      // Plural refused the request or the credentials
	OutcomeCanceled     = "canceled"      // the caller gave up, and this call had no effect
	OutcomeUnavailable  = "unavailable"   // no usable answer, a busy server or no time left; this call had no effect
)

// outcomeOf returns the outcome of a call. It first checks for the outcomes in
// which money may have moved.
func outcomeOf(err error) string {
	var twice *plural.DoubleRefundError
	switch {
	case err == nil:
		return OutcomeOK
	case errors.As(err, &twice):
		return OutcomeDoubleRefund
	case plural.NeedsReview(err):
		return OutcomeNeedsReview
	case errors.Is(err, plural.ErrOutcomeUnknown):
		return OutcomeUnknown
	case errors.Is(err, plural.ErrNoHold):
		return OutcomeNoHold
	case errors.Is(err, plural.ErrConflict):
		return OutcomeConflict
	case errors.Is(err, plural.ErrNotApplied):
		return OutcomeNotApplied
	case errors.Is(err, context.Canceled):
		return OutcomeCanceled
	case errors.Is(err, plural.ErrUnauthorized), errors.Is(err, plural.ErrDuplicateRequest):
		return OutcomeRejected
	case errors.Is(err, plural.ErrNotFound):
		return OutcomeNotFound
	case isUnread(err):
		return OutcomeUnknown
	case isRejection(err):
		return OutcomeRejected
	}
	return OutcomeUnavailable
}

// isUnread reports whether a request of [plural.Client.Do] or
// [plural.PaymentLinkService.Notify] was accepted, but its answer could not be
// read. The request may then have had its effect.
func isUnread(err error) bool {
	answer, ok := errors.AsType[*plural.Error](err)
	if !ok || answer.StatusCode/100 != 2 || answer.Err == nil || answer.Code.IsKnown() {
		return false
	}
	method, _, isDo := strings.Cut(answer.Op, " ")
	return isDo && method != http.MethodGet || answer.Op == "payment_links.notify"
}

func isRejection(err error) bool {
	if answer, ok := errors.AsType[*plural.Error](err); ok {
		return answer.StatusCode >= http.StatusBadRequest && !answer.Retryable()
	}
	return errors.Is(err, plural.ErrInvalidRequest)
}

// errorTypeOf returns the error.type of a failed call. If Plural sent a code
// that package plural knows, the error.type is that code. Otherwise the
// error.type is the status code of the answer, or a fixed word such as
// "timeout". There are only a few values, and none of them has text from a
// server or a payer.
func errorTypeOf(err error) string {
	if errors.Is(err, plural.ErrReferenceReused) {
		return "reference_reused" // the error code in Plural's answer does not show that the reference was reused
	}
	for answer, rest := (*plural.Error)(nil), err; errors.As(rest, &answer); rest = answer.Err {
		switch {
		case answer.Code.IsKnown():
			return string(answer.Code)
		case answer.StatusCode >= http.StatusBadRequest:
			return strconv.Itoa(answer.StatusCode)
		case answer.StatusCode != 0:
			return "bad_answer"
		}
	}
	return wordFor(err)
}

// wordFor returns the error.type of an error without an answer from Plural.
func wordFor(err error) string {
	var (
		timed  net.Error
		answer *plural.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	case errors.As(err, &timed) && timed.Timeout():
		return "timeout"
	case errors.Is(err, plural.ErrDuplicateRequest):
		return string(plural.CodeDuplicateRequest)
	case errors.Is(err, plural.ErrOperationNotAllowed):
		return string(plural.CodeOperationNotAllowed)
	case errors.Is(err, plural.ErrNotFound):
		return string(plural.CodeOrderNotFound)
	case errors.As(err, &answer):
		return "no_answer"
	}
	return "_OTHER"
}
