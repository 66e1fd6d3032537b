package pluralotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plural-go/plural"
)

// The attributes of metrics.
const (
	operationKey = attribute.Key("plural.operation")
	outcomeKey   = attribute.Key("plural.outcome")
)

// metrics are the instruments of an observer.
type metrics struct {
	duration    metric.Float64Histogram
	attempts    metric.Int64Counter
	settlements metric.Int64Counter
	unknown     metric.Int64Counter
	tokens      metric.Int64Counter
	next        func(ctx context.Context, o plural.Observation) // may be nil
}

func newMetrics(c *config) *metrics {
	meter := c.meters.Meter(scope)
	m := &metrics{next: c.observe}
	var errs [5]error
	m.duration, errs[0] = meter.Float64Histogram("plural.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Calls of Plural, with their repetitions and look-ups."),
		// Plural answers in tenths of a second; a call that is repeated takes up to a
		// minute.
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 30, 60))
	m.attempts, errs[1] = meter.Int64Counter("plural.client.attempts",
		metric.WithUnit("{request}"), metric.WithDescription("Requests to Plural, those repeated included."))
	m.settlements, errs[2] = meter.Int64Counter("plural.client.settlements",
		metric.WithUnit("{call}"), metric.WithDescription("Calls that asked Plural's books what became of a request."))
	m.unknown, errs[3] = meter.Int64Counter("plural.client.unknown_outcomes",
		metric.WithUnit("{call}"), metric.WithDescription("Calls of which it is not known whether they were carried out."))
	m.tokens, errs[4] = meter.Int64Counter("plural.client.token_requests",
		metric.WithUnit("{request}"), metric.WithDescription("Requests for an access token."))
	if err := errors.Join(errs[:]...); err != nil {
		otel.Handle(err) // what could not be made does nothing
	}
	return m
}

// observe counts. A context that has ended does not keep it from that.
func (m *metrics) observe(ctx context.Context, o plural.Observation) {
	if m.next != nil {
		defer m.next(ctx, o)
	}
	ctx = context.WithoutCancel(ctx)
	result := outcomeKey.String(outcome(o.Err))
	if o.Operation == "token" {
		m.tokens.Add(ctx, 1, metric.WithAttributes(result))
		return
	}
	operation := operationKey.String(o.Operation)
	m.duration.Record(ctx, o.Duration.Seconds(), metric.WithAttributes(operation, result))
	by := metric.WithAttributes(operation)
	m.attempts.Add(ctx, int64(o.Attempts), by)
	m.settlements.Add(ctx, count(o.Settled), by) // 0 too: a rate needs something to rise from
	m.unknown.Add(ctx, count(errors.Is(o.Err, plural.ErrOutcomeUnknown)), by)
}

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// outcome is how a call ended.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, plural.ErrOutcomeUnknown):
		return "unknown"
	case errors.Is(err, plural.ErrNotApplied):
		return "not_applied"
	case errors.Is(err, plural.ErrNoHold):
		return "no_hold"
	}
	return "error"
}
