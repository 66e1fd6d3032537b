package pluralotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/plural-go/plural"
)

// Observe counts a call, as a client's observer does.
func Observe(ctx context.Context, meters metric.MeterProvider, o plural.Observation) error {
	calls, err := newCallMetrics(meters.Meter(ScopeName))
	if err == nil {
		calls.countCall(ctx, o)
	}
	return err
}
