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

// maxInspected limits how many bytes of an answer this package inspects.
// Plural's error documents are much shorter.
const maxInspected = 8 << 10

// inspectAnswer checks the body of an answer in two cases, because the status
// alone does not show whether the try failed:
//
//   - The client reads Plural's books to find out what a write has done, and
//     the answer has a 4xx status. If the body shows that the books have
//     nothing about the write, the span is not marked as an error.
//   - The answer has a 2xx status. If its body is an error document, the span
//     is marked as an error.
func inspectAnswer(ctx context.Context, resp *http.Response) {
	span, ok := ctx.Value(spanKey{}).(*redactingSpan)
	if !ok {
		return
	}
	_, isSettling := plural.AttemptFromContext(ctx)
	switch {
	case isSettling && resp.StatusCode/100 == 4:
		span.showsNothing = saysNothingIsThere(peekBody(resp))
	case resp.StatusCode/100 == 2:
		resp.Body = &seenBody{ReadCloser: resp.Body, span: span}
	}
}

// peekBody returns the beginning of the body, up to maxInspected bytes.
// Afterwards the body can still be read from its start.
func peekBody(resp *http.Response) []byte {
	start, err := io.ReadAll(io.LimitReader(resp.Body, maxInspected)) //nolint:forbidigo // it is limited
	again := io.Reader(bytes.NewReader(start))
	if err != nil {
		again = io.MultiReader(again, failedBody{err})
	} else {
		again = io.MultiReader(again, resp.Body)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{again, resp.Body}
	return start
}

// failedBody takes the place of the rest of a body that could not be read.
type failedBody struct{ err error }

// The method Read returns the error of the failed read.
func (b failedBody) Read([]byte) (int, error) { return 0, b.err }

// saysNothingIsThere reports whether Plural itself answered "not found". A 404
// alone does not show that, because it may come from a proxy on the way.
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

// seenBody is the body of an answer with a 2xx status. At the end of the body,
// the method Read checks whether the body is an error document. If it is one,
// the method records the document's code in the span, unless the span has ended
// before. Only codes that package plural knows are recorded, because a span's
// error.type should have few values. A body of more than maxInspected bytes is
// not checked.
type seenBody struct {
	io.ReadCloser

	span *redactingSpan
	seen []byte
	long bool
}

// Read reads from the body.
func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.long = b.long || len(b.seen)+n > maxInspected; !b.long {
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
