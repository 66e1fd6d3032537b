package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const somePath = "/api/pay/v1/something"

func getSomething(ctx context.Context, c *plural.Client, opts ...plural.CallOption) error {
	return c.Do(ctx, http.MethodGet, somePath, nil, nil, opts...)
}

func TestOneTokenServesColdCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(300 * time.Millisecond)
			return g.issueToken(`,"expires_in":3600`), nil
		}
		c := g.client(t)
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				if err := getSomething(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tokens, calls, refused := g.counts()
		require.Equal(t, []int{1, 10_000, 0}, []int{tokens, calls, refused})
	})
}

func TestTokenRequestIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	c := g.client(t, plural.WithUserAgent("shop/1"))
	require.NoError(t, c.Warm(t.Context()))
	require.NoError(t, c.Warm(t.Context()), "the client already has a token")
	require.Len(t, g.tokens, 1)
	r := g.tokens[0]
	require.Equal(t, "POST https://pluraluat.v2.pinepg.in/api/auth/v1/token", r.Method+" "+r.URL.String())
	require.JSONEq(
		t,
		`{"client_id":"client-7d6a","client_secret":"s3cr3t-4f9c2b7e","grant_type":"client_credentials"}`,
		r.body,
	)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, "application/json", r.Header.Get("Accept"))
	require.Regexp(t, `^plural-go/\S+ shop/1$`, r.Header.Get("User-Agent"))
	require.Regexp(t, uuidPattern, r.Header.Get("Request-ID"))
	require.Regexp(t, timestampPattern, r.Header.Get("Request-Timestamp"))
	require.Empty(t, r.Header.Get("Authorization"))
}

const (
	uuidPattern      = `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`
	timestampPattern = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`
)

func TestTokenUnderHTTPMock(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder(http.MethodPost, "https://api.pluralpay.in/api/auth/v1/token",
		httpmock.NewStringResponder(http.StatusOK, `{"access_token":"abc","expires_at":"2099-06-28T13:26:06.909140Z"}`))
	mock.RegisterMatcherResponder(
		http.MethodGet,
		"https://api.pluralpay.in"+somePath,
		httpmock.HeaderIs("Authorization", "Bearer abc"),
		httpmock.NewStringResponder(http.StatusOK, `{"answer":42}`),
	)
	c, err := plural.NewClient(
		gatewayCredentials(),
		plural.WithEnvironment(plural.Production),
		plural.WithHTTPClient(&http.Client{Transport: mock}),
	)
	require.NoError(t, err)
	var out struct{ Answer int }
	require.NoError(t, c.Do(t.Context(), http.MethodGet, somePath, nil, &out))
	require.NoError(t, c.Do(t.Context(), http.MethodGet, somePath, nil, &out))
	require.Equal(t, 42, out.Answer)
	require.Equal(t, 3, mock.GetTotalCallCount())
}

func TestFailingTokenEndpointIsAskedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{token: func(s sent) (*http.Response, error) {
			_ = s.wait(time.Second)
			return answer(http.StatusServiceUnavailable, `{"message":"down"}`), nil
		}}
		c := g.client(t)
		began := time.Now()
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				err := getSomething(t.Context(), c, plural.WithoutRetry())
				e, ok := errors.AsType[*plural.Error](err)
				if !ok || !e.Retryable() || time.Since(began) != time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, g.tokenRequests())
	})
}

func TestCallsOutliveATokenEndpointThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		c := g.client(t)
		require.NoError(t, c.Warm(t.Context()))
		g.change(func() {
			g.token = func(s sent) (*http.Response, error) {
				_ = s.wait(5 * time.Second)
				return nil, errors.New("connection refused")
			}
		})
		pass(59 * time.Minute)
		for end := time.Now().Add(59 * time.Second); time.Now().Before(end); pass(100 * time.Millisecond) {
			began := time.Now()
			require.NoError(t, getSomething(t.Context(), c))
			require.Zero(t, time.Since(began))
		}
		tokens, calls, _ := g.counts()
		require.Equal(t, 590, calls)
		require.Greater(t, tokens, 3, "it keeps asking")
		require.Less(t, tokens, 12, "and backs off")

		g.change(func() { g.token = nil })
		pass(2 * time.Second)
		require.NoError(t, getSomething(t.Context(), c))
	})
}

func TestRefreshDelaysNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		c := g.client(t)
		require.NoError(t, c.Warm(t.Context()))
		g.change(func() {
			g.token = func(s sent) (*http.Response, error) {
				valid := g.valid
				if err := s.wait(20 * time.Second); err != nil {
					return nil, err
				}
				require.Equal(t, valid, g.valid)
				return g.issueToken(`,"expires_in":3600`), nil
			}
		})
		pass(59*time.Minute + time.Second)
		began := time.Now()
		require.NoError(t, getSomething(t.Context(), c))
		require.Zero(t, time.Since(began))
		pass(20 * time.Second)
		synctest.Wait()
		require.NoError(t, getSomething(t.Context(), c))
		tokens, calls, refused := g.counts()
		require.Equal(t, []int{2, 2, 0}, []int{tokens, calls, refused})
	})
}

func TestTokenLifetimeIsWhatTheAnswerSays(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04:05.000000Z") }
	date := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		answer func() (body, date string)
		want   time.Duration
	}{
		"expires_at": {
			func() (string, string) { return fmt.Sprintf(`"expires_at":%q`, at(time.Hour)), "" },
			time.Hour,
		},
		"expires_at, server's clock ahead": {
			func() (string, string) { return fmt.Sprintf(`"expires_at":%q`, at(3*time.Hour)), date(2 * time.Hour) },
			time.Hour - time.Second,
		},
		"expires_at and expires_in": {
			func() (string, string) { return fmt.Sprintf(`"expires_in":60,"expires_at":%q`, at(time.Hour)), "" },
			time.Hour,
		},
		"expires_in, a number": {
			func() (string, string) { return `"expires_in":1800`, date(0) },
			30 * time.Minute,
		},
		"expires_in, a string":  {func() (string, string) { return `"expires_in":"1800"`, "" }, 30 * time.Minute},
		"expires_in below zero": {func() (string, string) { return `"expires_in":-1`, "" }, 5 * time.Minute},
		"expires_at null, expires_in": {
			func() (string, string) { return `"expires_at":null,"expires_in":1800`, "" },
			30 * time.Minute,
		},
		"expires_at a number": {
			func() (string, string) { return `"expires_at":1719581166,"expires_in":1800`, "" },
			30 * time.Minute,
		},
		"camelCase": {func() (string, string) { return `"expiresIn":1800`, "" }, 30 * time.Minute},
		"nothing":   {func() (string, string) { return `"token_type":"Bearer"`, "" }, 5 * time.Minute},
		"expired": {
			func() (string, string) { return fmt.Sprintf(`"expires_at":%q`, at(-time.Hour)), "" },
			5 * time.Minute,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				g.token = func(s sent) (*http.Response, error) {
					body, date := test.answer()
					// A token's lifetime counts from the start of the request.
					if err := s.wait(3 * time.Second); err != nil {
						return nil, err
					}
					resp := g.issueToken("," + body)
					if date != "" {
						resp.Header.Set("Date", date)
					}
					return resp, nil
				}
				c := g.client(t)
				began := time.Now()
				require.NoError(t, c.Warm(t.Context()))
				pass(time.Until(began.Add(test.want - min(time.Minute, test.want/10) - 1)))
				require.NoError(t, c.Warm(t.Context()))
				synctest.Wait()
				require.Equal(t, 1, g.tokenRequests())
				pass(1)
				require.NoError(t, c.Warm(t.Context()))
				synctest.Wait()
				require.Equal(t, 2, g.tokenRequests())
				pass(3 * time.Second)
			})
		})
	}
}

func TestCallersMeetARevokedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(300 * time.Millisecond)
			return g.issueToken(`,"expires_in":3600`), nil
		}
		c := g.client(t)
		require.NoError(t, c.Warm(t.Context()))
		g.revoke()
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				pass(time.Duration(n) * 3 * time.Millisecond)
				if err := getSomething(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tokens, calls, _ := g.counts()
		require.Equal(t, 2, tokens)
		require.Equal(t, 200, calls)
	})
}

func TestCallersLeaveOnTheirOwnContexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(8 * time.Second)
			return g.issueToken(""), nil
		}
		c := g.client(t)
		began := time.Now()
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancelSecond()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := getSomething(first, c); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := c.Warm(second); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		wg.Go(func() {
			if err := getSomething(t.Context(), c); err != nil || time.Since(began) != 8*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		pass(time.Second)
		cancelFirst()
		wg.Wait()
		require.Equal(t, 1, g.tokenRequests())
	})
}

func TestDeadlineHoldsWhileTheTokenBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{token: answers(http.StatusServiceUnavailable)}
		c := g.client(t, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 100}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		for _, err := range []error{getSomething(ctx, c), c.Warm(ctx)} {
			require.Error(t, err)
			require.LessOrEqual(t, time.Since(began), 5*time.Second)
			var e *plural.Error
			require.ErrorAs(t, err, &e)
			require.Less(t, e.Attempts, 8)
		}
	})
}

func TestTokenOfTheLargestSize(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	g.token = func(sent) (*http.Response, error) {
		g.change(func() { g.valid = strings.Repeat("x", 8192) })
		return answer(http.StatusOK, `{"access_token":"`+g.valid+`"}`), nil
	}
	require.NoError(t, getSomething(t.Context(), g.client(t)))
}

// The request for the token has the client secret in it, so a redirect must not
// send this request elsewhere.
func TestTokenRequestFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var elsewhere atomic.Int64
			thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			defer thief.Close()
			server := httptest.NewServer(http.RedirectHandler(thief.URL, status))
			defer server.Close()
			c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL))
			require.NoError(t, err)
			require.Error(t, c.Warm(t.Context()))
			require.Zero(t, elsewhere.Load())
		})
	}
}

func TestRefusedTokenIsReplacedAndTheRequestReplayed(t *testing.T) {
	t.Parallel()
	type body struct {
		Text string `json:"text"`
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, in := range []any{nil, body{"<hello>"}} {
			if method == http.MethodGet && in != nil {
				continue
			}
			t.Run(fmt.Sprintf("%s with body %t", method, in != nil), func(t *testing.T) {
				t.Parallel()
				g := &gateway{}
				c := g.client(t)
				require.NoError(t, c.Warm(t.Context()))
				g.revoke()
				var got plural.Response
				require.NoError(t, c.Do(t.Context(), method, somePath, in, nil, plural.WithResponseInto(&got)))
				tokens, calls, refused := g.counts()
				require.Equal(t, []int{2, 1, 1}, []int{tokens, calls, refused})
				require.Equal(t, g.refused[0].body, g.calls[0].body)
				require.Equal(t, g.refused[0].ContentLength, g.calls[0].ContentLength)
				require.Equal(t, g.refused[0].Header.Get("Request-ID"), g.calls[0].Header.Get("Request-ID"))
				require.Equal(t, 200, got.StatusCode)
				require.Equal(t, 1, got.Attempts)
				if in != nil {
					require.Contains(t, g.calls[0].body, ":\"<hello>\"")
				}
			})
		}
	}
}

// net/http may still be reading a request after the answer to it has come. So
// the SDK must not change a request that was sent.
func TestRequestThatWasSentIsLeftAlone(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	c := g.client(t)
	require.NoError(t, c.Warm(t.Context()))
	first := g.valid
	g.revoke()
	require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, map[string]int{}, nil))
	require.Equal(t, []string{"Bearer " + first}, g.refused[0].Header["Authorization"])
	require.Equal(t, []string{"Bearer " + g.valid}, g.calls[0].Header["Authorization"])
	require.NotEqual(t, first, g.valid)
	require.NotSame(t, g.refused[0].Request, g.calls[0].Request)
}

func TestTokenThatIsRefusedAgain(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: func(sent) (*http.Response, error) {
					return answer(401, `{"status":401,"message":"no","traceId":"tr-1"}`), nil
				}}
				c := g.client(t)
				for n := 1; n <= 2; n++ {
					err := c.Do(t.Context(), method, somePath, nil, nil)
					require.ErrorIs(t, err, plural.ErrUnauthorized)
					require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, "tr-1", e.TraceID)
					tokens, calls, _ := g.counts()
					require.Equal(t, 2*n, calls, "each call sends its request twice and not more often")
					require.Equal(t, n+1, tokens, "one token request for each call")
				}
			})
		})
	}
}

func TestUnauthorizedByCodeIsNoTokenError(t *testing.T) {
	t.Parallel()
	g := &gateway{api: func(sent) (*http.Response, error) {
		return answer(422, `{"code":"UNAUTHORIZED","message":"Merchant is not configured for payment"}`), nil
	}}
	c := g.client(t)
	err := c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
	var e *plural.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, plural.CodeUnauthorized, e.Code)
	require.NotErrorIs(t, err, plural.ErrUnauthorized)
	tokens, calls, _ := g.counts()
	require.Equal(t, []int{1, 1}, []int{tokens, calls})
}

func TestRefusedTokenWithoutASuccessor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token func(sent) (*http.Response, error)
		// The token requests are numbered from 1. The endpoint works
		// again for the request with this number and for all later
		// requests. If the number is 0, the endpoint never works again.
		healsAt int
		check   func(*testing.T, error)
	}{
		"the endpoint is down for a moment": {answers(503), 4, func(t *testing.T, err error) {
			t.Helper()
			require.NoError(t, err)
		}},
		"the endpoint stays down": {answers(503), 0, func(t *testing.T, err error) {
			t.Helper()
			require.NotErrorIs(t, err, plural.ErrUnauthorized, "nobody has refused the credentials")
			var e *plural.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.Retryable())
		}},
		"the credentials are refused": {answers(401), 0, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, plural.ErrUnauthorized)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				c := g.client(t)
				require.NoError(t, c.Warm(t.Context()))
				g.revoke()
				g.change(func() {
					g.token = func(s sent) (*http.Response, error) {
						if test.healsAt > 0 && g.tokenRequests() >= test.healsAt {
							return g.issueToken(""), nil
						}
						return test.token(s)
					}
				})
				err := c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown, "a request with a refused token was not carried out")
				test.check(t, err)
				_, _, refused := g.counts()
				require.Equal(t, 1, refused)
			})
		})
	}
}

// If the API refuses a token, the SDK must free the connection of that answer.
// The request for a new token then uses the same connection.
func TestRefusalFreesItsConnection(t *testing.T) {
	t.Parallel()
	var tokens, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/auth/v1/token":
			_, _ = fmt.Fprintf(w, `{"access_token":"t%d"}`, tokens.Add(1))
		case r.Header.Get("Authorization") == "Bearer t1":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	countConnections(server, &connections)
	server.Start()
	defer server.Close()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	c, err := plural.NewClient(
		gatewayCredentials(), plural.WithBaseURL(server.URL), plural.WithHTTPClient(&http.Client{Transport: transport}),
	)
	require.NoError(t, err)
	require.NoError(t, getSomething(t.Context(), c, plural.WithoutRetry()))
	require.EqualValues(t, 2, tokens.Load())
	require.EqualValues(t, 1, connections.Load(), "the refusal is read to its end, so its connection is used again")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, elsewhere := range []bool{false, true} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				t.Run(fmt.Sprintf("%d elsewhere %t %s", status, elsewhere, method), func(t *testing.T) {
					t.Parallel()
					var strayed atomic.Int64
					stray := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) })
					other := httptest.NewServer(stray)
					defer other.Close()
					mux := http.NewServeMux()
					mux.HandleFunc(
						"/api/auth/v1/token",
						func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"access_token":"t"}`) },
					)
					mux.Handle("/landing", stray)
					mux.HandleFunc(somePath, func(w http.ResponseWriter, r *http.Request) {
						target := "/landing"
						if elsewhere {
							target = other.URL + "/landing"
						}
						http.Redirect(w, r, target, status)
					})
					server := httptest.NewServer(mux)
					defer server.Close()
					followed := false
					user := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
						followed = true
						return nil
					}}
					defer user.CloseIdleConnections()
					c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL), plural.WithHTTPClient(user))
					require.NoError(t, err)
					var got plural.Response
					err = c.Do(t.Context(), method, somePath, nil, nil, plural.WithResponseInto(&got))
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, status, e.StatusCode)
					require.Equal(t, method == http.MethodPost, errors.Is(err, plural.ErrOutcomeUnknown))
					require.Equal(t, 1, got.Attempts)
					require.Zero(t, strayed.Load())
					require.False(t, followed)
				})
			}
		}
	}
}

func TestTokenGoesToTheBaseURLOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"another host":   "https://evil.example" + somePath,
		"another port":   "https://pluraluat.v2.pinepg.in:444" + somePath,
		"another scheme": "http://pluraluat.v2.pinepg.in" + somePath,
		"a subdomain":    "https://x.pluraluat.v2.pinepg.in" + somePath,
	}
	for name, target := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{}
			closed := false
			c := g.client(t, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
				return transportFunc(func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.URL = mustURL(t, target)
					r.Body = closing{r.Body, &closed}
					return next.RoundTrip(r)
				})
			}))
			err := c.Do(t.Context(), http.MethodPost, somePath, map[string]int{}, nil, plural.WithoutRetry())
			require.ErrorContains(t, err, "the access token goes to pluraluat.v2.pinepg.in only")
			require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			tokens, calls, refused := g.counts()
			require.Equal(t, []int{0, 0, 0}, []int{tokens, calls, refused})
			require.True(t, closed)
		})
	}
}
