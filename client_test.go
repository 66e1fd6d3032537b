package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
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
