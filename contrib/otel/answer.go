package pluralotel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/plural-go/plural"
)

// mostSeen is how many bytes of an answer this package reads. Plural's error
// documents are much shorter.
const mostSeen = 8 << 10

// lookInto finds out what the status of an answer does not show. A read may ask
// Plural's books what a write has done. If the answer is that the books show
// nothing, the answer is not an error. The body of an answer with a 2xx status
// may be an error document.
func lookInto(ctx context.Context, resp *http.Response) {
	span, ok := ctx.Value(spanKey{}).(*redactingSpan)
	if !ok {
		return
	}
	_, isSettling := plural.AttemptFromContext(ctx)
	switch {
	case isSettling && resp.StatusCode/100 == 4:
		span.showsNothing = saysNothingIsThere(peek(resp))
	case resp.StatusCode/100 == 2:
		resp.Body = &seenBody{ReadCloser: resp.Body, span: span}
	}
}

// peek returns the beginning of an answer. The body can still be read from its
// start.
func peek(resp *http.Response) []byte {
	start, err := io.ReadAll(io.LimitReader(resp.Body, mostSeen)) //nolint:forbidigo // it is limited
	again := io.Reader(bytes.NewReader(start))
	if err != nil {
		again = io.MultiReader(again, broken{err})
	} else {
		again = io.MultiReader(again, resp.Body)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{again, resp.Body}
	return start
}

type broken struct{ err error }

// Read returns the error that reading the body returned.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// saysNothingIsThere reports whether Plural itself answered "not found". A bare
// 404 may come from a proxy on the way.
func saysNothingIsThere(answer []byte) bool {
	return codeIn(answer) == plural.CodeOrderNotFound ||
		bytes.Contains(bytes.ToLower(answer), []byte("no matching records"))
}

// codeIn returns the code of an error document if package plural knows that
// code. Otherwise it returns "".
func codeIn(document []byte) plural.ErrorCode {
	var found struct {
		Code      plural.ErrorCode `json:"code"`
		ErrorCode plural.ErrorCode `json:"error_code"`
		Error     struct {
			Code plural.ErrorCode `json:"code"`
		} `json:"error"`
	}
	// A member of the wrong type is left out, and the rest is decoded.
	wrong := (*json.UnmarshalTypeError)(nil)
	if err := json.Unmarshal(document, &found); err != nil && !errors.As(err, &wrong) {
		return ""
	}
	for _, code := range []plural.ErrorCode{found.Code, found.ErrorCode, found.Error.Code} {
		if code.IsKnown() {
			return code
		}
	}
	return ""
}

// seenBody is the body of an answer with a 2xx status. When the body has been
// read to its end, and the span has not ended yet, seenBody records the code of
// an error's document. It records only codes that package plural knows, because
// a span's error.type should have few values.
type seenBody struct {
	io.ReadCloser

	span *redactingSpan
	seen []byte
	long bool
}

// Read reads from the body.
func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.long = b.long || len(b.seen)+n > mostSeen; !b.long {
		b.seen = append(b.seen, p[:n]...)
	}
	if errors.Is(err, io.EOF) && !b.long {
		if code := codeIn(b.seen); code != "" {
			b.span.SetAttributes(semconv.ErrorTypeKey.String(string(code)))
			b.span.SetStatus(codes.Error, "")
		}
	}
	return n, err
}
