package plural

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"

	"github.com/plural-go/plural/internal/foreign"
)

var errBodyTooLarge = errors.New("plural: the body is too large")

const firstRead = 512 // bytes that a sender of nothing holds

// readBody reads at most so many bytes. What is announced as more is refused
// unread. Otherwise memory is taken for what has arrived, whatever was
// announced: up to twice as much.
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

// isUncompressed reports whether the body is what it seems: signatures are over
// the body as sent, and inflating it is a way to exhaust memory.
func isUncompressed(h http.Header) bool {
	encoding := header{name: "Content-Encoding"}
	findHeaders(h, &encoding)
	value := encoding.value()
	return (value == "" || strings.EqualFold(value, "identity")) && !encoding.differs
}

// header is what a map has under a name, in any spelling of it. A header that
// is signed has to be there once. In other headers, equal values count as one:
// CGI and FastCGI bring the content type twice.
type header struct {
	name    string   // as net/http spells it
	values  []string // under the first spelling that was found
	count   int      // of the values under all spellings
	differs bool     // one of them from another
}

// findHeaders is the one way to a header. It finds names in any spelling, since
// some gateways build the map by hand. It walks the map once for all that is
// wanted, whose names begin with the same letter: most others then differ in
// their first byte.
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

// value is the value of a header whose values do not differ; "" for none.
func (w *header) value() string {
	if w.count == 0 {
		return ""
	}
	return w.values[0]
}

// single is the value of a header that was sent exactly once.
func (w *header) single() (value string, ok bool) { return w.value(), w.count == 1 }

// rejoined is the value of a header that was sent once, and that an adaptor may
// have split at its commas, as one for AWS Lambda does. None of the parts has a
// comma then. If a header was sent twice, each value has one, if every genuine
// value has.
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
	return &VerificationError{kind: kind, reason: ReasonBodyUnreadable, cause: foreign.Wrap(err)}
}
