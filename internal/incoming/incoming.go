// Package incoming reads HTTP bodies up to a limit, and the headers of requests.
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

// ErrBodyTooLarge is the error for a body that is larger than the limit.
var ErrBodyTooLarge = errors.New("plural: the body is too large")

// ReadBody reads the body of a request. If the body has more than maxBytes
// bytes, ReadBody returns [ErrBodyTooLarge].
func ReadBody(r *http.Request, maxBytes int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	const firstSize = 512 // the size of the buffer before any byte has arrived
	body, err := ReadAll(r.Body, r.ContentLength, firstSize, maxBytes)
	if err != nil {
		return nil, err
	}
	return body, nil
}

// ReadAll reads a body. If the body has more than maxBytes bytes, ReadAll
// returns [ErrBodyTooLarge]. If the announced length is above that limit,
// ReadAll returns this error at once, and reads nothing.
//
// Even if the announced length is below the limit, it may be wrong. So ReadAll
// does not make one buffer of this length. The first buffer has firstSize
// bytes. When a buffer is full, a larger buffer replaces it. The larger buffer
// has at most twice the size of the bytes that have arrived. No buffer has more
// than maxBytes+1 bytes. [io.ReadAll] takes more memory. If the read fails,
// ReadAll returns the error and the bytes that have arrived.
func ReadAll(r io.Reader, announced, firstSize, maxBytes int64) ([]byte, error) {
	if announced > maxBytes {
		return nil, ErrBodyTooLarge
	}
	maxBytes = min(maxBytes, math.MaxInt64-1)
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(max(2*int64(len(body)), firstSize), maxBytes+1)
			body = append(make([]byte, 0, size), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		_, isTooLarge := errors.AsType[*http.MaxBytesError](err)
		switch {
		case int64(len(body)) > maxBytes || isTooLarge:
			return body, ErrBodyTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, err
		}
	}
}

// IsForm reports whether the content type is that of an HTML form. If the
// headers have several different content types, the result is false.
func IsForm(h http.Header) bool {
	contentType, isOne := singleValue(h, "Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	return isOne && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) &&
		mediaType == "application/x-www-form-urlencoded"
}

// IsUncompressed reports whether the body is not compressed. Compressed bodies
// are refused for two reasons. A signature is made for the body as it was sent,
// so the body must not be changed before the check of the signature. And a
// small compressed body may become so large that it exhausts the memory.
func IsUncompressed(h http.Header) bool {
	encoding, isOne := singleValue(h, "Content-Encoding")
	return isOne && (encoding == "" || strings.EqualFold(encoding, "identity"))
}

// Header is one header of an [http.Header]. The map may have the name of this
// header in several spellings, such as "Content-Type" and "content-type".
type Header struct {
	Name   string
	Values []string // under all spellings

	isMixed bool // the map has several spellings of the name
}

// Find searches the map for the wanted headers, and sets the field
// Values of each header that it finds. It goes over the map only once. It
// ignores the case of the names, because some adaptors do not write the names
// as Go does.
func Find(h http.Header, wanted ...*Header) {
	for key, values := range h {
		for _, w := range wanted {
			switch {
			case key != w.Name && (len(key) != len(w.Name) || !strings.EqualFold(key, w.Name)):
			case w.Values == nil:
				w.Values = values
			default:
				w.Values, w.isMixed = slices.Concat(w.Values, values), true
			}
		}
	}
}

// Rejoined returns the value of a header. It returns "" if the
// header was not sent. An adaptor, such as one for AWS Lambda, may have split
// the value at its commas. Then no part has a comma, and Rejoined joins the
// parts with commas.
//
// Every genuine value of the header has a comma. So if there are several
// values, and one of them has a comma, the header was sent more than once. Then
// Rejoined returns false. It also returns false if the joined value would have
// more than maxBytes bytes, or if the map has the header under several
// spellings.
func (w *Header) Rejoined(maxBytes int) (value string, ok bool) {
	if len(w.Values) == 1 {
		return w.Values[0], true
	}
	size := len(w.Values) - 1
	for _, part := range w.Values {
		if size += len(part); size > maxBytes || strings.Contains(part, ",") {
			return "", false
		}
	}
	return strings.Join(w.Values, ","), !w.isMixed
}

// singleValue returns the value of a header. If the header was not sent, the
// value is "". If the header has several different values, the second result is
// false. Several equal values count as one value, because CGI and FastCGI send
// the content type twice.
func singleValue(h http.Header, name string) (value string, ok bool) {
	w := Header{Name: name}
	Find(h, &w)
	if len(w.Values) > 0 {
		value = w.Values[0]
	}
	return value, !slices.ContainsFunc(w.Values, func(v string) bool { return v != value })
}
