package pluralotel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
)

// trace is a middleware: otelhttp between two halves, of which the outer one
// hides from it what a span must not hold, and the inner one brings it back.
func (c *config) trace(next http.RoundTripper) http.RoundTripper {
	return &outer{otelhttp.NewTransport(&inner{next},
		otelhttp.WithTracerProvider(c.tracers),
		otelhttp.WithMeterProvider(c.meters),
		otelhttp.WithPropagators(c.propagators),
		otelhttp.WithSpanNameFormatter(spanName),
	)}
}

func spanName(_ string, r *http.Request) string {
	return "plural " + plural.OperationFromContext(r.Context())
}

type outer struct{ next http.RoundTripper }

// RoundTrip sends a request whose URL has no query: what a merchant looks up by
// Client.Do may be a person.
func (o *outer) RoundTrip(r *http.Request) (*http.Response, error) {
	shown := r.WithContext(context.WithValue(r.Context(), urlKey{}, r.URL))
	shown.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	resp, err := o.next.RoundTrip(shown)
	if err != nil {
		return resp, shownError(err)
	}
	resp.Body = &shownBody{resp.Body}
	return resp, nil
}

// urlKey is where a context has the URL to send to.
type urlKey struct{}

type inner struct{ next http.RoundTripper }

func (i *inner) RoundTrip(r *http.Request) (*http.Response, error) {
	orderID, reference := plural.OrderFromContext(r.Context())
	var about []attribute.KeyValue
	if orderID != "" {
		about = append(about, attribute.String("plural.order_id", orderID))
	}
	if reference != "" {
		about = append(about, attribute.String("plural.reference", reference))
	}
	trace.SpanFromContext(r.Context()).SetAttributes(about...)
	if full, ok := r.Context().Value(urlKey{}).(*url.URL); ok {
		r.URL = full // r is otelhttp's own copy
	}
	resp, err := i.next.RoundTrip(r)
	if err != nil {
		return resp, &hidden{err}
	}
	if resp.Body != nil {
		resp.Body = &hiddenBody{resp.Body}
	}
	return resp, nil
}

// hidden is an error without its text, which may quote anything.
type hidden struct{ err error }

func (h *hidden) Error() string { return "no usable answer" }

// ErrorType is the error's kind, for the attribute error.type.
func (h *hidden) ErrorType() string { return reflect.TypeOf(h.err).String() }

// shownError is the error that was hidden.
func shownError(err error) error {
	if h, ok := errors.AsType[*hidden](err); ok {
		return h.err
	}
	return err
}

// hiddenBody is an answer's body whose errors have no text.
type hiddenBody struct{ io.ReadCloser }

func (b *hiddenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &hidden{err}
	}
	return n, err
}

// shownBody is the same body with its errors as they were.
type shownBody struct{ io.ReadCloser }

func (b *shownBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	return n, shownError(err)
}
