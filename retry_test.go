package plural_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	broken := func(resp *http.Response) *http.Response {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotestErrReader{}))
		return resp
	}
	const yes, no = true, false
	tests := map[string]struct {
		answer    func(sent) (*http.Response, error)
		get       bool // whether a GET with this answer is repeated
		ambiguous bool // whether the error of a write matches ErrOutcomeUnknown
	}{
		"reset":                    {func(sent) (*http.Response, error) { return nil, syscall.ECONNRESET }, yes, yes},
		"408":                      {answers(408), yes, yes},
		"409":                      {answers(409), yes, yes},
		"425":                      {answers(425), yes, yes},
		"429":                      {answers(429), yes, no},
		"500":                      {answers(500), yes, yes},
		"502":                      {answers(502), yes, yes},
		"503":                      {answers(503), yes, yes},
		"504":                      {answers(504), yes, yes},
		"599":                      {answers(599), yes, yes},
		"301":                      {answers(301), no, yes},
		"304":                      {answers(304), no, yes},
		"400":                      {answers(400), no, no},
		"403":                      {answers(403), no, no},
		"404":                      {answers(404), no, no},
		"422":                      {answers(422), no, no},
		"429 API_RATE_LIMIT":       {coded(429, "API_RATE_LIMIT"), yes, no},
		"422 API_RATE_LIMIT":       {coded(422, "API_RATE_LIMIT"), yes, no},
		"200 API_RATE_LIMIT":       {coded(200, "API_RATE_LIMIT"), yes, no},
		"200 INVALID_REQUEST":      {coded(200, "INVALID_REQUEST"), no, no},
		"200 INTERNAL_ERROR":       {coded(200, "INTERNAL_ERROR"), yes, yes},
		"429 PAYMENT_RATE_LIMIT":   {coded(429, "PAYMENT_RATE_LIMIT"), no, no},
		"422 PAYMENT_RATE_LIMIT":   {coded(422, "PAYMENT_RATE_LIMIT"), no, no},
		"429 with an unknown code": {coded(429, "SLOW_DOWN"), yes, no},
		"504 INVALID_USER_ACCOUNT": {coded(504, "INVALID_USER_ACCOUNT"), no, no},
		"422 INVALID_USER_ACCOUNT": {coded(422, "INVALID_USER_ACCOUNT"), no, no},
		"504 TIMED_OUT":            {coded(504, "TIMED_OUT"), yes, yes},
		"400 TIMED_OUT":            {coded(400, "TIMED_OUT"), yes, yes},
		"500 INTERNAL_ERROR":       {coded(500, "INTERNAL_ERROR"), yes, yes},
		"403 page":                 {page(403), no, no},
		"502 page":                 {page(502), yes, yes},
		"200 page":                 {page(200), yes, yes},
		"200 that breaks off": {
			func(sent) (*http.Response, error) { return broken(answer(200, `{"a`)), nil },
			yes,
			yes,
		},
		"422 that breaks off": {
			func(sent) (*http.Response, error) { return broken(answer(422, `{"a`)), nil },
			yes,
			yes,
		},
		"200 cut off at a JSON value": {func(sent) (*http.Response, error) { return answer(200, `{"a":`), nil }, yes, yes},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
				synctest.Test(t, func(t *testing.T) {
					g := &gateway{api: test.answer}
					var got plural.Response
					err := g.client(t).Do(t.Context(), method, somePath, nil, nil, plural.WithResponseInto(&got))
					require.Error(t, err)
					var e *plural.Error
					require.ErrorAs(t, err, &e)
					want := 1
					if method == http.MethodGet && test.get {
						want = 4
					}
					require.Len(t, g.apiCalls(), want, method)
					require.Equal(t, want, e.Attempts)
					require.Equal(t, want, got.Attempts)
					require.Equal(t, method != http.MethodGet && test.ambiguous, errors.Is(err, plural.ErrOutcomeUnknown), method)
				})
			}
		})
	}
}

func coded(status int, code string) func(sent) (*http.Response, error) {
	return func(sent) (*http.Response, error) {
		return answer(status, `{"code":"`+code+`","message":"m"}`), nil
	}
}

func page(status int) func(sent) (*http.Response, error) {
	return func(sent) (*http.Response, error) {
		return answer(status, `<html><body>Request blocked</body></html>`, "Content-Type", "text/html"), nil
	}
}

func TestRepeatedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: answers(500, 429, 200)}
		var got plural.Response
		require.NoError(t, getSomething(t.Context(), g.client(t), plural.WithResponseInto(&got)))
		require.Equal(t, 3, got.Attempts)
		require.Equal(t, 200, got.StatusCode)
	})
}

func TestEachAttemptCarriesItsOwnTimestampAndTheSameID(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"", "support-case-17"} {
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{api: answers(500, 500, 200)}
			var opts []plural.CallOption
			if given != "" {
				opts = append(opts, plural.WithRequestID(given))
			}
			var got plural.Response
			require.NoError(t, getSomething(t.Context(), g.client(t), append(opts, plural.WithResponseInto(&got))...))
			calls := g.apiCalls()
			require.Len(t, calls, 3)
			id := calls[0].Header.Get("Request-ID")
			if given == "" {
				require.Regexp(t, uuidPattern, id)
			} else {
				require.Equal(t, given, id)
			}
			require.Equal(t, id, got.RequestID)
			for _, call := range calls {
				require.Equal(t, id, call.Header.Get("Request-ID"))
				require.Regexp(t, timestampPattern, call.Header.Get("Request-Timestamp"))
				require.Equal(t, call.at.UTC().Format("2006-01-02T15:04:05.000Z"), call.Header.Get("Request-Timestamp"))
			}
		})
	}
}

func TestSettlingReadsCarryTheIDOfTheirWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: func(s sent) (*http.Response, error) {
			if s.Method == http.MethodPut {
				return answer(http.StatusBadGateway, ``), nil
			}
			return answer(http.StatusOK, `{"data":{"order_id":"v1-1","status":"CANCELLED"}}`), nil
		}}
		_, err := g.client(t).Cancels.Create(t.Context(), "v1-1")
		require.NoError(t, err)
		calls := g.apiCalls()
		require.Len(t, calls, 2)
		require.Regexp(t, uuidPattern, calls[0].Header.Get("Request-ID"))
		require.Equal(t, calls[0].Header.Get("Request-ID"), calls[1].Header.Get("Request-ID"))
	})
}

func TestTimestampIsOfTheSendAndNotOfTheWaitForTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(5 * time.Second)
			return g.issueToken(""), nil
		}
		require.NoError(t, getSomething(t.Context(), g.client(t)))
		call := g.apiCalls()[0]
		require.Equal(t, call.at.UTC().Format("2006-01-02T15:04:05.000Z"), call.Header.Get("Request-Timestamp"))
	})
}

func TestDelaysBetweenAttempts(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := map[string]struct {
		opts []plural.Option
		most []time.Duration // the upper bound of each wait
	}{
		"default": {nil, []time.Duration{250 * ms, 500 * ms, time.Second}},
		"zero policy": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{})},
			[]time.Duration{250 * ms, 500 * ms, time.Second},
		},
		"zero resets": {
			[]plural.Option{
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1, MinDelay: 1}),
				plural.WithRetry(plural.RetryPolicy{}),
			},
			[]time.Duration{250 * ms, 500 * ms, time.Second},
		},
		"more attempts": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{MaxAttempts: 8})},
			[]time.Duration{250 * ms, 500 * ms, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second},
		},
		"own delays": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{MinDelay: time.Second, MaxDelay: 3 * time.Second})},
			[]time.Duration{time.Second, 2 * time.Second, 3 * time.Second},
		},
		"minimum only": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{MinDelay: 20 * time.Second})},
			[]time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second},
		},
		"maximum only": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{MaxDelay: 100 * ms})},
			[]time.Duration{100 * ms, 100 * ms, 100 * ms},
		},
		"once": {[]plural.Option{plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1})}, []time.Duration{}},
		"the longest there": {
			[]plural.Option{plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2, MinDelay: 1 << 62, MaxDelay: 1<<63 - 1})},
			[]time.Duration{1 << 62},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			longest := make([]time.Duration, len(test.most))
			for range 30 {
				synctest.Test(t, func(t *testing.T) {
					g := &gateway{api: answers(500)}
					require.Error(t, getSomething(t.Context(), g.client(t, test.opts...)))
					calls := g.apiCalls()
					require.Len(t, calls, len(test.most)+1)
					for i, most := range test.most {
						wait := calls[i+1].at.Sub(calls[i].at)
						require.Positive(t, wait)
						require.LessOrEqual(t, wait, most)
						longest[i] = max(longest[i], wait)
					}
				})
			}
			for i, most := range test.most {
				require.Greater(t, longest[i], most/2, "the jitter uses its whole range")
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		headers  func() []string
		deadline time.Duration // 0: no deadline
		repeated bool
		wait     time.Duration // 0: the wait that the retry policy gives
	}{
		"seconds":            {func() []string { return []string{"Retry-After", "7"} }, 0, true, 7 * time.Second},
		"a fraction":         {func() []string { return []string{"Retry-After", "1.5"} }, 0, true, 1500 * time.Millisecond},
		"a minute":           {func() []string { return []string{"Retry-After", "60"} }, 0, true, time.Minute},
		"more than a minute": {func() []string { return []string{"Retry-After", "61"} }, 0, false, 0},
		"a date": {
			func() []string { return []string{"Retry-After", date(9 * time.Second)} },
			0,
			true,
			9 * time.Second,
		},
		"a date, skewed": {func() []string {
			return []string{"Retry-After", date(time.Hour), "Date", date(time.Hour - 9*time.Second)}
		}, 0, true, 9 * time.Second},
		"a distant date":     {func() []string { return []string{"Retry-After", date(2 * time.Minute)} }, 0, false, 0},
		"a past date":        {func() []string { return []string{"Retry-After", date(-time.Minute)} }, 0, true, 0},
		"nonsense":           {func() []string { return []string{"Retry-After", "soon"} }, 0, true, 0},
		"outlasts the ctx":   {func() []string { return []string{"Retry-After", "10"} }, 9 * time.Second, false, 0},
		"as long as the ctx": {func() []string { return []string{"Retry-After", "10"} }, 10 * time.Second, false, 0},
		"shorter than the ctx": {
			func() []string { return []string{"Retry-After", "10"} },
			11 * time.Second,
			true,
			10 * time.Second,
		},
		"policy outlasts ctx": {func() []string { return nil }, 1, false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{429, 503} {
				synctest.Test(t, func(t *testing.T) {
					g := &gateway{}
					c := g.client(t)
					require.NoError(t, c.Warm(t.Context()))
					g.api = func(sent) (*http.Response, error) {
						if len(g.apiCalls()) == 1 {
							return answer(status, `{}`, test.headers()...), nil
						}
						return answer(200, `{}`), nil
					}
					ctx := t.Context()
					if test.deadline > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, test.deadline)
						defer cancel()
					}
					began := time.Now()
					err := getSomething(ctx, c)
					took := time.Since(began)
					if !test.repeated {
						var e *plural.Error
						require.ErrorAs(t, err, &e)
						require.Equal(t, status, e.StatusCode)
						require.Zero(t, took, "a wait that would outlast the deadline is not begun")
						return
					}
					require.NoError(t, err)
					if test.wait > 0 {
						require.Equal(t, test.wait, took)
					} else {
						require.LessOrEqual(t, took, 250*time.Millisecond)
					}
				})
			}
		})
	}
}

func TestAttemptTimeoutIsRepeatedAndTheContextsEndIsNot(t *testing.T) {
	t.Parallel()
	hang := func(s sent) (*http.Response, error) { return nil, s.wait(time.Hour) }
	hangInBody := func(s sent) (*http.Response, error) {
		resp := answer(200, `{}`)
		resp.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, s.wait(time.Hour) }))
		return resp, nil
	}
	for name, api := range map[string]func(sent) (*http.Response, error){
		"no answer":          hang,
		"no end of the body": hangInBody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: api}
				c := g.client(t, plural.WithAttemptTimeout(2*time.Second))

				began := time.Now()
				err := getSomething(t.Context(), c)
				require.ErrorContains(t, err, "no answer within the attempt timeout")
				require.NotErrorIs(t, err, context.DeadlineExceeded, "only the caller's deadline may give that error")
				require.Len(t, g.apiCalls(), 4)
				require.GreaterOrEqual(t, time.Since(began), 8*time.Second)
				require.Less(t, time.Since(began), 10*time.Second)

				g.change(func() { g.calls = nil })
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began = time.Now()
				err = getSomething(ctx, c)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Len(t, g.apiCalls(), 1)
				require.Equal(t, time.Second, time.Since(began))

				g.change(func() { g.calls = nil })
				began = time.Now()
				err = c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				require.Len(t, g.apiCalls(), 1)
				require.Equal(t, 2*time.Second, time.Since(began))

				ctx, cancelEarly := context.WithCancel(t.Context())
				defer time.AfterFunc(time.Second, cancelEarly).Stop()
				err = c.Do(ctx, http.MethodPost, somePath, nil, nil)
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
				require.ErrorIs(t, err, context.Canceled)
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestTimeoutOfTheUsersClientIsLikeAnAttemptTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: func(s sent) (*http.Response, error) { return nil, s.wait(time.Hour) }}
		c, err := plural.NewClient(
			gatewayCredentials(),
			plural.WithHTTPClient(&http.Client{Transport: g, Timeout: time.Second}),
		)
		require.NoError(t, err)
		err = getSomething(t.Context(), c)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, g.apiCalls(), 4)
		err = c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.Len(t, g.apiCalls(), 5)
	})
}

func TestWaitsEndWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: func(sent) (*http.Response, error) { return answer(503, `{}`, "Retry-After", "30"), nil }}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := getSomething(ctx, g.client(t))
		require.ErrorIs(t, err, context.Canceled)
		var e *plural.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 503, e.StatusCode)
		require.Equal(t, 30*time.Second, e.RetryAfter)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		err := g.client(t).Do(ctx, method, somePath, nil, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	}
	tokens, calls, _ := g.counts()
	require.Equal(t, []int{0, 0}, []int{tokens, calls})
}

func TestWithoutRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: answers(500)}
		require.Error(t, getSomething(t.Context(), g.client(t), plural.WithoutRetry()))
		require.Len(t, g.apiCalls(), 1)
	})
}

func TestResponseIntoIsFilledOnErrorsToo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		api  func(sent) (*http.Response, error)
		want plural.Response
	}{
		"success": {
			func(sent) (*http.Response, error) { return answer(200, `{"a":1}`, "X", "y"), nil },
			plural.Response{StatusCode: 200, Attempts: 1, Body: []byte(`{"a":1}`)},
		},
		"rejection": {
			func(sent) (*http.Response, error) { return answer(422, `{"code":"X"}`, "X", "y"), nil },
			plural.Response{StatusCode: 422, Attempts: 1, Body: []byte(`{"code":"X"}`)},
		},
		"failure": {
			func(sent) (*http.Response, error) { return answer(500, `oops`, "X", "y"), nil },
			plural.Response{StatusCode: 500, Attempts: 4, Body: []byte(`oops`)},
		},
		"reset": {func(sent) (*http.Response, error) { return nil, syscall.ECONNRESET }, plural.Response{Attempts: 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: test.api}
				got := plural.Response{StatusCode: 999, Body: []byte("of an earlier call")}
				_ = getSomething(t.Context(), g.client(t), plural.WithRequestID("r"), plural.WithResponseInto(&got))
				require.Equal(t, "r", got.RequestID)
				if test.want.StatusCode != 0 {
					require.Equal(t, "y", got.Header.Get("X"))
				}
				got.RequestID, got.Header = "", nil
				require.Equal(t, test.want, got)
			})
		})
	}
}
