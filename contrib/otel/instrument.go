package pluralotel

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
)

// ScopeName is the instrumentation scope of this package's metrics.
const ScopeName = "github.com/plural-go/plural/contrib/otel"

// Option changes what [Instrument] does.
type Option func(*config) error

// WithTracerProvider sends spans to a provider other than the global one.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) error {
		if isNil(p) {
			return errors.New("the tracer provider is nil")
		}
		c.tracers = p
		return nil
	}
}

// WithMeterProvider sends metrics to a provider other than the global one.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) error {
		if isNil(p) {
			return errors.New("the meter provider is nil")
		}
		c.meters = p
		return nil
	}
}

// WithPropagators makes each try send headers that name the trace, such as
// those of [propagation.TraceContext]. By default no such header is sent,
// because Plural should not see the shop's traces. The option is for a shop
// that has its own proxy between itself and Plural. Baggage is never sent, not
// even with [propagation.Baggage].
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) error {
		if isNil(p) {
			return errors.New("the propagator is nil")
		}
		c.propagator = p
		return nil
	}
}

// WithObserver calls a function after each call, as [plural.WithObserver] does.
// This package counts the call first. A client can have only one observer, and
// here it is the observer of this package. So give your own function to this
// option. If the option is given more than once, all the functions are called,
// in the order of the options.
func WithObserver(observe func(ctx context.Context, o plural.Observation)) Option {
	return func(c *config) error {
		if observe == nil {
			return errors.New("the observer is nil")
		}
		c.observers = append(c.observers, observe)
		return nil
	}
}

// Instrument makes two options for a client. One reports the client's tries,
// the other reports its calls. By default they use OpenTelemetry's global
// providers, including global providers that are set later.
//
// You can also give the client other options. Middleware of a
// [plural.WithMiddleware] that comes after these options runs inside the span.
// Middleware that comes before these options runs outside the span. Do not give
// a [plural.WithObserver] after these options: it would replace this package's
// observer, and the metrics would stop. Use [WithObserver] instead.
//
// An invalid option, such as a nil, makes [plural.NewClient] return an error.
func Instrument(opts ...Option) []plural.Option {
	c := &config{
		tracers:    otel.GetTracerProvider(),
		meters:     otel.GetMeterProvider(),
		propagator: propagation.NewCompositeTextMapPropagator(),
	}
	for _, opt := range opts {
		if opt == nil {
			return errorOptions(errors.New("an option is nil"))
		}
		if err := opt(c); err != nil {
			return errorOptions(err)
		}
	}
	calls, err := newCallMetrics(c.meters.Meter(ScopeName))
	if err != nil {
		return errorOptions(err)
	}
	return []plural.Option{
		plural.WithMiddleware(c.traceMiddleware),
		plural.WithObserver(func(ctx context.Context, o plural.Observation) {
			calls.countCall(ctx, o)
			for _, observe := range c.observers {
				observe(ctx, o)
			}
		}),
	}
}

type config struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	observers  []func(context.Context, plural.Observation)
}

// errorOptions returns an option that makes NewClient return the error err.
func errorOptions(err error) []plural.Option {
	var like plural.Option
	return []plural.Option{errorOption(like, fmt.Errorf("pluralotel: %w", err))}
}

// errorOption makes an option of package plural. The option always returns err.
// Package plural does not export C, the type of an option's parameter. So the
// first argument of errorOption is any option, and the compiler infers C from
// the type of that option.
func errorOption[O ~func(C) error, C any](_ O, err error) O {
	return func(C) error { return err }
}

func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}
