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
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	chainSecret = "ch41n-s3cret"
	chainToken  = "ch41n-t0ken"
	chainPayer  = "payer@example.test"
)

// chainTexts returns the texts that a program can print from a chain of errors.
// It visits every error of the chain, and prints each of them with the usual
// verbs of fmt and as JSON.
func chainTexts(err error) string {
	var b strings.Builder
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		document, _ := json.Marshal(err)
		fmt.Fprintf(&b, "%s %v %+v %#v %q %s\n", err, err, err, err, err, document)
		switch err := err.(type) { //nolint:errorlint // this visits every error of the chain
		case interface{ Unwrap() error }:
			walk(err.Unwrap())
		case interface{ Unwrap() []error }:
			for _, one := range err.Unwrap() {
				walk(one)
			}
		}
	}
	walk(err)
	return b.String()
}

func requireCleanChain(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	texts := chainTexts(err)
	for _, shown := range []string{chainSecret, chainToken, chainPayer, "9876501234", "payer"} {
		require.Empty(t, markersIn(texts, []string{shown}), texts)
		require.NotContains(t, texts, shown)
	}
	requireTidy(t, err.Error())
}

// chainClient makes a client. The client sends its requests to the function
// peer. If isOfToken is true, the client also sends the token requests to that
// function. Otherwise each token request gets a valid token.
func chainClient(t *testing.T, isOfToken bool, peer transportFunc, opts ...plural.Option) *plural.Client {
	t.Helper()
	opts = append([]plural.Option{
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
		plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if isTokenRequest(r) && !isOfToken {
				return answer(http.StatusOK, `{"access_token":"`+chainToken+`"}`), nil
			}
			return peer(r)
		})}),
	}, opts...)
	client, err := plural.NewClient(plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret}, opts...)
	require.NoError(t, err)
	return client
}

// leakyErrors returns functions that make errors. The texts of these errors
// show too much: for example, one text is a dump of the request. Errors of a
// transport can have such texts.
func leakyErrors() map[string]func(*http.Request) error {
	fixed := func(err error) func(*http.Request) error { return func(*http.Request) error { return err } }
	return map[string]func(*http.Request) error{
		"a dump of the request": func(r *http.Request) error {
			dump, _ := httputil.DumpRequest(r, true)
			return fmt.Errorf("round trip failed: %s", dump)
		},
		"a dump of the header": func(r *http.Request) error { return fmt.Errorf("failed: %+v", r.Header) },
		"a dump of bytes": func(r *http.Request) error {
			body := []byte(chainToken)
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			return fmt.Errorf("failed: %v %x %q", body, body, body)
		},
		"a URL":            fixed(&url.Error{Op: "Get", URL: "https://x.test/" + chainPayer, Err: errors.New("no route")}),
		"a half of a":      fixed(errors.New(`malformed "` + chainPayer)),
		"a line in quotes": fixed(errors.New("malformed \"line\\\n" + chainPayer + "\"")),
		"several": fixed(errors.Join(
			fmt.Errorf("one: %w", &net.ParseError{Type: "IP address", Text: chainPayer}),
			fmt.Errorf("two: %w", &net.AddrError{Err: "missing port", Addr: chainPayer}),
			textproto.ProtocolError("malformed MIME header line: "+chainPayer),
		)),
		"a time":   func(*http.Request) error { _, err := time.Parse(time.RFC3339, chainPayer); return err },
		"a number": func(*http.Request) error { _, err := strconv.Atoi(chainPayer); return err },
		"a value of JSON": func(*http.Request) error {
			return fmt.Errorf("x: %w", json.Unmarshal([]byte(`{"N":9876501234}`), &struct{ N int8 }{}))
		},
	}
}

// A program may visit every error of a chain, and print each of them. The
// printed texts must not show the secret, the token, or what an answer says
// about the payer.
func TestChainsAreClean(t *testing.T) {
	t.Parallel()
	for name, dump := range leakyErrors() {
		for place, get := range map[string]func(t *testing.T) error{
			"a request": func(t *testing.T) error {
				client := chainClient(t, false, func(r *http.Request) (*http.Response, error) { return nil, dump(r) })
				_, err := client.Captures.Create(t.Context(), "v1-1", &plural.CaptureRequest{
					MerchantCaptureReference: "c-1", FullAmount: true,
				})
				return err
			},
			"the token": func(t *testing.T) error {
				client := chainClient(t, true, func(r *http.Request) (*http.Response, error) { return nil, dump(r) })
				return getSomething(t.Context(), client)
			},
			"a body": func(t *testing.T) error {
				client := chainClient(t, false, func(r *http.Request) (*http.Response, error) {
					resp := answer(http.StatusOK, "")
					resp.Body, resp.ContentLength = io.NopCloser(failingReader{dump(r)}), -1
					return resp, nil
				})
				return client.Do(t.Context(), http.MethodPost, somePath, map[string]string{"a": "b"}, nil)
			},
			"middleware": func(t *testing.T) error {
				client := chainClient(t, true, func(r *http.Request) (*http.Response, error) { return nil, dump(r) },
					plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
						return transportFunc(func(r *http.Request) (*http.Response, error) {
							resp, err := next.RoundTrip(r)
							return resp, fmt.Errorf("for "+`"`+chainPayer+`"`+": %w", err)
						})
					}))
				return getSomething(t.Context(), client)
			},
			"a cause": func(t *testing.T) error {
				ctx, cancel := context.WithCancelCause(t.Context())
				r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
				cancel(dump(r))
				return getSomething(ctx, chainClient(t, true, nil))
			},
			"an error of the caller's own JSON type": func(t *testing.T) error {
				client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return answer(200, `{"a":1}`), nil })
				r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
				return client.Do(t.Context(), http.MethodGet, somePath, nil, &unmarshaler{dump(r)})
			},
		} {
			t.Run(place+"/"+name, func(t *testing.T) {
				t.Parallel()
				requireCleanChain(t, get(t))
			})
		}
	}
}

type unmarshaler struct{ err error }

func (u *unmarshaler) UnmarshalJSON([]byte) error { return u.err }

// If an error in the chain has a type of the standard library, errors.As finds
// that error. The SDK blanks out the parts that the error's text quotes.
func TestStandardErrorsAreFoundBlanked(t *testing.T) {
	t.Parallel()
	through := func(t *testing.T, cause error) error {
		t.Helper()
		client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return nil, cause })
		err := getSomething(t.Context(), client)
		requireCleanChain(t, err)
		return err
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	t.Run("an error that shows no secret is passed on unchanged", func(t *testing.T) {
		t.Parallel()
		found, ok := errors.AsType[*net.OpError](through(t, fmt.Errorf("x: %w", refused)))
		require.True(t, ok)
		require.Same(t, refused, found)
	})
	t.Run("url.Error", func(t *testing.T) {
		t.Parallel()
		err := through(
			t,
			&url.Error{Op: "Get", URL: "https://x.test/" + chainPayer, Err: fmt.Errorf("%q: %w", chainPayer, refused)},
		)
		found, ok := errors.AsType[*url.Error](err)
		require.True(t, ok)
		requireCleanChain(t, found)
		require.Equal(t, "Get", found.Op)
		require.ErrorIs(t, found, syscall.ECONNREFUSED)
		require.False(t, found.Timeout())
	})
	t.Run("net.Error", func(t *testing.T) {
		t.Parallel()
		for _, cause := range []error{
			&net.OpError{Op: "read", Net: "tcp", Err: slowError{}},
			&url.Error{Op: "Get", URL: chainPayer, Err: slowError{}},
			slowError{},
		} {
			var found net.Error
			require.ErrorAs(t, through(t, fmt.Errorf("x: %w", cause)), &found)
			requireCleanChain(t, found)
			require.True(t, found.Timeout())
			require.True(t, found.Temporary()) //nolint:staticcheck // the error has this method
			var own slowError
			require.ErrorAs(t, through(t, cause), &own, "an error of the caller's own type is passed on unchanged")
		}
	})
	for name, of := range map[string]func(error) error{
		"net.ParseError":          asType[*net.ParseError],
		"net.AddrError":           asType[*net.AddrError],
		"textproto.ProtocolError": asType[textproto.ProtocolError],
		"time.ParseError":         asType[*time.ParseError],
		"strconv.NumError":        asType[*strconv.NumError],
		"json.UnmarshalTypeError": asType[*json.UnmarshalTypeError],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, dump := range leakyErrors() {
				cause := dump(httptest.NewRequest(http.MethodGet, "/", http.NoBody))
				err := through(t, cause)
				require.Equal(t, of(cause) == nil, of(err) == nil)
				if found := of(err); found != nil {
					requireCleanChain(t, found)
				}
			}
		})
	}
}

func asType[E error](err error) error {
	if found, ok := errors.AsType[E](err); ok {
		return found
	}
	return nil
}

// slowError is an error from a transport that the caller of the SDK wrote.
type slowError struct{}

func (slowError) Error() string { return `too slow for "` + chainPayer + `"` }

func (slowError) Timeout() bool { return true }

func (slowError) Temporary() bool { return true }

// An error from outside the SDK is treated like any other, even if its methods
// panic.
func TestErrorsThatPanic(t *testing.T) {
	t.Parallel()
	client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return nil, (*panickingError)(nil) })
	err := getSomething(t.Context(), client)
	require.ErrorContains(t, err, "an error without a text")
	require.NotErrorIs(t, err, io.EOF)
	var network net.Error
	require.NotErrorAs(t, err, &network)
}

type panickingError struct{ text string }

func (p *panickingError) Error() string { return p.text }

func (p *panickingError) Is(error) bool { return p.text != "" }

func (p *panickingError) As(any) bool { return p.text != "" }

// A proxy may refuse to connect to Plural. The SDK does not treat the proxy's
// answer as an answer from Plural, and the error does not show the text of the
// proxy's answer.
func TestProxyThatRefuses(t *testing.T) {
	t.Parallel()
	proxy := rawServer(t, "HTTP/1.1 401 Unauthorized for "+chainPayer+"\r\nContent-Length: 0\r\n\r\n")
	client, err := plural.NewClient(
		plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret},
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
		plural.WithHTTPClient(&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(mustURL(t, "http://"+proxy))}}),
	)
	require.NoError(t, err)
	for _, err := range []error{client.Warm(t.Context()), getSomething(t.Context(), client)} {
		requireCleanChain(t, err)
		require.NotContains(t, chainTexts(err), "Unauthorized")
		require.ErrorContains(t, err, "the proxy does not connect")
		require.NotErrorIs(t, err, plural.ErrUnauthorized)
	}
}

// If the header of the answer to the token request cannot be read, the error is
// about the token request.
func TestMalformedHeaderOfTheTokensAnswer(t *testing.T) {
	t.Parallel()
	peer := rawServer(t, "HTTP/1.1 200 OK\r\n"+chainPayer+"\r\n\r\n")
	client, err := plural.NewClient(
		plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret},
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}), plural.WithBaseURL("http://"+peer),
	)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-1")
	requireCleanChain(t, err)
	text := err.Error()
	require.Regexp(
		t,
		`^plural: get order v1-1: no access token: plural: get access token: .*the header of the answer is malformed`,
		text,
	)
}

// rawServer sends the same bytes on every connection, whatever the request is.
func rawServer(t *testing.T, bytes string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(conn, bytes)
			}()
		}
	}()
	return listener.Addr().String()
}
