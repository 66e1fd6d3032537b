package plural

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/clean"
	"github.com/plural-go/plural/internal/foreign"
)

// These sentinels stand for the kinds of this package's errors. Test for them
// with [errors.Is]. ErrNotApplied, ErrConflict and ErrOutcomeUnknown show what
// happened to a write. The others show why a call failed.
var (
	// ErrUnauthorized: Plural refused the credentials or the access token.
	// Check the credentials, and whether they are for this environment.
	ErrUnauthorized = foreign.Sentinel("plural: credentials or access token refused")
	// ErrIncomplete matches [IncompleteError]: a settlement, or the list of
	// settlements, could not be read completely. It does not mean that money is
	// missing.
	ErrIncomplete = foreign.Sentinel("plural: not everything could be read")
	// ErrNotFound: Plural has no order, refund or payment link with that id or
	// reference, or no settlement with that UTR.
	ErrNotFound = foreign.Sentinel("plural: no such order")
	// ErrDuplicateRequest: the reference was used before. A
	// [DuplicateOrderError] has the order with that reference.
	ErrDuplicateRequest = foreign.Sentinel("plural: the reference was used before")
	// ErrOperationNotAllowed: the order was captured, cancelled or refunded
	// already, or is not paid.
	ErrOperationNotAllowed = foreign.Sentinel("plural: the order's state does not allow it")
	// ErrReferenceReused is an [ErrConflict]: the reference was already used
	// before this call, for a different order, capture, refund or payment link,
	// or with a different amount.
	ErrReferenceReused = foreign.Sentinel("plural: the reference belongs to something else")
	// ErrInvalidRequest: correct the request. A [ValidationError] names the
	// fields to correct.
	ErrInvalidRequest = foreign.Sentinel("plural: invalid request")
	// ErrRateLimited: call again later, and with fewer workers.
	ErrRateLimited = foreign.Sentinel("plural: too many requests")
	// ErrNotPaid matches [NotPaidError].
	ErrNotPaid = foreign.Sentinel("plural: the order is not paid, or not the one expected")
	// ErrOutcomeUnknown matches [OutcomeUnknownError]: the request may or may
	// not have been carried out. An ErrOutcomeUnknown from
	// [OrderService.ConfirmEvent] means that the books do not show yet what the
	// event reports.
	ErrOutcomeUnknown = foreign.Sentinel("plural: outcome unknown")

	// ErrNotApplied is final: nothing was carried out under this reference, by
	// this call or any other, and nothing will be. Plural's books show why.
	ErrNotApplied = foreign.Sentinel("plural: not carried out")

	// ErrConflict is final, too: Plural's books show something other than what
	// was asked for, and money may have moved. A person has to look into it. No
	// error is both ErrConflict and ErrNotApplied.
	ErrConflict = foreign.Sentinel("plural: the books show something other than what was asked for")

	// ErrNoHold is an [ErrConflict]: the money is no longer on hold, because
	// it was taken. Either the order was paid without a hold, or an earlier
	// call captured the hold. The books do not show which of the two happened.
	ErrNoHold = foreign.Sentinel("plural: the money is not on hold any more")
)

// Error means one of three things: Plural answered with an error, its answer
// could not be used, or no answer came.
//
// Depending on the answer, the error matches [ErrUnauthorized], [ErrNotFound],
// [ErrDuplicateRequest], [ErrOperationNotAllowed], [ErrInvalidRequest] or
// [ErrRateLimited]. If no usable answer came, Unwrap returns the cause: the
// error of the network or of the context, or what was wrong with the answer.
// Some causes come from the caller's code, such as the cause of a context or an
// error of middleware. Such a cause matches none of this package's sentinels,
// because it may be about another order.
type Error struct {
	Op         string        // the operation, such as "captures.create"; for Client.Do the method and the path
	OrderID    string        // the order that the call was about, or else the reference or UTR, if any
	StatusCode int           // HTTP status; 0 when no answer came
	Code       ErrorCode     // Plural's code; "" when the answer has none
	Message    string        // Plural's message, for people
	Details    *ErrorDetails // where the error is and why, if the answer says so
	RequestID  string        // the Request-ID that was sent
	TraceID    string        // the gateway's own id, if the answer has one
	Attempts   int           // the number of tries; a repeat after a refused token does not count
	RetryAfter time.Duration // how long the answer asks to wait; 0 if it does not say
	Header     http.Header   // the header of the answer
	Body       []byte        // the first 8 KiB of the answer; may hold personal data
	Err        error         // the cause, when no usable answer came

	// Plural rejected a capture, cancel or refund, or the creation or
	// cancellation of a payment link, and its books do not show why. The error
	// is not final. See the function NeedsReview.
	NeedsReview bool

	// the answer to a read or a token request broke off or was not JSON, so
	// another try may bring a complete answer
	broken bool
}

// Error returns one line with the operation, the order, Plural's answer and the
// request id.
func (e *Error) Error() string {
	text := subject(e.Op, e.OrderID)
	if e.StatusCode != 0 {
		text += fmt.Sprintf(": %d", e.StatusCode)
		if e.Code != "" {
			text += " " + clip(string(e.Code))
		}
		if e.Message != "" {
			text += ": " + shortenText(e.Message)
		}
	} else if e.Err == nil {
		text += ": no answer"
	}
	text += causeText(e.Err)
	if e.RequestID != "" && !e.isOfToken() {
		text += " (request id " + clip(e.RequestID)
		if e.Attempts > 1 {
			text += fmt.Sprintf(", %d attempts", e.Attempts)
		}
		text += ")"
	}
	return text
}

// isOfToken reports whether the request failed because the request for a token
// failed. Then the error's text leaves out the request's own id, because Plural
// may never have received this id. The text shows the id of the request for the
// token, which is in the inner error.
func (e *Error) isOfToken() bool {
	refused, ok := errors.AsType[*tokenError](e.Err)
	return ok && e.StatusCode == 0 && tokenAnswerError(refused) != nil
}

// Unwrap returns the cause if no usable answer came.
func (e *Error) Unwrap() error { return e.Err }

// Is supports [errors.Is]. It reports whether the error matches a sentinel.
// [ErrUnauthorized] matches a status of 401. [ErrRateLimited] matches a status
// of 429, or the code API_RATE_LIMIT with any status. [ErrNotFound] matches the
// code ORDER_NOT_FOUND, a 404 without a code, or the message "no matching
// records" after a look-up. An error that matches [ErrNotFound] never matches
// [ErrInvalidRequest]. Apart from this exception, the other sentinels match by
// code alone. A refusal by the token endpoint says nothing about an order or a
// request, so it matches only ErrUnauthorized and ErrRateLimited.
func (e *Error) Is(target error) bool {
	if e.Op == opToken.name && target != ErrUnauthorized && target != ErrRateLimited {
		return false
	}
	switch target {
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrNotFound:
		return e.Code == CodeOrderNotFound || e.Code == "" && e.StatusCode == http.StatusNotFound || e.isNoMatchingRecords()
	case ErrDuplicateRequest:
		return e.Code == CodeDuplicateRequest
	case ErrOperationNotAllowed:
		return e.Code == CodeOperationNotAllowed || e.Code == CodeOrderCancelled
	case ErrInvalidRequest:
		return e.Code == CodeInvalidRequest && !e.isNoMatchingRecords()
	case ErrRateLimited:
		return e.Code == CodeAPIRateLimit || e.StatusCode == http.StatusTooManyRequests
	}
	return false
}

// Retryable reports whether the same request may succeed later. There are three
// cases:
//
//   - No answer came, or the answer to a read broke off or was not JSON.
//     Retryable is then false if the caller's context ended or the server's
//     certificate was refused.
//   - The code means that the server is too busy or has a fault.
//   - The status is 408, 409, 425, 429 or 500 and above, and the code does not
//     mean that the request was refused.
//
// Retryable does not report what happened to the request. If that is not known,
// a call that moves money returns an [OutcomeUnknownError].
func (e *Error) Retryable() bool {
	switch {
	case e.Code.isDefinitive():
		return false
	case e.Code == CodeAPIRateLimit || e.Code.isServerFault():
		return true
	case e.StatusCode == 0 || e.broken:
		return e.Err != nil && retryableCause(e.Err)
	}
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.StatusCode >= 500
}

func retryableCause(err error) bool {
	if inner, ok := errors.AsType[*Error](err); ok {
		return inner.Retryable()
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !isUntrusted(err)
}

// isUntrusted reports whether a connection was refused because of the peer's
// certificate. Another try a moment later would meet the same certificate.
func isUntrusted(err error) bool {
	return isA[*tls.CertificateVerificationError](err) || isA[x509.UnknownAuthorityError](err) ||
		isA[x509.HostnameError](err) || isA[x509.CertificateInvalidError](err)
}

// isA reports whether there is an error of type E in the chain of err.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// isNoMatchingRecords reports whether the answer to a look-up is 400
// INVALID_REQUEST with "no matching records". It is one of the three answers
// that match [ErrNotFound].
func (e *Error) isNoMatchingRecords() bool {
	return isLookup(e.Op) && e.StatusCode == http.StatusBadRequest && e.Code == CodeInvalidRequest &&
		strings.Contains(strings.ToLower(e.Message), "no matching records")
}

// FieldError describes one invalid field of a request.
type FieldError struct {
	Field string // JSON path, such as "purchase_details.customer.email_id"
	Rule  string // what the field must be
}

// ValidationError lists everything that is wrong with a request. Nothing was
// sent. The error is an [ErrInvalidRequest].
type ValidationError struct {
	Op     string // the operation, such as "captures.create"; for Client.Do the method and the path
	Fields []FieldError
}

// Error returns a text that names every bad field and what it must be.
func (e *ValidationError) Error() string {
	faults := make([]string, 0, len(e.Fields))
	for _, f := range e.Fields {
		faults = append(faults, shortenText(f.Field)+" "+shortenText(f.Rule))
	}
	text := subject(e.Op, "") + ": invalid request, nothing was sent"
	if len(faults) > 0 {
		text += ": " + strings.Join(faults, "; ")
	}
	return text
}

// Is supports [errors.Is]. It reports whether target is [ErrInvalidRequest].
func (e *ValidationError) Is(target error) bool { return target == ErrInvalidRequest }

// OutcomeUnknownError means that a request may or may not have been carried
// out. The call could not find out what happened to the request. For a capture,
// cancel, refund, new order or new payment link, call again with the same
// arguments, above all with the same reference. The new call finds out what
// happened, and has no second effect. If another call may not be enough,
// NeedsReview is set. [Client.Do] cannot find out what happened, so its caller
// has to find out before calling again. The error matches [ErrOutcomeUnknown]
// and no other sentinel. Unwrap returns the last cause.
type OutcomeUnknownError struct {
	Op        string // the operation, such as "captures.create"
	OrderID   string // the order, or the payment link; "" for a new order or link, and for Do
	Reference string // the merchant's reference of the capture, refund or order; "" for a cancel
	Last      *Order // the order as it was read last, if it was read
	Err       error  // why the call could not find out what happened

	// The books were read and are unclear. For example, the order is in a
	// status that this package does not know. Or Plural rejected the write, and
	// also rejected each request to read its books. Calling again helps only if
	// the books change. A person must compare the order in the field Last with
	// Plural's dashboard.
	NeedsReview bool

	settle func(context.Context) (*Order, error)
}

// Settle reads the books again to find out what happened to the request. It
// does not send the request. Use it in a reconciliation that must not move
// money. If ctx has no deadline, Settle reads for up to 60 seconds. It returns
// the same results as the call: the document and nil, [ErrNotApplied],
// [ErrConflict], or an unknown outcome. Settle cannot find out what happened to
// a new order, a payment link or a call of [Client.Do]. In these cases, and if
// e was made by other code, it returns e.
func (e *OutcomeUnknownError) Settle(ctx context.Context) (*Order, error) {
	if e.settle == nil || ctx == nil {
		return nil, e
	}
	return e.settle(ctx)
}

// Error returns a text with the operation, the order, and a way to find out
// what happened.
func (e *OutcomeUnknownError) Error() string {
	text := subject(e.Op, e.OrderID) + ": outcome unknown"
	if e.Reference != "" {
		text += " (reference " + shortenText(e.Reference) + ")"
	}
	if e.Last != nil {
		text += ", last seen " + clip(string(e.Last.Status))
	}
	switch {
	case e.NeedsReview:
		text += "; the order does not show what happened, and calling again may not help: look at it in Plural's dashboard"
	case e.Op == opNotifyLink.name:
		text += "; the message may have gone out, and another call may send it a second time"
	case e.Reference != "":
		text += "; call again with the same reference to settle it"
	case e.OrderID != "":
		text += "; call again to settle it"
	default:
		text += "; find out what became of it before sending it again"
	}
	return text + causeText(e.Err)
}

// Is supports [errors.Is]. It reports whether target is [ErrOutcomeUnknown].
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the last cause: the context's error, or the server's last
// answer. The cause does not show what happened to the request. So the cause
// matches none of this package's sentinels. If the cause matched them, a switch
// that tests for [ErrOperationNotAllowed] first would mistake the unknown
// outcome for a failure. [errors.As] finds the [Error] in the cause.
func (e *OutcomeUnknownError) Unwrap() error {
	if e.Err == nil {
		return nil
	}
	return foreign.NoVerdict(e.Err)
}

// NeedsReview reports whether a person should look into err. Such an error is
// not final, and it is possible that further calls never give a final answer.
// The error comes from a capture, cancel or refund, or from the creation or
// cancellation of a payment link. There are four cases:
//
//   - Plural rejected the write, and its books do not show why.
//   - Plural answered the write with the status of a success. But the document
//     in that answer and the books show that the write was not carried out.
//   - The books were read and are unclear.
//   - For more than five minutes, the books have shown that the write is still
//     under way.
//
// A person should look into such an error when it comes for the first time.
// Calling again is still safe, but do it once a day and not once a minute. The
// call returns a final answer as soon as the books show one.
//
// NeedsReview is false for nil, for each final answer, and for errors that are
// not from this package. It is also false if the books could not be read for
// one of these reasons: the context ended first, the server did not answer, or
// the credentials are refused ([ErrUnauthorized]). Refused credentials affect
// every call, until somebody corrects the credentials.
//
// Plural may also refuse each request to read the books, for a reason other
// than the credentials. Then NeedsReview is true if Plural rejected the write,
// or if the document in Plural's answer to the write showed that the write was
// not carried out.
func NeedsReview(err error) bool {
	if errors.Is(err, ErrNotApplied) || errors.Is(err, ErrConflict) {
		return false
	}
	if unknown, ok := errors.AsType[*OutcomeUnknownError](err); ok {
		return unknown.NeedsReview
	}
	rejection, ok := errors.AsType[*Error](err)
	return ok && rejection.NeedsReview
}

// StateError is a final answer. The server's books show that the write was not
// carried out as asked for, and that it never will be carried out as asked for.
// The error is either [ErrNotApplied] or [ErrConflict], never both:
//
//   - If the field Conflict is false, the error is both [ErrNotApplied] and
//     [ErrOperationNotAllowed]. Nothing was carried out under the reference,
//     and nothing will be.
//   - If the field Conflict is true, the error is [ErrConflict]. The books show
//     something other than what was asked for, such as another amount under the
//     reference.
//   - If the field Reused is true as well, the error is also
//     [ErrReferenceReused]. The entry that the books show under the reference
//     was there before this call.
//   - If the field NoHold is true as well, the error is also [ErrNoHold]. The
//     money was taken: either the order was paid without a hold, or an earlier
//     call captured the hold. The books do not show which of the two happened.
//
// docs/finals.md lists what the books have to show for each of these errors.
type StateError struct {
	Op        string // the operation, such as "captures.create"
	OrderID   string // the order or payment link that the call was about; "" for a new order
	Reference string // the merchant's reference of the capture, refund or order; "" for a cancel
	Order     *Order // the order in the books, or the document in the books that has the reference
	Reason    string // for people
	Conflict  bool   // the error is ErrConflict, and not ErrNotApplied
	Reused    bool   // with Conflict: the error is also ErrReferenceReused
	NoHold    bool   // with Conflict: the error is also ErrNoHold
	Err       error  // Plural's rejection, if there was one; nil if Conflict is true and NoHold is false
}

// Error returns a text with the operation, the order, and the reason why the
// write was not carried out as asked for.
func (e *StateError) Error() string {
	text := subject(e.Op, e.OrderID) + ": " + shortenText(e.Reason)
	var about []string
	if e.Reference != "" {
		about = append(about, "reference "+shortenText(e.Reference))
	}
	if id := orEmpty(e.Order).OrderID; id != "" && id != e.OrderID {
		about = append(about, "order "+clip(id))
	}
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return text
}

// Is supports [errors.Is]. It reports whether target is a sentinel that the
// error matches. The fields Conflict, Reused and NoHold decide which sentinels
// the error matches.
func (e *StateError) Is(target error) bool {
	if e.isConflict() {
		return target == ErrConflict || e.Reused && target == ErrReferenceReused || e.NoHold && target == ErrNoHold
	}
	return target == ErrNotApplied || target == ErrOperationNotAllowed
}

func (e *StateError) isConflict() bool { return e.Conflict || e.Reused || e.NoHold }

// Unwrap returns Plural's rejection, if the call read the books because of a
// rejection. If the error is an [ErrConflict], [errors.Is] finds none of this
// package's sentinels in the rejection. The rejection explains only why Plural
// refused the request. It does not explain the conflict that the books show.
func (e *StateError) Unwrap() error {
	if e.isConflict() && e.Err != nil {
		return foreign.NoVerdict(e.Err)
	}
	return e.Err
}

// DoubleRefundError means that Plural carried out one refund more than once,
// although Plural documents the reference as unique. The payer gets the money
// of all the Refunds. The error is an [ErrConflict]: a person has to settle it
// with Plural. Do not call again.
type DoubleRefundError struct {
	OrderID   string // the order that was refunded
	Reference string // the reference, which is the same for each of the Refunds
	Refunds   []*Order
}

// Error returns a text that lists the refunds that have the reference.
func (e *DoubleRefundError) Error() string {
	var listed []string
	for _, r := range e.Refunds {
		if r != nil {
			listed = append(listed, clip(r.OrderID)+" of "+r.OrderAmount.String())
		}
	}
	return fmt.Sprintf("%s: reference %s was refunded %d times: %s",
		subject(opRefund.name, e.OrderID), shortenText(e.Reference), len(e.Refunds), strings.Join(listed, " "))
}

// Is supports [errors.Is]. It reports whether target is [ErrConflict].
func (e *DoubleRefundError) Is(target error) bool { return target == ErrConflict }

// PaymentLinkError is a final answer about a payment link: the books show
// something other than what was asked for. It is an [ErrConflict]. After a
// create it is also an [ErrReferenceReused].
type PaymentLinkError struct {
	Op     string       // "payment_links.create" or "payment_links.cancel"
	Link   *PaymentLink // the link that has the reference, or the link to cancel
	Order  *Order       // after a cancel: the link's order, which was held or paid, in full or in part
	Reason string       // for people
}

// Error returns a text that names the link and the reason.
func (e *PaymentLinkError) Error() string {
	if e.Link == nil {
		return subject(e.Op, "") + ": " + shortenText(e.Reason)
	}
	return fmt.Sprintf("%s: %s (reference %s, order %s)", subject(e.Op, e.Link.PaymentLinkID), shortenText(e.Reason),
		shortenText(e.Link.MerchantPaymentLinkReference), clip(e.Link.OrderID))
}

// Is supports [errors.Is]. It reports whether target is [ErrConflict] or, after
// a create, [ErrReferenceReused].
func (e *PaymentLinkError) Is(target error) bool {
	return target == ErrConflict || target == ErrReferenceReused && e.Op == opCreateLink.name
}

// DuplicateOrderError means that the order exists already. It has this
// reference, and is the order that was asked for. But Plural does not return
// the order's checkout link again. The error is an [ErrDuplicateRequest].
//
// Some shops store each link and send payers only to a stored link. Such a shop
// may find that it has stored no link for the order. In that case no payer has
// the link, so nobody can pay the order. Then make an order under another
// reference. In all other cases, look at Order.Status first. The order may be
// paid by now, and a payer who has its link can still pay it.
//
// Plural may also answer a repeated create with the existing order and its
// link. Then Create returns that link. By default, the emulator answers in this
// way. To test this error, use the option
// WithDuplicateOrders(DuplicateRejected) of package pluraltest.
type DuplicateOrderError struct {
	Order *Order
}

// Error returns a text that names the order that has the reference.
func (e *DuplicateOrderError) Error() string {
	o := orEmpty(e.Order)
	const text = "plural: create order: reference %s is taken by order %s (%s) and its checkout link cannot be had again"
	return fmt.Sprintf(text, shortenText(o.MerchantOrderReference), clip(o.OrderID), clip(string(o.Status)))
}

// Is supports [errors.Is]. It reports whether target is [ErrDuplicateRequest].
func (e *DuplicateOrderError) Is(target error) bool { return target == ErrDuplicateRequest }

// NotPaidError means that the server's order is not the one expected, or that
// its amount is neither held nor paid in full. The order may have been paid and
// then changed by a partial capture or a refund. So look at
// [NotPaidError.WasPaid] before you treat the order as unpaid. The error is an
// [ErrNotPaid].
type NotPaidError struct {
	Order    *Order // the order from the server
	Reason   string // for people
	Mismatch bool   // Order is not the order that was expected
}

// WasPaid reports whether money was held or paid for the order. If the order is
// not the expected order, WasPaid returns false. WasPaid returns true in two
// cases:
//
//   - The order is PARTIALLY_CAPTURED, PARTIALLY_REFUNDED or FULLY_REFUNDED.
//   - The order is AUTHORIZED or PROCESSED, but does not show that the whole
//     amount is held or paid.
//
// If WasPaid is true, do not treat the order as unpaid.
func (e *NotPaidError) WasPaid() bool {
	return e.isExpected() && slices.Contains([]OrderStatus{
		OrderStatusAuthorized, OrderStatusProcessed,
		OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded,
	}, e.Order.Status)
}

// MayStillBePaid reports whether the order is CREATED, PENDING or ATTEMPTED,
// and is the one that was expected. The payer can still pay such an order with
// the link. If MayStillBePaid is true, do not make another order for the payer.
// Wait for the webhook, or read the order again.
func (e *NotPaidError) MayStillBePaid() bool {
	return e.isExpected() && e.Order.Status.isUnpaid()
}

func (e *NotPaidError) isExpected() bool { return e.Order != nil && !e.Mismatch }

// Error returns a text that names the order and says why it is not confirmed.
func (e *NotPaidError) Error() string {
	return subject(opConfirm.name, orEmpty(e.Order).OrderID) + ": not confirmed: " + shortenText(e.Reason)
}

// Is supports [errors.Is]. It reports whether target is [ErrNotPaid].
func (e *NotPaidError) Is(target error) bool { return target == ErrNotPaid }

// Format, LogValue and MarshalJSON leave out the body and the header, which may
// hold personal data.

// Format writes the error's text, for each formatting verb.
func (e Error) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, e.GoString())
		return
	}
	writeText(f, verb, e.Error())
}

// GoString returns the error's text.
func (e Error) GoString() string { return "&plural.Error{" + e.Error() + "}" }

// LogValue returns the parts of the error that are safe to log.
func (e Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op),
		slog.Int("status", e.StatusCode),
		slog.String("code", string(e.Code)),
		slog.String("request_id", e.RequestID),
		slog.String("trace_id", e.TraceID),
		slog.Int("attempts", e.Attempts),
		slog.String("error", e.Error()),
	)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Op        string    `json:"op"`
		Status    int       `json:"status"`
		Code      ErrorCode `json:"code,omitzero"`
		RequestID string    `json:"request_id,omitzero"`
		TraceID   string    `json:"trace_id,omitzero"`
		Attempts  int       `json:"attempts,omitzero"`
		Error     string    `json:"error"`
	}{e.Op, e.StatusCode, e.Code, e.RequestID, e.TraceID, e.Attempts, e.Error()})
}

// orEmpty returns o, or an empty order if o is nil.
func orEmpty(o *Order) *Order { return cmp.Or(o, &Order{}) }

// marshalError writes the JSON of an error that carries an order. It leaves out
// the order itself.
func marshalError(err error, op, orderID, reference string, o *Order) ([]byte, error) {
	return json.Marshal(struct {
		Op        string      `json:"op,omitzero"`
		OrderID   string      `json:"order_id,omitzero"`
		Reference string      `json:"reference,omitzero"`
		Status    OrderStatus `json:"status,omitzero"` // of the order
		Error     string      `json:"error"`
	}{op, orderID, reference, orEmpty(o).Status, err.Error()})
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e OutcomeUnknownError) MarshalJSON() ([]byte, error) {
	return marshalError(&e, e.Op, e.OrderID, e.Reference, e.Last)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e StateError) MarshalJSON() ([]byte, error) {
	return marshalError(&e, e.Op, e.OrderID, e.Reference, e.Order)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e DoubleRefundError) MarshalJSON() ([]byte, error) {
	return marshalError(&e, opRefund.name, e.OrderID, e.Reference, nil)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e PaymentLinkError) MarshalJSON() ([]byte, error) {
	link := cmp.Or(e.Link, &PaymentLink{})
	return marshalError(&e, e.Op, link.OrderID, link.MerchantPaymentLinkReference, e.Order)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e DuplicateOrderError) MarshalJSON() ([]byte, error) {
	o := orEmpty(e.Order)
	return marshalError(&e, opCreateOrder.name, o.OrderID, o.MerchantOrderReference, o)
}

// MarshalJSON writes the parts of the error that are safe to log.
func (e NotPaidError) MarshalJSON() ([]byte, error) {
	o := orEmpty(e.Order)
	return marshalError(&e, opConfirm.name, o.OrderID, o.MerchantOrderReference, o)
}

// subject returns the beginning of an error's text: the operation and the
// order.
func subject(op, id string) string {
	if id == "" {
		return "plural: " + phraseOf(op)
	}
	return "plural: " + phraseOf(op) + " " + clip(id)
}

// causeText returns the end of an error's text: the cause, if there is one.
func causeText(err error) string {
	if err == nil {
		return ""
	}
	return ": " + clean.OneLine(err.Error())
}

// tokenError means that there was no token, so the request was not sent.
type tokenError struct{ err error }

func (e *tokenError) Error() string {
	if errors.Is(e.err, ErrUnauthorized) {
		return "no access token (check the credentials, and whether they are for this environment): " + e.err.Error()
	}
	return "no access token: " + e.err.Error()
}

func (e *tokenError) Unwrap() error { return e.err }

// tokenAnswerError returns the [Error] of the token endpoint that err wraps. If
// err wraps no such error, tokenAnswerError returns nil.
func tokenAnswerError(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}
