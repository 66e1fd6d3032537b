package plural_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestCredentialsAreChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		creds plural.Credentials
		want  string // "": the credentials are accepted
	}{
		"good":      {plural.Credentials{ClientID: "a-b-c", ClientSecret: "0123~!\"<>"}, ""},
		"nothing":   {plural.Credentials{}, "the client id is empty"},
		"no secret": {plural.Credentials{ClientID: "id"}, "the client secret is empty"},
		"id with space": {
			plural.Credentials{ClientID: "leak id", ClientSecret: "leak"},
			"the client id has a space",
		},
		"secret with newline": {
			plural.Credentials{ClientID: "id", ClientSecret: "leak\n"},
			"the client secret has a space",
		},
		"secret with tab": {
			plural.Credentials{ClientID: "id", ClientSecret: "\tleak"},
			"the client secret has a space",
		},
		"secret with NUL": {
			plural.Credentials{ClientID: "id", ClientSecret: "leak\x00"},
			"the client secret has a space",
		},
		"secret with DEL": {
			plural.Credentials{ClientID: "id", ClientSecret: "leak\x7f"},
			"the client secret has a space",
		},
		"secret with umlaut":       {plural.Credentials{ClientID: "id", ClientSecret: "leäk"}, "outside ASCII"},
		"secret with broken UTF-8": {plural.Credentials{ClientID: "id", ClientSecret: "leak\xff"}, "outside ASCII"},
		"secret with a BOM":        {plural.Credentials{ClientID: "id", ClientSecret: "\ufeffleak"}, "outside ASCII"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := plural.NewClient(test.creds)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Nil(t, c)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "leak")
			require.NotContains(t, err.Error(), "leäk")
		})
	}
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts        []plural.Option
		environment plural.Environment
		url         string
	}{
		"default": {nil, plural.UAT, "https://pluraluat.v2.pinepg.in/api/pay/v1/something"},
		"UAT": {
			[]plural.Option{plural.WithEnvironment(plural.UAT)},
			plural.UAT,
			"https://pluraluat.v2.pinepg.in/api/pay/v1/something",
		},
		"production": {
			[]plural.Option{plural.WithEnvironment(plural.Production)},
			plural.Production,
			"https://api.pluralpay.in/api/pay/v1/something",
		},
		"own": {
			[]plural.Option{plural.WithBaseURL("https://gw.example/plural/")},
			"custom",
			"https://gw.example/plural/api/pay/v1/something",
		},
		"own, with an escape": {
			[]plural.Option{plural.WithBaseURL("https://gw.example/our%20plural")},
			"custom",
			"https://gw.example/our%20plural/api/pay/v1/something",
		},
		"loopback": {
			[]plural.Option{plural.WithBaseURL("http://127.0.0.1:9")},
			"custom",
			"http://127.0.0.1:9/api/pay/v1/something",
		},
		"loopback, IPv6": {
			[]plural.Option{plural.WithBaseURL("http://[::1]:9")},
			"custom",
			"http://[::1]:9/api/pay/v1/something",
		},
		"localhost": {
			[]plural.Option{plural.WithBaseURL("http://LocalHost:9/")},
			"custom",
			"http://LocalHost:9/api/pay/v1/something",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{}
			c := g.client(t, test.opts...)
			require.Equal(t, test.environment, c.Environment())
			require.NoError(t, getSomething(t.Context(), c))
			require.Equal(t, test.url, g.calls[0].URL.String())
			require.Equal(t, strings.TrimSuffix(test.url, somePath)+"/api/auth/v1/token", g.tokens[0].URL.String())
		})
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	bases := map[string]string{
		"http":                 "http://example.com",
		"http, almost":         "http://127.0.0.1.evil.example",
		"http, almost again":   "http://localhost.evil.example",
		"other scheme":         "ftp://127.0.0.1",
		"no scheme":            "example.com",
		"relative":             "//example.com",
		"path only":            "/api",
		"opaque":               "https:example.com",
		"no host":              "https://",
		"port only":            "https://:443",
		"user":                 "https://leak@example.com",
		"user and password":    "https://u:leak@example.com",
		"query":                "https://example.com?leak",
		"empty query":          "https://example.com?",
		"fragment":             "https://example.com#leak",
		"empty fragment":       "https://example.com#",
		"control character":    "https://example.com/\n",
		"space":                "https://exam ple.com",
		"nothing":              "",
		"broken escape":        "https://example.com/%zz",
		"port is not a number": "https://example.com:leak",
	}
	tests := map[string][]plural.Option{
		"nil option":                   {nil},
		"unknown environment":          {plural.WithEnvironment("staging")},
		"no environment":               {plural.WithEnvironment("")},
		"both environments":            {plural.WithEnvironment(plural.UAT), plural.WithEnvironment(plural.Production)},
		"and the other way round":      {plural.WithEnvironment(plural.Production), plural.WithEnvironment(plural.UAT)},
		"both":                         {plural.WithEnvironment(plural.UAT), plural.WithBaseURL("https://example.com")},
		"nil client":                   {plural.WithHTTPClient(nil)},
		"nil middleware":               {plural.WithMiddleware(nil)},
		"middleware brings none":       {plural.WithMiddleware(func(http.RoundTripper) http.RoundTripper { return nil })},
		"negative attempts":            {plural.WithRetry(plural.RetryPolicy{MaxAttempts: -1})},
		"negative delay":               {plural.WithRetry(plural.RetryPolicy{MinDelay: -1})},
		"negative maximum":             {plural.WithRetry(plural.RetryPolicy{MaxDelay: -1})},
		"minimum above maximum":        {plural.WithRetry(plural.RetryPolicy{MinDelay: 2, MaxDelay: 1})},
		"attempt timeout of zero":      {plural.WithAttemptTimeout(0)},
		"two base URLs":                {plural.WithBaseURL("https://a.example"), plural.WithBaseURL("https://b.example")},
		"nil store":                    {plural.WithTokenStore(nil)},
		"nil logger":                   {plural.WithLogger(nil)},
		"empty user agent":             {plural.WithUserAgent("")},
		"user agent with a line break": {plural.WithUserAgent("a\r\nX: leak")},
	}
	for name, base := range bases {
		tests["base URL: "+name] = []plural.Option{plural.WithBaseURL(base)}
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := plural.NewClient(gatewayCredentials(), opts...)
			require.Nil(t, c)
			require.ErrorContains(t, err, "plural: new client: ")
			require.NotContains(t, err.Error(), "leak")
		})
	}
}

func TestNewClientFromEnv(t *testing.T) {
	tests := map[string]struct {
		id, secret, environment, base string
		want                          plural.Environment // "": NewClientFromEnv returns an error
	}{
		"uat":                 {"id", "leak", "uat", "", plural.UAT},
		"production":          {"id", "leak", "production", "", plural.Production},
		"base URL":            {"id", "leak", "", "https://example.com", "custom"},
		"neither":             {"id", "leak", "", "", ""},
		"both":                {"id", "leak", "uat", "https://example.com", ""},
		"another environment": {"id", "leak", "prod", "", ""},
		"upper case":          {"id", "leak", "UAT", "", ""},
		"broken base URL":     {"id", "leak", "", "http://example.com", ""},
		"no id":               {"", "leak", "uat", "", ""},
		"no secret":           {"id", "", "uat", "", ""},
		"broken secret":       {"id", "leak ", "uat", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PLURAL_CLIENT_ID", test.id)
			t.Setenv("PLURAL_CLIENT_SECRET", test.secret)
			t.Setenv("PLURAL_ENVIRONMENT", test.environment)
			t.Setenv("PLURAL_BASE_URL", test.base)
			c, err := plural.NewClientFromEnv(plural.WithUserAgent("x"))
			if test.want == "" {
				require.Nil(t, c)
				require.ErrorContains(t, err, "plural: new client: ")
				require.NotContains(t, err.Error(), "leak")
				if test.environment != "" && test.environment != "uat" {
					require.ErrorContains(
						t, err, fmt.Sprintf("PLURAL_ENVIRONMENT is %q; it must be uat or production", test.environment),
					)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, c.Environment())
		})
	}
	t.Run("credentials are used", func(t *testing.T) {
		t.Setenv("PLURAL_CLIENT_ID", "env-id")
		t.Setenv("PLURAL_CLIENT_SECRET", "env-secret")
		t.Setenv("PLURAL_ENVIRONMENT", "uat")
		t.Setenv("PLURAL_BASE_URL", "")
		g := &gateway{}
		c, err := plural.NewClientFromEnv(plural.WithHTTPClient(&http.Client{Transport: g}))
		require.NoError(t, err)
		require.NoError(t, c.Warm(t.Context()))
		require.JSONEq(
			t,
			`{"client_id":"env-id","client_secret":"env-secret","grant_type":"client_credentials"}`,
			g.tokens[0].body,
		)
	})
}

func TestUsersClientIsCopied(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	g := &gateway{}
	g.api = func(sent) (*http.Response, error) { return answer(200, `{}`, "Set-Cookie", "lb=7"), nil }
	user := &http.Client{Transport: g, Timeout: time.Minute, Jar: jar}
	c, err := plural.NewClient(
		gatewayCredentials(),
		plural.WithHTTPClient(user),
		plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return next }),
	)
	require.NoError(t, err)
	require.NoError(t, getSomething(t.Context(), c))
	require.NoError(t, getSomething(t.Context(), c))
	require.Same(t, g, user.Transport)
	require.Equal(t, time.Minute, user.Timeout)
	require.Nil(t, user.CheckRedirect)
	require.Equal(t, "lb=7", g.calls[1].Header.Get("Cookie"), "the client's cookie jar is used")

	user.Transport = transportFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("changed later") })
	require.NoError(t, getSomething(t.Context(), c))
}

func TestNetHTTPsGlobalsAreLeftAlone(t *testing.T) { //nolint:paralleltest // it replaces the globals of net/http
	transport, client := http.DefaultTransport, *http.DefaultClient
	defer func() { http.DefaultTransport, *http.DefaultClient = transport, client }()
	touched := func(*http.Request) (*http.Response, error) { return nil, errors.New("touched") }
	refusing := transportFunc(touched)
	http.DefaultTransport, http.DefaultClient.Transport = refusing, refusing

	server := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"access_token":"t"}`) }),
	)
	defer server.Close()
	for _, opts := range [][]plural.Option{nil, {plural.WithHTTPClient(&http.Client{})}} {
		c, err := plural.NewClient(gatewayCredentials(), append(opts, plural.WithBaseURL(server.URL))...)
		require.NoError(t, err)
		require.NoError(t, getSomething(t.Context(), c))
		c.CloseIdleConnections()
	}
	require.Nil(t, http.DefaultClient.CheckRedirect)
	require.Zero(t, http.DefaultClient.Timeout)
}

func TestOwnHeadersAreNotForCallersToSet(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "authorization", "Content-Type", "Content-Length", "Accept", "User-Agent", "Request-ID",
		"request-id", "Request-Timestamp",
		"Idempotency-Key", "idempotency-key", "X-Idempotency-Key", "Host", "Connection", "Transfer-Encoding", "Upgrade",
		"Expect", "Te", "Trailer",
		"Accept-Encoding", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
		"", "a b", "a:b", "a\nb", "ä", "a\x00", "(a)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{}
			err := getSomething(t.Context(), g.client(t), plural.WithHeader(name, "leak"))
			var invalid *plural.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.NotContains(t, err.Error(), "leak")
			require.Zero(t, g.tokenRequests())
		})
	}
	for _, value := range []string{"a\nb", "a\rb", "a\x00", "a\x7f"} {
		g := &gateway{}
		require.ErrorIs(t, getSomething(t.Context(), g.client(t), plural.WithHeader("X-A", value)), plural.ErrInvalidRequest)
		require.Zero(t, g.tokenRequests())
	}
}

// A nil option is reported before anything is sent.
func TestNilCallOptions(t *testing.T) {
	t.Parallel()
	for _, opt := range []plural.CallOption{nil, plural.WithResponseInto(nil)} {
		g := &gateway{}
		require.ErrorIs(t, getSomething(t.Context(), g.client(t), opt), plural.ErrInvalidRequest)
		require.Zero(t, g.tokenRequests())
	}
}

func TestOtherHeadersGoOutOnEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{api: answers(500, 200)}
		require.NoError(
			t,
			getSomething(
				t.Context(),
				g.client(t),
				plural.WithHeader("merchant-id", "108"),
				plural.WithHeader("X-Trace", "a"),
				plural.WithHeader("x-trace", "b"),
			),
		)
		for _, call := range g.apiCalls() {
			require.Equal(t, []string{"108"}, call.Header["Merchant-Id"])
			require.Equal(t, []string{"b"}, call.Header["X-Trace"])
		}
		require.Len(t, g.apiCalls(), 2)
	})
}

func TestRequestIDsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "a\nb", "a\x00", strings.Repeat("x", 129)} {
		g := &gateway{}
		err := getSomething(t.Context(), g.client(t), plural.WithRequestID(id), plural.WithHeader("Host", "x"))
		var invalid *plural.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.Len(t, invalid.Fields, 2, "one error names both fields")
	}
	g := &gateway{}
	require.NoError(t, getSomething(t.Context(), g.client(t), plural.WithRequestID(strings.Repeat("x", 128))))
}

func TestClientPrintsNoSecret(t *testing.T) {
	t.Parallel()
	g := &gateway{}
	c := g.client(t, plural.WithTokenStore(newMemoryStore()))
	require.NoError(t, c.Warm(t.Context()))
	holder := struct {
		Exported   *plural.Client
		unexported *plural.Client
	}{c, c}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{c, holder, gatewayCredentials()} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, gatewayClientSecret, verb)
			require.NotContains(t, text, "token-1", verb)
			require.NotContains(t, text, fmt.Sprintf("%x", gatewayClientSecret), verb)
		}
	}
}

func TestCloseIdleConnections(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"access_token":"t"}`) }),
	)
	countConnections(server, &connections)
	server.Start()
	defer server.Close()
	c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL))
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, getSomething(t.Context(), c))
	}
	require.EqualValues(t, 1, connections.Load(), "the answers are read to their ends, so the connection is used again")
	c.CloseIdleConnections()
	require.NoError(t, getSomething(t.Context(), c))
	require.EqualValues(t, 2, connections.Load())
	c.CloseIdleConnections()
	(&gateway{}).client(t).CloseIdleConnections() // this transport has no method to close idle connections
}

func TestWarmHoldsItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{token: func(s sent) (*http.Response, error) { return nil, s.wait(time.Hour) }}
		c := g.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, c.Warm(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		pass(29 * time.Second) // a token request ends after at most 30 s, and then no goroutine may be left
	})
}

func countConnections(server *httptest.Server, n *atomic.Int64) {
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}

func TestDoStaysOnItsHost(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"empty": "", "relative": "api", "absolute": "https://evil.example/", "scheme-relative": "//evil.example/",
		"backslash": `/\evil.example`,
		"dots":      "/api/../x", "dots at the end": "/api/..", "one dot": "/./x", "escaped dots": "/api/%2e%2e/x",
		"escaped slash": "/api%2f..%2fx", "upper-case escape": "/%2E%2e/x",
		"fragment": "/x#y", "newline": "/x\ny", "broken escape": "/%zz", "user": "@evil.example/", "port": ":444/",
		"backslash escaped later": `/x\..\y`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				err := g.client(t).Do(t.Context(), method, path, nil, nil)
				require.ErrorIs(t, err, plural.ErrInvalidRequest)
			}
			require.Zero(t, g.tokenRequests())
		})
	}
	for _, method := range []string{"", "get", "HEAD", "CONNECT", "OPTIONS", "TRACE", "GET /x HTTP/1.1\r\n", "BREW"} {
		require.ErrorIs(t, (&gateway{}).client(t).Do(t.Context(), method, "/x", nil, nil), plural.ErrInvalidRequest)
	}
	for path, want := range map[string]string{
		"/x?a=b&c=..%2F":          "/x?a=b&c=..%2F",
		"/x/a%20b/@evil.example/": "/x/a%20b/@evil.example/",
		"/x/...":                  "/x/...",
		"/":                       "/",
		"/x?u=//evil.example/../": "/x?u=//evil.example/../",
	} {
		g := &gateway{}
		require.NoError(t, g.client(t).Do(t.Context(), http.MethodGet, path, nil, nil))
		require.Equal(t, "https://pluraluat.v2.pinepg.in"+want, g.calls[0].URL.String())
	}
}

func TestDoSendsAndDecodesDocuments(t *testing.T) {
	t.Parallel()
	g := &gateway{api: func(sent) (*http.Response, error) { return answer(201, `{"data":{"id":"x"}}`), nil }}
	c := g.client(t)
	var out struct{ Data struct{ ID string } }
	require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, map[string]string{"a": "<&>"}, &out))
	require.Equal(t, "x", out.Data.ID)
	require.Contains(t, g.calls[0].body, ":\"<&>\"")
	require.Equal(t, "application/json", g.calls[0].Header.Get("Content-Type"))

	require.NoError(t, c.Do(t.Context(), http.MethodDelete, somePath, nil, nil))
	require.Empty(t, g.calls[1].body)
	require.Empty(t, g.calls[1].Header.Get("Content-Type"))

	require.ErrorIs(
		t,
		c.Do(t.Context(), http.MethodGet, somePath, map[string]int{}, nil),
		plural.ErrInvalidRequest,
		"a GET would not send this body",
	)
	require.ErrorIs(t, c.Do(t.Context(), http.MethodPost, somePath, func() {}, nil), plural.ErrInvalidRequest)
	require.Len(t, g.calls, 2)
}

func TestDoJudgesSuccesses(t *testing.T) {
	t.Parallel()
	type document struct{ A int }
	tests := map[string]struct {
		status int
		body   string
		out    any
		want   error // the error of a write
	}{
		"document":                        {200, `{"A":1}`, &document{}, nil},
		"document nobody wants":           {200, `{"A":1}`, nil, nil},
		"no content":                      {204, ``, &document{}, nil},
		"nothing, and no document wanted": {200, ``, nil, nil},
		"nothing":                         {200, ``, &document{}, plural.ErrOutcomeUnknown},
		"page":                            {200, `<html>`, &document{}, plural.ErrOutcomeUnknown},
		"page nobody wants":               {200, `<html>`, nil, plural.ErrOutcomeUnknown},
		"half":                            {200, `{"A":`, nil, plural.ErrOutcomeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: func(sent) (*http.Response, error) { return answer(test.status, test.body), nil }}
				err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, test.out)
				require.ErrorIs(t, err, test.want)
				require.Len(t, g.apiCalls(), 1)
				require.Equal(t, err == nil, getInto(t, g, test.out) == nil, "a GET agrees")
			})
		})
	}
	t.Run("a refusal with the status of a success", func(t *testing.T) {
		t.Parallel()
		g := &gateway{api: func(sent) (*http.Response, error) {
			return answer(200, `{"code":"INVALID_REQUEST","message":"no","data":{"A":1}}`), nil
		}}
		err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, nil)
		require.ErrorIs(t, err, plural.ErrInvalidRequest)
		require.ErrorContains(t, err, "200 INVALID_REQUEST: no: a refusal with the status of a success")
		require.NotContains(t, err.Error(), "accepted")
	})
	t.Run("an answer of another type than asked for", func(t *testing.T) {
		t.Parallel()
		g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, `{"A":"text"}`), nil }}
		err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, &document{})
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown, "the write was carried out")
		var mismatch *json.UnmarshalTypeError
		require.ErrorAs(t, err, &mismatch)
	})
}

func getInto(t *testing.T, g *gateway, out any) error {
	t.Helper()
	return g.client(t).Do(t.Context(), http.MethodGet, somePath, nil, out)
}

func TestAnswersAreReadWithinBounds(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	document := func(size int) string { return `{"a":"` + strings.Repeat("x", size-8) + `"}` }
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := io.WriteString(z, document(16<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.Less(t, zipped.Len(), 1<<20)

	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc(
		"/api/auth/v1/token",
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"access_token":"t"}`) },
	)
	serve := func(path string, f http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			served.Add(1)
			f(w, r)
		})
	}
	serve("/fits", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document(limit)) })
	serve("/announced", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(limit+1))
		_, _ = io.WriteString(w, document(limit+1))
	})
	serve("/streamed", func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
	})
	serve("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zipped.Bytes())
	})
	serve("/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":"INVALID_REQUEST","message":"`+strings.Repeat("x", 64<<10)+`"}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL))
	require.NoError(t, err)
	defer c.CloseIdleConnections()

	var got plural.Response
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/fits", nil, nil, plural.WithResponseInto(&got)))
	require.Len(t, got.Body, limit)
	for _, path := range []string{"/announced", "/streamed", "/bomb"} {
		before := served.Load()
		err := c.Do(t.Context(), http.MethodGet, path, nil, nil, plural.WithResponseInto(&got))
		require.ErrorContains(t, err, "larger than 4 MiB", path)
		require.LessOrEqual(t, len(got.Body), limit)
		require.EqualValues(t, 1, served.Load()-before, "not repeated, because the next answer would be as large")
	}
	require.ErrorIs(t, c.Do(t.Context(), http.MethodPost, "/bomb", nil, nil), plural.ErrOutcomeUnknown)
	err = c.Do(t.Context(), http.MethodGet, "/error", nil, nil, plural.WithResponseInto(&got))
	var e *plural.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, plural.CodeInvalidRequest, e.Code)
	require.Len(t, e.Body, 8<<10)
	require.Less(t, len(err.Error()), 500)
	require.Greater(t, len(got.Body), 64<<10)
}

// A short body can take much memory when it is decoded. So Do checks the sizes
// of the body's lists and objects, and its depth, before it decodes the body.
func TestDoBoundsWhatAnAnswerBecomes(t *testing.T) {
	t.Parallel()
	list := func(element string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
	}
	for name, test := range map[string]struct {
		body string
		want string // "": the body is decoded
	}{
		"a long list":          {list("{}", 2_000), ""},
		"too long a list":      {list("{}", 2_001), "more than 2000 elements"},
		"1.4 million orders":   {list("{}", 1_390_000), "more than 2000 elements"},
		"many lists":           {list(list("{}", 1_900), 60), "more than 100000 elements in all"},
		"a wide object":        {"{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 2_001), ",") + "}", "more than 2000 elements"},
		"deep":                 {strings.Repeat("[", 33) + strings.Repeat("]", 33), "deeper than 32"},
		"brackets in a string": {`"` + strings.Repeat("[,", 100_000) + `"`, ""},
		"closed too often":     {"]]]],,,{", "invalid character"},
		"a long string":        {`"` + strings.Repeat("x", 3<<20) + `"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, test.body), nil }}
			for _, out := range []any{new(any), new(json.RawMessage)} {
				err := g.client(t).Do(t.Context(), http.MethodGet, somePath, nil, out, plural.WithoutRetry())
				if test.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.want)
					requireTidy(t, err.Error())
				}
			}
			var orders []plural.Order
			err := g.client(t).Do(t.Context(), http.MethodGet, somePath, nil, &orders, plural.WithoutRetry())
			if test.want != "" {
				require.Error(t, err)
				require.Empty(t, orders, "no part of the body may be decoded")
			}
		})
	}
	t.Run("the write was carried out", func(t *testing.T) {
		t.Parallel()
		g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, list("{}", 5_000)), nil }}
		var out any
		err := g.client(t).Do(t.Context(), http.MethodPost, somePath, nil, &out)
		require.ErrorContains(t, err, "the request was accepted")
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	})
}

// card stands for a type that the caller of the SDK defines. Its errors quote
// the JSON that it was given.
type card struct{}

var errCard = errors.New("of a card")

func (*card) UnmarshalJSON(data []byte) error {
	return fmt.Errorf("%w: no card number: %s", errCard, data)
}

func (card) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("%w: no card number: 9876501234", errCard)
}

// An error of a request that cannot be encoded does not quote its values.
func TestDoDoesNotQuoteWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, `{}`), nil }}
	for name, test := range map[string]struct {
		in   any
		says string
	}{
		"a type of the caller's": {card{}, "plural_test.card returned an error"},
		"no JSON":                {json.RawMessage(`{9876501234`), "invalid character"},
		"a function":             {map[string]any{"9876501234": func() {}}, "unsupported type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := g.client(t).Do(t.Context(), http.MethodPost, somePath, test.in, nil)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "98765")
		})
	}
}

// sealed is a type of the caller. Its errors quote the data, too, and wrap an
// error of encoding/json.
type sealed struct{}

func (*sealed) UnmarshalJSON(data []byte) error {
	return fmt.Errorf("no sealed number: %s: %w", data, json.Unmarshal(data[1:], new(any)))
}

// If a value does not fit, the error names its field and its type, but does not
// quote the value.
func TestDoDoesNotQuoteWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value string
		out   any
		is    func(error) bool
		says  string
	}{
		"a number": {`9876501234`, &struct{ Mobile int8 }{}, func(err error) bool {
			mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
			return ok && mismatch.Field == "Mobile" && mismatch.Type == reflect.TypeFor[int8]()
		}, "number into Go struct field .Mobile of type int8"},
		"a number for a text": {`9876501234`, &struct{ Mobile string }{}, func(err error) bool {
			_, ok := errors.AsType[*json.UnmarshalTypeError](err)
			return ok
		}, "of type string"},
		"an address": {`"9876501234"`, &struct{ Mobile net.IP }{}, func(err error) bool {
			_, ok := errors.AsType[*net.ParseError](err)
			return ok
		}, "*net.ParseError"},
		"a time": {`"9876501234"`, &struct{ Mobile time.Time }{}, func(err error) bool {
			_, ok := errors.AsType[*time.ParseError](err)
			return ok
		}, "*time.ParseError"},
		"a type of the caller's": {`"9876501234"`, &struct{ Mobile card }{}, func(err error) bool {
			return errors.Is(err, errCard)
		}, "cannot be decoded into"},
		"a type of the caller's that decodes": {`"9876501234"`, &struct{ Mobile sealed }{}, func(err error) bool {
			_, ok := errors.AsType[*json.SyntaxError](err)
			return ok
		}, "cannot be decoded into"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, `{"Mobile":`+test.value+`}`), nil }}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				err := g.client(t).Do(t.Context(), method, somePath, nil, test.out, plural.WithoutRetry())
				require.True(t, test.is(err), "%v", err)
				require.ErrorContains(t, err, test.says)
				requireTidy(t, err.Error())
				for walk := []error{err}; len(walk) > 0; walk = walk[1:] {
					require.NotContains(t, walk[0].Error(), "98765")
					switch wrapper := walk[0].(type) { //nolint:errorlint // this loop walks the tree of errors as error reporters do
					case interface{ Unwrap() error }:
						if inner := wrapper.Unwrap(); inner != nil {
							walk = append(walk, inner)
						}
					case interface{ Unwrap() []error }:
						walk = append(walk, wrapper.Unwrap()...)
					}
				}
			}
		})
	}
}

// When Do gets a type of this package, it decodes the answer into it exactly as
// the service methods do.
func TestDoDecodesOwnTypesAsMethodsDo(t *testing.T) {
	t.Parallel()
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		return answer(http.StatusOK, `{"orderId":"v1-a","response_code":"200"}`), nil
	})
	var link plural.CheckoutOrder
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "/x", nil, &link))
	require.Equal(t, plural.CheckoutOrder{OrderID: "v1-a", ResponseCode: 200}, link)
	require.Error(t, client.Do(t.Context(), http.MethodGet, "/x", nil, (*plural.CheckoutOrder)(nil)))
	var order plural.Order
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "/x", nil, &order))
	require.Equal(t, "v1-a", order.OrderID)
	require.NotNil(t, order.RawJSON())
}
