package pluralotel

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
)

// traceMiddleware is middleware for package plural. It makes one span for each
// try.
func (c *config) traceMiddleware(next http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(
		transportFunc(func(r *http.Request) (*http.Response, error) {
			trace.SpanFromContext(r.Context()).SetAttributes(requestIDKey.String(r.Header.Get("Request-Id")))
			resp, err := next.RoundTrip(r)
			if err == nil && resp != nil && resp.Body != nil {
				inspectAnswer(r.Context(), resp)
			}
			return resp, err
		}),
		otelhttp.WithTracerProvider(redactingProvider{c.tracers}),
		otelhttp.WithMeterProvider(c.meters),
		otelhttp.WithPropagators(withoutBaggage{c.propagator}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			return plural.OperationFromContext(r.Context())
		}),
	)
}

const (
	orderIDKey   = attribute.Key("plural.order_id")
	linkIDKey    = attribute.Key("plural.payment_link_id")
	referenceKey = attribute.Key("plural.reference")
	requestIDKey = attribute.Key("plural.request_id")
)

// pathTemplates has the path of each operation, with placeholders for the ids.
// The paths leave out the path of a merchant's own base URL.
//
//nolint:gochecknoglobals // nothing changes it
var pathTemplates = map[string]string{
	"orders.create":           "/api/checkout/v1/orders",
	"orders.get":              "/api/pay/v1/orders/{order_id}",
	"orders.get_by_reference": "/api/pay/v1/orders/reference/{reference}",
	"captures.create":         "/api/pay/v1/orders/{order_id}/capture",
	"cancels.create":          "/api/pay/v1/orders/{order_id}/cancel",
	"refunds.create":          "/api/pay/v1/refunds/{order_id}",
	"settlements.list":        "/api/settlements/v1/list",
	"settlements.lines":       "/api/settlements/v1/detail/{utr}",
	"settlements.get":         "/api/settlements/v1/detail/{utr}",

	"payment_links.create":           "/api/pay/v1/paymentlink",
	"payment_links.get":              "/api/pay/v1/paymentlink/{payment_link_id}",
	"payment_links.get_by_reference": "/api/pay/v1/paymentlink/ref/{reference}",
	"payment_links.cancel":           "/api/pay/v1/paymentlink/{payment_link_id}/cancel",
	"payment_links.notify":           "/api/pay/v1/paymentlink/{payment_link_id}/notify",
}

// pathTemplate returns the path of an operation, with placeholders for ids. An
// operation without a template, such as "do", may have personal data in its
// path. For such an operation no part of the path is recorded.
func pathTemplate(operation string) string {
	if known, ok := pathTemplates[operation]; ok {
		return known
	}
	return "/REDACTED"
}

// redactingProvider sits between otelhttp and the provider of spans. otelhttp
// records whole URLs and the texts of errors, which must not leave the program.
// redactingProvider removes these URLs and texts. Code that takes the span from
// the request's context gets the original span. Nothing that such code records
// is removed.
type redactingProvider struct{ trace.TracerProvider }

// Tracer makes a tracer whose spans leave out URLs and the texts of errors.
func (p redactingProvider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return redactingTracer{p.TracerProvider.Tracer(name, opts...)}
}

type redactingTracer struct{ trace.Tracer }

// Start begins a span. The span has its attributes from the beginning, so
// samplers can see them.
func (t redactingTracer) Start(
	ctx context.Context, name string, opts ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	var about []attribute.KeyValue
	orderID, reference := plural.OrderFromContext(ctx)
	if orderID != "" {
		key := orderIDKey
		if strings.HasPrefix(orderID, "pl-") {
			key = linkIDKey
		}
		about = append(about, key.String(orderID))
	}
	if reference != "" {
		about = append(about, referenceKey.String(reference))
	}
	if number, _ := plural.AttemptFromContext(ctx); number > 1 {
		about = append(about, semconv.HTTPRequestResendCount(number-1))
	}
	started := append([]trace.SpanStartOption{trace.WithAttributes(about...)}, opts...)
	ctx, span := t.Tracer.Start(ctx, name, started...)
	told := &redactingSpan{Span: span, operation: name}
	return context.WithValue(ctx, spanKey{}, told), told
}

type spanKey struct{}

type redactingSpan struct {
	trace.Span

	operation    string
	showsNothing bool // the request read Plural's books to find out what a write has done, and they show nothing
}

// SetAttributes sets attributes of the span, with three exceptions:
//
//   - The attribute url.full gets only the scheme and the host of the address,
//     and a template of the path. If the operation has a template,
//     SetAttributes also sets url.template.
//   - Every other attribute whose name begins with "url." is left out.
//   - If the answer only shows that Plural's books have nothing about a write,
//     an error.type that is an HTTP status is left out.
func (s *redactingSpan) SetAttributes(attributes ...attribute.KeyValue) {
	told := make([]attribute.KeyValue, 0, len(attributes))
	for _, a := range attributes {
		switch {
		case a.Key == semconv.URLFullKey:
			told = append(told, a.Key.String(redactedURL(a.Value.AsString(), s.operation)))
			if known, ok := pathTemplates[s.operation]; ok {
				told = append(told, semconv.URLTemplate(known))
			}
		case a.Key == semconv.ErrorTypeKey && s.showsNothing && isStatus(a.Value.AsString()):
		case !strings.HasPrefix(string(a.Key), "url."):
			told = append(told, a)
		}
	}
	s.Span.SetAttributes(told...)
}

func isStatus(errorType string) bool {
	_, err := strconv.Atoi(errorType)
	return err == nil
}

// SetStatus sets the span's status, but replaces the text of an error with a
// fixed text. A status of otelhttp without a text comes from the HTTP status of
// Plural's answer. If that answer only shows that Plural's books have nothing
// about a write, SetStatus does nothing, because the try did not fail.
func (s *redactingSpan) SetStatus(code codes.Code, text string) {
	if s.showsNothing && text == "" {
		return
	}
	if text != "" {
		text = s.operation + ": no usable answer"
	}
	s.Span.SetStatus(code, text)
}

// RecordError records nothing, because an event would show the error's text.
func (*redactingSpan) RecordError(error, ...trace.EventOption) {}

func redactedURL(full, operation string) string {
	u, err := url.Parse(full)
	if err != nil {
		return "REDACTED"
	}
	return u.Scheme + "://" + u.Host + pathTemplate(operation)
}

// withoutBaggage is a propagator that never sends baggage.
type withoutBaggage struct{ propagation.TextMapPropagator }

// Inject writes the headers of ctx, without baggage.
func (p withoutBaggage) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	p.TextMapPropagator.Inject(baggage.ContextWithoutBaggage(ctx), carrier)
}

type transportFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
