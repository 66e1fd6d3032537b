package plural

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/incoming"
)

const (
	minHexKeyBytes = 8
	minKeyBytes    = 7       // the number of bytes in the secret of the published webhook example
	maxKeptHead    = 4 << 10 // a buffer for signed texts is used again, unless it is larger than this

	defaultTolerance = 5 * time.Minute
)

// Key is a secret for signing messages. Make a Key with [HexKey], [RawKey] or
// [Base64Key]. The zero Key is refused everywhere. If a Key is printed, logged
// or encoded, a placeholder appears in place of the secret.
type Key struct {
	// The secret is inside a function, because fmt prints at most the address
	// of a function. If this field were a pointer, fmt would print the secret
	// in one case: the Key is in an unexported field of a struct.
	secret func() *keySecret
}

type keySecret struct {
	raw  []byte
	macs sync.Pool // it holds values of the type *macState
}

// A macState has an HMAC that is used for many messages, and the buffers for
// this HMAC. The HMAC is called through an interface, so its buffers have to be
// on the heap. With a macState, they are not allocated again for each message.
type macState struct {
	mac  hash.Hash
	head []byte // the signed text before the body; it is cleared after each use
	sum  [sha256.Size]byte
}

// HexKey makes a key from a secret in hex digits, in upper or lower case.
// Plural signs callbacks with such a key (pre-authorisation guide, section
// 3.2). Every character must be a hex digit, and the key must have at least 8
// bytes. If the number of digits is odd, the last digit is ignored, as in the
// guide's own code.
func HexKey(secret string) (Key, error) {
	if strings.Trim(secret, "0123456789abcdefABCDEF") != "" {
		return Key{}, errors.New("plural: hex key: every character must be a hex digit, without white space")
	}
	raw, err := hex.DecodeString(secret[:len(secret)&^1])
	if err != nil || len(raw) < minHexKeyBytes {
		return Key{}, fmt.Errorf(
			"plural: hex key: at least %d bytes are needed, which is %d hex digits", minHexKeyBytes, 2*minHexKeyBytes,
		)
	}
	return newKey(raw)
}

// Base64Key makes a key from a secret in standard base64 with padding. The
// secret may begin with "whsec_". Plural's dashboard also shows webhook secrets
// in this form (Plural's webhook documentation, signature verification). The
// key must have at least 7 bytes.
func Base64Key(secret string) (Key, error) {
	encoded := strings.TrimPrefix(secret, "whsec_")
	raw, err := strictBase64.DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, errors.New("plural: base64 key: standard base64 with padding is needed, without white space")
	}
	if len(raw) < minKeyBytes {
		return Key{}, fmt.Errorf("plural: base64 key: at least %d bytes are needed", minKeyBytes)
	}
	return newKey(raw)
}

// RawKey makes a key from the characters of the secret. The published webhook
// example uses this form (Plural's webhook documentation, signature
// verification). RawKey refuses white space and unprintable characters, because
// such characters come from a file or a clipboard and not from Plural. The key
// must have at least 7 bytes.
func RawKey(secret string) (Key, error) {
	for _, r := range secret {
		if r == ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return Key{}, errors.New("plural: raw key: white space and unprintable characters are refused")
		}
	}
	if len(secret) < minKeyBytes {
		return Key{}, fmt.Errorf("plural: raw key: at least %d bytes are needed", minKeyBytes)
	}
	return newKey([]byte(secret))
}

//nolint:gochecknoglobals // it never changes, and is slow to make
var strictBase64 = base64.StdEncoding.Strict()

// Sign returns the HMAC-SHA256 of the message in upper-case hex. It does the
// same as GenerateHash in Plural's pre-authorisation guide, section 3.2. It is
// for programs that sign, such as your own tests. Use a [Verifier] to check
// incoming messages. For the zero Key, Sign returns "", so never compare its
// result with a text that may be empty.
func Sign(message []byte, key Key) string {
	if key.isZero() {
		return ""
	}
	sum := key.mac(nil, message)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// Verifier checks the signatures of callbacks and webhooks. It needs no
// [Client], does not change after construction and is safe for concurrent use.
// Make one Verifier for each merchant. A Verifier accepts a message about any
// order. If it had the keys of two merchants, one merchant could send messages
// about the other merchant's orders. A nil or zero Verifier refuses everything.
// If a Verifier is printed, logged or encoded, its keys do not appear.
type Verifier struct {
	config *verifierConfig
}

type verifierConfig struct {
	callbackKeys []Key
	webhookKeys  []Key
	tolerance    time.Duration
	now          func() time.Time
}

// VerifierOption changes how a [Verifier] checks messages.
type VerifierOption func(*verifierConfig) error

// NewVerifier makes a Verifier for the secret that Plural gave the merchant. It
// checks callbacks with the secret's hex form ([HexKey]). Plural's documents do
// not say clearly whether webhooks are signed with the hex form or with the
// characters of the secret. So for webhooks the Verifier accepts both forms:
// [HexKey], if the secret is hex, and [RawKey].
//
// A secret that is not hex is an error, unless [WithCallbackKeys] gives other
// keys for callbacks. Without this error, the Verifier would refuse every
// callback, and nobody would notice before production. The secret may be "" if
// [WithCallbackKeys] or [WithWebhookKeys] is given. Then the Verifier refuses
// all messages that it has no keys for. So NewVerifier("",
// WithWebhookKeys(key)) makes a Verifier only for webhooks.
func NewVerifier(secret string, opts ...VerifierOption) (*Verifier, error) {
	config := &verifierConfig{tolerance: defaultTolerance, now: time.Now}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("plural: new verifier: an option is nil")
		}
		if err := opt(config); err != nil {
			return nil, fmt.Errorf("plural: new verifier: %w", err)
		}
	}
	switch {
	case secret != "":
		if err := config.deriveKeys(secret); err != nil {
			return nil, err
		}
	case len(config.callbackKeys)+len(config.webhookKeys) == 0:
		return nil, errors.New("plural: new verifier: no secret and no keys")
	}
	return &Verifier{config}, nil
}

// deriveKeys makes keys from the secret, for callbacks, for webhooks or for
// both, if no keys were given for them.
func (c *verifierConfig) deriveKeys(secret string) error {
	hexKey, hexErr := HexKey(secret)
	if len(c.callbackKeys) == 0 {
		if hexErr != nil {
			return fmt.Errorf("plural: new verifier: the secret cannot check callbacks (see WithCallbackKeys): %w", hexErr)
		}
		c.callbackKeys = []Key{hexKey}
	}
	if len(c.webhookKeys) == 0 {
		rawKey, err := RawKey(secret)
		if err != nil {
			return fmt.Errorf("plural: new verifier: the secret cannot check webhooks (see WithWebhookKeys): %w", err)
		}
		c.webhookKeys = []Key{rawKey}
		if hexErr == nil {
			c.webhookKeys = []Key{hexKey, rawKey}
		}
	}
	return nil
}

// WithCallbackKeys replaces the keys for callbacks. Use it for a secret in
// another form, or to change to a new secret. A callback is accepted if any of
// the keys matches.
func WithCallbackKeys(keys ...Key) VerifierOption {
	return func(c *verifierConfig) (err error) {
		c.callbackKeys, err = checkKeys("callback", keys)
		return err
	}
}

// WithWebhookKeys replaces the keys for webhooks. Use it for a secret in
// another form, or to change to a new secret. A webhook is accepted if any of
// the keys matches.
func WithWebhookKeys(keys ...Key) VerifierOption {
	return func(c *verifierConfig) (err error) {
		c.webhookKeys, err = checkKeys("webhook", keys)
		return err
	}
}

// WithTolerance sets how far a webhook's timestamp may be from the current
// time, in the past or in the future. The default is 5 minutes. The tolerance
// must be positive.
//
// It is not known whether Plural gives redeliveries a new timestamp. If Plural
// does not, the last redelivery arrives about 28 hours after its timestamp. To
// accept it, use a tolerance of 29 hours, together with a durable [Deduper],
// which prevents replays.
func WithTolerance(tolerance time.Duration) VerifierOption {
	return func(c *verifierConfig) error {
		if tolerance <= 0 {
			return errors.New("the tolerance must be positive")
		}
		c.tolerance = tolerance
		return nil
	}
}

// checkFreshness checks that a webhook's timestamp is within the tolerance.
func (v *Verifier) checkFreshness(timestamp, now time.Time) error {
	switch age := now.Sub(timestamp); {
	case age > v.config.tolerance:
		return errTimestampPast
	case age < -v.config.tolerance:
		return errTimestampFuture
	}
	return nil
}

// WithClock sets the clock for the check of webhook timestamps.
func WithClock(now func() time.Time) VerifierOption {
	return func(c *verifierConfig) error {
		if now == nil {
			return errors.New("the clock is nil")
		}
		c.now = now
		return nil
	}
}

func checkKeys(family string, keys []Key) ([]Key, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("no %s keys given", family)
	}
	for _, key := range keys {
		if key.isZero() {
			return nil, fmt.Errorf("a %s key is the zero Key", family)
		}
	}
	return append([]Key(nil), keys...), nil
}

// newKey makes a Key and the key's first HMAC. In FIPS 140-only mode, the
// standard library panics when it makes an HMAC with a key that is too short.
// newKey turns that panic into an error.
func newKey(raw []byte) (key Key, err error) {
	defer func() {
		if recover() != nil {
			key, err = Key{}, errors.New("plural: key: too short for FIPS 140-only mode")
		}
	}()
	secret := &keySecret{raw: raw}
	secret.macs.Put(secret.newMAC())
	return Key{func() *keySecret { return secret }}, nil
}

func (s *keySecret) newMAC() *macState {
	return &macState{mac: hmac.New(sha256.New, s.raw)}
}

func (k Key) isZero() bool { return k.secret == nil }

// The method mac returns the HMAC-SHA256 of a text. The text consists of the
// parts of the head, one after the other, and then the body.
func (k Key) mac(head []string, body []byte) (sum [sha256.Size]byte) {
	secret := k.secret()
	m, isKept := secret.macs.Get().(*macState)
	if !isKept {
		m = secret.newMAC()
	}
	for _, part := range head {
		m.head = append(m.head, part...)
	}
	m.mac.Reset()
	m.mac.Write(m.head)
	m.mac.Write(body)
	copy(sum[:], m.mac.Sum(m.sum[:0]))
	clear(m.head)
	if m.head = m.head[:0]; cap(m.head) > maxKeptHead {
		m.head = nil
	}
	secret.macs.Put(m)
	return sum
}

// String returns a text that shows whether there is a key. The text has no part
// of the key.
func (k Key) String() string {
	if k.isZero() {
		return "plural.Key{}"
	}
	return "plural.Key{REDACTED}"
}

// GoString returns the text of String, so %#v shows no secret.
func (k Key) GoString() string { return k.String() }

// Format writes the text that String returns, for each formatting verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue returns the text of String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns the text of String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON returns the text of String, in quotes.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// String returns the number of keys and the tolerance, and shows no key.
func (v Verifier) String() string {
	if v.config == nil {
		return "plural.Verifier{}"
	}
	return fmt.Sprintf("plural.Verifier{%d callback keys, %d webhook keys, tolerance %s}",
		len(v.config.callbackKeys), len(v.config.webhookKeys), v.config.tolerance)
}

// GoString returns the text of String, so %#v shows no secret.
func (v Verifier) GoString() string { return v.String() }

// Format writes the text that String returns, for each formatting verb.
func (v Verifier) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, v.String()) }

// LogValue returns the text of String.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText returns the text of String.
func (v Verifier) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalJSON returns the text of String, in quotes.
func (v Verifier) MarshalJSON() ([]byte, error) { return []byte(`"` + v.String() + `"`), nil }

// These sentinels stand for the kinds of refused callbacks and webhooks. Test
// for them with [errors.Is].
var (
	ErrInvalidSignature  = foreign.Sentinel("plural: invalid signature")
	ErrStaleTimestamp    = foreign.Sentinel("plural: timestamp out of tolerance")
	ErrMalformedCallback = foreign.Sentinel("plural: malformed callback")
	ErrMalformedWebhook  = foreign.Sentinel("plural: malformed webhook")
)

// VerificationError reports why a callback or a webhook was refused. It matches
// [ErrInvalidSignature], [ErrStaleTimestamp], [ErrMalformedCallback] or
// [ErrMalformedWebhook]. Its text has a reason code, and nothing from the
// refused message or the expected signature. So it may be logged.
type VerificationError struct {
	kind   error
	reason VerificationReason
	cause  error
}

// VerificationReason is a code for the reason why a callback or a webhook was
// refused.
type VerificationReason string

// The reasons. Later versions may have more.
const (
	ReasonNoKeys             VerificationReason = "no_keys"             // the Verifier has no keys for such messages
	ReasonSignatureMissing   VerificationReason = "signature_missing"   // there is no signature, or it is empty
	ReasonSignatureRepeated  VerificationReason = "signature_repeated"  // a second signature field or header
	ReasonSignatureMalformed VerificationReason = "signature_malformed" // not 32 bytes in strict hex or base64
	ReasonSignatureVersion   VerificationReason = "signature_version"   // no signature of version v1
	ReasonSignatureMismatch  VerificationReason = "signature_mismatch"  // well formed, but wrong
	ReasonTimestampPast      VerificationReason = "timestamp_past"      // earlier than now by more than the tolerance
	ReasonTimestampFuture    VerificationReason = "timestamp_future"    // later than now by more than the tolerance
	// the webhook-id header is absent, repeated or malformed.
	ReasonWebhookID VerificationReason = "webhook_id"
	// the webhook-timestamp header is absent, repeated or malformed.
	ReasonWebhookTimestamp VerificationReason = "webhook_timestamp"
	ReasonMethod           VerificationReason = "method"           // not POST
	ReasonContentType      VerificationReason = "content_type"     // not application/x-www-form-urlencoded
	ReasonContentEncoding  VerificationReason = "content_encoding" // compressed
	ReasonBodyEmpty        VerificationReason = "body_empty"       // the body is empty, or was read before
	ReasonBodyTooLarge     VerificationReason = "body_too_large"
	ReasonBodyUnreadable   VerificationReason = "body_unreadable" // reading failed; the error wraps the cause
	ReasonFormEncoding     VerificationReason = "form_encoding"   // invalid percent-encoding, or a semicolon
	ReasonJSON             VerificationReason = "json"            // invalid JSON, several documents, or a wrong shape
	ReasonTooManyFields    VerificationReason = "too_many_fields"
	ReasonFieldName        VerificationReason = "field_name"     // a character outside A-Z, a-z, 0-9 and _
	ReasonFieldRepeated    VerificationReason = "field_repeated" // two fields with the same name
	// a value that could be read as further fields, or is not UTF-8.
	ReasonFieldValue     VerificationReason = "field_value"
	ReasonOrderIDMissing VerificationReason = "order_id_missing"
	ReasonStatusMissing  VerificationReason = "status_missing"
	ReasonStatusRepeated VerificationReason = "status_repeated" // both status and payment_status
)

// Reason returns the code for the reason why the message was refused.
func (e *VerificationError) Reason() VerificationReason { return e.reason }

// Error returns the text of the sentinel and the reason.
func (e *VerificationError) Error() string {
	if e.kind == nil {
		return "plural: not verified"
	}
	return e.kind.Error() + ": " + string(e.reason)
}

// Is supports [errors.Is]. It reports whether target is the sentinel for this
// error, such as [ErrInvalidSignature].
func (e *VerificationError) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap returns the error that occurred while the body was read or the event's
// order was decoded. Otherwise it returns nil.
func (e *VerificationError) Unwrap() error { return e.cause }

// These errors are made once, so refusing many forgeries allocates no memory.
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

// bodyError makes the error for a body that could not be read. The error
// matches the given sentinel.
func bodyError(sentinel, err error) error {
	if errors.Is(err, incoming.ErrBodyTooLarge) {
		return &VerificationError{kind: sentinel, reason: ReasonBodyTooLarge}
	}
	return &VerificationError{kind: sentinel, reason: ReasonBodyUnreadable, cause: foreign.Wrap(err)}
}
