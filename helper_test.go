package plural_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/racetest"
	"github.com/plural-go/plural/pluraltest"
)

// Most parallel tests only wait for a peer. So more tests can run at the same
// time than the machine has cores.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set(parallel.Name, strconv.Itoa(4*runtime.GOMAXPROCS(0))) // this number is valid, so Set does not fail
	}
	m.Run()
}

// transportFunc makes an http.RoundTripper of a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer(status, body, headers...) makes a response. In headers, each name is
// followed by its value.
func answer[T string | []byte](status int, body T, headers ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: h,
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
}

// answers(503, 200) returns a function for the field api of a gateway. The
// function answers the first request with the first status, the second request
// with the second status, and so on. It answers all further requests with the
// last status. Each body is an empty object.
func answers(statuses ...int) func(sent) (*http.Response, error) {
	var mu sync.Mutex
	return func(sent) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		return answer(status, `{}`), nil
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// quietLog returns a log for servers. It drops all messages of the servers,
// because the tests cause these errors on purpose.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// pass(d) waits for the time d. In a test with synctest, this takes no real
// time, because the clock is a fake one.
func pass(d time.Duration) { <-time.After(d) }

var update = flag.Bool("update", false, "rewrite the golden files of the requests")

// skipUnderRace skips a test under the race detector, which allocates memory
// and slows everything down. Call skipUnderRace in a test that measures memory,
// and in a test that would take too long.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if racetest.Enabled {
		t.Skip("the race detector is on")
	}
}

func isTokenRequest(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") }

// newClientOver makes a client that repeats no request. The function peer
// answers all its requests, including those for tokens.
func newClientOver(tb testing.TB, peer transportFunc, opts ...plural.Option) *plural.Client {
	tb.Helper()
	all := append([]plural.Option{
		plural.WithHTTPClient(&http.Client{Transport: peer}), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
	}, opts...)
	credentials := plural.Credentials{ClientID: "own-client", ClientSecret: "own-secret-of-16-or-more"}
	client, err := plural.NewClient(credentials, all...)
	require.NoError(tb, err)
	return client
}

// newPeerClient is like newClientOver, but answers token requests itself. All
// other requests go to the function peer.
func newPeerClient(tb testing.TB, peer transportFunc, opts ...plural.Option) *plural.Client {
	tb.Helper()
	return newClientOver(tb, func(r *http.Request) (*http.Response, error) {
		if isTokenRequest(r) {
			return answer(http.StatusOK, `{"access_token":"own-token","expires_in":3600}`), nil
		}
		return peer(r)
	}, opts...)
}

func minimalOrder() *plural.CreateOrderRequest {
	return &plural.CreateOrderRequest{MerchantOrderReference: "own-order-1", OrderAmount: plural.INR(149950)}
}

func requireGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test -run Golden -update writes the file")
	require.Equal(t, string(want), got)
}

func price(paise int64) *int64 { return new(paise) }

func unknownError(t *testing.T, err error) *plural.OutcomeUnknownError {
	t.Helper()
	require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
	var unknown *plural.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	return unknown
}

func requireUnknown(t *testing.T, err error) {
	t.Helper()
	require.NotNil(t, unknownError(t, err))
}

func requireRuledOut(t *testing.T, err error, is error) {
	t.Helper()
	require.NotNil(t, stateError(t, err, is))
}

func stateError(t *testing.T, err error, is error) *plural.StateError {
	t.Helper()
	require.ErrorIs(t, err, is)
	require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	var state *plural.StateError
	require.ErrorAs(t, err, &state)
	return state
}

func rejection(t *testing.T, err error, code plural.ErrorCode) {
	t.Helper()
	require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	var rejected *plural.Error
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, code, rejected.Code)
	var state *plural.StateError
	require.NotErrorAs(t, err, &state)
}

// requireLastCause checks the cause of an unknown outcome. The cause is the
// server's last answer. It matches no sentinel, because it does not show
// whether the write was carried out.
func requireLastCause(t *testing.T, err error, code plural.ErrorCode) {
	t.Helper()
	var last *plural.Error
	require.ErrorAs(t, err, &last)
	require.Equal(t, code, last.Code)
	require.NotErrorIs(t, err, plural.ErrDuplicateRequest)
	require.NotErrorIs(t, err, plural.ErrOperationNotAllowed)
}

// The function sentinels returns the error variables that an error of a call
// can match. The keys of the map are short names of these variables.
func sentinels() map[string]error {
	return map[string]error{
		"unauthorized": plural.ErrUnauthorized,
		"not found":    plural.ErrNotFound,
		"duplicate":    plural.ErrDuplicateRequest,
		"not allowed":  plural.ErrOperationNotAllowed,
		"reused":       plural.ErrReferenceReused,
		"invalid":      plural.ErrInvalidRequest,
		"rate limited": plural.ErrRateLimited,
		"not paid":     plural.ErrNotPaid,
		"unknown":      plural.ErrOutcomeUnknown,
		"not applied":  plural.ErrNotApplied,
		"conflict":     plural.ErrConflict,
		"no hold":      plural.ErrNoHold,
		"incomplete":   plural.ErrIncomplete,
	}
}

// requireIsOnly checks that an error matches the wanted sentinels, and no
// others.
func requireIsOnly(tb testing.TB, err error, want ...string) {
	tb.Helper()
	var got []string
	for name, sentinel := range sentinels() {
		if errors.Is(err, sentinel) {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(tb, want, got)
}

// requireTidy checks that an error's text is one line of a reasonable length.
func requireTidy(tb testing.TB, text string) {
	tb.Helper()
	require.NotEmpty(tb, text)
	require.LessOrEqual(tb, len(text), 2500)
	require.Empty(tb, untidy.FindString(text), "%q", text)
}

// The function payload reads a file of testdata/payloads.
func payload(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "payloads", name))
	require.NoError(tb, err)
	return data
}

// payloadsLike names the files of testdata/payloads that match one of the
// patterns.
func payloadsLike(tb testing.TB, patterns ...string) []string {
	tb.Helper()
	var names []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join("testdata", "payloads", pattern))
		require.NoError(tb, err)
		require.NotEmpty(tb, paths, pattern)
		for _, path := range paths {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}

// dataOf returns the "data" of a document, as JSON.
func dataOf(tb testing.TB, document []byte) json.RawMessage {
	tb.Helper()
	var envelope struct{ Data json.RawMessage }
	require.NoError(tb, json.Unmarshal(document, &envelope))
	return envelope.Data
}

// newClient makes a client that calls srv in memory, without a socket.
func newClient(tb testing.TB, srv *pluraltest.Server, opts ...plural.Option) *plural.Client {
	tb.Helper()
	opts = append([]plural.Option{
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(&http.Client{Transport: srv.Transport()}),
	}, opts...)
	c, err := plural.NewClient(plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, opts...)
	require.NoError(tb, err)
	return c
}

const (
	gatewayClientID     = "client-7d6a"
	gatewayClientSecret = "s3cr3t-4f9c2b7e"
)

// gateway is a transport in memory, so it works in a test with synctest. It
// answers token requests by itself, and gives all other requests to its api
// function. Set its fields before the first request. To set them later, call
// gateway.change, which takes the lock.
type gateway struct {
	mu       sync.Mutex
	token    func(sent) (*http.Response, error) // nil: each request gets a new token, which is valid for an hour
	api      func(sent) (*http.Response, error) // nil: the answer is 200 {}
	untraced bool                               // true: the gateway reports nothing through httptrace
	tokens   []sent
	calls    []sent // requests with the valid token
	refused  []sent // requests with another token
	valid    string // the valid token; issueToken sets it
}

// A value of the type sent is a request that reached the transport.
type sent struct {
	*http.Request
	body string
	at   time.Time
}

// The method wait waits for the time d, like a server that answers slowly. It
// returns early if the request's context ends.
func (s sent) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	s := sent{Request: r, at: time.Now()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		s.body = string(body)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && !g.untraced {
		if trace.GetConn != nil {
			trace.GetConn(r.URL.Host)
		}
		if trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{})
		}
		if trace.WroteHeaders != nil {
			trace.WroteHeaders()
		}
	}
	if strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") {
		g.mu.Lock()
		g.tokens = append(g.tokens, s)
		token := g.token
		g.mu.Unlock()
		if token != nil {
			return token(s)
		}
		return g.issueToken(`,"expires_in":3600`), nil
	}
	g.mu.Lock()
	if r.Header.Get("Authorization") != "Bearer "+g.valid {
		g.refused = append(g.refused, s)
		g.mu.Unlock()
		return answer(http.StatusUnauthorized, `{"code":"UNAUTHORIZED","message":"token refused"}`), nil
	}
	g.calls = append(g.calls, s)
	api := g.api
	g.mu.Unlock()
	if api != nil {
		return api(s)
	}
	return answer(http.StatusOK, `{}`), nil
}

// issueToken makes a new token, and returns an answer with this token. The
// earlier token becomes invalid.
func (g *gateway) issueToken(more string) *http.Response {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.valid = fmt.Sprintf("token-%d-d41d8cd98f", len(g.tokens))
	return answer(http.StatusOK, fmt.Sprintf(`{"access_token":%q%s}`, g.valid, more))
}

func (g *gateway) revoke() { g.change(func() { g.valid = "" }) }

func (g *gateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *gateway) counts() (tokens, calls, refused int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tokens), len(g.calls), len(g.refused)
}

func (g *gateway) tokenRequests() int {
	tokens, _, _ := g.counts()
	return tokens
}

func (g *gateway) apiCalls() []sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

func gatewayCredentials() plural.Credentials {
	return plural.Credentials{ClientID: gatewayClientID, ClientSecret: gatewayClientSecret}
}

// g.client(t) makes an SDK client. This client sends its requests through the
// gateway.
func (g *gateway) client(t *testing.T, opts ...plural.Option) *plural.Client {
	t.Helper()
	c, err := plural.NewClient(
		gatewayCredentials(),
		append([]plural.Option{plural.WithHTTPClient(&http.Client{Transport: g})}, opts...)...)
	require.NoError(t, err)
	return c
}
