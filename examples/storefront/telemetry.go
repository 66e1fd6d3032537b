package main

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
)

// The type telemetry serves metrics at /metrics. If OTEL_EXPORTER_OTLP_ENDPOINT
// names a collector, telemetry sends traces to that collector.
type telemetry struct {
	meters  *sdkmetric.MeterProvider
	tracers *sdktrace.TracerProvider
	metrics http.Handler
}

func startTelemetry(ctx context.Context) (*telemetry, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	name := semconv.ServiceName("storefront") // if OTEL_SERVICE_NAME is set, it replaces this name
	service, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(name), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t := &telemetry{
		meters:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(service)),
		tracers: sdktrace.NewTracerProvider(),
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		collector, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, err
		}
		t.tracers = sdktrace.NewTracerProvider(sdktrace.WithBatcher(collector), sdktrace.WithResource(service))
	}
	return t, nil
}

// clientOptions returns options for the client of package plural. With these
// options the client records a span with the name of each operation, and
// metrics of its calls.
func (t *telemetry) clientOptions() []plural.Option {
	return pluralotel.Instrument(pluralotel.WithTracerProvider(t.tracers), pluralotel.WithMeterProvider(t.meters))
}

// jobMiddleware returns middleware for River. The middleware records spans and
// metrics of jobs.
func (t *telemetry) jobMiddleware() []rivertype.Middleware {
	return []rivertype.Middleware{otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
		DurationUnit: "s", MeterProvider: t.meters, TracerProvider: t.tracers,
	})}
}

// shutDown sends the spans and metrics that were not sent yet. Afterwards
// nothing more is recorded.
func (t *telemetry) shutDown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	_ = errors.Join(t.tracers.Shutdown(ctx), t.meters.Shutdown(ctx)) // there is no place left to report the error
}
