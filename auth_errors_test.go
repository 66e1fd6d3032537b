package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status       int
		body         string
		headers      []string
		want         plural.Error // the error of the token endpoint's answer
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
					t, called.Error(), "plural: get order v1-1: no access token"+hint+": plural: get access token: "+test.text,
				)
				require.Equal(t, 1, g.tokenRequests(), "no second token request: the second call gets the error of the first")
			})
		})
	}
}

// A refusal by the token endpoint says nothing about the order or the request
// that needed the token.
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
					t.Context(), "v1-1", &plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(100)},
				)
				for _, err := range []error{lookup, refund, c.Warm(t.Context())} {
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					for _, sentinel := range []error{
						plural.ErrUnauthorized, plural.ErrNotFound, plural.ErrDuplicateRequest, plural.ErrOperationNotAllowed,
						plural.ErrReferenceReused,
						plural.ErrInvalidRequest, plural.ErrRateLimited, plural.ErrOutcomeUnknown,
					} {
						require.Equal(t, errors.Is(test.is, sentinel), errors.Is(err, sentinel), "%v: %v", err, sentinel)
					}
				}
			})
		})
	}
}

// A token request that takes too long is repeated. Its timeout is not reported
// as the end of the caller's context.
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
							return g.issueToken(""), nil
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

func TestErrorsDoNotRepeatTheSecret(t *testing.T) {
	t.Parallel()
	const secret = `a"<&>\b/+-zq1x` // some of these characters can be escaped in more than one way in JSON
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

// If an answer repeats the access token, the error does not show it.
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
					return g.issueToken(""), nil
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
		"no connection":      func() (*http.Response, error) { return nil, errors.New("connection refused") },
		"server error":       func() (*http.Response, error) { return answer(500, `{}`), nil },
		"neither of the two": func() (*http.Response, error) { return nil, nil }, //nolint:nilnil // the case under test
		"answer without body": func() (*http.Response,
			error,
		) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable}, nil
		},
		"panic": func() (*http.Response, error) { panic("boom") },
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
					return g.issueToken(""), nil
				}
				c := g.client(t)
				require.NoError(
					t, c.Do(t.Context(), http.MethodPost, somePath, nil, nil), "even a write, because nothing of it was sent before",
				)
				tokens, calls, refused := g.counts()
				require.Equal(t, []int{3, 1, 0}, []int{tokens, calls, refused})
			})
		})
	}
}

type iotestErrReader struct{}

func (iotestErrReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
