package agreement_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newPeerClient makes a client that repeats no request. The function peer
// answers all its requests, except requests for tokens.
func newPeerClient(tb testing.TB, peer transportFunc, opts ...plural.Option) *plural.Client {
	tb.Helper()
	transport := transportFunc(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") {
			return answer(http.StatusOK, `{"access_token":"own-token","expires_in":3600}`), nil
		}
		return peer(r)
	})
	client, err := plural.NewClient(
		plural.Credentials{ClientID: "own-client", ClientSecret: "own-secret-of-16-or-more"},
		append([]plural.Option{
			plural.WithHTTPClient(&http.Client{Transport: transport}), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
		}, opts...)...)
	require.NoError(tb, err)
	return client
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}
