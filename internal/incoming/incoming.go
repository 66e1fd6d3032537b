// Package incoming reads what comes in over HTTP, within bounds.
package incoming

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// ErrBodyTooLarge is what ReadBody fails with at its limit.
var ErrBodyTooLarge = errors.New("plural: the body is too large")

const firstRead = 512 // bytes that a sender of nothing holds

// ReadBody reads at most so many bytes. What is announced as more is refused
// unread. Otherwise memory is taken for what has arrived, whatever was
// announced: up to twice as much, and no more than is read. [io.ReadAll] takes
// more.
func ReadBody(r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, ErrBodyTooLarge
	}
	if r.Body == nil {
		return nil, nil
	}
	most = min(most, math.MaxInt64-1)
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(max(2*int64(len(body)), firstRead), most+1)
			body = append(make([]byte, 0, size), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		_, isTooLarge := errors.AsType[*http.MaxBytesError](err)
		switch {
		case int64(len(body)) > most || isTooLarge:
			return nil, ErrBodyTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// IsForm reports whether there is one content type and it is that of an HTML
// form.
func IsForm(h http.Header) bool {
	contentType, isOne := onlyValue(h, "Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	return isOne && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) &&
		mediaType == "application/x-www-form-urlencoded"
}

// IsUncompressed reports whether the body is what it seems: signatures are over
// the body as sent, and inflating it is a way to exhaust memory.
func IsUncompressed(h http.Header) bool {
	encoding, isOne := onlyValue(h, "Content-Encoding")
	return isOne && (encoding == "" || strings.EqualFold(encoding, "identity"))
}

// Values are the values of a header, whose name is found in any spelling:
// some gateways build the map by hand. It reports whether there is one spelling
// at most.
func Values(h http.Header, name string) (found []string, isOne bool) {
	spellings := 0
	for key, values := range h {
		if !strings.EqualFold(key, name) || len(values) == 0 {
			continue
		}
		if spellings++; spellings == 1 {
			found = values
		} else {
			found = slices.Concat(found, values)
		}
	}
	return found, spellings <= 1
}

// onlyValue is that of a header whose values are equal: CGI and FastCGI bring
// the content type twice. It is "" for none.
func onlyValue(h http.Header, name string) (value string, ok bool) {
	values, _ := Values(h, name)
	for _, v := range values {
		if v != values[0] {
			return "", false
		}
		value = v
	}
	return value, true
}

// Rejoined is that of a header that was sent once, and that an adaptor may
// have split at its commas, as one for AWS Lambda does. None of the parts has a
// comma then. Of a header that was sent twice each value has one, if every
// genuine value has.
func Rejoined(h http.Header, name string, most int) (value string, ok bool) {
	parts, isOne := Values(h, name)
	if len(parts) <= 1 {
		return strings.Join(parts, ""), true
	}
	size := len(parts) - 1
	for _, part := range parts {
		if size += len(part); size > most || strings.Contains(part, ",") {
			return "", false
		}
	}
	return strings.Join(parts, ","), isOne
}
