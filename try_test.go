package plural_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// sendsTwice is middleware that repeats requests, which it must not.
type sendsTwice struct {
	next    http.RoundTripper
	between func()
}

func (m sendsTwice) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := m.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		return resp, err
	}
	_ = resp.Body.Close()
	m.between()
	return m.next.RoundTrip(r)
}

// What went out once is remembered: a repetition whose token cannot be had does
// not make it a request that was never sent.
func TestMiddlewareThatRepeatsIsNotBelievedNotToHaveSent(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	g.api = func(sent) (*http.Response, error) { return answer(http.StatusServiceUnavailable, ``), nil }
	g.change(func() {})
	refuse := func() {
		g.revoke()
		g.change(func() {
			g.token = func(sent) (*http.Response, error) { return answer(http.StatusForbidden, `{"error":"no"}`), nil }
		})
	}
	c := g.client(t, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}), plural.WithMiddleware(
		func(next http.RoundTripper) http.RoundTripper { return sendsTwice{next, refuse} }))
	err := c.Do(t.Context(), http.MethodPut, somePath, nil, nil)
	require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
}

// No request but a GET carries what net/http could repeat it with.
func TestTokenRequestCannotBeRepeated(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	require.NoError(t, g.client(t).Warm(t.Context()))
	require.Nil(t, g.tokens[0].GetBody)
}
