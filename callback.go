package plural

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/plural-go/plural/internal/incoming"
	"github.com/plural-go/plural/internal/wire"
)

const (
	maxCallbackBytes  = 64 << 10
	maxCallbackFields = 64
)

// Callback is the verified data that a payer's browser brings back from the
// checkout. [OrderService.Confirm] accepts only a Callback that a [Verifier]
// made.
//
// The signature covers no amount and no time. So a callback can be replayed,
// and does not show how much was paid. The Status alone does not prove success
// either, because Plural's own sample of a failure has the status AUTHORIZED
// together with an error code. Use [OrderService.Confirm] to check the server's
// order before you ship anything.
//
// The packages fmt and slog leave out the ErrorMessage and the Fields of a
// Callback, because both may have personal data. [json.Marshal] writes both.
type Callback struct {
	OrderID      string      `json:"order_id"`
	Status       OrderStatus `json:"status"` // from status or payment_status, whichever Plural sent
	ErrorCode    ErrorCode   `json:"error_code,omitzero"`
	ErrorMessage string      `json:"error_message,omitzero"` // for people; may contain personal data
	// all fields that have a value, except the signature, by their names in the
	// form or JSON
	Fields map[string]string `json:"fields,omitzero"`
	// KeyIndex is the index of the key that made the signature, in the list given
	// to WithCallbackKeys.
	KeyIndex int `json:"-"`

	verified verifiedCallback
}

// verifiedCallback is a copy of signed values. The package compares a Callback
// with this copy, to recognise a Callback that other code has made or changed.
type verifiedCallback struct {
	ok           bool
	orderID      string
	status       OrderStatus
	errorCode    ErrorCode
	errorMessage string
}

// isVerified returns true if a Verifier made the Callback, and if the fields
// that verifiedCallback copies have not changed since then.
func (c *Callback) isVerified() bool {
	return c != nil && c.verified == verifiedCallback{true, c.OrderID, c.Status, c.ErrorCode, c.ErrorMessage}
}

// VerifyCallback verifies the form that the payer's browser posts to the
// callback URL. Pass only the fields of the body, as
// [Verifier.VerifyCallbackRequest] does, because the query string of the
// callback URL is not signed.
//
// The rule for the signature is in Plural's pre-authorisation guide, section
// 3.2. The signature is an HMAC-SHA256 of a text. The text has one key=value
// for each field, except for the field with the signature. The values are
// decoded, as in the parameter form. The fields are sorted by key and joined
// with "&". The guide does not show whether the text includes fields without a
// value. So VerifyCallback accepts a signature of the text with these fields,
// and also a signature of the text without them.
//
// The text is not escaped. So VerifyCallback refuses a form that could be read
// in two ways:
//
//   - Two fields have the same name.
//   - A name has a character outside A-Z, a-z, 0-9 and _.
//   - A part of a value could be read as another field, because the part comes
//     after an "&".
//
// The error is [ErrInvalidSignature] or [ErrMalformedCallback].
func (v *Verifier) VerifyCallback(form url.Values) (*Callback, error) {
	var few [8]callbackField // Plural sends five
	fields := few[:0]
	for name, values := range form {
		for _, value := range values {
			if len(fields) == maxCallbackFields {
				return nil, malformedCallback(ReasonTooManyFields)
			}
			fields = append(fields, callbackField{name, value})
		}
	}
	return v.verifyCallback(fields)
}

// VerifyCallbackRequest verifies the request that the payer's browser makes to
// the callback URL: an uncompressed POST of an HTML form of at most 64 KiB. It
// reads the body once, and ignores the query string. If a framework has already
// parsed the form into r.PostForm, VerifyCallbackRequest uses that form and
// does not read the body.
//
// The request comes from Plural's page, so it is cross-site. Protection against
// request forgery, such as [http.CrossOriginProtection], refuses a cross-site
// request with 403. Exempt the path of the callback URL from that protection,
// because the signature protects this request. If your session cookie has
// SameSite=Lax, the browser does not send the cookie with this request. So find
// the order by the callback's OrderID, and redirect with 303 (See Other) to a
// page of your own. The browser sends the cookie when it opens that page.
//
// The error is [ErrInvalidSignature] or [ErrMalformedCallback]. This package
// does not limit how long the sender takes, so set the server's ReadTimeout.
func (v *Verifier) VerifyCallbackRequest(r *http.Request) (*Callback, error) {
	if r == nil || r.Method != http.MethodPost {
		return nil, malformedCallback(ReasonMethod)
	}
	if !incoming.IsForm(r.Header) {
		return nil, malformedCallback(ReasonContentType)
	}
	if !incoming.IsUncompressed(r.Header) {
		return nil, malformedCallback(ReasonContentEncoding)
	}
	if r.PostForm != nil {
		return v.VerifyCallback(r.PostForm)
	}
	body, err := incoming.ReadBody(r, maxCallbackBytes)
	if err != nil {
		return nil, bodyError(ErrMalformedCallback, err)
	}
	if len(body) == 0 {
		return nil, malformedCallback(ReasonBodyEmpty)
	}
	if bytes.Count(body, []byte("&")) >= maxCallbackFields {
		return nil, malformedCallback(ReasonTooManyFields)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformedCallback(ReasonFormEncoding)
	}
	return v.VerifyCallback(form)
}

// VerifyCallbackJSON verifies the object that the checkout's JavaScript passes
// to the page's success and failure handlers, in the IFRAME and SDK
// integrations. Your page sends that object to your server. It must be one flat
// JSON object of at most 64 KiB with unique names and string values. Names are
// case-sensitive, and a null counts as absent.
//
// The error is [ErrInvalidSignature] or [ErrMalformedCallback].
func (v *Verifier) VerifyCallbackJSON(body []byte) (*Callback, error) {
	if len(body) > maxCallbackBytes {
		return nil, malformedCallback(ReasonBodyTooLarge)
	}
	fields, err := flatObject(body)
	if err != nil {
		return nil, err
	}
	return v.verifyCallback(fields)
}

type callbackField struct{ name, value string }

// verifyCallback verifies the fields, and sorts them.
func (v *Verifier) verifyCallback(fields []callbackField) (*Callback, error) {
	if v == nil || v.config == nil || len(v.config.callbackKeys) == 0 {
		return nil, errNoKeys
	}
	signature, signed, err := splitSignature(fields)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(signed, func(a, b callbackField) int { return strings.Compare(a.name, b.name) })
	if err := checkCallbackFields(signed); err != nil {
		return nil, err
	}
	key := v.callbackKeyOf(signed, signature)
	if key < 0 {
		return nil, errSignatureMismatch
	}
	c := newCallback(signed)
	c.KeyIndex = key
	return c, nil
}

// splitSignature removes the signature from the fields and decodes it.
func splitSignature(fields []callbackField) (signature [sha256.Size]byte, signed []callbackField, err error) {
	given, count := "", 0
	signed = fields[:0]
	for _, f := range fields {
		if f.name == "signature" {
			given = f.value
			count++
			continue
		}
		signed = append(signed, f)
	}
	var digits [2 * sha256.Size]byte
	isTooLong := copy(digits[:], given) < len(given)
	_, wrong := hex.Decode(signature[:], digits[:])
	switch {
	case count > 1:
		return signature, nil, errSignatureRepeated
	case given == "":
		return signature, nil, errSignatureMissing
	case isTooLong || wrong != nil:
		// If the text is too short, the last bytes of the array have the
		// value 0. hex.Decode refuses such bytes.
		return signature, nil, errSignatureMalformed
	}
	return signature, signed, nil
}

// checkCallbackFields refuses fields that make the signed text ambiguous, and
// forms that are not a callback.
func checkCallbackFields(fields []callbackField) error {
	var hasOrderID, hasStatus bool
	size, statuses := 0, 0
	for i, f := range fields {
		size += len(f.name) + len(f.value) + 2
		switch {
		case size > maxCallbackBytes:
			return malformedCallback(ReasonBodyTooLarge)
		case !isFieldName(f.name):
			return malformedCallback(ReasonFieldName)
		case i > 0 && fields[i-1].name == f.name:
			return malformedCallback(ReasonFieldRepeated)
		case !isFieldValue(f.name, f.value):
			return malformedCallback(ReasonFieldValue)
		}
		switch f.name {
		case "order_id":
			hasOrderID = f.value != ""
		case "status", "payment_status":
			statuses++
			hasStatus = f.value != ""
		}
	}
	switch {
	case !hasOrderID:
		return malformedCallback(ReasonOrderIDMissing)
	case statuses > 1:
		return malformedCallback(ReasonStatusRepeated)
	case !hasStatus:
		return malformedCallback(ReasonStatusMissing)
	}
	return nil
}

// isFieldName reports whether a name has only allowed characters. "&" and "="
// are not allowed. With such a character in a name, the signed text could be
// split into names and values in more than one way.
func isFieldName(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return name != ""
}

// isFieldValue reports whether a field's value is allowed. A value is refused
// if a part of it could be read as another field, because then the signed text
// could be split into fields in more than one way. The rules:
//
//   - The value is valid UTF-8.
//   - The value of error_message may have an "&", because error_message is free
//     text. The values of all other fields have no "&".
//   - In error_message, an "&" is not followed by a field name and "=".
func isFieldValue(name, value string) bool {
	if !utf8.ValidString(value) {
		return false
	}
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "&")
		if !found {
			return true
		}
		if name != "error_message" {
			return false
		}
		n := 0
		for n < len(after) && isNameByte(after[n]) {
			n++
		}
		if n > 0 && n < len(after) && after[n] == '=' {
			return false
		}
		rest = after
	}
}

// callbackKeyOf returns the index of the key that made the signature, or -1 if
// no key did. It tries the text without empty fields and the text with them.
// Each comparison takes constant time. The search stops at the first match,
// because the index of the key is not a secret.
func (v *Verifier) callbackKeyOf(fields []callbackField, signature [sha256.Size]byte) int {
	var few [2][32]string // enough for eight fields
	short, whole := signedText(few[0][:0], fields, false), signedText(few[1][:0], fields, true)
	for i, key := range v.config.callbackKeys {
		if key.hasSigned(short, signature) || len(whole) > len(short) && key.hasSigned(whole, signature) {
			return i
		}
	}
	return -1
}

// hasSigned reports whether the signature was made from the text with this key.
func (k Key) hasSigned(text []string, signature [sha256.Size]byte) bool {
	sum := k.mac(text, nil)
	return subtle.ConstantTimeCompare(sum[:], signature[:]) == 1
}

// signedText appends the parts of the text that the signature covers. With
// keepEmpty, the text includes the fields without a value.
func signedText(text []string, fields []callbackField, keepEmpty bool) []string {
	for _, f := range fields {
		if f.value == "" && !keepEmpty {
			continue
		}
		if len(text) > 0 {
			text = append(text, "&")
		}
		text = append(text, f.name, "=", f.value)
	}
	return text
}

// newCallback copies the texts that it keeps, because a server may use the
// memory of the request again.
func newCallback(fields []callbackField) *Callback {
	c := &Callback{Fields: make(map[string]string, len(fields))}
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		name, value := f.name, strings.Clone(f.value)
		switch name {
		case "order_id":
			name, c.OrderID = "order_id", value
		case "status":
			name, c.Status = "status", OrderStatus(value)
		case "payment_status":
			name, c.Status = "payment_status", OrderStatus(value)
		case "error_code":
			name, c.ErrorCode = "error_code", ErrorCode(value)
		case "error_message":
			name, c.ErrorMessage = "error_message", value
		default:
			name = strings.Clone(name)
		}
		c.Fields[name] = value
	}
	c.verified = verifiedCallback{true, c.OrderID, c.Status, c.ErrorCode, c.ErrorMessage}
	return c
}

// flatObject reads one JSON object of strings and nulls. It refuses repeated
// names.
func flatObject(body []byte) ([]callbackField, error) {
	if !utf8.Valid(body) {
		return nil, malformedCallback(ReasonJSON)
	}
	fields := make([]callbackField, 0, 8)
	var nulls []string
	var wrong error
	err := wire.Flat(string(body), func(name, value string, isNull bool) bool {
		isRepeated := slices.Contains(nulls, name) ||
			slices.ContainsFunc(fields, func(f callbackField) bool { return f.name == name })
		switch {
		case len(fields)+len(nulls) == maxCallbackFields:
			wrong = malformedCallback(ReasonTooManyFields)
		case isRepeated:
			wrong = malformedCallback(ReasonFieldRepeated)
		case isNull:
			nulls = append(nulls, name)
		default:
			fields = append(fields, callbackField{name, value})
		}
		return wrong == nil
	})
	switch {
	case wrong != nil:
		return nil, wrong
	case err != nil:
		return nil, malformedCallback(ReasonJSON)
	}
	return fields, nil
}

// String writes the fields that have no personal data.
func (c Callback) String() string {
	return fmt.Sprintf("plural.Callback{OrderID: %q, Status: %q, ErrorCode: %q}", c.OrderID, c.Status, c.ErrorCode)
}

// Format writes the text that String returns, for each formatting verb.
func (c Callback) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue returns the fields that have no personal data.
func (c Callback) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("order_id", c.OrderID),
		slog.String("status", string(c.Status)),
		slog.String("error_code", string(c.ErrorCode)),
	)
}
