package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
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
			return g.issue(`,"expires_in":3600`), nil
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
	require.NoError(t, c.Warm(t.Context()), "with a token at hand there is nothing to do")
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
				var e *plural.Error
				if !errors.As(err, &e) || !e.Retryable() || time.Since(began) != time.Second {
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
				return g.issue(`,"expires_in":3600`), nil
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
					if err := s.wait(3 * time.Second); err != nil { // the life counts from the start of the request
						return nil, err
					}
					resp := g.issue("," + body)
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
			return g.issue(`,"expires_in":3600`), nil
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
			return g.issue(""), nil
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

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status       int
		body         string
		headers      []string
		want         plural.Error // of the token endpoint's answer
		unauthorized bool
		text         string
	}{
		"OAuth": {
			status:  401,
			body:    `{"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`,
			headers: []string{"X-Request-Id", "gw-1"},
			want: plural.Error{
				StatusCode: 401,
				Code:       "invalid_client",
				Message:    "Invalid client or Invalid client credentials",
				TraceID:    "gw-1",
			},
			unauthorized: true,
			text:         "401 invalid_client: Invalid client or Invalid client credentials",
		},
		"gateway": {
			status: 401,
			body:   `{"status":401,"type":"","message":"Unauthorized","traceId":"0af76519"}`,
			want: plural.Error{
				StatusCode: 401,
				Message:    "Unauthorized",
				TraceID:    "0af76519",
			},
			unauthorized: true,
			text:         "401: Unauthorized",
		},
		"documented": {
			status: 422,
			body:   `{"code":"INVALID_REQUEST","message":"grant_type","additional_error_details":{"source":"auth"}}`,
			want: plural.Error{
				StatusCode: 422,
				Code:       plural.CodeInvalidRequest,
				Message:    "grant_type",
			},
			text: "422 INVALID_REQUEST: grant_type",
		},
		"page of a firewall": {
			status:  403,
			body:    `<html><h1>Forbidden</h1></html>`,
			headers: []string{"Content-Type", "text/html"},
			want: plural.Error{
				StatusCode: 403,
				Message:    "not JSON (text/html): Forbidden",
			},
			text: "403: not JSON (text/html): Forbidden",
		},
		"redirect": {
			status: 307, headers: []string{"Location", "https://example.com/token"},
			want: plural.Error{StatusCode: 307, Message: "empty answer"}, text: "307: empty answer",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{
					token: func(sent) (*http.Response, error) { return answer(test.status, test.body, test.headers...), nil },
				}
				c := g.client(t)
				warm := c.Warm(t.Context())
				require.Equal(t, test.unauthorized, errors.Is(warm, plural.ErrUnauthorized))
				var e *plural.Error
				require.ErrorAs(t, warm, &e)
				require.Equal(t, "token", e.Op)
				require.Equal(t, test.want.StatusCode, e.StatusCode)
				require.Equal(t, test.want.Code, e.Code)
				require.Equal(t, test.want.Message, e.Message)
				require.Equal(t, test.want.TraceID, e.TraceID)
				require.Equal(t, test.body, string(e.Body))
				require.Equal(t, g.tokens[0].Header.Get("Request-ID"), e.RequestID)
				require.Equal(t, 1, e.Attempts)
				require.Contains(t, warm.Error(), "plural: get access token: "+test.text)

				_, called := c.Orders.Get(t.Context(), "v1-1")
				require.Equal(t, test.unauthorized, errors.Is(called, plural.ErrUnauthorized))
				hint := ""
				if test.unauthorized {
					hint = " (check the credentials, and whether they are for this environment)"
				}
				require.Contains(
					t,
					called.Error(),
					"plural: get order v1-1: no access token"+hint+": plural: get access token: "+test.text,
				)
				require.Equal(t, 1, g.tokenRequests(), "not repeated, and answered from the failure")
			})
		})
	}
}

// What the token endpoint refuses says nothing of the order or the request that
// the token was for.
func TestTokenErrorsAreNoVerdictOnTheCall(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		status int
		body   string
		is     error
	}{
		"no such page":    {404, "<html>Not Found</html>", nil},
		"not found":       {422, `{"code":"ORDER_NOT_FOUND"}`, nil},
		"invalid":         {422, `{"code":"INVALID_REQUEST","message":"grant_type"}`, nil},
		"duplicate":       {422, `{"code":"DUPLICATE_REQUEST"}`, nil},
		"not allowed":     {422, `{"code":"OPERATION_NOT_ALLOWED"}`, nil},
		"refused":         {401, `{"error":"invalid_client"}`, plural.ErrUnauthorized},
		"too many by far": {429, `{"code":"API_RATE_LIMIT"}`, plural.ErrRateLimited},
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := (&gateway{token: func(sent) (*http.Response, error) { return answer(test.status, test.body), nil }}).client(t)
				_, lookup := c.Refunds.GetByReference(t.Context(), "refund-1")
				_, refund := c.Refunds.Create(
					t.Context(),
					"v1-1",
					&plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(100)},
				)
				for _, err := range []error{lookup, refund, c.Warm(t.Context())} {
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					for _, sentinel := range []error{
						plural.ErrUnauthorized, plural.ErrNotFound, plural.ErrDuplicateRequest, plural.ErrOperationNotAllowed, plural.ErrReferenceReused,
						plural.ErrInvalidRequest, plural.ErrRateLimited, plural.ErrOutcomeUnknown,
					} {
						require.Equal(t, errors.Is(test.is, sentinel), errors.Is(err, sentinel), "%v: %v", err, sentinel)
					}
				}
			})
		})
	}
}

// A fetch that takes too long is repeated, and is not taken for the end of the
// caller's context.
func TestTokenFetchThatTimesOutIsRepeated(t *testing.T) {
	t.Parallel()
	timeouts := map[string]func(s sent) error{
		"its own":      func(s sent) error { return s.wait(time.Hour) },
		"the dialer's": func(sent) error { return &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded} },
		"a context's":  func(sent) error { return context.DeadlineExceeded },
	}
	for name, timeout := range timeouts {
		for _, recovers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", name, recovers), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := &gateway{}
					g.token = func(s sent) (*http.Response, error) {
						if recovers && g.tokenRequests() > 1 {
							return g.issue(""), nil
						}
						return nil, timeout(s)
					}
					err := g.client(t).Warm(context.Background())
					if recovers {
						require.NoError(t, err)
						require.Equal(t, 2, g.tokenRequests())
						return
					}
					require.Error(t, err)
					require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller has no deadline")
					require.Equal(t, 4, g.tokenRequests())
				})
			})
		}
	}
}

func TestUnusableTokenAnswers(t *testing.T) {
	t.Parallel()
	const leak = "eyJhbGciOiJSUzI1NiJ9"
	tests := map[string]string{
		"empty":              ``,
		"no object":          `"` + leak + `"`,
		"no token":           `{"expires_in":3600}`,
		"empty token":        `{"access_token":""}`,
		"token is an object": `{"access_token":{"value":"` + leak + `"}}`,
		"token with newline": `{"access_token":"` + leak + `\nX-Evil: 1"}`,
		"token with space":   `{"access_token":"` + leak + ` x"}`,
		"token outside":      `{"access_token":"` + leak + `é"}`,
		"token too long":     `{"access_token":"` + leak + strings.Repeat("x", 8192) + `"}`,
		"truncated":          `{"access_token":"` + leak,
		"twice":              `{"access_token":"` + leak + `"}{}`,
		"plain text":         leak,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{token: func(sent) (*http.Response, error) {
					return answer(http.StatusOK, body, "Content-Type", "text/plain"), nil
				}}
				err := g.client(t).Warm(t.Context())
				var e *plural.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, http.StatusOK, e.StatusCode)
				require.NotContains(t, fmt.Sprintf("%+v %#v %s", err, err, e.Body), leak[:8])
				require.NotContains(t, e.Message, leak[:8])
			})
		})
	}
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

func TestErrorsDoNotRepeatTheSecret(t *testing.T) {
	t.Parallel()
	const secret = `a"<&>\b/+-zq1x` // escaped in more than one way
	tests := map[string]func(sent) (*http.Response, error){
		"message": func(sent) (*http.Response, error) {
			return answer(400, `{"message":"bad secret a\"<&>\\b/+-zq1x"}`), nil
		},
		"message, slashes escaped": func(sent) (*http.Response, error) {
			return answer(400, `{"message":"bad secret a\"<&>\\b\/+-zq1x"}`), nil
		},
		"message, nearly all escaped": func(sent) (*http.Response, error) {
			return answer(400, `{"message":"bad secret \u0061\u0022\u003C\u0026\u003e\u005cb\u002f\u002B\u002dzq1\u0078"}`), nil
		},
		"name": func(sent) (*http.Response, error) {
			named, err := json.Marshal(map[string]string{secret: "x"})
			return answer(400, string(named)), err
		},
		"cut echo": func(s sent) (*http.Response, error) { return answer(400, s.body[:len(s.body)-3]), nil },
		"echo":     func(s sent) (*http.Response, error) { return answer(400, s.body), nil },
		"page":     func(sent) (*http.Response, error) { return answer(400, "<p>"+secret+"</p>"), nil },
		"rejected": func(s sent) (*http.Response, error) {
			return answer(401, `{"error":"x","error_description":`+s.body+`}`), nil
		},
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{token: token}
				c, err := plural.NewClient(
					plural.Credentials{ClientID: "id", ClientSecret: secret},
					plural.WithHTTPClient(&http.Client{Transport: g}),
				)
				require.NoError(t, err)
				for _, err := range []error{c.Warm(t.Context()), getSomething(t.Context(), c)} {
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					if inner := errors.Unwrap(errors.Unwrap(errors.Unwrap(e))); inner != nil {
						require.ErrorAs(t, inner, &e)
					}
					text := fmt.Sprintf("%v %+v %#v %s %s", err, err, err, e.Message, e.Body)
					require.NotContains(t, text, "zq1x")
				}
			})
		})
	}
}

// Nor does any answer's error repeat the access token.
func TestErrorsDoNotRepeatTheToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
	}{
		"refused twice": {401, `{"code":"UNAUTHORIZED","message":"token t0k3n/zq1x is revoked"}`},
		"escaped":       {422, `{"code":"INVALID_REQUEST","message":"token t0k3n\/zq1\u0078"}`},
		"page":          {403, "<p>Bearer t0k3n/zq1x</p>"},
		"success":       {200, `["t0k3n/zq1x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{
					token: func(sent) (*http.Response, error) { return answer(200, `{"access_token":"t0k3n/zq1x"}`), nil },
					api:   func(sent) (*http.Response, error) { return answer(test.status, test.body), nil },
					valid: "t0k3n/zq1x",
				}
				_, err := g.client(t).Orders.Get(t.Context(), "v1-1")
				var e *plural.Error
				require.ErrorAs(t, err, &e)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %s", err, err, err, e.Message, e.Body), "zq1")
				require.Contains(t, string(e.Body), "[redacted]")
			})
		})
	}
}

// The client secret is in the request for the token, which a redirect must not
// carry elsewhere.
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

func TestTokenEndpointAsksForPatience(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		retryAfter string
		took       time.Duration
		requests   int
	}{
		"half a minute":    {"30", 30 * time.Second, 2},
		"a minute":         {"60", 60 * time.Second, 2},
		"more than that":   {"61", 0, 1},
		"the end of times": {"99999999999999999999", 0, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				g.token = func(sent) (*http.Response, error) {
					if g.tokenRequests() == 1 {
						return answer(
							http.StatusTooManyRequests,
							`{"code":"API_RATE_LIMIT","message":"slow down"}`,
							"Retry-After",
							test.retryAfter,
						), nil
					}
					return g.issue(""), nil
				}
				c := g.client(t)
				began := time.Now()
				err := getSomething(t.Context(), c)
				require.Equal(t, test.took, time.Since(began))
				require.Equal(t, test.requests, g.tokenRequests())
				if test.requests == 1 {
					require.ErrorIs(t, err, plural.ErrRateLimited)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}

func TestTokenFetchFailuresAreRepeated(t *testing.T) {
	t.Parallel()
	tests := map[string]func() (*http.Response, error){
		"no connection":       func() (*http.Response, error) { return nil, errors.New("connection refused") },
		"server error":        func() (*http.Response, error) { return answer(500, `{}`), nil },
		"neither of the two":  func() (*http.Response, error) { return nil, nil }, //nolint:nilnil // the case in question
		"answer without body": func() (*http.Response, error) { return &http.Response{StatusCode: http.StatusServiceUnavailable}, nil },
		"panic":               func() (*http.Response, error) { panic("boom") },
		"goexit": func() (*http.Response, error) {
			runtime.Goexit()
			return nil, errors.New("never reached")
		},
		"answer breaks off": func() (*http.Response, error) {
			resp := answer(200, `{"access`)
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotestErrReader{}))
			return resp, nil
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				g.token = func(sent) (*http.Response, error) {
					if g.tokenRequests() < 3 {
						return fail()
					}
					return g.issue(""), nil
				}
				c := g.client(t)
				require.NoError(
					t,
					c.Do(t.Context(), http.MethodPost, somePath, nil, nil),
					"also for a write: nothing of it was sent",
				)
				tokens, calls, refused := g.counts()
				require.Equal(t, []int{3, 1, 0}, []int{tokens, calls, refused})
			})
		})
	}
}

type iotestErrReader struct{}

func (iotestErrReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

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
					require.Equal(t, 2*n, calls, "two sends a call, never a loop")
					require.Equal(t, n+1, tokens, "one fetch a call")
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
		token   func(sent) (*http.Response, error)
		healsAt int // token request; 0: never
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
							return g.issue(""), nil
						}
						return test.token(s)
					}
				})
				err := c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown, "a refused token is a request not carried out")
				test.check(t, err)
				_, _, refused := g.counts()
				require.Equal(t, 1, refused)
			})
		})
	}
}

// A connection that still carries the refusal must not keep the next token from
// being fetched.
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
		gatewayCredentials(),
		plural.WithBaseURL(server.URL),
		plural.WithHTTPClient(&http.Client{Transport: transport}),
	)
	require.NoError(t, err)
	require.NoError(t, getSomething(t.Context(), c, plural.WithoutRetry()))
	require.EqualValues(t, 2, tokens.Load())
	require.EqualValues(t, 1, connections.Load(), "the refusal is read to its end")
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
		"one try, its replay and the fetches unseen",
	)
	require.Empty(t, plural.OperationFromContext(t.Context()))

	seen = nil
	g.change(func() { g.api = answers(404) })
	_, _ = c.Orders.Get(t.Context(), "v1-1")
	_, _ = c.Orders.GetByReference(t.Context(), "ref")
	require.Equal(t, "outer orders.get /api/pay/v1/orders/v1-1", seen[0])
	require.Equal(t, "outer orders.get_by_reference /api/pay/v1/orders/reference/ref", seen[3])
}

// Nor does whoever follows the request by httptrace, in middleware or from the
// caller's context.
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

// Circuit breakers return at their own time limit and leave the transport at
// work. What they leave behind must not be sent later, nor count as not sent.
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
			return g.issue(""), nil
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
			require.Empty(t, g.apiCalls(), "said to be not sent, and not sent later either")
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
			require.ErrorIs(t, err, plural.ErrOutcomeUnknown, "it may yet be sent")
			require.ErrorIs(t, err, errBreaker)
			pass(time.Minute)
			require.True(t, dialed.Load())
		})
	})
}
