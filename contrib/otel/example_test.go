package pluralotel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

// One line is enough with OpenTelemetry's global providers.
func Example() {
	credentials := plural.Credentials{ClientID: "from-Plural", ClientSecret: "from-Plural"}

	client, err := plural.NewClient(credentials, pluralotel.Instrument()...)

	fmt.Println(client != nil, err)
	// Output: true <nil>
}

// The shop passes providers and an observer to Instrument, and passes further
// options to the client.
func ExampleInstrument() {
	srv, tracers, meters, breaker, logger := collaborators()
	defer srv.Close()
	credentials := plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}
	ctx := context.Background()

	options := append(pluralotel.Instrument(
		pluralotel.WithTracerProvider(tracers),
		pluralotel.WithMeterProvider(meters),
		pluralotel.WithObserver(func(ctx context.Context, o plural.Observation) {
			logger.DebugContext(ctx, "plural", "operation", o.Operation, "attempts", o.Attempts)
		}),
	),
		plural.WithBaseURL(srv.URL),
		plural.WithMiddleware(breaker), // runs inside the span
	)
	client, err := plural.NewClient(credentials, options...)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The shop starts a span around a whole call. The spans of the tries are
	// inside it.
	ctx, span := tracers.Tracer("shop").Start(ctx, "ship")
	_, err = client.Orders.GetByReference(ctx, "order-1001")
	span.End()

	fmt.Println(err != nil)
	// Output:
	// span orders.get_by_reference
	// span ship
	// true
}

func collaborators() (
	*pluraltest.Server,
	trace.TracerProvider,
	metric.MeterProvider,
	func(http.RoundTripper) http.RoundTripper,
	*slog.Logger,
) {
	srv, err := pluraltest.Start()
	if err != nil {
		panic(err)
	}
	return srv, sdktrace.NewTracerProvider(sdktrace.WithSyncer(spanPrinter{})), noop.NewMeterProvider(),
		func(next http.RoundTripper) http.RoundTripper { return next }, slog.New(slog.DiscardHandler)
}

// spanPrinter is an exporter of spans.
type spanPrinter struct{ *tracetest.NoopExporter }

// ExportSpans prints the names of the spans.
func (spanPrinter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		fmt.Println("span", span.Name())
	}
	return nil
}
