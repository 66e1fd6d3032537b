// Package pluralotel has package plural tell OpenTelemetry what it does: a span
// for each request, named by its operation, and metrics of calls, of outcomes
// that stay unknown, and of access tokens.
//
//	client, err := plural.NewClient(credentials, pluralotel.Instrument()...)
//
// With options of one's own beside it:
//
//	opts := append(pluralotel.Instrument(), plural.WithLogger(logger))
//	client, err := plural.NewClient(credentials, opts...)
//
// Spans and metrics hold no personal data, no secret and no text of an error:
// ids and references of the merchant's orders, in spans only, and words of low
// cardinality.
package pluralotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
)

// scope is the name of what measures.
const scope = "github.com/plural-go/plural/contrib/otel"

// Option changes what [Instrument] does.
type Option func(*config)

type config struct {
	tracers     trace.TracerProvider
	meters      metric.MeterProvider
	propagators propagation.TextMapPropagator
	observe     func(ctx context.Context, o plural.Observation)
}

// WithTracerProvider sets where spans go; the global provider without it.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) {
		if p != nil {
			c.tracers = p
		}
	}
}

// WithMeterProvider sets where metrics go; the global provider without it.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithPropagators has trace headers sent to Plural. Without it none are: Plural
// is another company, which has no use for them, and baggage may be about a
// person.
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) {
		if p != nil {
			c.propagators = p
		}
	}
}

// WithObserver has a function told what [plural.WithObserver] tells, beside the
// metrics: a client has one observer.
func WithObserver(observe func(ctx context.Context, o plural.Observation)) Option {
	return func(c *config) { c.observe = observe }
}

// Instrument gives the options for [plural.NewClient]: a
// [plural.WithMiddleware] for spans and HTTP metrics, by otelhttp, and a
// [plural.WithObserver] for metrics of calls. A middleware that is given before
// them sees requests before the span begins.
//
// A span is one request, so that a call that is repeated has several, under the
// span of whoever made the call. It has the attributes of the semantic
// conventions for HTTP clients, plural.order_id and plural.reference. Requests
// for access tokens have none.
//
// The metrics, beside http.client.request.duration and its like:
//
//   - plural.client.operation.duration, in seconds: calls, their repetitions
//     included, by plural.operation and plural.outcome
//   - plural.client.attempts: requests, by plural.operation
//   - plural.client.settlements: calls that had to ask the books, by
//     plural.operation
//   - plural.client.unknown_outcomes: writes of which nobody knows, by
//     plural.operation
//   - plural.client.token_requests, by plural.outcome
//
// An outcome is ok, not_applied, no_hold, unknown or error.
func Instrument(opts ...Option) []plural.Option {
	c := config{
		tracers:     otel.GetTracerProvider(),
		meters:      otel.GetMeterProvider(),
		propagators: propagation.NewCompositeTextMapPropagator(), // none
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return []plural.Option{plural.WithMiddleware(c.trace), plural.WithObserver(newMetrics(&c).observe)}
}
