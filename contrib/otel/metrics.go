package pluralotel

import (
	"cmp"
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/plural-go/plural"
)

const (
	operationKey = attribute.Key("plural.operation")
	outcomeKey   = attribute.Key("plural.outcome")
)

// callMetrics has the OpenTelemetry instruments that measure calls.
type callMetrics struct {
	duration    metric.Float64Histogram
	outcomes    metric.Int64Counter
	attempts    metric.Int64Counter
	settlements metric.Int64Counter
}

func newCallMetrics(meter metric.Meter) (*callMetrics, error) {
	duration, err1 := meter.Float64Histogram(
		"plural.client.operation.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Time from the beginning of a call to its end, with all its tries."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
	)
	outcomes, err2 := meter.Int64Counter(
		"plural.client.operation.outcomes",
		metric.WithUnit("{call}"),
		metric.WithDescription("Calls that have ended, by their outcome."),
	)
	attempts, err3 := meter.Int64Counter(
		"plural.client.operation.attempts",
		metric.WithUnit("{attempt}"),
		metric.WithDescription("Tries of calls that have ended, without the reads that asked Plural's books."),
	)
	settlements, err4 := meter.Int64Counter(
		"plural.client.operation.settlements",
		metric.WithUnit("{call}"),
		metric.WithDescription("Calls that asked Plural's books what had happened."),
	)
	return &callMetrics{duration, outcomes, attempts, settlements}, cmp.Or(err1, err2, err3, err4)
}

// countCall counts a call that has ended. If the call did not ask the books, it
// adds 0 to the counter of settlements. So the metric exists before the first
// call that asks the books.
func (i *callMetrics) countCall(ctx context.Context, o plural.Observation) {
	operation := operationKey.String(o.Operation)
	ended := []attribute.KeyValue{operation, outcomeKey.String(outcomeOf(o.Err))}
	if o.Err != nil {
		ended = append(ended, semconv.ErrorTypeKey.String(errorTypeOf(o.Err)))
	}
	byOutcome := metric.WithAttributeSet(attribute.NewSet(ended...))
	byOperation := metric.WithAttributeSet(attribute.NewSet(operation))

	i.duration.Record(ctx, o.Duration.Seconds(), byOutcome)
	i.outcomes.Add(ctx, 1, byOutcome)
	i.attempts.Add(ctx, int64(o.Attempts), byOperation)
	var settled int64
	if o.Settled {
		settled = 1
	}
	i.settlements.Add(ctx, settled, byOperation)
}
