package plural

import (
	"errors"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/incoming"
)

// The kinds of refused callbacks and webhooks, for [errors.Is].
var (
	ErrInvalidSignature  = foreign.Sentinel("plural: invalid signature")
	ErrStaleTimestamp    = foreign.Sentinel("plural: timestamp out of tolerance")
	ErrMalformedCallback = foreign.Sentinel("plural: malformed callback")
	ErrMalformedWebhook  = foreign.Sentinel("plural: malformed webhook")
)

// VerificationError says why a callback or a webhook was refused. It is
// [ErrInvalidSignature], [ErrStaleTimestamp], [ErrMalformedCallback] or
// [ErrMalformedWebhook]. Its text has a reason code and nothing of the refused
// message, so it may be logged. It never has the expected signature.
type VerificationError struct {
	kind   error
	reason VerificationReason
	cause  error
}

// VerificationReason says, in a code, why a callback or a webhook was refused.
type VerificationReason string

// The reasons. More may come.
const (
	ReasonNoKeys             VerificationReason = "no_keys"             // the Verifier has no keys for this family
	ReasonSignatureMissing   VerificationReason = "signature_missing"   // there is none, or an empty one
	ReasonSignatureRepeated  VerificationReason = "signature_repeated"  // a second signature field or header
	ReasonSignatureMalformed VerificationReason = "signature_malformed" // not 32 bytes in strict hex or base64
	ReasonSignatureVersion   VerificationReason = "signature_version"   // no signature of version v1
	ReasonSignatureMismatch  VerificationReason = "signature_mismatch"  // well formed, but wrong
	ReasonTimestampPast      VerificationReason = "timestamp_past"      // older than the tolerance
	ReasonTimestampFuture    VerificationReason = "timestamp_future"    // further ahead than the tolerance
	// the webhook-id header is absent, repeated or malformed.
	ReasonWebhookID VerificationReason = "webhook_id"
	// the webhook-timestamp header is absent, repeated or malformed.
	ReasonWebhookTimestamp VerificationReason = "webhook_timestamp"
	ReasonMethod           VerificationReason = "method"           // not POST
	ReasonContentType      VerificationReason = "content_type"     // not application/x-www-form-urlencoded
	ReasonContentEncoding  VerificationReason = "content_encoding" // compressed
	ReasonBodyEmpty        VerificationReason = "body_empty"       // empty, or somebody has read it before
	ReasonBodyTooLarge     VerificationReason = "body_too_large"
	ReasonBodyUnreadable   VerificationReason = "body_unreadable" // reading failed; the error wraps the cause
	ReasonFormEncoding     VerificationReason = "form_encoding"   // invalid percent-encoding, or a semicolon
	ReasonJSON             VerificationReason = "json"            // not one JSON document of the right shape
	ReasonTooManyFields    VerificationReason = "too_many_fields"
	ReasonFieldName        VerificationReason = "field_name"     // a character outside A-Z, a-z, 0-9 and _
	ReasonFieldRepeated    VerificationReason = "field_repeated" // two fields of one name
	// a value that could be read as further fields, or is not UTF-8.
	ReasonFieldValue     VerificationReason = "field_value"
	ReasonOrderIDMissing VerificationReason = "order_id_missing"
	ReasonStatusMissing  VerificationReason = "status_missing"
	ReasonStatusRepeated VerificationReason = "status_repeated" // both status and payment_status
)

// Reason is why.
func (e *VerificationError) Reason() VerificationReason { return e.reason }

// Error is the sentinel's text and the reason.
func (e *VerificationError) Error() string {
	if e.kind == nil {
		return "plural: not verified"
	}
	return e.kind.Error() + ": " + string(e.reason)
}

// Is makes a VerificationError one of the four sentinels.
func (e *VerificationError) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap gives the error of reading the body, or of decoding the event's order;
// nil otherwise.
func (e *VerificationError) Unwrap() error { return e.cause }

// These are made once, so refusing many forgeries allocates no memory.
var (
	errNoKeys             = &VerificationError{kind: ErrInvalidSignature, reason: ReasonNoKeys}
	errSignatureMissing   = &VerificationError{kind: ErrInvalidSignature, reason: ReasonSignatureMissing}
	errSignatureRepeated  = &VerificationError{kind: ErrInvalidSignature, reason: ReasonSignatureRepeated}
	errSignatureMalformed = &VerificationError{kind: ErrInvalidSignature, reason: ReasonSignatureMalformed}
	errSignatureVersion   = &VerificationError{kind: ErrInvalidSignature, reason: ReasonSignatureVersion}
	errSignatureMismatch  = &VerificationError{kind: ErrInvalidSignature, reason: ReasonSignatureMismatch}
	errTimestampPast      = &VerificationError{kind: ErrStaleTimestamp, reason: ReasonTimestampPast}
	errTimestampFuture    = &VerificationError{kind: ErrStaleTimestamp, reason: ReasonTimestampFuture}
	errWebhookID          = &VerificationError{kind: ErrMalformedWebhook, reason: ReasonWebhookID}
	errWebhookTimestamp   = &VerificationError{kind: ErrMalformedWebhook, reason: ReasonWebhookTimestamp}
	errWebhookBodyEmpty   = &VerificationError{kind: ErrMalformedWebhook, reason: ReasonBodyEmpty}
)

func malformedCallback(reason VerificationReason) error {
	return &VerificationError{kind: ErrMalformedCallback, reason: reason}
}

func malformedWebhook(reason VerificationReason) error {
	return &VerificationError{kind: ErrMalformedWebhook, reason: reason}
}

// bodyError is why a body could not be read, as one of the sentinels.
func bodyError(kind, err error) error {
	if errors.Is(err, incoming.ErrBodyTooLarge) {
		return &VerificationError{kind: kind, reason: ReasonBodyTooLarge}
	}
	return &VerificationError{kind: kind, reason: ReasonBodyUnreadable, cause: foreign.Wrap(err)}
}
