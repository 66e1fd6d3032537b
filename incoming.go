package plural

import (
	"bytes"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"
)

var errBodyTooLarge = errors.New("plural: the body is too large")

func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, errBodyTooLarge
	}
	if r.Body == nil {
		return nil, nil
	}
	most = min(most, math.MaxInt64-1)
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(r.Body, most+1))
	if tooLarge := (*http.MaxBytesError)(nil); n > most || errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	return body.Bytes(), err
}

// isForm says whether there is one content type and it is that of an HTML form.
func isForm(h http.Header) bool {
	value, count := headerValue(h, "Content-Type")
	if count != 1 {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(value)
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) &&
		mediaType == "application/x-www-form-urlencoded"
}

// isUncompressed says whether the body is what it seems: signatures are over
// the body as sent, and inflating it is a way to exhaust memory.
func isUncompressed(h http.Header) bool {
	value, count := headerValue(h, "Content-Encoding")
	return count == 0 || count == 1 && (value == "" || strings.EqualFold(value, "identity"))
}

// headerValue finds a header in any spelling of its name: some gateways build
// the map by hand, in lower case.
func headerValue(h http.Header, name string) (value string, count int) {
	for key, values := range h {
		if strings.EqualFold(key, name) && len(values) > 0 {
			value = values[0]
			count += len(values)
		}
	}
	return value, count
}

// bodyError is why a body could not be read, as one of the sentinels.
func bodyError(kind, err error) error {
	if errors.Is(err, errBodyTooLarge) {
		return &VerificationError{kind: kind, reason: ReasonBodyTooLarge}
	}
	return &VerificationError{kind: kind, reason: ReasonBodyUnreadable, cause: err}
}
