package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

type closing struct {
	io.ReadCloser
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return c.ReadCloser.Close()
}

func TestMiddlewareNeverSeesTheToken(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	var seen []string
	note := func(name string) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, name+" "+plural.OperationFromContext(r.Context())+" "+r.URL.Path)
				require.Empty(t, r.Header.Get("Authorization"))
				resp, err := next.RoundTrip(r)
				require.NoError(t, err)
				require.Same(t, r, resp.Request)
				require.Empty(t, r.Header.Get("Authorization"))
				require.NotContains(t, fmt.Sprint(r.Header, resp.Header, resp.Request.Header), "token-")
				return resp, err
			})
		}
	}
	c := g.client(t, plural.WithMiddleware(note("outer"), note("middle")), plural.WithMiddleware(note("inner")))
	require.NoError(t, c.Warm(t.Context()))
	g.revoke()
	require.NoError(t, getSomething(t.Context(), c))
	require.Equal(
		t,
		[]string{"outer do " + somePath, "middle do " + somePath, "inner do " + somePath},
		seen,
		"middleware sees one try, but neither the second send nor the token requests",
	)
	require.Empty(t, plural.OperationFromContext(t.Context()))

	seen = nil
	g.change(func() { g.api = answers(404) })
	_, _ = c.Orders.Get(t.Context(), "v1-1")
	_, _ = c.Orders.GetByReference(t.Context(), "ref")
	require.Equal(t, "outer orders.get /api/pay/v1/orders/v1-1", seen[0])
	require.Equal(t, "outer orders.get_by_reference /api/pay/v1/orders/reference/ref", seen[3])
}

// A hook of httptrace never sees the token. The hook may come from middleware,
// or from the caller's context.
func TestTracesNeverSeeTheToken(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"secret-token"}`)
	}))
	defer s.Close()
	var mu sync.Mutex
	var seen []string
	traced := func(ctx context.Context) context.Context {
		return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, name+": "+strings.Join(values, ","))
		}})
	}
	c, err := plural.NewClient(
		gatewayCredentials(),
		plural.WithBaseURL(s.URL),
		plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				return next.RoundTrip(r.WithContext(traced(r.Context())))
			})
		}),
	)
	require.NoError(t, err)
	require.NoError(t, getSomething(traced(t.Context()), c))
	mu.Lock()
	defer mu.Unlock()
	require.NotContains(t, strings.Join(seen, "\n"), "secret-token")
	require.Equal(t, 2, strings.Count(strings.Join(seen, "\n"), "Authorization: [redacted]"), "both traces work: %q", seen)
	require.Contains(t, seen, "Accept: application/json")
}

func TestMiddlewareCannotMakeNetHTTPRepeatAWrite(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			r.Header.Set("Idempotency-Key", "k")
			r.Header.Set("X-Idempotency-Key", "k")
			r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
			return next.RoundTrip(r)
		})
	}))
	require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, map[string]int{}, nil))
	call := g.calls[0]
	require.Nil(t, call.GetBody)
	require.Empty(t, call.Header.Values("Idempotency-Key"))
	require.Empty(t, call.Header.Values("X-Idempotency-Key"))
}

func TestMiddlewareThatLosesTheContext(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r.WithContext(context.Background()))
		})
	}))
	err := c.Do(t.Context(), http.MethodPost, somePath, nil, nil, plural.WithoutRetry())
	require.ErrorContains(t, err, "context")
	tokens, calls, refused := g.counts()
	require.Equal(t, []int{0, 0, 0}, []int{tokens, calls, refused})
}

// A circuit breaker returns at its own time limit, even if the transport inside
// it is still at work. After that, the transport must not send the request. If
// the transport cannot be stopped any more, the outcome is unknown, and the
// error must report that.
func TestMiddlewareThatReturnsEarly(t *testing.T) {
	t.Parallel()
	errBreaker := errors.New("breaker: took too long")
	breaker := func(limit time.Duration) plural.Option {
		return plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				type result struct {
					resp *http.Response
					err  error
				}
				done := make(chan result, 1)
				go func() {
					resp, err := next.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
					done <- result{resp, err}
				}()
				select {
				case r := <-done:
					return r.resp, r.err
				case <-time.After(limit):
					return nil, errBreaker
				}
			})
		})
	}
	post := func(t *testing.T, c *plural.Client) error {
		t.Helper()
		return c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil, plural.WithoutRetry())
	}
	slowToken := func(g *gateway) {
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(3 * time.Second)
			return g.issueToken(""), nil
		}
	}

	t.Run("while the token is fetched", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{}
			slowToken(g)
			err := post(t, g.client(t, breaker(time.Second)))
			require.ErrorIs(t, err, errBreaker)
			require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			pass(time.Minute)
			require.Equal(t, 1, g.tokenRequests())
			require.Empty(t, g.apiCalls(), "the error says that nothing was sent, so nothing may be sent later")
		})
	})
	t.Run("while a refused token is replaced", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{}
			c := g.client(t, breaker(time.Second))
			require.NoError(t, c.Warm(t.Context()))
			g.revoke()
			g.change(func() { slowToken(g) })
			err := post(t, c)
			require.ErrorIs(t, err, errBreaker)
			require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			pass(time.Minute)
			require.Empty(t, g.apiCalls())
		})
	})
	t.Run("while the transport dials", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var dialed atomic.Bool
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				_ = sent{Request: (&http.Request{}).WithContext(ctx)}.wait(3 * time.Second)
				dialed.Store(true)
				return nil, errors.New("refused")
			}}
			g := &gateway{}
			c, err := plural.NewClient(gatewayCredentials(), breaker(time.Second), plural.WithHTTPClient(&http.Client{
				Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == somePath {
						return transport.RoundTrip(r)
					}
					return g.RoundTrip(r)
				}),
			}))
			require.NoError(t, err)
			err = post(t, c)
			require.ErrorIs(t, err, plural.ErrOutcomeUnknown, "the request may still be sent")
			require.ErrorIs(t, err, errBreaker)
			pass(time.Minute)
			require.True(t, dialed.Load())
		})
	})
}

func TestMiddlewareThatRefusesHasSentNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errOpen := errors.New("breaker: open")
		tries := 0
		g := &gateway{}
		c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				if tries++; tries < 3 {
					return nil, errOpen
				}
				return next.RoundTrip(r)
			})
		}))
		require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, nil, nil))
		require.Equal(t, 3, tries)
		require.Len(t, g.apiCalls(), 1)
	})
}

func TestMiddlewareThatFailsAfterwardsHasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errLate := errors.New("metrics: failed")
		g := &gateway{}
		c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				if resp, err := next.RoundTrip(r); err == nil {
					_ = resp.Body.Close()
				}
				return nil, errLate
			})
		}))
		err := c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.ErrorIs(t, err, errLate)
		require.Len(t, g.apiCalls(), 1)
	})
}
