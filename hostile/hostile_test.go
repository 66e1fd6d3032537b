// Package hostile_test calls every method of package plural against servers
// that break the rules of HTTP, TLS or JSON.
package hostile_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// For each fault of the server, each method returns a typed error within a
// bounded time. The error names the call, and the next call works. By default,
// each fault is tried with the calls that only read and with some of the calls
// that write. A fault that takes much processor time is tried only with
// orders.get. With PLURAL_HOSTILE=full (`make hostile`) each fault is tried
// with all methods.
func TestHostilePeers(t *testing.T) {
	full := os.Getenv("PLURAL_HOSTILE") == "full"
	t.Run("all", func(t *testing.T) {
		for n, f := range faults() {
			for m, c := range hostileCalls() {
				if !full && (c.writes && m%3 != n%3 || f.heavy && c.op != "orders.get") {
					continue
				}
				t.Run(f.name+"/"+c.op, func(t *testing.T) {
					t.Parallel()
					meetFault(t, f, c)
				})
			}
		}
	})
	requireNoGoroutines(t)
}

func meetFault(t *testing.T, f fault, c hostileCall) {
	t.Helper()
	isToken := c.op == "token"
	if strings.HasPrefix(f.name, "another order") && (isToken || c.do) {
		// A token request has no order. The method Client.Do does not check
		// which order an answer is about.
		return
	}
	p := newHostilePeer(t, f, isToken)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	callCtx := ctx
	var opts []plural.Option
	if isToken {
		// A second try would wait, because the SDK pauses after a failed token
		// request.
		opts = append(opts, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	}
	if f.slow {
		opts = append(opts, plural.WithAttemptTimeout(250*time.Millisecond))
		if isToken { // all calls share one token request; a call ends with its own context, but that request goes on
			var leave context.CancelFunc
			callCtx, leave = context.WithTimeout(ctx, 50*time.Millisecond)
			defer leave()
		}
	}
	if c.writes && !f.slow { // half of the remaining time is kept for reading what happened
		var leave context.CancelFunc
		callCtx, leave = context.WithTimeout(callCtx, 2*time.Second)
		defer leave()
	}
	client := p.client(t, opts...)
	// With a slow fault, each try has a short time limit. If the time ran
	// out during the handshake, the try would send nothing, and the outcome
	// of the write would be known. So the client connects first.
	if f.slow && c.writes {
		p.isHealed.Store(true)
		requireReached(ctx, t, client)
		p.isHealed.Store(false)
	}
	var response plural.Response
	err := c.call(callCtx, client, c.requestID(), plural.WithResponseInto(&response))
	require.NoError(t, ctx.Err(), "the call took too long")
	require.False(t, p.redirected.Load(), "a redirect must not be followed")
	if c.do && f.typed {
		requireFromDo(t, c, err)
	} else {
		requireTyped(t, f, c, err)
		if !isToken && !f.slow {
			require.True(t, c.pages && response.RequestID != "" || response.RequestID == "own-request")
			require.Positive(t, response.Attempts)
		}
	}

	p.isHealed.Store(true)
	if isToken && f.slow {
		p.CloseClientConnections() // ends the token request that still hangs
	}
	if isToken || f.slow {
		requireReached(ctx, t, client)
	}
	o, err := client.Orders.Get(ctx, hostileOrder)
	require.NoError(t, err, "the next call")
	require.Equal(t, plural.INR(100), o.OrderAmount)
}

// requireReached calls a server that no longer has a fault, until a call
// succeeds. The first calls may fail for two reasons:
//   - For a short time, all calls return the error of an earlier token request.
//   - With a slow fault, each try has a short time limit. On a slow machine a
//     handshake may take longer.
func requireReached(ctx context.Context, t *testing.T, client *plural.Client) {
	t.Helper()
	_, err := client.Orders.Get(ctx, hostileOrder)
	for err != nil && ctx.Err() == nil {
		<-time.After(20 * time.Millisecond)
		_, err = client.Orders.Get(ctx, hostileOrder)
	}
	require.NoError(t, err, "the peer is healthy again")
}

// requireFromDo checks the result of a call of [plural.Client.Do]. The server
// has answered with valid JSON. So the call must succeed, or must return an
// error because the answer does not fit the caller's type.
func requireFromDo(t *testing.T, c hostileCall, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *plural.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, c.op, e.Op)
	require.Equal(t, http.StatusOK, e.StatusCode)
	requireTidy(t, err.Error())
}

// requireTyped checks that an error says which call failed, how it failed, and
// how often its request was tried.
func requireTyped(t *testing.T, f fault, c hostileCall, err error) {
	t.Helper()
	require.Error(t, err)
	requireTidy(t, err.Error())
	require.NotContains(t, err.Error(), "own-token")
	require.NotContains(t, err.Error(), "own-secret")
	var unknown *plural.OutcomeUnknownError
	if c.writes {
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, c.op, unknown.Op)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		err = unknown.Err
	} else {
		require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	}
	var e *plural.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, c.op, e.Op)
	require.Positive(t, e.Attempts)
	require.NotEmpty(t, e.RequestID)
	if c.op != "token" {
		require.True(t, c.pages || e.RequestID == "own-request")
		// The status is 0 if the time ran out before the answer's header came.
		if e.StatusCode != 0 || !f.slow && !errors.Is(e, context.DeadlineExceeded) {
			require.Equal(t, f.status, e.StatusCode)
		}
		if e.StatusCode != 0 {
			require.NotNil(t, e.Header)
		}
	} else if f.status != 0 && !f.slow {
		require.True(t, hasStatus(e, f.status), "%v", e)
	}
	require.LessOrEqual(t, len(e.Body), 8<<10)
	if f.status == 0 || f.status < 300 {
		require.Error(t, e.Err, "the cause is missing")
	}
}

// hasStatus reports whether e has the status. If e wraps another
// [plural.Error], such as the error of a token request, hasStatus also returns
// true if the wrapped error has the status.
func hasStatus(e *plural.Error, status int) bool {
	for e != nil && e.StatusCode != status {
		var inner *plural.Error
		if !errors.As(e.Err, &inner) {
			return false
		}
		e = inner
	}
	return e != nil
}

// requireNoGoroutines waits for the SDK's goroutines to end, and fails if they
// do not.
func requireNoGoroutines(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		stacks := make([]byte, 8<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		leaked := ""
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(stack, "testing.(*T).Parallel(") {
				continue // this test has not started
			}
			if strings.Contains(stack, "github.com/plural-go/plural.") ||
				strings.Contains(stack, "github.com/plural-go/plural/internal") {
				leaked = stack
			}
		}
		if leaked == "" {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			require.Fail(t, "a goroutine is left", leaked)
		}
	}
}

// Without a connection nothing is sent, so the outcome of a write is known.
func TestPeersThatCannotBeReached(t *testing.T) {
	t.Parallel()
	healthy := newHostilePeer(t, fault{}, false)
	healthy.isHealed.Store(true)
	unreachable := map[string]func(t *testing.T) (url string, transport *http.Transport){
		"refused": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, l.Close())
			return "http://" + l.Addr().String(), &http.Transport{}
		},
		"no such host": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			return "https://api.invalid", &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "api.invalid", IsNotFound: true}
			}}
		},
		"a certificate that nobody trusts": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			return newHostilePeer(t, fault{http2: true}, false).URL, &http.Transport{}
		},
		"a certificate for another host": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			p := newHostilePeer(t, fault{http2: true}, false)
			transport := p.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.ServerName = "shop.example.in"
			return p.URL, transport
		},
		"TLS too old": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			p := httptest.NewUnstartedServer(http.NotFoundHandler())
			p.Config.ErrorLog = log.New(io.Discard, "", 0)
			p.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
			p.StartTLS()
			t.Cleanup(p.Close)
			return p.URL, p.Client().Transport.(*http.Transport).Clone()
		},
		"no TLS at all": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			return strings.Replace(newHostilePeer(t, fault{}, false).URL, "http:", "https:", 1), &http.Transport{}
		},
		"closed in the handshake": func(t *testing.T) (string, *http.Transport) {
			t.Helper()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_ = conn.Close()
				}
			}()
			return "https://" + l.Addr().String(), &http.Transport{}
		},
	}
	for name, start := range unreachable {
		for _, c := range hostileCalls() {
			t.Run(name+"/"+c.op, func(t *testing.T) {
				t.Parallel()
				url, transport := start(t)
				t.Cleanup(transport.CloseIdleConnections)
				token := transportFunc(func(r *http.Request) (*http.Response, error) {
					if isTokenRequest(r) && c.op != "token" {
						return answer(http.StatusOK, `{"access_token":"own-token","expires_in":3600}`), nil
					}
					return transport.RoundTrip(r)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
				defer cancel()
				err := c.call(ctx, hostileClient(t, url, token), c.requestID())
				require.NoError(t, ctx.Err(), "the call took too long")
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown, "nothing was sent")
				var e *plural.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.op, e.Op)
				require.Zero(t, e.StatusCode)
				mayPass := !strings.HasPrefix(name, "a certificate")
				require.Equal(t, map[bool]int{true: 2, false: 1}[mayPass], e.Attempts)
				require.Equal(t, mayPass, e.Retryable())
				requireTidy(t, err.Error())
			})
		}
	}
}

// The SDK uses a bounded amount of memory for an answer. This is so even if the
// answer does not end, or if the answer's header announces a very long body.
func TestHostileAnswersAreBoundedInMemory(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, f := range faults() {
		switch f.name {
		case "endless body", "4 GiB announced", "gzip bomb", "deep nesting", "HTTP/2: endless body":
		default:
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			p := newHostilePeer(t, f, false)
			client := p.client(t, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
			require.NoError(t, client.Warm(t.Context()))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := client.Orders.Get(t.Context(), hostileOrder)
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(48<<20))
		})
	}
}

// The body of an answer with status 101 is the bare connection, and the end of
// a context does not close it. So neither API calls nor token requests may read
// that body.
func TestServerThatSwitchesProtocols(t *testing.T) {
	t.Parallel()
	for name, onToken := range map[string]bool{"API": false, "token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") != onToken {
					_, _ = io.WriteString(w, `{"access_token":"t"}`)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				hijacker, ok := w.(http.Hijacker)
				if !ok {
					return
				}
				conn, _, err := hijacker.Hijack()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				<-end
				_ = conn.Close()
			}))
			t.Cleanup(func() {
				close(end)
				s.Close()
			})
			c, err := plural.NewClient(credentials(), plural.WithBaseURL(s.URL))
			require.NoError(t, err)
			err = c.Do(t.Context(), http.MethodPost, somePath, nil, nil)
			require.Equal(t, !onToken, errors.Is(err, plural.ErrOutcomeUnknown))
			require.ErrorContains(t, err, "101")
			require.ErrorContains(t, err, "the server switches protocols")
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = io.WriteString(w, `{"access_token":"t"}`)
			return
		}
		w.Header().Set("X-Big", strings.Repeat("x", 1<<20))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer s.Close()
	c, err := plural.NewClient(
		credentials(), plural.WithBaseURL(s.URL), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
	)
	require.NoError(t, err)
	err = getSomething(t.Context(), c)
	var e *plural.Error
	require.ErrorAs(t, err, &e)
	require.Empty(t, e.Header)
	require.ErrorContains(t, err, "header")
}

// A document of the largest size, with deep nesting, is decoded in bounded
// memory.
func TestLargestNestedDocument(t *testing.T) { //nolint:paralleltest // it measures memory
	const levels = 15
	padding := strings.Repeat("x", (4<<20)-levels*80)
	document := strings.Repeat(
		`{"order_id":"v1-1-aa-b","status":"CREATED","refunds":[`,
		levels,
	) + `{"notes":"` + padding + `"}` + strings.Repeat(
		`]}`,
		levels,
	)
	var o plural.Order
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := o.UnmarshalJSON([]byte(document))
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(96<<20))
}

// After an error answer, the next request can use the same connection.
func TestConnectionsAreReusedAfterErrors(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		switch f.name {
		case "a page", "nothing", "trailing garbage", "two documents", "deep nesting", "null", "a huge exponent",
			"redirect 302", "redirect 307", "another order":
		default:
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := newHostilePeer(t, f, false)
			client := p.client(t)
			for range 10 {
				_, err := client.Orders.Get(t.Context(), hostileOrder)
				require.Error(t, err)
			}
			p.isHealed.Store(true)
			_, err := client.Orders.Get(t.Context(), hostileOrder)
			require.NoError(t, err)
			// After an answer, net/http waits up to 50 ms until the
			// request is fully written. If the request is not fully
			// written by then, net/http closes the connection. That
			// can happen on a busy machine.
			require.LessOrEqual(t, p.connections.Load(), int64(4), "of 11 calls")
		})
	}
}

// If a server closes the connection after each answer (over HTTP/2, with
// GOAWAY), more connections are needed, but no call fails.
func TestServerThatClosesAfterEachAnswer(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(strconv.FormatBool(http2), func(t *testing.T) {
			t.Parallel()
			p := newHostilePeer(t, fault{http2: http2, answer: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				saysJSON(healthyOrder)(w, r)
			}}, false)
			client := p.client(t)
			for range 10 {
				_, err := client.Orders.Get(t.Context(), hostileOrder)
				require.NoError(t, err)
			}
			require.Greater(t, p.connections.Load(), int64(1))
		})
	}
}

// The client accepts answers that are unusual but readable.
func TestOddAnswersThatAreFine(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"invalid UTF-8":  strings.Replace(healthyOrder, "{\"order_id", "{\"notes\":\"a\xff\",\"order_id", 1),
		"duplicate keys": strings.Replace(healthyOrder, "{\"order_id\"", "{\"order_id\":\"other\",\"order_id\"", 1),
		"white space":    strings.Repeat("\n", 1000) + healthyOrder + strings.Repeat(" ", 1000),
		"whole number":   amounting(`100.00`),
		"with exponent":  amounting(`1E+2`),
		"as a text":      amounting(`"100"`),
		"byte order":     "\ufeff" + healthyOrder,
		"event sibling":  `{"event_type":"ORDER_CREATED","code":"ORDER_NOT_FOUND",` + healthyOrder[1:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, body), nil })
			o, err := client.Orders.Get(t.Context(), hostileOrder)
			require.NoError(t, err)
			require.Equal(t, plural.INR(100), o.OrderAmount)
		})
	}
}

// A read is repeated if its answer breaks off, or if there is no answer.
func TestBrokenReadsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"closed in the body": cutAfter("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\":"),
		"not JSON":           answersWith(200, "text/html", []byte("<html>")),
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		for _, faultyToken := range []bool{false, true} {
			if faultyToken && name == "slow body" {
				continue // only the token request's limit of 30 s ends this
			}
			t.Run(fmt.Sprintf("%s/token %t", name, faultyToken), func(t *testing.T) {
				t.Parallel()
				var times atomic.Int64
				p := newHostilePeer(t, fault{answer: func(w http.ResponseWriter, r *http.Request) {
					switch {
					case times.Add(1) == 1:
						broken(w, r)
					case isTokenRequest(r):
						saysJSON(`{"access_token":"own-token","expires_in":3600}`)(w, r)
					default:
						saysJSON(healthyOrder)(w, r)
					}
				}}, faultyToken)
				var opts []plural.Option
				// The other faults need no short time limit,
				// and a busy machine could exceed such a limit.
				if name == "slow body" {
					opts = append(opts, plural.WithAttemptTimeout(2*time.Second))
				}
				_, err := p.client(t, opts...).Orders.Get(t.Context(), hostileOrder)
				require.NoError(t, err)
				require.Equal(t, int64(2), times.Load())
			})
		}
	}
}
