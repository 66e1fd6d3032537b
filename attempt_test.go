package plural_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// Middleware is told which send of its call a request is, and whether it only
// asks what became of another.
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
