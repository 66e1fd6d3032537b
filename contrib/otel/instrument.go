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

// WithPropagators sends headers that name the trace, such as
// [propagation.TraceContext], with each try. Without it no such header is sent,
// because Plural should not see the shop's traces. It is meant for a proxy of
// the shop's own in front of Plural. Baggage is not sent, not even by
// [propagation.Baggage].
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) error {
		if isNil(p) {
			return errors.New("the propagator is nil")
		}
		c.propagator = p
		return nil
	}
}

// WithObserver calls a function as [plural.WithObserver] would, after the call
// was counted. A client has one observer, and this package uses it. If the
// option is given more than once, all functions are called, in their order.
func WithObserver(observe func(ctx context.Context, o plural.Observation)) Option {
	return func(c *config) error {
		if observe == nil {
			return errors.New("the observer is nil")
		}
		c.observers = append(c.observers, observe)
		return nil
	}
}

// Instrument makes two options for a client: one reports its tries, the other
// its calls. Without options of its own it uses OpenTelemetry's global
// providers, even if they are set later.
//
// You can append other options. A [plural.WithMiddleware] after these runs
// inside of the span, one before them outside. A [plural.WithObserver] after
// them would replace this package's observer, and the metrics would stop: give
// that function to [WithObserver] instead.
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
			return refused(errors.New("an option is nil"))
		}
		if err := opt(c); err != nil {
			return refused(err)
		}
	}
	calls, err := newInstruments(c.meters.Meter(ScopeName))
	if err != nil {
		return refused(err)
	}
	return []plural.Option{
		plural.WithMiddleware(c.traced),
		plural.WithObserver(func(ctx context.Context, o plural.Observation) {
			calls.observe(ctx, o)
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

// refused makes options that let NewClient fail.
func refused(err error) []plural.Option {
	var like plural.Option
	return []plural.Option{failing(like, fmt.Errorf("pluralotel: %w", err))}
}

// failing makes an option of package plural that returns an error. The type
// that such an option changes is not exported: C is inferred from another
// option.
func failing[O ~func(C) error, C any](_ O, err error) O {
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
