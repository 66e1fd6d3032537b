package pluralotel_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

func attributes(span *tracetest.SpanStub) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range span.Attributes {
		all[a.Key] = a.Value.String()
	}
	return all
}

func TestSpanOfACapture(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.makeHeldOrder("order-1")
	ctx, parent := s.tracers.Tracer("shop").Start(t.Context(), "ship")
	_, err := s.client.Captures.Create(
		ctx,
		id,
		&plural.CaptureRequest{MerchantCaptureReference: "capture-1", FullAmount: true},
		plural.WithRequestID("request-1"),
	)
	require.NoError(t, err)
	parent.End()

	require.Equal(t, []string{"captures.create", "ship"}, s.spanNames())
	span := s.spans.GetSpans()[0]
	require.Equal(t, trace.SpanKindClient, span.SpanKind)
	require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
	require.Equal(t, sdktrace.Status{}, span.Status)
	require.Empty(t, span.Events)
	host, port, _ := strings.Cut(strings.TrimPrefix(s.gateway.URL, "http://"), ":")
	require.Equal(t, map[attribute.Key]string{
		"plural.order_id":           id,
		"plural.reference":          "capture-1",
		"plural.request_id":         "request-1",
		"http.request.method":       "PUT",
		"http.response.status_code": "200",
		"url.full":                  s.gateway.URL + "/api/pay/v1/orders/{order_id}/capture",
		"url.template":              "/api/pay/v1/orders/{order_id}/capture",
		"server.address":            host,
		"server.port":               port,
		"network.protocol.version":  "1.1",
	}, attributes(&span))
	s.keepsSecrets(id, "capture-1", "request-1")
}

func TestSpanOfEachTry(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.makeHeldOrder("order-1")
	s.gateway.Inject(
		pluraltest.On(pluraltest.OpCapturesCreate),
		pluraltest.StatusFault(http.StatusTooManyRequests, "API_RATE_LIMIT", pluraltest.ApplyNever),
		pluraltest.StatusFault(http.StatusTooManyRequests, "API_RATE_LIMIT", pluraltest.ApplyNever),
	)
	require.NoError(t, s.capture(t.Context(), id))

	require.Equal(t, []string{"captures.create", "captures.create", "captures.create"}, s.spanNames())
	spans := s.spans.GetSpans()
	for i, status := range []string{"429", "429", "200"} {
		got := attributes(&spans[i])
		require.Equal(t, []string{"", "1", "2"}[i], got["http.request.resend_count"])
		require.Equal(t, status, got["http.response.status_code"])
		require.Equal(t, attributes(&spans[0])["plural.request_id"], got["plural.request_id"], "one call")
		if status == "429" {
			require.Equal(t, sdktrace.Status{Code: codes.Error}, spans[i].Status)
			require.Equal(t, "429", got["error.type"])
		}
	}
	require.Equal(t, map[string]int64{
		"duration captures.create ok": 1, "outcomes captures.create ok": 1,
		"attempts captures.create": 3, "settlements captures.create": 0,
		"duration token ok": 1, "outcomes token ok": 1, "attempts token": 1, "settlements token": 0,
	}, s.metricValues())
	s.keepsSecrets(id)
}

func TestSpansOfALostAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.makeHeldOrder("order-1")
	s.gateway.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	require.NoError(t, s.capture(t.Context(), id))

	require.Equal(t, []string{"captures.create", "orders.get"}, s.spanNames())
	spans := s.spans.GetSpans()
	require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "captures.create: no usable answer"}, spans[0].Status)
	lost, settling := attributes(&spans[0]), attributes(&spans[1])
	require.Contains(t, lost["error.type"], "net.OpError")
	require.NotContains(t, lost, attribute.Key("http.response.status_code"))
	require.Equal(t, id, settling["plural.order_id"])
	require.Equal(t, "capture-1", settling["plural.reference"])
	require.Equal(t, lost["plural.request_id"], settling["plural.request_id"])
	require.Equal(t, s.gateway.URL+"/api/pay/v1/orders/{order_id}", settling["url.full"])
	require.Equal(t, map[string]int64{
		"duration captures.create ok": 1, "outcomes captures.create ok": 1,
		"attempts captures.create": 1, "settlements captures.create": 1,
		"duration token ok": 1, "outcomes token ok": 1, "attempts token": 1, "settlements token": 0,
	}, s.metricValues(), "one call")
	s.gateway.AssertExactlyOnce(t)
	s.keepsSecrets(id)
}

// The connection breaks before Plural carries out a refund. The client then
// reads the books, and does not find the refund. This read is not a failure.
// Only the span of the request that got no answer is marked as an error.
func TestSettlingReadThatFindsNothingIsNoError(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]pluraltest.NotFoundShape{
		"422": pluraltest.NotFound422, "404": pluraltest.NotFound404, "400": pluraltest.NotFoundInquiry,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopOn(t, pluraltest.NewServer(t, pluraltest.WithNotFound(form)), nil)
			id := s.makeHeldOrder("order-1")
			require.NoError(t, s.capture(t.Context(), id))
			s.spans.Reset()
			s.gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.ResetBeforeApply)
			_, err := s.client.Refunds.Create(t.Context(), id, &plural.RefundRequest{
				MerchantOrderReference: "refund-1", OrderAmount: plural.INR(1000),
			})
			require.NoError(t, err)

			red, nothing, sent := 0, 0, 0
			for _, span := range s.spans.GetSpans() {
				got := attributes(&span)
				if span.Status.Code == codes.Error {
					red++
					require.Equal(t, "refunds.create", span.Name, "%v", got)
				}
				if got["http.response.status_code"] == name {
					nothing++
					require.NotContains(t, got, attribute.Key("error.type"))
				}
				if span.Name == "refunds.create" {
					sent++
				}
			}
			require.Equal(t, 1, red)
			require.Equal(t, 2, sent)
			require.Positive(t, nothing, "the books were asked")

			_, err = s.client.Orders.GetByReference(t.Context(), "order-nobody-has")
			require.ErrorIs(t, err, plural.ErrNotFound)
			last := s.spans.GetSpans()[len(s.spans.GetSpans())-1]
			require.Equal(t, codes.Error, last.Status.Code, "a read that the caller makes is marked as an error")
		})
	}
}

// An answer with status 200 can hold an error. Its code is recorded if package
// plural knows that code.
func TestErrorInA200LeavesASign(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":"OPERATION_NOT_ALLOWED","message":"m"}`:           "OPERATION_NOT_ALLOWED",
		`{"error":{"code":"ORDER_NOT_FOUND","message":"m"}}`:       "ORDER_NOT_FOUND",
		`{"code":17,"error_code":"INTERNAL_ERROR","data":{}}`:      "INTERNAL_ERROR",
		`{"code":"ASHA_HAS_NO_MONEY","message":"m"}`:               "",
		`{"data":{"order_id":"v1-1","status":"FAILED"}}`:           "",
		`{"data":{"x":"` + strings.Repeat("x", 9000) + `"}}`:       "",
		`{"code":"ORDER_NOT_FOUND"`:                                "",
		`<html>{"code":"ORDER_NOT_FOUND"}</html>`:                  "",
		`{"data":{"error_code":"ORDER_NOT_FOUND"}}`:                "",
		`{"message":"` + email + `","code":"PAYMENT_METHOD_FAIL"}`: "",
	} {
		t.Run(body[:min(len(body), 40)], func(t *testing.T) {
			t.Parallel()
			s := newShop(t, plural.WithMiddleware(func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
				})
			}))
			var into any
			_ = s.client.Do(t.Context(), http.MethodPost, "/x", nil, &into)
			require.Len(t, s.spans.GetSpans(), 1)
			span := s.spans.GetSpans()[0]
			require.Equal(t, want, attributes(&span)["error.type"])
			require.Equal(t, want != "", span.Status.Code == codes.Error)
			require.Empty(t, span.Status.Description)
		})
	}
}

// For each operation, the template in url.full matches the path that was sent.
func TestTemplates(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	_, err := s.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1", OrderAmount: plural.INR(10_000), PreAuth: true,
	})
	require.NoError(t, err)
	id := s.makeHeldOrder("order-2")
	_, err = s.client.Orders.Get(ctx, id)
	require.NoError(t, err)
	_, err = s.client.Orders.GetByReference(ctx, "order-2")
	require.NoError(t, err)
	require.NoError(t, s.capture(ctx, id))
	_, err = s.client.Refunds.Create(ctx, id, &plural.RefundRequest{
		MerchantOrderReference: "refund-1", OrderAmount: plural.INR(1000),
	})
	require.NoError(t, err)
	_, err = s.client.Cancels.Create(ctx, s.makeHeldOrder("order-3"))
	require.NoError(t, err)
	utr := s.gateway.Settle()
	today := time.Now().In(plural.India())
	for _, err := range s.client.Settlements.List(ctx, plural.Days{First: today, Last: today}) {
		require.NoError(t, err)
	}
	for _, err := range s.client.Settlements.Lines(ctx, utr) {
		require.NoError(t, err)
	}
	_, err = s.client.Settlements.Get(ctx, utr)
	require.NoError(t, err)

	link, err := s.client.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: "link-1", Amount: plural.INR(10_000), Customer: &plural.Customer{EmailID: email},
	})
	require.NoError(t, err)
	_, err = s.client.PaymentLinks.Get(ctx, link.PaymentLinkID)
	require.NoError(t, err)
	_, err = s.client.PaymentLinks.GetByReference(ctx, "link-1")
	require.NoError(t, err)
	_, err = s.client.PaymentLinks.Notify(ctx, link.PaymentLinkID)
	require.NoError(t, err)
	_, err = s.client.PaymentLinks.Cancel(ctx, link.PaymentLinkID)
	require.NoError(t, err)

	require.Equal(t, []string{
		"orders.create", "orders.get", "orders.get_by_reference", "captures.create", "refunds.create",
		"orders.get", "cancels.create", // this orders.get reads the order that was refunded
		"settlements.list", "settlements.lines", "settlements.get",
		"payment_links.create", "payment_links.get", "payment_links.get_by_reference", "payment_links.notify",
		"payment_links.cancel", "orders.get", // the read finds out whether the payer paid by the cancelled link
	}, s.spanNames())
	sent := s.wire.sent[1:] // the first request was for the token
	for i, span := range s.spans.GetSpans() {
		got := attributes(&span)
		filled := strings.NewReplacer(
			"{order_id}", got["plural.order_id"], "{reference}", got["plural.reference"], "{utr}", utr,
			"{payment_link_id}", got["plural.payment_link_id"],
		).Replace(got["url.full"])
		address := *sent[i].URL
		address.RawQuery = "" // the spans do not show the query
		require.Equal(t, address.String(), filled, span.Name)
	}
}

// A request for a new order contains personal data. A request of the method Do
// may also contain personal data.
func TestPersonalDataStaysInside(t *testing.T) {
	t.Parallel()
	s := newShop(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.RawQuery != "" {
				return nil, errors.New("a secret of the text: " + r.URL.String())
			}
			return next.RoundTrip(r)
		})
	}))
	_, err := s.client.Orders.Create(withBaggage(t), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-9", OrderAmount: plural.INR(10_000), PreAuth: true,
		PurchaseDetails: &plural.PurchaseDetails{Customer: &plural.Customer{
			EmailID: email, FirstName: "asha", MobileNumber: phone,
		}},
	})
	require.NoError(t, err)
	got := attributes(&s.spans.GetSpans()[0])
	require.Equal(t, "order-9", got["plural.reference"])
	require.NotContains(t, got, attribute.Key("plural.order_id"))
	s.keepsSecrets("order-9")

	for _, path := range []string{
		"/api/customers/" + email,
		"/api/find?email=" + email + "&phone=" + phone + "&reference=order-7",
	} {
		err = s.client.Do(t.Context(), http.MethodPost, path, nil, nil, plural.WithoutRetry())
		require.Error(t, err)
	}
	require.Equal(t, []string{"orders.create", "do", "do"}, s.spanNames())
	for _, span := range s.spans.GetSpans()[1:] {
		require.Equal(t, s.gateway.URL+"/REDACTED", attributes(&span)["url.full"])
		require.NotContains(t, attributes(&span), attribute.Key("url.template"))
	}
	require.Equal(t, "do: no usable answer", s.spans.GetSpans()[2].Status.Description)
	s.keepsSecrets()
	spans, _ := s.exportedText()
	require.NotContains(t, spans, "order-7")
}

// The client sees errors and bodies unchanged, and the spans show that these
// tries failed.
func TestAnswersPassUnchanged(t *testing.T) {
	t.Parallel()
	broken := errors.New("a secret of the text: " + email)
	for name, body := range map[string]io.Reader{
		"no answer":      nil,
		"half an answer": io.MultiReader(strings.NewReader(`{"data":`), failing{broken}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen error
			see := plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					seen = err
					return resp, err
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
				plural.Credentials{ClientID: "id", ClientSecret: "secret"},
				append(opts, fail)...)
			require.NoError(t, err)
			_, err = client.Orders.Get(t.Context(), "v1-0-aa-none", plural.WithoutRetry())
			require.Error(t, err)
			require.Equal(t, broken, seen)
			require.Len(t, spans.GetSpans(), 1)
			require.Equal(t, "orders.get: no usable answer", spans.GetSpans()[0].Status.Description)
		})
	}
}

type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A sampler decides by the attributes that a span has at its start.
func TestSamplersSeeTheOrder(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	seen := &sampler{Sampler: sdktrace.NeverSample()}
	client, err := plural.NewClient(credentials(gateway), append(pluralotel.Instrument(
		pluralotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(seen))),
	), plural.WithBaseURL(gateway.URL))...)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.Equal(t, []sdktrace.SamplingParameters{{
		ParentContext: seen.asked[0].ParentContext,
		TraceID:       seen.asked[0].TraceID,
		Name:          "orders.get",
		Kind:          trace.SpanKindClient,
		Attributes:    []attribute.KeyValue{attribute.String("plural.order_id", "v1-0-aa-none")},
	}}, seen.asked)
}

type sampler struct {
	sdktrace.Sampler

	asked []sdktrace.SamplingParameters
}

// ShouldSample records the attributes that it is given.
func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked = append(s.asked, p)
	return s.Sampler.ShouldSample(p)
}
