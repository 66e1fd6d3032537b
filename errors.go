package plural

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What errors of this package are, for [errors.Is].
var (
	ErrUnauthorized        = errors.New("plural: credentials or access token refused")
	ErrNotFound            = errors.New("plural: no such order")
	ErrDuplicateRequest    = errors.New("plural: the reference was used before")
	ErrOperationNotAllowed = errors.New("plural: the order's state does not allow it")
	ErrReferenceReused     = errors.New("plural: the reference belongs to something else")
	ErrInvalidRequest      = errors.New("plural: invalid request")
	ErrRateLimited         = errors.New("plural: too many requests")
	ErrNotPaid             = errors.New("plural: the order is not paid, or not the one expected")
	ErrOutcomeUnknown      = errors.New("plural: outcome unknown")
)

// ErrorCode is Plural's code for what went wrong. It is an open enum.
type ErrorCode string

// Plural's error codes, from its error catalogue and its callbacks.
const (
	CodeInvalidRequest             ErrorCode = "INVALID_REQUEST"
	CodeUnauthorized               ErrorCode = "UNAUTHORIZED"
	CodeOrderNotFound              ErrorCode = "ORDER_NOT_FOUND"
	CodeDuplicateRequest           ErrorCode = "DUPLICATE_REQUEST"
	CodeOperationNotAllowed        ErrorCode = "OPERATION_NOT_ALLOWED"
	CodeOrderCancelled             ErrorCode = "ORDER_CANCELLED"
	CodePaymentMethodNotEnabled    ErrorCode = "PAYMENT_METHOD_NOT_ENABLED"
	CodePaymentNotAuthorized       ErrorCode = "PAYMENT_NOT_AUTHORIZED"
	CodePaymentPending             ErrorCode = "PAYMENT_PENDING"
	CodePaymentExpired             ErrorCode = "PAYMENT_EXPIRED"
	CodePaymentDeclined            ErrorCode = "PAYMENT_DECLINED"
	CodeUserAuthenticationFailed   ErrorCode = "USER_AUTHENTICATION_FAILED"
	CodeUserAuthenticationRequired ErrorCode = "USER_AUTHENTICATION_REQUIRED"
	CodeInsufficientFunds          ErrorCode = "INSUFFICIENT_FUNDS"
	CodeAmountLimitExceeded        ErrorCode = "AMOUNT_LIMIT_EXCEEDED"
	CodeIssuerNotSupported         ErrorCode = "ISSUER_NOT_SUPPORTED"
	CodeRiskCheckFailed            ErrorCode = "RISK_CHECK_FAILED"
	CodeCardVerificationFailed     ErrorCode = "CARD_VERIFICATION_FAILED"
	CodeCardNotAllowed             ErrorCode = "CARD_NOT_ALLOWED"
	CodeCardStolen                 ErrorCode = "CARD_STOLEN"
	CodeCardLost                   ErrorCode = "CARD_LOST"
	CodeCardExpired                ErrorCode = "CARD_EXPIRED"
	CodeCardNotEnrolled            ErrorCode = "CARD_NOT_ENROLLED"
	CodeInvalidCardholder          ErrorCode = "INVALID_CARDHOLDER"
	CodeInvalidInstrument          ErrorCode = "INVALID_INSTRUMENT"
	CodeInvalidUserAccount         ErrorCode = "INVALID_USER_ACCOUNT"
	CodeAPIRateLimit               ErrorCode = "API_RATE_LIMIT"
	CodePaymentRateLimit           ErrorCode = "PAYMENT_RATE_LIMIT"
	CodeInternalError              ErrorCode = "INTERNAL_ERROR"
	CodeUnknownError               ErrorCode = "UNKNOWN_ERROR"
	CodeTimedOut                   ErrorCode = "TIMED_OUT"
)

// IsKnown says whether the code is one that this package has a constant for.
func (c ErrorCode) IsKnown() bool {
	return c.isDefinitive() || c == CodeAPIRateLimit || c.isServerFault()
}

// isDefinitive says whether the code is a decision about the request, which was then not carried out.
func (c ErrorCode) isDefinitive() bool {
	switch c {
	case CodeInvalidRequest, CodeUnauthorized, CodeOrderNotFound, CodeDuplicateRequest, CodeOperationNotAllowed, CodeOrderCancelled,
		CodePaymentMethodNotEnabled, CodePaymentNotAuthorized, CodePaymentPending, CodePaymentExpired, CodePaymentDeclined,
		CodeUserAuthenticationFailed, CodeUserAuthenticationRequired, CodeInsufficientFunds, CodeAmountLimitExceeded, CodeIssuerNotSupported,
		CodeRiskCheckFailed, CodeCardVerificationFailed, CodeCardNotAllowed, CodeCardStolen, CodeCardLost, CodeCardExpired, CodeCardNotEnrolled,
		CodeInvalidCardholder, CodeInvalidInstrument, CodeInvalidUserAccount, CodePaymentRateLimit:
		return true
	}
	return false
}

// isServerFault says whether the code leaves open what became of the request.
func (c ErrorCode) isServerFault() bool {
	return c == CodeInternalError || c == CodeUnknownError || c == CodeTimedOut
}

// Error is an answer that is not the one asked for, or no answer at all.
//
// It is [ErrUnauthorized], [ErrNotFound], [ErrDuplicateRequest], [ErrOperationNotAllowed], [ErrInvalidRequest] or [ErrRateLimited] where that is what the
// answer says. Unwrap gives the cause when no usable answer came: the network's or context's error, or what was wrong with the answer.
type Error struct {
	Op         string        // the operation, such as "captures.create"
	OrderID    string        // the order it was about, or the reference, if any
	StatusCode int           // HTTP status; 0 when no answer came
	Code       ErrorCode     // Plural's code; "" when the answer has none
	Message    string        // Plural's message, for people
	Details    *ErrorDetails // where and why, if the answer says
	RequestID  string        // the Request-ID that was sent
	TraceID    string        // the gateway's own id, if the answer has one
	Attempts   int           // how often the request was sent, or tried to
	RetryAfter time.Duration // how long the answer asks to wait; 0 if it does not
	Header     http.Header   // of the answer
	Body       []byte        // the first 8 KiB of the answer; may hold personal data
	Err        error         // the cause, when no usable answer came

	lookup bool // the request looked something up, so that "no matching records" means not found
	broken bool // the request has no effect and its answer came in pieces or was no JSON, so that another may be whole
}

// ErrorDetails is the part of an error answer that says where and why (additional_error_details).
type ErrorDetails struct {
	Source   string          `json:"source,omitzero"`
	Step     string          `json:"step,omitzero"`
	Reason   string          `json:"reason,omitzero"`
	Field    string          `json:"field,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitzero"`
}

// Error says what was done, to which order, what came back, and under which request id, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	writeSubject(&b, e.Op, e.OrderID)
	switch {
	case e.StatusCode != 0:
		fmt.Fprintf(&b, ": %d", e.StatusCode)
		if e.Code != "" {
			fmt.Fprintf(&b, " %s", clip(string(e.Code)))
		}
		if e.Message != "" {
			fmt.Fprintf(&b, ": %s", printable(e.Message))
		}
		if e.Err != nil {
			b.WriteString(": " + causeText(e.Err))
		}
	case e.Err != nil:
		b.WriteString(": " + causeText(e.Err))
	default:
		b.WriteString(": no answer")
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request id %s", clip(e.RequestID))
		if e.Attempts > 1 {
			fmt.Fprintf(&b, ", %d attempts", e.Attempts)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// Unwrap gives the cause when no usable answer came.
func (e *Error) Unwrap() error { return e.Err }

// Is makes the sentinels of this package match by code first, then by status. What the token endpoint refuses says nothing of an order or of a request.
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
		return e.Code == CodeAPIRateLimit || e.StatusCode == http.StatusTooManyRequests && !e.Code.isDefinitive()
	}
	return false
}

// Retryable says whether the same request may succeed later: no answer came, the server was busy, broken or limiting the rate. It says nothing of what
// became of the request; for that, money-moving calls answer with [OutcomeUnknownError].
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
	var inner *Error
	if errors.As(err, &inner) {
		return inner.Retryable()
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// isNoMatchingRecords recognises the third way in which Plural says that a reference is unknown: 400 INVALID_REQUEST, on a look-up.
func (e *Error) isNoMatchingRecords() bool {
	return e.lookup && e.StatusCode == http.StatusBadRequest && e.Code == CodeInvalidRequest &&
		strings.Contains(strings.ToLower(e.Message), "no matching records")
}

// FieldError is one thing wrong with a request.
type FieldError struct {
	Field string // JSON path, such as "purchase_details.customer.email_id"
	Rule  string // what the field has to be
}

// ValidationError says what is wrong with a request, all of it. Nothing was sent. It is [ErrInvalidRequest].
type ValidationError struct {
	Op     string
	Fields []FieldError
}

// Error names every bad field and what it has to be.
func (e *ValidationError) Error() string {
	var b strings.Builder
	writeSubject(&b, e.Op, "")
	b.WriteString(": invalid request, nothing was sent")
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(printable(f.Field) + " " + printable(f.Rule))
	}
	return b.String()
}

// Is makes a ValidationError an [ErrInvalidRequest].
func (e *ValidationError) Is(target error) bool { return target == ErrInvalidRequest }

// OutcomeUnknownError says that a request may or may not have been carried out, and that asking the server did not settle it in the attempts and time
// given. For a capture, cancel, refund or new order, calling again with the same reference settles it, without a second effect. After [Client.Do], which
// cannot ask, it is for the caller to find out first. It is [ErrOutcomeUnknown] and no other sentinel; Unwrap gives the last cause.
type OutcomeUnknownError struct {
	Op        string
	OrderID   string // the order; of a new order, and of Do: ""
	Reference string // the merchant's reference of the capture, refund or order; of a cancel: ""
	Last      *Order // the last document that was read, if any
	Err       error
}

// Error says what was done, to which order, and how to find out what became of it.
func (e *OutcomeUnknownError) Error() string {
	var b strings.Builder
	writeSubject(&b, e.Op, e.OrderID)
	b.WriteString(": outcome unknown")
	if e.Reference != "" {
		fmt.Fprintf(&b, " (reference %s)", printable(e.Reference))
	}
	if e.Last != nil {
		fmt.Fprintf(&b, ", last seen %s", clip(string(e.Last.Status)))
	}
	switch {
	case e.Reference != "":
		b.WriteString("; call again with the same reference to settle it")
	case e.OrderID != "":
		b.WriteString("; call again to settle it")
	default:
		b.WriteString("; find out what became of it before sending it again")
	}
	if e.Err != nil {
		b.WriteString(": " + causeText(e.Err))
	}
	return b.String()
}

// Is makes an OutcomeUnknownError an [ErrOutcomeUnknown].
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap gives the last cause: the context's error, or what the server said last. That is no verdict on the request, so that it matches none of this
// package's sentinels: a switch that looks for [ErrOperationNotAllowed] first does not take it for a failure. [errors.As] finds its [Error].
func (e *OutcomeUnknownError) Unwrap() error {
	if e.Err == nil {
		return nil
	}
	return noVerdictError{e.Err}
}

// noVerdictError keeps a cause from matching the sentinels.
type noVerdictError struct{ cause error }

func (n noVerdictError) Error() string { return n.cause.Error() }

func (n noVerdictError) Is(target error) bool {
	switch target {
	case ErrUnauthorized, ErrNotFound, ErrDuplicateRequest, ErrOperationNotAllowed, ErrReferenceReused, ErrInvalidRequest, ErrRateLimited, ErrNotPaid:
		return false
	}
	return errors.Is(n.cause, target)
}

func (n noVerdictError) As(target any) bool { return errors.As(n.cause, target) }

// StateError says that the server's books rule the operation out: it was not carried out and cannot be. It is [ErrOperationNotAllowed] or, when the
// reference was used for something else, [ErrReferenceReused]. Unwrap gives the rejection, if there was one.
type StateError struct {
	Op        string
	OrderID   string // the order that the call was about; of a new order: ""
	Reference string // the merchant's reference of the capture, refund or order; of a cancel: ""
	Order     *Order // what the books have: that order, or what stands under the reference
	Reason    string
	Err       error

	reused bool
}

// Error says what was to be done, to which order, and what rules it out.
func (e *StateError) Error() string {
	var b strings.Builder
	writeSubject(&b, e.Op, e.OrderID)
	b.WriteString(": " + printable(e.Reason))
	var about []string
	if e.Reference != "" {
		about = append(about, "reference "+printable(e.Reference))
	}
	if e.Order != nil && e.Order.OrderID != "" && e.Order.OrderID != e.OrderID {
		about = append(about, "order "+clip(e.Order.OrderID))
	}
	if len(about) > 0 {
		b.WriteString(" (" + strings.Join(about, ", ") + ")")
	}
	return b.String()
}

// Is makes a StateError an [ErrReferenceReused] or an [ErrOperationNotAllowed].
func (e *StateError) Is(target error) bool {
	if e.reused {
		return target == ErrReferenceReused
	}
	return target == ErrOperationNotAllowed
}

// Unwrap gives the answer that led to the look at the books, if it was a rejection.
func (e *StateError) Unwrap() error { return e.Err }

// DuplicateOrderError says that an order with this reference exists already, as asked for, and that its checkout link cannot be had again. Look at
// Order.Status before making another under a new reference: it may be paid by now, and a payer who was given its link can still pay it. It is
// [ErrDuplicateRequest].
type DuplicateOrderError struct {
	Order *Order
}

// Error says which order has the reference.
func (e *DuplicateOrderError) Error() string {
	o := e.Order
	if o == nil {
		o = &Order{}
	}
	return fmt.Sprintf("plural: create order: reference %s is taken by order %s (%s) and its checkout link cannot be had again",
		printable(o.MerchantOrderReference), clip(o.OrderID), clip(string(o.Status)))
}

// Is makes a DuplicateOrderError an [ErrDuplicateRequest].
func (e *DuplicateOrderError) Is(target error) bool { return target == ErrDuplicateRequest }

// NotPaidError says that the server's order is not the one expected, or is neither held nor paid in full. The latter includes orders that were paid and have
// moved on, to a partial capture or a refund: see [NotPaidError.WasPaid] before taking anything back. It is [ErrNotPaid].
type NotPaidError struct {
	Order  *Order // as the server has it
	Reason string

	mismatch bool
}

// WasPaid says whether the order is the one expected and was paid, but has moved on since: it is PARTIALLY_CAPTURED, PARTIALLY_REFUNDED or FULLY_REFUNDED. While
// it is true, do not treat the payer as one who has not paid.
func (e *NotPaidError) WasPaid() bool {
	return e.isExpectedIn(OrderStatusPartiallyCaptured, OrderStatusPartiallyRefunded, OrderStatusFullyRefunded)
}

// MayStillBePaid says whether the order is the one expected and the payer's link can still lead to a payment: it is CREATED, PENDING or ATTEMPTED. While it is
// true, do not make the payer another order: wait for the webhook, or read the order again.
func (e *NotPaidError) MayStillBePaid() bool {
	return e.isExpectedIn(OrderStatusCreated, OrderStatusPending, OrderStatusAttempted)
}

func (e *NotPaidError) isExpectedIn(statuses ...OrderStatus) bool {
	return e.Order != nil && !e.mismatch && slices.Contains(statuses, e.Order.Status)
}

// Error says which order it is about, and why that is not confirmed.
func (e *NotPaidError) Error() string {
	id := ""
	if e.Order != nil {
		id = e.Order.OrderID
	}
	var b strings.Builder
	writeSubject(&b, opConfirm.name, id)
	b.WriteString(": not confirmed: " + printable(e.Reason))
	return b.String()
}

// Is makes a NotPaidError an [ErrNotPaid].
func (e *NotPaidError) Is(target error) bool { return target == ErrNotPaid }

// Format, LogValue and MarshalJSON leave the body and the header out: they may hold personal data.

// Format writes the error's text, under every verb.
func (e Error) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, e.GoString())
		return
	}
	writeText(f, verb, e.Error())
}

// GoString is the error's text.
func (e Error) GoString() string { return "&plural.Error{" + e.Error() + "}" }

// LogValue gives the parts of the error that are safe to log.
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

func writeSubject(b *strings.Builder, op, id string) {
	b.WriteString("plural: ")
	b.WriteString(phrase(op))
	if id != "" {
		b.WriteByte(' ')
		b.WriteString(clip(id))
	}
}

// phrase says for people what an operation does.
func phrase(op string) string {
	switch op {
	case opToken.name:
		return "get access token"
	case opCreateOrder.name:
		return "create order"
	case opGetOrder.name:
		return "get order"
	case opGetByReference.name:
		return "get order by reference"
	case opConfirm.name:
		return "confirm order"
	case opCheck.name:
		return "check order"
	case opWait.name:
		return "wait for order"
	case opCapture.name:
		return "capture order"
	case opCancel.name:
		return "cancel order"
	case opRefund.name:
		return "refund order"
	case "":
		return "request"
	}
	return printable(op)
}

// printable keeps a server's message on one line and of a sane length.
func printable(s string) string {
	const most = 200
	return shorten(s, most)
}

// causeText is an error within another one's text: joined errors on one line, and of a sane length.
func causeText(err error) string {
	const most = 800
	return shorten(strings.ReplaceAll(err.Error(), "\n", "; "), most)
}

// shorten cuts s to most bytes, and replaces what is no text on one line: control, format and separator characters, and what is not UTF-8.
func shorten(s string, most int) string {
	cut := len(s) > most
	if cut {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "..."
	}
	return s
}
