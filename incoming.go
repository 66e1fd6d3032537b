package plural

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"
)

var errBodyTooLarge = errors.New("plural: the body is too large")

const firstRead = 512 // bytes that are held for a sender who sends nothing

// readBody reads a body of up to most bytes. A body whose announced length is
// more is refused unread. Otherwise memory grows with the bytes that have
// arrived, up to twice as much, and not with the announced length.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, errBodyTooLarge
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
		tooLarge := (*http.MaxBytesError)(nil)
		switch {
		case int64(len(body)) > most, errors.As(err, &tooLarge):
			return nil, errBodyTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// isForm reports whether there is one content type and it is that of an HTML
// form.
func isForm(h http.Header) bool {
	contentType := header{name: "Content-Type"}
	findHeaders(h, &contentType)
	mediaType, _, err := mime.ParseMediaType(contentType.value())
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) &&
		mediaType == "application/x-www-form-urlencoded" && !contentType.differs
}

// isUncompressed reports whether the body is not compressed. Signatures are
// over the body as sent, and a compressed body could exhaust memory.
func isUncompressed(h http.Header) bool {
	encoding := header{name: "Content-Encoding"}
	findHeaders(h, &encoding)
	value := encoding.value()
	return (value == "" || strings.EqualFold(value, "identity")) && !encoding.differs
}

// header is the content of a map under a name, in any spelling of that name. A
// header that is signed has to be there once. In other headers, equal values
// count as one: CGI and FastCGI bring the content type twice.
type header struct {
	name    string   // as net/http spells it
	values  []string // under the first spelling that was found
	count   int      // how many values there are, under all spellings
	differs bool     // the values differ
}

// findHeaders is used for every header that is read. It finds names in any
// spelling, since some gateways build the map by hand. It walks the map once
// for all names. They begin with the same letter, so most other headers differ
// in their first byte.
func findHeaders(h http.Header, wanted ...*header) {
	initial := wanted[0].name[0] | 0x20
	for key, values := range h {
		if key == "" || key[0]|0x20 != initial {
			continue
		}
		for _, w := range wanted {
			if key == w.name || len(key) == len(w.name) && strings.EqualFold(key, w.name) {
				w.add(values)
				break
			}
		}
	}
}

func (w *header) add(values []string) {
	if w.count == 0 {
		w.values = values
	}
	w.count += len(values)
	for i := 0; w.count > 1 && i < len(values); i++ {
		w.differs = w.differs || values[i] != w.values[0]
	}
}

// value is the value of a header whose values are equal; "" if there is none.
func (w *header) value() string {
	if w.count == 0 {
		return ""
	}
	return w.values[0]
}

// single is the value of a header that was sent exactly once.
func (w *header) single() (value string, ok bool) { return w.value(), w.count == 1 }

// rejoined is the value of a header that was sent once. An adaptor, such as one
// for AWS Lambda, may have split it at its commas. Then no part has a comma. If
// a header was sent twice, each value has a comma, because every genuine value
// has one.
func (w *header) rejoined(most int) (value string, ok bool) {
	if w.count <= 1 {
		return w.value(), true
	}
	size := len(w.values) - 1
	for _, part := range w.values {
		if size += len(part); size > most || strings.Contains(part, ",") {
			return "", false
		}
	}
	return strings.Join(w.values, ","), w.count == len(w.values)
}

// bodyError is why a body could not be read, as one of the sentinels.
func bodyError(kind, err error) error {
	if errors.Is(err, errBodyTooLarge) {
		return &VerificationError{kind: kind, reason: ReasonBodyTooLarge}
	}
	return &VerificationError{kind: kind, reason: ReasonBodyUnreadable, cause: foreign(err)}
}
