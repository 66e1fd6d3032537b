package hostile_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func credentials() plural.Credentials {
	return plural.Credentials{ClientID: "client-7d6a", ClientSecret: "s3cr3t-4f9c2b7e"}
}

const somePath = "/api/pay/v1/something"

func getSomething(ctx context.Context, c *plural.Client, opts ...plural.CallOption) error {
	return c.Do(ctx, http.MethodGet, somePath, nil, nil, opts...)
}

func minimalOrder() *plural.CreateOrderRequest {
	return &plural.CreateOrderRequest{MerchantOrderReference: "own-order-1", OrderAmount: plural.INR(149950)}
}

func isTokenRequest(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") }

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newPeerClient makes a client that repeats no request. The function peer
// answers all its requests, except requests for tokens.
func newPeerClient(tb testing.TB, peer transportFunc) *plural.Client {
	tb.Helper()
	transport := transportFunc(func(r *http.Request) (*http.Response, error) {
		if isTokenRequest(r) {
			return answer(http.StatusOK, `{"access_token":"own-token","expires_in":3600}`), nil
		}
		return peer(r)
	})
	client, err := plural.NewClient(credentials(), plural.WithHTTPClient(&http.Client{Transport: transport}),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	require.NoError(tb, err)
	return client
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// lastError reads a whole sequence, and returns the error with which it ends.
func lastError[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

var untidy = regexp.MustCompile(`[^\pL\pM\pN\pP\pS ]`)

// requireTidy checks that an error's text is one line of a reasonable length.
func requireTidy(tb testing.TB, text string) {
	tb.Helper()
	require.NotEmpty(tb, text)
	require.LessOrEqual(tb, len(text), 2500)
	require.Empty(tb, untidy.FindString(text), "%q", text)
}
