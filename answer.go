package plural

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/clean"
	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/incoming"
	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/wire"
)

const (
	maxAnswer    = 4 << 20  // an answer is read up to this size; published answers have at most a few KiB
	maxErrorBody = 8 << 10  // this much of the answer is kept in an Error
	maxUnescaped = 64 << 10 // in an error's answer up to this size, escapes are undone to look for the secret
)

// answer is the result of one try: a status and a body, or an error.
type answer struct {
	status  int
	header  http.Header
	body    string
	err     error // why no answer came, or not all of it
	notSent bool  // it is certain that no byte of the request went out

	secret string // the secret that authorised the request; errors must not show it if the answer repeats it

	brokeOff bool // the body ended, or was cut off, too early

	parsed *document
}

// answerClass is what an answer means for the request.
type answerClass int

const (
	classAmbiguous answerClass = iota // the request may or may not have been carried out
	classNotSent                      // nothing was sent
	classOK                           // a 2xx with a JSON document; the caller judges whether it is the right one
	classThrottled                    // refused for now, not carried out
	classRejected                     // refused, not carried out
)

// class looks at the code first and then at the status. One code can come with
// several statuses. The statuses 429 and 504 come with codes of opposite
// meanings.
func (a *answer) class() answerClass {
	if a.notSent {
		return classNotSent
	}
	if a.err != nil || a.status == 0 {
		return classAmbiguous
	}
	code := a.document().code()
	switch {
	case a.status >= 200 && a.status <= 299:
		return a.class2xx(code)
	case code == CodeInvalidUserAccount:
		return classRejected
	case code.isServerFault() || a.status < 400 || a.status >= 500:
		return classAmbiguous
	}
	switch a.status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly:
		return classAmbiguous
	case http.StatusTooManyRequests:
		if !code.isDefinitive() {
			return classThrottled
		}
	}
	if code == CodeAPIRateLimit {
		return classThrottled
	}
	return classRejected
}

// class2xx classifies an answer with a status of success. Such an answer may
// carry an error document. If an answer has both data and an error, its data is
// judged first.
func (a *answer) class2xx(code ErrorCode) answerClass {
	if a.document().hasData() {
		return classOK
	}
	switch {
	case code.isDefinitive():
		return classRejected
	case code == CodeAPIRateLimit:
		return classThrottled
	case code.isServerFault():
		return classAmbiguous
	}
	return classOK
}

// failure makes an error from an answer that is not the one asked for. unfit
// explains why a complete answer is not the right one.
func (a *answer) failure(op operation, subject, requestID string, attempts int, unfit error) *Error {
	e := &Error{
		Op: op.op(), OrderID: subject, StatusCode: a.status, RequestID: requestID, Attempts: attempts,
		Err: cmp.Or(a.err, unfit),
	}
	if a.status == 0 {
		return e
	}
	d := a.document()
	isOK := a.status >= 200 && a.status <= 299
	isToken := op.name == opToken.name
	e.broken = (op.method == http.MethodGet || isToken) &&
		(a.brokeOff || isOK && !d.isJSON && !errors.Is(a.err, errTooLarge))
	e.Code, e.RetryAfter = d.code(), retry.After(a.header, time.Now())
	if a.repeatsSecret() {
		e.Body, e.Message = []byte(redacted), "the answer repeats a secret, and is not shown"
		if !e.Code.IsKnown() {
			e.Code = ""
		}
		return e
	}
	e.Header, e.Message, e.Details = a.header, d.message(), d.details()
	e.TraceID = cmp.Or(d.TraceID, a.header.Get("X-Request-Id"))
	if !isOK || !isToken {
		e.Body = []byte(a.body[:min(len(a.body), maxErrorBody)])
	}
	if !d.isJSON && !errors.Is(a.err, errTooLarge) && !d.isBeyondLimits() {
		e.Message = a.excerpt(!isOK || !isToken)
	}
	return e
}

// repeatsSecret reports whether the answer shows the secret of its request,
// with any of its characters escaped, or breaks off in the middle of it.
func (a *answer) repeatsSecret() bool {
	const least = 6 // shorter texts are not secrets, and occur in ordinary words
	if len(a.secret) < least {
		return false
	}
	for _, values := range a.header {
		if strings.Contains(strings.ToLower(strings.Join(values, " ")), strings.ToLower(a.secret)) {
			return true
		}
	}
	hasEscapes := strings.Contains(a.body, `\`)
	if hasEscapes && len(a.body) > maxUnescaped {
		return true // the secret may hide in the escapes, and looking for it costs too much
	}
	text := a.body
	var value any
	if hasEscapes && json.Unmarshal([]byte(a.body), &value) == nil {
		text += fmt.Sprint(value)
	}
	for _, form := range []string{a.secret, inJSON(a.secret, encode), inJSON(a.secret, json.Marshal)} {
		if strings.Contains(text, form) {
			return true
		}
	}
	for n := least; n < len(a.secret); n++ {
		if strings.HasSuffix(a.body, a.secret[:n]) {
			return true
		}
	}
	return false
}

// decodeInto decodes a document. It decodes a struct of this package in the
// same way as the service methods do. It decodes the caller's own type with
// encoding/json, after a check of the limits. The check is needed because even
// an empty element may take much memory in such a type.
func decodeInto(document string, out any) error {
	if isOwnStruct(out) {
		return wire.Unmarshal(document, out)
	}
	if err := wire.CheckLimits(document); err != nil {
		return err
	}
	err := json.Unmarshal([]byte(document), out)
	if err == nil {
		return nil
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		own := *mismatch
		own.Value, _, _ = strings.Cut(mismatch.Value, " ") // "number 12" contains the number
		return &own
	}
	if isA[*json.SyntaxError](err) || isA[*wire.DecodeError](err) || isA[*json.InvalidUnmarshalError](err) {
		return err
	}
	// The text of an error of the caller's own type may quote the payer's data.
	return foreign.Under(fmt.Sprintf("a value of the answer cannot be decoded into %T: %T", out, err), err)
}

// isOwnStruct reports whether out points to a struct of this package that does
// not decode itself.
func isOwnStruct(out any) bool {
	_, decodesItself := out.(json.Unmarshaler)
	v := reflect.ValueOf(out)
	return !decodesItself && v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct &&
		v.Elem().Type().PkgPath() == reflect.TypeFor[Order]().PkgPath()
}

// inJSON returns a text as an encoder writes it between quotes.
func inJSON(text string, encoder func(any) ([]byte, error)) string {
	quoted, err := encoder(text)
	if err != nil {
		return text
	}
	return string(quoted[1 : len(quoted)-1])
}

// excerpt describes an answer that is not JSON, such as a firewall's page. It
// quotes nothing if the answer has any of the characters that JSON is made of.
// Some servers write a warning, or a guard against scripts, and then the JSON.
// That JSON may have personal data or the link to the checkout.
func (a *answer) excerpt(quote bool) string {
	body := strings.TrimSpace(a.body)
	if len(body) == 0 {
		return "empty answer"
	}
	mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || mediaType == "" {
		mediaType = "no content type"
	}
	kind := clip(mediaType)
	if encoding := a.header.Get("Content-Encoding"); encoding != "" {
		kind += ", Content-Encoding: " + clip(encoding)
	}
	const most = 80
	text := strings.Join(strings.Fields(tags.ReplaceAllString(body[:min(len(body), 1<<10)], " ")), " ")
	isPage := body[0] == '<' || strings.HasPrefix(mediaType, "text/")
	if !quote || !isPage || strings.ContainsAny(body, "{[") || strings.Contains(text, `"`) {
		return fmt.Sprintf("not JSON (%s)", kind)
	}
	return fmt.Sprintf("not JSON (%s): %s", kind, clean.Shorten(text, most))
}

// tags matches the tags of a page, the last of which may be cut off.
var tags = regexp.MustCompile(`<[^>]*>?`)

// document has the fields of all error documents that Plural sends. The pay
// API, the gateway, the token endpoint and the checkout each have their own
// shape.
type document struct {
	Data                   wire.Part[Order] `json:"data"` // the pay API has only orders there
	Code                   ErrorCode        `json:"code" alias:"error_code"`
	Message                string           `json:"message"`
	ErrorMessage           string           `json:"error_message"`
	ResponseMessage        string           `json:"response_message"`
	Error                  wire.Raw         `json:"error"`
	ErrorDescription       string           `json:"error_description"`
	TraceID                string           `json:"trace_id"`
	AdditionalErrorDetails wire.Raw         `json:"additional_error_details" alias:"additional_error_payload"`

	isJSON bool
	err    error    // why the body is not a document
	oauth  string   // the field error, if it is a string, as the token endpoint sends it
	nested struct { // the field error, if it is an object
		Code        ErrorCode `json:"code"`
		Message     string    `json:"message"`
		Description string    `json:"description"`
	}
}

func (a *answer) document() *document {
	if a.parsed == nil {
		a.parsed = parseDocument(a.body)
	}
	return a.parsed
}

func parseDocument(body string) *document {
	d := &document{}
	if err := wire.Unmarshal(body, d); err != nil {
		return &document{isJSON: wire.Check(body) == nil, err: err}
	}
	d.isJSON = true
	switch {
	case strings.HasPrefix(string(d.Error), `"`):
		d.oauth = d.Error.Text()
	case strings.HasPrefix(string(d.Error), "{"):
		if nested := d.nested; wire.Unmarshal(string(d.Error), &nested) == nil {
			d.nested = nested
		}
	}
	return d
}

// isBeyondLimits reports whether the body may be JSON, but is larger than the
// limit for reading.
func (d *document) isBeyondLimits() bool {
	limit, ok := errors.AsType[*wire.DecodeError](d.err)
	return ok && limit.Limit
}

// hasData reports whether the document has data that is not an empty object.
func (d *document) hasData() bool {
	inner, isObject := strings.CutPrefix(string(d.Data.Raw), "{")
	return isObject && !strings.HasPrefix(strings.TrimLeft(inner, " \t\r\n"), "}")
}

func (d *document) code() ErrorCode { return cmp.Or(d.Code, d.nested.Code, ErrorCode(d.oauth)) }

func (d *document) message() string {
	return cmp.Or(d.Message, d.ErrorMessage, d.ErrorDescription, d.ResponseMessage,
		d.nested.Message, d.nested.Description, d.oauth)
}

func (d *document) details() *ErrorDetails {
	if !strings.HasPrefix(string(d.AdditionalErrorDetails), "{") {
		return nil
	}
	var details ErrorDetails
	_ = wire.Unmarshal(string(d.AdditionalErrorDetails), &details) // on an error, fields that do not fit stay empty
	return &details
}

// readAnswer reads a response to its end, up to a limit, so its connection can
// be used again. secret is the secret that authorised the request.
func readAnswer(resp *http.Response, secret string) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, secret: secret}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, which has no context
		a.err = errors.New("the server switches protocols")
		return a
	}
	const usual = 4 << 10 // most answers are smaller
	body, err := incoming.ReadAll(resp.Body, resp.ContentLength, usual, maxAnswer)
	switch {
	case errors.Is(err, incoming.ErrBodyTooLarge):
		body, a.err = body[:min(len(body), maxErrorBody)], errTooLarge
	case err != nil:
		a.err = fmt.Errorf("the answer broke off after %d bytes: %w", len(body), foreign.Wrap(err, secret))
		a.brokeOff = true
	}
	a.body = string(body)
	return a
}

var errTooLarge = errors.New("the answer is larger than 4 MiB")

// discard reads and closes a body that nobody needs.
func discard(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxErrorBody))
	_ = body.Close()
}

// decoder makes an order from an answer.
type decoder func(*answer) (*Order, error)

// decodeOrder reads an answer of the pay API. Its documents are wrapped in
// "data".
func decodeOrder(a *answer) (*Order, error) {
	d := a.document()
	if d.err != nil {
		return nil, d.err
	}
	if d.Data.Raw == "" {
		return nil, errors.New("the answer has no data")
	}
	if d.Data.Err != nil {
		return nil, d.Data.Err
	}
	o := d.Data.Value
	if o.OrderID == "" || o.Status == "" {
		return o, errors.New("the answer has no order_id or no status")
	}
	return o, nil
}

// decodeOrderOf makes a decoder. The decoder refuses an order that isOther
// finds to be another order than the one asked for.
func decodeOrderOf(isOther func(*Order) error) decoder {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if err == nil && isOther(o) != nil {
			return nil, isOther(o)
		}
		return o, err
	}
}
