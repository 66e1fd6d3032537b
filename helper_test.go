package plural_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
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
	"github.com/plural-go/plural/pluraltest"
)

// Most tests that run in parallel wait for a peer: more of them can run than
// there are cores.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set(parallel.Name, strconv.Itoa(4*runtime.GOMAXPROCS(0))) // a number
	}
	m.Run()
}

// transportFunc is a transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer makes a response; headers are pairs of name and value.
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

// answers answers with each status in turn, and then with the last; the bodies
// are empty objects.
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

// quietLog is for servers whose complaints are expected.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// pass lets time pass, on the bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

var update = flag.Bool("update", false, "rewrite the golden files of the requests")

func isTokenRequest(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") }

// newClientOver makes a client whose requests, those for tokens included, are
// answered by peer. It does not repeat.
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

// newPeerClient is newClientOver with a token for all.
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
	require.NoError(t, err, "go test -run Golden -update writes it")
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

// requireLastCause checks what an unknown outcome's cause is. It matches no
// sentinel: what the server said last is not a verdict.
func requireLastCause(t *testing.T, err error, code plural.ErrorCode) {
	t.Helper()
	var last *plural.Error
	require.ErrorAs(t, err, &last)
	require.Equal(t, code, last.Code)
	require.NotErrorIs(t, err, plural.ErrDuplicateRequest)
	require.NotErrorIs(t, err, plural.ErrOperationNotAllowed)
}

// sentinels are what an error of a call can be.
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
	}
}

// requireIsOnly shows which of the sentinels an error is.
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

// requireTidy shows that an error's text is one line of text, of a sane length.
func requireTidy(tb testing.TB, text string) {
	tb.Helper()
	require.NotEmpty(tb, text)
	require.LessOrEqual(tb, len(text), 2500)
	require.Empty(tb, untidy.FindString(text), "%q", text)
}

// payload reads a file of testdata/payloads.
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

// dataOf is the text of a document's "data".
func dataOf(tb testing.TB, document []byte) json.RawMessage {
	tb.Helper()
	var envelope struct{ Data json.RawMessage }
	require.NoError(tb, json.Unmarshal(document, &envelope))
	return envelope.Data
}

// newClient makes a client of srv, in memory.
func newClient(tb testing.TB, srv *pluraltest.Server, opts ...plural.Option) *plural.Client {
	tb.Helper()
	opts = append([]plural.Option{
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(&http.Client{Transport: srv.Transport()}),
	}, opts...)
	c, err := plural.NewClient(plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, opts...)
	require.NoError(tb, err)
	return c
}
