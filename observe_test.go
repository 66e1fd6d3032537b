package plural_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// observations keeps what an observer received.
type observations struct {
	mu  sync.Mutex
	all []plural.Observation
}

func (o *observations) observe(_ context.Context, one plural.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one.RequestID, one.Duration = "", 0
	o.all = append(o.all, one)
}

func (o *observations) take() []plural.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all
	o.all = nil
	return all
}

func TestObserver(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	var told observations
	var spans []string
	client := newClient(t, srv, plural.WithObserver(told.observe), plural.WithMiddleware(
		func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				id, reference := plural.OrderFromContext(r.Context())
				spans = append(spans, plural.OperationFromContext(r.Context())+" "+id+" "+reference)
				return next.RoundTrip(r)
			})
		},
	))

	created, err := client.Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1", OrderAmount: plural.INR(10_000), PreAuth: true,
	})
	require.NoError(t, err)
	id := created.OrderID
	require.Equal(t, []plural.Observation{
		{Operation: "token", Attempts: 1},
		{Operation: "orders.create", Reference: "order-1", Attempts: 1},
	}, told.take())

	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	_, err = client.Captures.Create(
		t.Context(), id, &plural.CaptureRequest{MerchantCaptureReference: "capture-1", FullAmount: true},
	)
	require.NoError(t, err)
	require.Equal(t, []plural.Observation{
		{Operation: "captures.create", OrderID: id, Reference: "capture-1", Attempts: 1, Settled: true},
	}, told.take(), "the settling reads of the capture are a part of this observation")
	require.Equal(t, []string{
		"orders.create  order-1", "captures.create " + id + " capture-1", "orders.get " + id + " capture-1",
	}, spans)

	_, err = client.Cancels.Create(t.Context(), id)
	require.ErrorIs(t, err, plural.ErrNotApplied)
	got := told.take()
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0].Err, plural.ErrNotApplied)

	_, err = client.Orders.GetByReference(t.Context(), "order-1")
	require.NoError(t, err)
	_, err = client.Refunds.Find(t.Context(), id, "refund-1")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "/api/pay/v1/orders/"+id, nil, nil))
	got = told.take()
	require.Equal(t, "orders.get_by_reference  order-1", got[0].Operation+" "+got[0].OrderID+" "+got[0].Reference)
	require.Equal(t, "refunds.find "+id+" refund-1", got[1].Operation+" "+got[1].OrderID+" "+got[1].Reference)
	require.Equal(t, "do", got[2].Operation)
}

func TestObserverThatPanics(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	client := newClient(t, srv, plural.WithObserver(func(context.Context, plural.Observation) { panic("a bug") }))
	_, err := client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	_, err = plural.NewClient(gatewayCredentials(), plural.WithBaseURL(srv.URL), plural.WithObserver(nil))
	require.ErrorContains(t, err, "the observer is nil")
	id, reference := plural.OrderFromContext(t.Context())
	require.Empty(t, id+reference)
}

// Middleware learns the number of the try that a request belongs to. It also
// learns whether the request asks the books what happened to an earlier write.
func TestAttemptFromContext(t *testing.T) {
	t.Parallel()
	type seen struct {
		operation string
		number    int
		settling  bool
	}
	var all []seen
	gateway := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
		plural.WithBaseURL(gateway.URL),
		plural.WithRetry(plural.RetryPolicy{MinDelay: 1, MaxDelay: 1}),
		plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				number, settling := plural.AttemptFromContext(r.Context())
				all = append(all, seen{plural.OperationFromContext(r.Context()), number, settling})
				return next.RoundTrip(r)
			})
		}),
	)
	require.NoError(t, err)
	id, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: "order-1", Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(t, err)
	_, err = gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	gateway.Inject(pluraltest.On(pluraltest.OpCapturesCreate),
		pluraltest.StatusFault(http.StatusTooManyRequests, "API_RATE_LIMIT", pluraltest.ApplyNever),
		pluraltest.ResetAfterApply)
	_, err = client.Captures.Create(t.Context(), id, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-1", FullAmount: true,
	})
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), id)
	require.NoError(t, err)

	require.Equal(t, []seen{
		{"captures.create", 1, false},
		{"captures.create", 2, false},
		{"orders.get", 1, true},
		{"orders.get", 1, false},
	}, all)
	number, settling := plural.AttemptFromContext(context.Background())
	require.Zero(t, number)
	require.False(t, settling)
}

// The body of a token request has the client secret, which must not be logged.
func TestLogOfAFailedTokenRequestHasNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func(s sent) (*http.Response, error){
			"no answer": func(s sent) (*http.Response, error) { return nil, errors.New("reset after " + s.body) },
			"an echo":   func(s sent) (*http.Response, error) { return answer(400, s.body), nil },
		} {
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
			require.Error(t, (&gateway{token: fail}).client(t, plural.WithLogger(logger)).Warm(t.Context()))
			require.Contains(t, log.String(), `"op":"token"`, name)
			require.NotContains(t, log.String(), gatewayClientSecret, name)
		}
	})
}

func TestLogNamesTriesAndNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		g := &gateway{api: func(s sent) (*http.Response, error) {
			_ = s.wait(time.Second)
			return answer(500, `{"message":"body-of-answer"}`, "X-Header", "header-of-answer"), nil
		}}
		c := g.client(t, plural.WithLogger(logger), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
		require.Error(
			t,
			c.Do(
				t.Context(),
				http.MethodGet,
				somePath+"?card=no-4111",
				nil,
				nil,
				plural.WithRequestID("rid-1"),
				plural.WithHeader("X-Mine", "header-of-mine"),
			),
		)
		require.Error(
			t,
			c.Do(
				t.Context(), http.MethodPost, somePath, map[string]string{"card": "no-4111"}, nil, plural.WithRequestID("rid-2"),
			),
		)

		var lines []map[string]any
		for line := range strings.Lines(log.String()) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			require.Equal(t, "DEBUG", fields["level"])
			require.Equal(t, "plural request", fields["msg"])
			delete(fields, "level")
			delete(fields, "msg")
			delete(fields, "time")
			lines = append(lines, fields)
		}
		tokenID := g.tokens[0].Header.Get("Request-ID")
		second := float64(time.Second)
		require.Equal(t, []map[string]any{
			{
				"op":         "token",
				"method":     "POST",
				"path":       "/api/auth/v1/token",
				"status":     200.0,
				"request_id": tokenID,
				"attempt":    1.0,
				"duration":   0.0,
			},
			{
				"op":         "do",
				"method":     "GET",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-1",
				"attempt":    1.0,
				"duration":   second,
			},
			{
				"op":         "do",
				"method":     "GET",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-1",
				"attempt":    2.0,
				"duration":   second,
			},
			{
				"op":         "do",
				"method":     "POST",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-2",
				"attempt":    1.0,
				"duration":   second,
			},
		}, lines)
		for _, secret := range []string{gatewayClientSecret, gatewayClientID, "token-1", "no-4111", "of-answer", "of-mine"} {
			require.NotContains(t, log.String(), secret)
		}
	})
}
