package plural

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/incoming"
	"github.com/plural-go/plural/internal/wire"
)

const (
	defaultMaxWebhookBody = 256 << 10 // Plural's webhooks have a few KiB

	maxWebhookID             = 128
	maxWebhookTimestamp      = 11
	maxWebhookSignatures     = 8
	maxWebhookSignatureBytes = 1 << 10
	encodedSignatureBytes    = 44
)

// ErrNoOrder is the error of [Event.Order] and [Event.OrderID] for an event
// that is not about an order.
var ErrNoOrder = foreign.Sentinel("plural: the event carries no order")

// Event is a verified webhook.
//
// Plural may deliver an event more than once, and events may come in any
// sequence. Recognise a repeated event by its ID, and read the order from
// Plural before you act on the event. If an Event is printed or logged, its
// data does not appear, because the data may be personal. [json.Marshal] writes
// the data.
type Event struct {
	ID        string          `json:"id"`        // the webhook-id header, the same on every redelivery
	Timestamp time.Time       `json:"timestamp"` // the webhook-timestamp header, UTC
	Type      EventType       `json:"event_type"`
	Data      json.RawMessage `json:"data,omitzero"` // as Plural sent it
	// KeyIndex is the index of the key that made the signature. If
	// WithWebhookKeys was given, the index is the key's position in its list.
	// Otherwise NewVerifier has made the keys from the secret. If the secret is
	// hex, key 0 is made with HexKey, and key 1 is made with RawKey. If the
	// secret is not hex, the only key is key 0, made with RawKey.
	KeyIndex int `json:"-"`

	raw string
}

// RawJSON returns the whole body, as sent. The body may have more fields than
// type and data, such as the event_id and merchant_id of subscription events.
func (e *Event) RawJSON() json.RawMessage {
	if e.raw == "" {
		return nil
	}
	return json.RawMessage(e.raw)
}

// Order returns the order or the refund that the event is about. If the event
// is not about an order, the error is [ErrNoOrder]. If the order cannot be
// decoded, the error is [ErrMalformedWebhook].
//
// A REFUND_PROCESSED event may carry the refund, or the refunded order with the
// refund in its Refunds. The Type of the result shows which of the two it is.
func (e *Event) Order() (*Order, error) {
	if len(e.Data) == 0 || e.Data[0] != '{' {
		return nil, fmt.Errorf("%w (%q)", ErrNoOrder, clip(string(e.Type)))
	}
	order, err := parseOrder(string(e.Data))
	if err != nil {
		return nil, &VerificationError{kind: ErrMalformedWebhook, reason: ReasonJSON, cause: err}
	}
	if order.OrderID == "" {
		return nil, fmt.Errorf("%w (%q)", ErrNoOrder, clip(string(e.Type)))
	}
	return order, nil
}

// OrderID returns the id of the order that the event is about. For the event of
// a refund, OrderID returns the id of the refunded order. If that id is not in
// the event, OrderID returns the id of the refund. The errors are those of
// [Event.Order].
func (e *Event) OrderID() (string, error) {
	o, err := e.Order()
	switch {
	case err != nil:
		return "", err
	case o.Type == OrderTypeRefund && o.ParentOrderID != "":
		return strings.Clone(o.ParentOrderID), nil // the id may be kept longer than the event
	}
	return strings.Clone(o.OrderID), nil
}

// VerifyWebhookSignature verifies a webhook's signature and timestamp. It takes
// the headers, and the body as received. It does not parse the body, and
// allocates no memory.
//
// The rule is in Plural's webhook documentation, signature verification. The
// signed text is the webhook-id, the webhook-timestamp and the body, joined
// with ".". The signature is the HMAC-SHA256 of that text, in base64, after
// "v1,". The header webhook-signature may have up to eight signatures,
// separated by spaces. Signatures of versions other than v1 are skipped.
//
// Each of the three headers must be there exactly once. The names may be in
// upper or lower case. Some adaptors, such as those for AWS Lambda, split the
// webhook-signature at its commas. VerifyWebhookSignature joins the parts
// again.
//
// The error is [ErrInvalidSignature], [ErrStaleTimestamp] or
// [ErrMalformedWebhook]. With ErrStaleTimestamp, the signature is right but the
// timestamp is too far from the current time (see [WithTolerance]).
func (v *Verifier) VerifyWebhookSignature(h http.Header, body []byte) error {
	var head webhookHead
	return v.verifyWebhook(&head, h, body)
}

// VerifyWebhook verifies a webhook in the same way as
// [Verifier.VerifyWebhookSignature], and parses its envelope, which is the JSON
// object around the data. Event types and fields that this package does not
// know are not errors, and an envelope without a type is not an error either.
// The errors are those of [Verifier.VerifyWebhookSignature].
//
// An Event shares no memory with h and body, because a server may use their
// memory again.
func (v *Verifier) VerifyWebhook(h http.Header, body []byte) (*Event, error) {
	var head webhookHead
	if err := v.verifyWebhook(&head, h, body); err != nil {
		return nil, err
	}
	return newEvent(&head, body)
}

// newEvent makes an Event. It copies the texts that it keeps. ID and Type are
// separate copies, so a caller can keep them without the whole body.
func newEvent(head *webhookHead, body []byte) (*Event, error) {
	var envelope struct {
		Type EventType `json:"event_type"` // "" if the event has no such field
		Data wire.Raw  `json:"data"`
	}
	text := string(body)
	if err := wire.Unmarshal(text, &envelope); err != nil {
		return nil, malformedWebhook(ReasonJSON)
	}
	var data json.RawMessage
	if envelope.Data != "" {
		data = json.RawMessage(envelope.Data)
	}
	return &Event{
		ID:        strings.Clone(head.id),
		Timestamp: head.timestamp,
		Type:      EventType(strings.Clone(string(envelope.Type))),
		Data:      data,
		KeyIndex:  head.key,
		raw:       text,
	}, nil
}

// VerifyWebhookRequest verifies the request of a webhook. The request must be a
// POST with a body of at most 256 KiB that is not compressed and that nobody
// has read before. VerifyWebhookRequest reads the body once. A handler of
// [NewWebhookHandler] verifies its requests itself. The errors are those of
// [Verifier.VerifyWebhookSignature].
//
// It checks the headers before it reads the body. So a timestamp out of
// tolerance leads to [ErrStaleTimestamp], even if the signature is wrong.
//
// This package does not disconnect a sender that stalls, so set the server's
// ReadTimeout.
func (v *Verifier) VerifyWebhookRequest(r *http.Request) (*Event, error) {
	if r == nil || r.Method != http.MethodPost {
		return nil, malformedWebhook(ReasonMethod)
	}
	return v.verifyWebhookRequest(r, defaultMaxWebhookBody)
}

func (v *Verifier) verifyWebhookRequest(r *http.Request, maxBody int64) (*Event, error) {
	if !incoming.IsUncompressed(r.Header) {
		return nil, malformedWebhook(ReasonContentEncoding)
	}
	var head webhookHead
	if err := v.readHead(&head, r.Header); err != nil {
		return nil, err
	}
	if err := v.checkFreshness(head.timestamp, v.config.now()); err != nil {
		return nil, err
	}
	body, err := incoming.ReadBody(r, maxBody)
	if err != nil {
		return nil, bodyError(ErrMalformedWebhook, err)
	}
	if err := v.verifyBody(&head, body); err != nil {
		return nil, err
	}
	return newEvent(&head, body)
}

// verifyWebhook checks the form of the headers, then the signature, then the
// timestamp.
func (v *Verifier) verifyWebhook(head *webhookHead, h http.Header, body []byte) error {
	if err := v.readHead(head, h); err != nil {
		return err
	}
	return v.verifyBody(head, body)
}

// webhookHead is the content of the three headers of a webhook. Its texts share
// the headers' memory, so copy each text that is kept.
type webhookHead struct {
	id        string
	digits    string // the digits of the timestamp
	timestamp time.Time
	given     webhookSignatures
	key       int // the index of the key that made one of the signatures; set by verifyBody
}

// readHead checks the form of the headers.
func (v *Verifier) readHead(head *webhookHead, h http.Header) error {
	if v == nil || v.config == nil || len(v.config.webhookKeys) == 0 {
		return errNoKeys
	}
	id := incoming.Header{Name: "Webhook-Id"}
	timestamp := incoming.Header{Name: "Webhook-Timestamp"}
	signature := incoming.Header{Name: "Webhook-Signature"}
	incoming.Find(h, &id, &timestamp, &signature)
	if len(id.Values) != 1 || !isWebhookID(id.Values[0]) {
		return errWebhookID
	}
	if len(timestamp.Values) != 1 {
		return errWebhookTimestamp
	}
	head.id, head.digits = id.Values[0], timestamp.Values[0]
	seconds, ok := parseTimestamp(head.digits)
	if !ok {
		return errWebhookTimestamp
	}
	head.timestamp = time.Unix(seconds, 0).UTC()
	list, ok := signature.Rejoined(maxWebhookSignatureBytes)
	switch {
	case !ok:
		return errSignatureRepeated
	case list == "":
		return errSignatureMissing
	}
	return head.given.parse(list)
}

// verifyBody checks the signature, then the timestamp.
func (v *Verifier) verifyBody(head *webhookHead, body []byte) error {
	if len(body) == 0 {
		return errWebhookBodyEmpty
	}
	// The clock is read before the HMAC is calculated, because this order is
	// faster.
	now := v.config.now()
	if head.key = v.webhookKeyOf(head, body); head.key < 0 {
		return errSignatureMismatch
	}
	return v.checkFreshness(head.timestamp, now)
}

// webhookKeyOf returns the index of the key that made one of the signatures, or
// -1 if no key did. Each comparison takes constant time. It is not a secret
// which key matches, or how many keys there are.
func (v *Verifier) webhookKeyOf(head *webhookHead, body []byte) int {
	signed := [...]string{head.id, ".", head.digits, "."}
	for i, key := range v.config.webhookKeys {
		if head.given.includesMAC(key.mac(signed[:], body)) {
			return i
		}
	}
	return -1
}

// isWebhookID reports whether id has only the characters that Plural's ids
// have. "=" is not allowed, so no text that was signed as a callback can pass
// as a webhook.
func isWebhookID(id string) bool { return isWord(id) && len(id) <= maxWebhookID }

// parseTimestamp reads seconds since 1970. It allows only digits, and so few of
// them that the number cannot overflow.
func parseTimestamp(digits string) (seconds int64, ok bool) {
	n, err := strconv.ParseUint(digits, 10, 63) // unlike ParseInt, it refuses a sign
	return int64(n), err == nil && len(digits) <= maxWebhookTimestamp
}

// webhookSignatures are the signatures of version v1.
type webhookSignatures struct {
	sums  [maxWebhookSignatures][sha256.Size]byte
	count int
}

// The method parse reads "v1,<base64>" elements that are separated by single
// spaces. One malformed element makes the whole list invalid, because Plural
// never sends a malformed element.
func (s *webhookSignatures) parse(list string) error {
	if len(list) > maxWebhookSignatureBytes {
		return errSignatureMalformed
	}
	for n := 0; ; n++ {
		element, rest, more := strings.Cut(list, " ")
		version, encoded, found := strings.Cut(element, ",")
		if n == maxWebhookSignatures || !found || version == "" || encoded == "" {
			return errSignatureMalformed
		}
		if version == "v1" {
			if !decodeSignature(&s.sums[s.count], encoded) {
				return errSignatureMalformed
			}
			s.count++
		}
		if !more {
			break
		}
		list = rest
	}
	if s.count == 0 {
		return errSignatureVersion
	}
	return nil
}

// decodeSignature decodes a signature. It accepts only canonical base64 of 32
// bytes. The decoder skips line ends. But a text with line ends decodes to
// fewer than 32 bytes, so the check of the length refuses the text.
func decodeSignature(sum *[sha256.Size]byte, encoded string) bool {
	var text [encodedSignatureBytes]byte
	// The array has 33 bytes, because 44 characters of base64 stand for 33
	// bytes if there is no padding. A signature has only 32 bytes.
	var decoded [encodedSignatureBytes / 4 * 3]byte
	if len(encoded) != len(text) {
		return false
	}
	copy(text[:], encoded)
	n, err := strictBase64.Decode(decoded[:], text[:])
	*sum = [sha256.Size]byte(decoded[:])
	return err == nil && n == len(sum)
}

// includesMAC reports whether mac is one of the signatures.
func (s *webhookSignatures) includesMAC(mac [sha256.Size]byte) bool {
	match := 0
	for i := range s.sums[:s.count] {
		match |= subtle.ConstantTimeCompare(mac[:], s.sums[i][:])
	}
	return match == 1
}

// String returns the id, the time and the type. If the type is long,
// String leaves out the end of the type.
func (e Event) String() string {
	return fmt.Sprintf("plural.Event{ID: %q, Timestamp: %s, Type: %q}",
		e.ID, e.Timestamp.Format(time.RFC3339), clip(string(e.Type)))
}

// Format writes the text that String returns, for each formatting verb.
func (e Event) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.String()) }

// LogValue returns the id, the time and the type. If the type is long,
// LogValue leaves out the end of the type.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", e.ID), slog.Time("timestamp", e.Timestamp), slog.String("event_type", clip(string(e.Type))),
	)
}
