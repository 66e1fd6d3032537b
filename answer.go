package plural

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/clean"
	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/incoming"
	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/wire"
)

const (
	maxAnswer    = 4 << 20 // the largest answer that is read; Plural's published answers have a few KiB at most
	maxErrorBody = 8 << 10 // the number of bytes of an answer that an Error keeps
)

// answer is the result of one try: a status and a body, or an error.
type answer struct {
	status  int
	header  http.Header
	body    string
	err     error // why no answer came, or why it is not complete
	notSent bool  // it is certain that no byte of the request was sent

	secret string // the secret that authorised the request; errors do not show an answer that repeats this secret

	brokeOff bool // the body broke off before its end

	parsed *document
}

// answerClass is what an answer shows about its request.
type answerClass int

const (
	classAmbiguous answerClass = iota // the request may or may not have been carried out
	classNotSent                      // nothing was sent
	classOK                           // a 2xx answer that has data or no known error code; the caller judges it
	classThrottled                    // the request was refused for now, and not carried out
	classRejected                     // the request was refused, and not carried out
)

// findClass returns the class of the answer. The class depends on Plural's code
// and on the HTTP status. The code alone is not enough, because one code can
// come with several statuses. The status alone is not enough either, because
// the statuses 429 and 504 can come with codes of opposite meanings.
func (a *answer) findClass() answerClass {
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

// class2xx classifies an answer with a 2xx status. Such an answer may be an
// error document. If the answer has data, the caller judges the data, even if
// the answer also has an error.
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

// The method failure makes the error of a request that failed. Most fields of
// the error come from the answer. If a 2xx answer was not accepted, the
// parameter acceptErr is the reason. For any other answer, acceptErr is nil.
func (a *answer) failure(op operation, subject, requestID string, attempts int, acceptErr error) *Error {
	e := &Error{
		Op: op.op(), OrderID: subject, StatusCode: a.status, RequestID: requestID, Attempts: attempts,
		Err: cmp.Or(a.err, acceptErr),
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
	if foreign.Repeats(a.secret, a.header, a.body) {
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
		e.Message = clean.Excerpt(a.body, a.header, !isOK || !isToken)
	}
	return e
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
		own.Value, _, _ = strings.Cut(mismatch.Value, " ") // "number 12" becomes "number": the 12 may be personal data
		return &own
	}
	switch err.(type) { //nolint:errorlint // an error that wraps one of these comes from the caller's own type
	case *json.SyntaxError, *wire.DecodeError, *json.InvalidUnmarshalError:
		return err
	}
	// The error may come from a method of the caller's own type. The text of
	// such an error may quote the payer's data.
	return foreign.Under(fmt.Sprintf("a value of the answer cannot be decoded into %T: %T", out, err), err)
}

// isOwnStruct reports whether out points to a struct of this package without an
// UnmarshalJSON method of its own.
func isOwnStruct(out any) bool {
	_, decodesItself := out.(json.Unmarshaler)
	v := reflect.ValueOf(out)
	return !decodesItself && v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct &&
		v.Elem().Type().PkgPath() == reflect.TypeFor[Order]().PkgPath()
}

// The type document has the fields of all error documents that Plural sends.
// The pay API, the gateway, the token endpoint and the checkout use different
// fields.
type document struct {
	Data                   wire.Part[Order] `json:"data"` // in the pay API, data is always an order
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
	oauth  string   // the value of "error" if it is a string, as from the token endpoint
	nested struct { // the value of "error" if it is an object
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

// isBeyondLimits reports whether the body was not decoded because it exceeds a
// limit. Such a body may still be JSON.
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
	_ = wire.Unmarshal(string(d.AdditionalErrorDetails), &details) // a field that does not fit stays empty
	return &details
}

// readAnswer reads a response up to a limit. If the response ends before the
// limit, the connection can be used again. The parameter secret is the token or
// the client secret that authorised the request.
func readAnswer(resp *http.Response, secret string) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, secret: secret}
	defer func() { _ = resp.Body.Close() }()
	// After a switch of protocols, the body is the connection itself. Code that
	// reads this body would still wait after the context has ended. So the body
	// is not read.
	if resp.StatusCode == http.StatusSwitchingProtocols {
		a.err = errors.New("the server switches protocols")
		return a
	}
	// The first buffer has room for one byte more than the announced body,
	// unless the body is large. Without this byte, ReadAll would make a larger
	// buffer, only to find the end of the body.
	first := min(resp.ContentLength+1, maxErrorBody)
	if resp.ContentLength < 0 {
		first = maxErrorBody / 2
	}
	body, err := incoming.ReadAll(resp.Body, resp.ContentLength, first, maxAnswer)
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

// discardBody reads a body that nobody needs, and closes it. It reads no more
// than maxErrorBody bytes.
func discardBody(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxErrorBody))
	_ = body.Close()
}

// decoder makes an order from an answer.
type decoder func(*answer) (*Order, error)

// decodeOrder reads the order in an answer of the pay API. The pay API wraps
// its documents in "data".
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

// These errors explain why the answer to a look-up by reference cannot be used.
var (
	errNoReference    = errors.New("the answer does not say its reference")
	errOtherReference = errors.New("the answer is about another reference")
)

// decodeOrderWith makes a decoder for the order that has the reference. The
// decoder refuses an order with another reference. If the answer does not show
// a reference, the order may still be the right one. Then the decoder returns
// the order together with an error.
func decodeOrderWith(reference string) decoder {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		switch {
		case o == nil || o.MerchantOrderReference == reference:
			return o, err
		case o.MerchantOrderReference == "":
			return o, cmp.Or(err, errNoReference)
		}
		return nil, errOtherReference
	}
}

// decodeOrderOf makes a decoder that refuses any order other than the one asked
// for. The function checkOrder returns an error for an order to refuse.
func decodeOrderOf(checkOrder func(*Order) error) decoder {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if err == nil && checkOrder(o) != nil {
			return nil, checkOrder(o)
		}
		return o, err
	}
}
