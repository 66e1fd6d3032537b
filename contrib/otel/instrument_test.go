package pluralotel_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

const (
	email = "asha@example.com"
	phone = "9876543210"
)

// The type shop has a client and the client's gateway. It records everything
// that OpenTelemetry receives.
type shop struct {
	t       *testing.T
	gateway *pluraltest.Server
	client  *plural.Client
	spans   *tracetest.InMemoryExporter
	tracers *sdktrace.TracerProvider
	metrics *sdkmetric.ManualReader
	wire    *recordingTransport
}

func newShop(t *testing.T, opts ...plural.Option) *shop {
	t.Helper()
	return newShopWith(t, nil, opts...)
}

func newShopWith(t *testing.T, own []pluralotel.Option, opts ...plural.Option) *shop {
	t.Helper()
	return newShopOn(t, pluraltest.NewServer(t), own, opts...)
}

func newShopOn(t *testing.T, gateway *pluraltest.Server, own []pluralotel.Option, opts ...plural.Option) *shop {
	t.Helper()
	s := &shop{
		t: t, gateway: gateway, wire: &recordingTransport{next: &http.Transport{}},
		spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader(),
	}
	s.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))
	all := append([]plural.Option{
		plural.WithBaseURL(s.gateway.URL),
		plural.WithHTTPClient(&http.Client{Transport: s.wire}),
		plural.WithRetry(plural.RetryPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}),
	}, pluralotel.Instrument(append([]pluralotel.Option{
		pluralotel.WithTracerProvider(s.tracers),
		pluralotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics))),
	}, own...)...)...)
	client, err := plural.NewClient(credentials(s.gateway), append(all, opts...)...)
	require.NoError(t, err)
	s.client = client
	return s
}

func credentials(gateway *pluraltest.Server) plural.Credentials {
	return plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret}
}

// makeHeldOrder makes an order that the payer has approved.
func (s *shop) makeHeldOrder(reference string) string {
	s.t.Helper()
	id, err := s.gateway.AddOrder(pluraltest.OrderSpec{
		Reference: reference, Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(s.t, err)
	_, err = s.gateway.Pay(id, pluraltest.Approve)
	require.NoError(s.t, err)
	return id
}

func (s *shop) capture(ctx context.Context, id string) error {
	_, err := s.client.Captures.Create(ctx, id, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-1", FullAmount: true,
	})
	return err
}

// spanNames returns the names of the spans, in the order in which the spans
// ended.
func (s *shop) spanNames() []string {
	var names []string
	for _, span := range s.spans.GetSpans() {
		names = append(names, span.Name)
	}
	return names
}

func (s *shop) collect() metricdata.ResourceMetrics {
	s.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(s.t, s.metrics.Collect(context.WithoutCancel(s.t.Context()), &all))
	return all
}

// metricValues returns the values of this package's metrics. A key of the map
// consists of the metric's name, the operation, the outcome and the error.type.
// For a histogram, the map has the number of recorded values.
func (s *shop) metricValues() map[string]int64 {
	s.t.Helper()
	counts := map[string]int64{}
	name := func(instrument string, set attribute.Set) string {
		words := []string{strings.TrimPrefix(instrument, "plural.client.operation.")}
		for _, key := range []attribute.Key{"plural.operation", "plural.outcome", "error.type"} {
			if v, ok := set.Value(key); ok {
				words = append(words, v.AsString())
			}
		}
		require.Len(s.t, words, set.Len()+1, "no other attribute: %v", set)
		return strings.Join(words, " ")
	}
	for _, scope := range s.collect().ScopeMetrics {
		if scope.Scope.Name != pluralotel.ScopeName {
			continue
		}
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.True(s.t, data.IsMonotonic)
				for _, p := range data.DataPoints {
					counts[name(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				require.Equal(s.t, "s", m.Unit)
				for _, p := range data.DataPoints {
					require.InDelta(s.t, 0.005, p.Bounds[0], 0)
					require.InDelta(s.t, 60, p.Bounds[len(p.Bounds)-1], 0)
					require.Positive(s.t, p.Sum)
					require.Less(s.t, p.Sum, 60.0, "seconds")
					counts[name(m.Name, p.Attributes)] = int64(p.Count)
				}
			default:
				require.Fail(s.t, "another kind of metric", m.Name)
			}
		}
	}
	return counts
}

// exportedText returns everything that was exported to OpenTelemetry, as text.
func (s *shop) exportedText() (spans, metrics string) {
	s.t.Helper()
	traced, err := json.Marshal(s.spans.GetSpans())
	require.NoError(s.t, err)
	var told strings.Builder
	told.Write(traced)
	tell := func(attributes []attribute.KeyValue) {
		for _, a := range attributes {
			told.WriteString(" " + string(a.Key) + "=" + a.Value.String())
		}
	}
	for _, span := range s.spans.GetSpans() { // the JSON leaves out some values
		told.WriteString(span.Name + span.Status.Description)
		tell(span.Attributes)
		for _, event := range span.Events {
			told.WriteString(event.Name)
			tell(event.Attributes)
		}
	}
	measured, err := json.Marshal(s.collect())
	require.NoError(s.t, err)
	return told.String(), string(measured)
}

// keepsSecrets fails the test if a secret was reported. Each of the given ids
// must be in the spans, and must not be in the metrics.
func (s *shop) keepsSecrets(ids ...string) {
	s.t.Helper()
	spans, metrics := s.exportedText()
	secrets := []string{s.gateway.ClientSecret, s.gateway.ClientID, email, phone, "asha", "Bearer", "a secret of the text"}
	require.NotEmpty(s.t, s.gateway.Tokens())
	for _, token := range s.gateway.Tokens() {
		secrets = append(secrets, token.Value)
	}
	for _, secret := range secrets {
		require.NotEmpty(s.t, secret)
		require.NotContains(s.t, spans, secret)
		require.NotContains(s.t, metrics, secret)
	}
	for _, id := range ids {
		require.Contains(s.t, spans, id)
		require.NotContains(s.t, metrics, id)
	}
}

// recordingTransport is the client's base transport. It records the requests
// that are sent to the gateway.
type recordingTransport struct {
	next http.RoundTripper

	mu   sync.Mutex
	sent []*http.Request
}

// RoundTrip notes the request.
func (w *recordingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = append(w.sent, r.Clone(r.Context()))
	w.mu.Unlock()
	return w.next.RoundTrip(r)
}

// sentHeaders returns all headers that were sent.
func (w *recordingTransport) sentHeaders() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{}
	for _, r := range w.sent {
		for name := range r.Header {
			all[name] = r.Header.Get(name)
		}
	}
	return all
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func withBaggage(t *testing.T) context.Context {
	t.Helper()
	member, err := baggage.NewMember("customer", "asha")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	return baggage.ContextWithBaggage(t.Context(), bag)
}

func TestNoHeadersByDefault(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx, parent := s.tracers.Tracer("shop").Start(withBaggage(t), "ship")
	defer parent.End()
	require.NoError(t, s.capture(ctx, s.makeHeldOrder("order-1")))

	sent := s.wire.sentHeaders()
	require.NotEmpty(t, sent["Authorization"], "the recording transport is the last one, so it sees all headers")
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
		require.NotContains(t, sent, name)
	}
	require.NotContains(t, s.spanNames(), "token")
}

func TestPropagatorsNeverSendBaggage(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, []pluralotel.Option{pluralotel.WithPropagators(
		propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	)})
	require.NoError(t, s.capture(withBaggage(t), s.makeHeldOrder("order-1")))

	sent := s.wire.sentHeaders()
	require.NotContains(t, sent, "Baggage")
	span := s.spans.GetSpans()[0].SpanContext
	require.Equal(t, "00-"+span.TraceID().String()+"-"+span.SpanID().String()+"-01", sent["Traceparent"])
}

func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("no instrument for you")
	for want, opt := range map[string]pluralotel.Option{
		"an option is nil":           nil,
		"the tracer provider is nil": pluralotel.WithTracerProvider(nil),
		"the meter provider is nil":  pluralotel.WithMeterProvider((*sdkmetric.MeterProvider)(nil)),
		"the propagator is nil":      pluralotel.WithPropagators(nil),
		"the observer is nil":        pluralotel.WithObserver(nil),
		"no instrument for you":      pluralotel.WithMeterProvider(brokenMeters{sdkmetric.NewMeterProvider(), broken}),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			opts := pluralotel.Instrument(opt)
			_, err := plural.NewClient(plural.Credentials{ClientID: "id", ClientSecret: "secret"}, opts...)
			require.EqualError(t, err, "plural: new client: pluralotel: "+want)
		})
	}
}

// brokenMeters makes meters that cannot make counters.
type brokenMeters struct {
	metric.MeterProvider

	err error
}

// The method Meter returns a meter whose method Int64Counter fails.
func (b brokenMeters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return brokenMeter{b.MeterProvider.Meter(name, opts...), b.err}
}

type brokenMeter struct {
	metric.Meter

	err error
}

// Int64Counter fails.
func (b brokenMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, b.err
}

// Without providers, Instrument uses the global providers, which do nothing
// here. Both observers are called.
func TestDefaultsAndObservers(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	var told []string
	note := func(who string) pluralotel.Option {
		return pluralotel.WithObserver(func(_ context.Context, o plural.Observation) {
			told = append(told, who+" "+o.Operation)
		})
	}
	opts := append(pluralotel.Instrument(note("first"), note("second")), plural.WithBaseURL(gateway.URL))
	client, err := plural.NewClient(credentials(gateway), opts...)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.Equal(t, []string{"first token", "second token", "first orders.get", "second orders.get"}, told)
}

// Several clients may share one set of options. Their calls are then counted
// together.
func TestSeveralClients(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	spans := tracetest.NewInMemoryExporter()
	opts := pluralotel.Instrument(
		pluralotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
		pluralotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))),
	)
	var calls sync.WaitGroup
	for range 4 {
		gateway := pluraltest.NewServer(t)
		client, err := plural.NewClient(credentials(gateway), append(opts[:2:2], plural.WithBaseURL(gateway.URL))...)
		require.NoError(t, err)
		calls.Go(func() { _, _ = client.Orders.Get(t.Context(), "v1-0-aa-none") })
	}
	calls.Wait()
	require.Len(t, spans.GetSpans(), 4)
	s := &shop{t: t, metrics: reader}
	require.Equal(t, int64(4), s.metricValues()["outcomes orders.get not_found ORDER_NOT_FOUND"])
	require.Equal(t, int64(4), s.metricValues()["outcomes token ok"])
}

// Middleware that is given after Instrument's options runs inside the span.
func TestMiddlewareInside(t *testing.T) {
	t.Parallel()
	var inside trace.SpanContext
	s := newShop(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			inside = trace.SpanContextFromContext(r.Context())
			return next.RoundTrip(r)
		})
	}))
	require.NoError(t, s.capture(t.Context(), s.makeHeldOrder("order-1")))
	require.True(t, inside.IsValid())
	require.Equal(t, s.spans.GetSpans()[0].SpanContext.SpanID(), inside.SpanID())
}
