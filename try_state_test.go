package plural_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// sendsTwice is middleware that sends each request twice, although middleware
// must not do so.
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

// Here middleware sends a request twice, and gets no token the second time. The
// try still counts as sent, because the request was sent the first time.
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

// net/http can repeat a request with a body only if the request has GetBody. So
// a token request must not have it.
func TestTokenRequestCannotBeRepeated(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	require.NoError(t, g.client(t).Warm(t.Context()))
	require.Nil(t, g.tokens[0].GetBody)
}

// If it is certain that a try did not send its request, the SDK tries again,
// even if the request is a write.
func TestWriteThatWasNotSentIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		var dials atomic.Int64
		dead := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}}
		c := g.client(
			t,
			plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == somePath && dials.Load() < 2 {
					return dead.RoundTrip(r)
				}
				return g.RoundTrip(r)
			})}),
		)
		require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil))
		require.EqualValues(t, 2, dials.Load())
		require.Len(t, g.apiCalls(), 1)
		require.Equal(t, `{"a":1}`, g.apiCalls()[0].body)

		dials.Store(-10)
		err := c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.EqualValues(t, -6, dials.Load())
	})
}

func TestDialThatTakesTooLongIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		end := make(chan struct{})
		defer close(end)
		hanging := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-end // net/http goes on dialling after the request has ended
			return nil, syscall.ETIMEDOUT
		}}
		tries := 0
		c := g.client(
			t,
			plural.WithAttemptTimeout(time.Second),
			plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == somePath {
					if tries++; tries == 1 {
						return hanging.RoundTrip(r)
					}
				}
				return g.RoundTrip(r)
			})}),
		)
		require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, nil, nil))
		require.Equal(t, 2, tries)
	})
}

// If a TLS handshake breaks off, the SDK tries again, because the next
// handshake may succeed. If the certificate is not trusted, the SDK does not
// try again, because the next handshake would fail, too.
func TestTLSFailures(t *testing.T) {
	t.Parallel()
	refusedBy := func(err error) func(*tls.Config) {
		return func(c *tls.Config) {
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(tls.ConnectionState) error { return err }
		}
	}
	const retries = 4
	for name, test := range map[string]struct {
		client     func(*tls.Config)
		handshakes int64
	}{
		"unknown authority": {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, 1},
		"another host":      {func(c *tls.Config) { c.ServerName = "shop.example.in" }, 1},
		"expired": {func(c *tls.Config) {
			c.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) }
		}, 1},
		"the caller's own check":  {refusedBy(x509.UnknownAuthorityError{}), 1},
		"the caller's host check": {refusedBy(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), 1},
		"the caller's time check": {refusedBy(x509.CertificateInvalidError{Reason: x509.Expired}), 1},
		"breaks off":              {refusedBy(errors.New("the line broke off")), retries},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var handshakes atomic.Int64
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = quietLog()
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					handshakes.Add(1)
				}
			}
			server.StartTLS()
			defer server.Close()
			transport := server.Client().Transport.(*http.Transport).Clone()
			test.client(transport.TLSClientConfig)
			defer transport.CloseIdleConnections()
			g := &gateway{}
			c := g.client(t,
				plural.WithBaseURL(server.URL),
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: retries, MinDelay: 1, MaxDelay: 1}),
				plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == somePath {
						return transport.RoundTrip(r)
					}
					return g.RoundTrip(r)
				})}),
			)
			err := c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil)
			require.NotErrorIs(t, err, plural.ErrOutcomeUnknown, "nothing was sent")
			failed, ok := errors.AsType[*plural.Error](err)
			require.True(t, ok)
			require.Equal(t, test.handshakes == retries, failed.Retryable())
			require.Equal(t, test.handshakes, handshakes.Load())

			c, err = plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL),
				plural.WithHTTPClient(&http.Client{Transport: transport}),
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: retries, MinDelay: 1, MaxDelay: 1}))
			require.NoError(t, err)
			failed, ok = errors.AsType[*plural.Error](c.Warm(t.Context()))
			require.True(t, ok)
			require.Equal(t, test.handshakes == retries, failed.Retryable(), "a token")
		})
	}
}

func TestTransportWithoutTraceIsNotTrusted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{untraced: true, api: func(sent) (*http.Response, error) { return nil, syscall.ECONNREFUSED }}
		err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, nil)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown, "the request may have been sent")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Len(t, g.apiCalls(), 1)
	})
}

// The peer accepts the connection but reads nothing from it. The request may be
// in a buffer, so the outcome is unknown.
func TestWriteCutOffAfterItsConnectionWasThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		var peers []net.Conn
		deaf := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			peers = append(peers, theirs)
			return ours, nil
		}}
		defer deaf.CloseIdleConnections()
		c := g.client(
			t,
			plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == somePath {
					return deaf.RoundTrip(r)
				}
				return g.RoundTrip(r)
			})}),
		)
		err := c.Do(t.Context(), http.MethodPost, somePath, map[string]string{"a": strings.Repeat("x", 10_000)}, nil)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.Len(t, peers, 1)
		require.NoError(t, peers[0].Close())
	})
}

// The transport reports only that there was a connection. So the SDK cannot
// know whether a byte was sent on it.
func TestTryCutOffWithAConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		c := g.client(
			t,
			plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != somePath {
					return g.RoundTrip(r)
				}
				trace := httptrace.ContextClientTrace(r.Context())
				trace.GetConn("example.com:443")
				trace.GotConn(httptrace.GotConnInfo{})
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}),
		)
		require.ErrorIs(
			t, c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil), plural.ErrOutcomeUnknown,
		)
	})
}

// The header of a request may be longer than net/http's buffer. Then net/http
// sends the header in pieces. If the connection breaks, some pieces may have
// been sent, so the outcome is unknown.
func TestWriteWhoseHeaderWentOutInPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		dials := 0
		breaks := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Read(make([]byte, 16))
				_ = theirs.Close()
			}()
			return ours, nil
		}}
		defer breaks.CloseIdleConnections()
		c := g.client(t, plural.WithHTTPClient(&http.Client{Transport: transportFunc(
			func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == somePath {
					return breaks.RoundTrip(r)
				}
				return g.RoundTrip(r)
			})}))
		err := c.Do(
			t.Context(), http.MethodPost, somePath, nil, nil, plural.WithHeader("X-Long", strings.Repeat("x", 10_000)),
		)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.Equal(t, 1, dials)
	})
}

func TestTransportThatGivesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]*http.Response{"no answer": nil, "an answer without a body": {StatusCode: http.StatusUnauthorized}}
	for name, resp := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: func(sent) (*http.Response, error) { return resp, nil }}
				err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, nil)
				require.Equal(t, resp == nil, errors.Is(err, plural.ErrOutcomeUnknown), "%v", err)
				require.Equal(t, resp != nil, errors.Is(err, plural.ErrUnauthorized), "%v", err)
			})
		})
	}
}

// The context ends while middleware is at work. The middleware does not check
// the context, and passes the request on. The request does not reach the
// transport, so it was not sent.
func TestContextThatEndsBeforeTheTransport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				pass(time.Second)
				return next.RoundTrip(r)
			})
		}))
		require.NoError(t, c.Warm(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := c.Cancels.Create(ctx, "v1-1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.Empty(t, g.apiCalls())
	})
}
