package plural_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// A short body can take much memory when it is decoded. So Client.Do first
// checks how deep the JSON is, and how many elements its lists and objects
// have. Only then does Client.Do decode the body.
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

// callerCard stands for a type that the caller of the SDK defines. Its methods
// return errors that quote the value.
type callerCard struct{}

var errCard = errors.New("of a card")

func (*callerCard) UnmarshalJSON(data []byte) error {
	return fmt.Errorf("%w: no card number: %s", errCard, data)
}

func (callerCard) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("%w: no card number: 9876501234", errCard)
}

// If a request cannot be encoded, the error does not quote the request's
// values.
func TestDoDoesNotQuoteWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	g := &gateway{api: func(sent) (*http.Response, error) { return answer(200, `{}`), nil }}
	for name, test := range map[string]struct {
		in   any
		says string
	}{
		"a type of the caller's": {callerCard{}, "plural_test.callerCard returned an error"},
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

// sealedNumber also stands for a type that the caller of the SDK defines. Its
// errors quote the value, too, and wrap an error of encoding/json.
type sealedNumber struct{}

func (*sealedNumber) UnmarshalJSON(data []byte) error {
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
		"a type of the caller's": {`"9876501234"`, &struct{ Mobile callerCard }{}, func(err error) bool {
			return errors.Is(err, errCard)
		}, "cannot be decoded into"},
		"a type of the caller's that decodes": {`"9876501234"`, &struct{ Mobile sealedNumber }{}, func(err error) bool {
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

// The caller may pass a pointer to a type of this package to the method Do.
// Then Do decodes the answer exactly as the service methods do.
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
