package pluralotel_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

const email = "asha@example.com"

// shop is a client, what it talks to, and what OpenTelemetry was told.
type shop struct {
	t       *testing.T
	gateway *pluraltest.Server
	client  *plural.Client
	spans   *tracetest.InMemoryExporter
	tracers *sdktrace.TracerProvider
	metrics *sdkmetric.ManualReader
}

func newShop(t *testing.T, opts ...plural.Option) *shop {
	t.Helper()
	s := &shop{
		t: t, gateway: pluraltest.NewServer(t), spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader(),
	}
	s.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))
	all := append([]plural.Option{
		plural.WithBaseURL(s.gateway.URL),
		plural.WithRetry(plural.RetryPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}),
	}, pluralotel.Instrument(
		pluralotel.WithTracerProvider(s.tracers),
		pluralotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics))),
	)...)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: s.gateway.ClientID, ClientSecret: s.gateway.ClientSecret},
		append(all, opts...)...,
	)
	require.NoError(t, err)
	s.client = client
	return s
}

// held is an order that the payer has approved.
func (s *shop) held() string {
	s.t.Helper()
	id, err := s.gateway.AddOrder(pluraltest.OrderSpec{
		Reference: "order-1", Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
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

// names are those of the spans, in the order they ended.
func (s *shop) names() []string {
	var names []string
	for _, span := range s.spans.GetSpans() {
		names = append(names, span.Name)
	}
	return names
}

func (s *shop) collect() metricdata.ResourceMetrics {
	s.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(s.t, s.metrics.Collect(context.Background(), &all))
	return all
}

// counts are the metrics of the SDK, as "name outcome operation"; of histograms
// the number of values.
func (s *shop) counts() map[string]int64 {
	s.t.Helper()
	counts := map[string]int64{}
	name := func(metric string, set attribute.Set) string {
		words := []string{strings.TrimPrefix(metric, "plural.client.")}
		for _, a := range set.ToSlice() {
			require.Contains(s.t, []attribute.Key{"plural.operation", "plural.outcome"}, a.Key)
			words = append(words, a.Value.AsString())
		}
		return strings.Join(words, " ")
	}
	for _, sc := range s.collect().ScopeMetrics {
		if sc.Scope.Name != "github.com/plural-go/plural/contrib/otel" {
			continue
		}
		for _, m := range sc.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					counts[name(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				require.Equal(s.t, "s", m.Unit)
				for _, p := range data.DataPoints {
					require.InDelta(s.t, 0.05, p.Bounds[0], 0)
					require.InDelta(s.t, 60, p.Bounds[len(p.Bounds)-1], 0)
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

// exported is all that left for OpenTelemetry.
func (s *shop) exported() (spans, metrics string) {
	s.t.Helper()
	traced, err := json.Marshal(s.spans.GetSpans())
	require.NoError(s.t, err)
	var stubs strings.Builder
	stubs.Write(traced)
	for _, span := range s.spans.GetSpans() { // attributes have values that JSON does not show
		stubs.WriteString(span.Name + span.Status.Description)
		for _, a := range span.Attributes {
			stubs.WriteString(" " + string(a.Key) + "=" + a.Value.String())
		}
		for _, event := range span.Events {
			stubs.WriteString(event.Name)
			for _, a := range event.Attributes {
				stubs.WriteString(" " + string(a.Key) + "=" + a.Value.String())
			}
		}
	}
	measured, err := json.Marshal(s.collect())
	require.NoError(s.t, err)
	return stubs.String(), string(measured)
}

// keepsSecrets fails when something was told that is nobody's business, or, by a
// metric, an id.
func (s *shop) keepsSecrets(ids ...string) {
	s.t.Helper()
	spans, metrics := s.exported()
	secrets := []string{s.gateway.ClientSecret, s.gateway.ClientID, email, "asha", "Bearer"}
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

func attributes(span *tracetest.SpanStub) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range span.Attributes {
		all[a.Key] = a.Value.String()
	}
	return all
}

func TestCapture(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.held()
	ctx, parent := s.tracers.Tracer("shop").Start(t.Context(), "ship")
	require.NoError(t, s.capture(ctx, id))
	parent.End()

	require.Equal(t, []string{"plural captures.create", "ship"}, s.names())
	span := s.spans.GetSpans()[0]
	require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
	require.Equal(t, codes.Unset, span.Status.Code)
	got := attributes(&span)
	require.Equal(t, id, got["plural.order_id"])
	require.Equal(t, "capture-1", got["plural.reference"])
	require.Equal(t, "PUT", got["http.request.method"])
	require.Equal(t, "200", got["http.response.status_code"])
	require.Equal(t, "127.0.0.1", got["server.address"])
	require.Equal(t, s.gateway.URL+"/api/pay/v1/orders/"+id+"/capture", got["url.full"])
	require.Equal(t, map[string]int64{
		"operation.duration captures.create ok": 1, "attempts captures.create": 1,
		"settlements captures.create": 0, "unknown_outcomes captures.create": 0, "token_requests ok": 1,
	}, s.counts())
	s.keepsSecrets(id, "capture-1")
}

func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.held()
	s.gateway.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	require.NoError(t, s.capture(t.Context(), id))

	require.Equal(t, []string{"plural captures.create", "plural orders.get"}, s.names())
	lost := s.spans.GetSpans()[0]
	require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "no usable answer"}, lost.Status)
	require.Contains(t, attributes(&lost)["error.type"], "net.OpError")
	settling := attributes(&s.spans.GetSpans()[1])
	require.Equal(t, id, settling["plural.order_id"])
	require.Equal(t, "capture-1", settling["plural.reference"])
	require.Equal(t, map[string]int64{
		"operation.duration captures.create ok": 1, "attempts captures.create": 1,
		"settlements captures.create": 1, "unknown_outcomes captures.create": 0, "token_requests ok": 1,
	}, s.counts(), "one call")
	s.keepsSecrets(id)
}

// An outcome stays unknown because the caller's time is up: that it is unknown
// comes first, and it counts although the context has ended.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.held()
	ctx, cancel := context.WithCancel(t.Context())
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		switch r.Op {
		case pluraltest.OpCapturesCreate:
			return pluraltest.ResetAfterApply
		case pluraltest.OpOrdersGet:
			cancel()
			return pluraltest.HangAfterApply
		}
		return pluraltest.NoFault
	})
	err := s.capture(ctx, id)
	require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
	require.ErrorIs(t, err, context.Canceled)

	require.Equal(t, map[string]int64{
		"operation.duration captures.create unknown": 1, "attempts captures.create": 1,
		"settlements captures.create": 1, "unknown_outcomes captures.create": 1, "token_requests ok": 1,
	}, s.counts())
	s.keepsSecrets(id)
}

func TestOtherOutcomes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.held()
	require.NoError(t, s.capture(t.Context(), id))
	_, err := s.client.Cancels.Create(t.Context(), id)
	require.ErrorIs(t, err, plural.ErrNotApplied)
	_, err = s.client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	other, err := s.gateway.AddOrder(pluraltest.OrderSpec{
		Reference: "order-2", Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(t, err)
	_, err = s.gateway.Pay(other, pluraltest.Approve)
	require.NoError(t, err)
	require.NoError(t, s.gateway.Cancel(other))
	err = s.capture(t.Context(), other)
	require.Error(t, err)

	counts := s.counts()
	require.Equal(t, int64(1), counts["operation.duration captures.create ok"])
	require.Equal(t, int64(1), counts["operation.duration cancels.create not_applied"])
	require.Equal(t, int64(1), counts["operation.duration orders.get error"])
	want := "not_applied"
	if errors.Is(err, plural.ErrNoHold) {
		want = "no_hold"
	}
	require.Equal(t, int64(1), counts["operation.duration captures.create "+want])
}

func TestTokenRequests(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.held()
	s.gateway.Inject(
		pluraltest.On(pluraltest.OpToken),
		pluraltest.StatusFault(http.StatusUnauthorized, "UNAUTHORIZED", pluraltest.ApplyNever),
	)
	require.ErrorIs(t, s.capture(t.Context(), id), plural.ErrUnauthorized)
	require.Equal(t, int64(1), s.counts()["token_requests error"])
	require.Equal(t, int64(1), s.counts()["operation.duration captures.create error"])
	require.NotContains(t, strings.Join(s.names(), " "), "token", "no span")
}

// A new order is about a person.
func TestPersonalDataStaysInside(t *testing.T) {
	t.Parallel()
	var sent http.Header
	s := newShop(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			if r.URL.Query().Get("email") != "" {
				require.Equal(t, "email="+email, r.URL.RawQuery, "what is sent has it")
				return nil, errors.New("malformed answer: " + email)
			}
			return next.RoundTrip(r)
		})
	}))
	member, err := baggage.NewMember("customer", "asha")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	_, err = s.client.Orders.Create(baggage.ContextWithBaggage(t.Context(), bag), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-9", OrderAmount: plural.INR(10_000), PreAuth: true,
		PurchaseDetails: &plural.PurchaseDetails{Customer: &plural.Customer{EmailID: email, FirstName: "asha"}},
	})
	require.NoError(t, err)
	require.Empty(t, sent.Get("Baggage")+sent.Get("Traceparent"))
	require.Equal(t, []string{"plural orders.create"}, s.names())
	got := attributes(&s.spans.GetSpans()[0])
	require.Equal(t, "order-9", got["plural.reference"])
	require.NotContains(t, got, attribute.Key("plural.order_id"))

	err = s.client.Do(t.Context(), http.MethodPost, "/api/find?email="+email, nil, nil)
	require.Error(t, err)
	require.Equal(t, "plural do", s.names()[1])
	require.Equal(t, s.gateway.URL+"/api/find", attributes(&s.spans.GetSpans()[1])["url.full"])
	s.keepsSecrets("order-9")
}

// Trace headers go to Plural only where that is asked for.
func TestPropagation(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
		append(pluralotel.Instrument(
			pluralotel.WithTracerProvider(sdktrace.NewTracerProvider()), pluralotel.WithPropagators(propagation.TraceContext{}),
		), plural.WithBaseURL(gateway.URL))...,
	)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.NotEmpty(t, gateway.RequestsTo(pluraltest.OpOrdersGet)[0].Header.Get("Traceparent"))
}

// A nil is no provider: the global one stays.
func TestNilOptions(t *testing.T) {
	t.Parallel()
	opts := pluralotel.Instrument(
		nil,
		pluralotel.WithTracerProvider(nil),
		pluralotel.WithMeterProvider(nil),
		pluralotel.WithPropagators(nil),
		pluralotel.WithObserver(nil),
	)
	gateway := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{
			ClientID:     gateway.ClientID,
			ClientSecret: gateway.ClientSecret,
		},
		append(opts, plural.WithBaseURL(gateway.URL))...,
	)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The client sees errors and bodies as they were; the spans, that they broke.
func TestAnswersPassUnchanged(t *testing.T) {
	t.Parallel()
	broken := errors.New("broke off at " + email)
	for name, body := range map[string]io.Reader{
		"no answer": nil, "half an answer": io.MultiReader(strings.NewReader(`{"data":`), failing{broken}),
	} {
		var seen error
		see := plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				seen = err
				return nil, err
			})
		})
		fail := plural.WithMiddleware(func(http.RoundTripper) http.RoundTripper {
			return roundTrip(func(*http.Request) (*http.Response, error) {
				if body == nil {
					return nil, broken
				}
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
			})
		})
		spans := tracetest.NewInMemoryExporter()
		opts := append([]plural.Option{see}, pluralotel.Instrument(
			pluralotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))),
		)...)
		client, err := plural.NewClient(
			plural.Credentials{ClientID: "id", ClientSecret: "secret"}, append(opts, fail)...,
		)
		require.NoError(t, err)
		_, err = client.Orders.Get(t.Context(), "v1-0-aa-none", plural.WithoutRetry())
		require.Error(t, err)
		require.Equal(t, broken, seen, name)
		require.Len(t, spans.GetSpans(), 1, name)
		require.Equal(t, "no usable answer", spans.GetSpans()[0].Status.Description, name)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Without providers the global ones serve, which do nothing here; an observer
// beside the metrics is told as well.
func TestDefaultsAndObserver(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	var told []string
	client, err := plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
		append(pluralotel.Instrument(pluralotel.WithObserver(func(_ context.Context, o plural.Observation) {
			told = append(told, o.Operation)
		})), plural.WithBaseURL(gateway.URL))...,
	)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.Equal(t, []string{"token", "orders.get"}, told)
}
