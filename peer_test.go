package plural_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// These are the HTTP/2 frame types, flags and error codes that this server uses
// (RFC 9113).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4

	codeProtocolError = 0x1
	codeInternalError = 0x2
	codeRefusedStream = 0x7
	codeCancel        = 0x8
)

// resetServer is an HTTP/2 server that reads each request completely and counts
// it. Then it answers with a frame that the test chooses, or with 200 {}.
type resetServer struct {
	deliveries atomic.Int64
	// answers(n) returns the function that answers delivery n. If answers(n)
	// is nil, the server answers with status 200 and the body {}.
	answers   func(n int64) func(w io.Writer, stream uint32)
	transport *http.Transport
	url       string
	wg        sync.WaitGroup

	inner, listener net.Listener
}

// withoutTLS makes a resetServer speak HTTP/2 without TLS.
func withoutTLS(s *resetServer) {
	s.url = strings.Replace(s.url, "https:", "http:", 1)
	s.listener = s.inner
	s.transport = &http.Transport{Protocols: new(http.Protocols)}
	s.transport.Protocols.SetUnencryptedHTTP2(true)
}

func newResetServer(
	t *testing.T, answers func(n int64) func(io.Writer, uint32), opts ...func(*resetServer),
) *resetServer {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // the test uses only this server's certificate
	t.Cleanup(certified.Close)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &resetServer{answers: answers, url: "https://" + inner.Addr().String(), inner: inner}
	s.listener = tls.NewListener(
		inner,
		&tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12},
	)
	trusting, ok := certified.Client().Transport.(*http.Transport)
	require.True(t, ok)
	s.transport = &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusting.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	for _, opt := range opts {
		opt(s)
	}
	end := make(chan struct{})
	s.wg.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(conn) })
			s.wg.Go(func() {
				<-end
				_ = conn.Close() // even if the client does not regard the connection as idle yet
			})
		}
	})
	t.Cleanup(func() {
		close(end)
		_ = s.listener.Close()
		s.wg.Wait()
		s.transport.CloseIdleConnections()
	})
	return s
}

func (s *resetServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	writeFrame(conn, frameSettings, 0, 0, nil)
	for {
		var header [9]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		payload := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		kind, flags, stream := header[3], header[4], binary.BigEndian.Uint32(header[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			writeFrame(conn, frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			writeFrame(conn, framePing, flagAck, 0, payload)
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			if answer := s.answers(s.deliveries.Add(1)); answer != nil {
				answer(conn, stream)
				continue
			}
			writeFrame(conn, frameHeaders, flagEndHeaders, stream, []byte{0x88}) // :status 200
			writeFrame(conn, frameData, flagEndStream, stream, []byte("{}"))
		}
	}
}

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) {
	frame := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	_, _ = w.Write(append(binary.BigEndian.AppendUint32(frame, stream), payload...))
}

func resetWith(code uint32) func(io.Writer, uint32) {
	return func(w io.Writer, stream uint32) {
		writeFrame(w, frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
	}
}

// goAway writes a GOAWAY frame. The frame says that the server has processed no
// request. But the server has read a request.
func goAway(w io.Writer, _ uint32) { writeFrame(w, frameGoAway, 0, 0, make([]byte, 8)) }

// s.client(t, g, attempts) makes an SDK client. Its writes, and its reads of
// somePath, go to the server. All other requests go through the gateway.
func (s *resetServer) client(t *testing.T, g *gateway, attempts int) *plural.Client {
	t.Helper()
	split := transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut || r.URL.Path == somePath || strings.HasPrefix(r.URL.Path, "/api/pay/v1/refunds/") {
			return s.transport.RoundTrip(r)
		}
		return g.RoundTrip(r)
	})
	return g.client(t, plural.WithBaseURL(s.url), plural.WithHTTPClient(&http.Client{Transport: split}),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: attempts, MinDelay: 1, MaxDelay: 1}))
}

func TestNetHTTPDoesNotRepeatWritesOverHTTP2(t *testing.T) {
	t.Parallel()
	resets := map[string]func(io.Writer, uint32){
		"PROTOCOL_ERROR": resetWith(codeProtocolError),
		"REFUSED_STREAM": resetWith(codeRefusedStream),
		"INTERNAL_ERROR": resetWith(codeInternalError),
		"CANCEL":         resetWith(codeCancel),
		"GOAWAY":         goAway,
	}
	order := func(status string) func(sent) (*http.Response, error) {
		return func(sent) (*http.Response, error) {
			return answer(
				200,
				`{"data":{"order_id":"v1-1","status":"`+status+`","type":"CHARGE","merchant_order_reference":"r",`+
					`"order_amount":{"value":1000,"currency":"INR"}}}`,
			), nil
		}
	}
	for name, reset := range resets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			always := func(int64) func(io.Writer, uint32) { return reset }

			t.Run("POST with a body", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				err := s.client(t, &gateway{}, 4).Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil)
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
				require.EqualValues(t, 1, s.deliveries.Load())
			})
			t.Run("POST without a body", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				require.ErrorIs(
					t, s.client(t, &gateway{}, 4).Do(t.Context(), http.MethodPost, somePath, nil, nil), plural.ErrOutcomeUnknown,
				)
				require.EqualValues(t, 1, s.deliveries.Load())
			})
			t.Run("cancel that was applied", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				o, err := s.client(t, &gateway{api: order("CANCELLED")}, 4).Cancels.Create(t.Context(), "v1-1")
				require.NoError(t, err)
				require.Equal(t, plural.OrderStatusCancelled, o.Status)
				require.EqualValues(t, 1, s.deliveries.Load())
			})
			t.Run("cancel that was not", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				var got plural.Response
				_, err := s.client(t, &gateway{api: order("AUTHORIZED")}, 3).Cancels.Create(
					t.Context(), "v1-1", plural.WithResponseInto(&got),
				)
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
				require.Equal(t, 3, got.Attempts)
				require.EqualValues(t, 3, s.deliveries.Load(), "one delivery for each attempt")
			})
			t.Run("capture that was applied", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				captured := func(sent) (*http.Response, error) {
					return answer(
						200,
						`{"data":{"order_id":"v1-1","status":"PROCESSED","type":"CHARGE","order_amount":{"value":1000,"currency":"INR"},`+
							`"payments":[{"status":"PROCESSED","payment_amount":{"value":1000,"currency":"INR"},`+
							`"capture_data":[{"merchant_capture_reference":"c","capture_amount":{"value":1000,"currency":"INR"}}]}]}}`,
					), nil
				}
				o, err := s.client(t, &gateway{api: captured}, 4).Captures.Create(t.Context(), "v1-1",
					&plural.CaptureRequest{MerchantCaptureReference: "c", FullAmount: true})
				require.NoError(t, err)
				require.Equal(t, plural.OrderStatusProcessed, o.Status)
				require.EqualValues(t, 1, s.deliveries.Load())
			})
			t.Run("refund that was applied", func(t *testing.T) {
				t.Parallel()
				s := newResetServer(t, always)
				refunded := func(sent) (*http.Response, error) {
					return answer(200, `{"data":{"order_id":"v1-2","parent_order_id":"v1-1","status":"PROCESSED","type":"REFUND",`+
						`"merchant_order_reference":"r","order_amount":{"value":1000,"currency":"INR"}}}`), nil
				}
				o, err := s.client(t, &gateway{api: refunded}, 4).Refunds.Create(t.Context(), "v1-1",
					&plural.RefundRequest{MerchantOrderReference: "r", OrderAmount: plural.INR(1000)})
				require.NoError(t, err)
				require.Equal(t, "v1-2", o.OrderID)
				require.EqualValues(t, 1, s.deliveries.Load())
			})
		})
	}
}

// Without TLS, a request looks the same for HTTP/1 and HTTP/2. Only the answer
// shows that the connection is HTTP/2.
func TestNetHTTPDoesNotRepeatWritesOverHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	s := newResetServer(t, func(int64) func(io.Writer, uint32) { return resetWith(codeProtocolError) }, withoutTLS)
	g := &gateway{api: func(sent) (*http.Response, error) {
		return answer(200, `{"data":{"order_id":"v1-1","status":"CANCELLED"}}`), nil
	}}
	_, err := s.client(t, g, 4).Cancels.Create(t.Context(), "v1-1")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.deliveries.Load())
}

// This test uses the emulator to check that each attempt of a write sends one
// request. The writes are a refund, a cancel without a body, and a capture. The
// emulator does not carry out the first request, but carries out the second. It
// answers neither request. Instead it resets the stream, or it closes or resets
// the connection. The first request is sent over a connection that was used
// before.
func TestOneDeliveryAnAttempt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts   []pluraltest.Option
		before pluraltest.Fault
		after  pluraltest.Fault
	}{
		"HTTP/2, stream reset": {
			[]pluraltest.Option{pluraltest.WithHTTP2()},
			pluraltest.StreamResetBeforeApply,
			pluraltest.StreamResetAfterApply,
		},
		"HTTP/1.1, closed": {nil, pluraltest.CloseBeforeApply, pluraltest.CloseAfterApply},
		"HTTP/1.1 and TLS, closed": {
			[]pluraltest.Option{pluraltest.WithTLS()},
			pluraltest.CloseBeforeApply,
			pluraltest.CloseAfterApply,
		},
		"HTTP/1.1, reset": {nil, pluraltest.ResetBeforeApply, pluraltest.ResetAfterApply},
		"HTTP/2, the connection reset": {
			[]pluraltest.Option{pluraltest.WithHTTP2()},
			pluraltest.ResetBeforeApply,
			pluraltest.ResetAfterApply,
		},
	} {
		for _, op := range []string{pluraltest.OpRefundsCreate, pluraltest.OpCancelsCreate, pluraltest.OpCapturesCreate} {
			t.Run(name+"/"+op, func(t *testing.T) {
				t.Parallel()
				srv := pluraltest.NewServer(t, test.opts...)
				c, err := plural.NewClient(
					plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
					plural.WithBaseURL(srv.URL),
					plural.WithHTTPClient(srv.Client()),
					plural.WithRetry(plural.RetryPolicy{MinDelay: 1, MaxDelay: 1}),
				)
				require.NoError(t, err)
				d := &desk{t: t, srv: srv}
				w := d.readyWrite(op, amountFor(op))
				_, err = c.Orders.Get(t.Context(), w.orderID) // now the write finds a connection that was used before
				require.NoError(t, err)
				srv.Inject(pluraltest.On(op), test.before, test.after)
				var got plural.Response
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err = w.run(ctx, c, plural.WithResponseInto(&got))
				require.NoError(t, err)
				require.Equal(t, 2, got.Attempts)
				require.Equal(t, 2, w.touches(srv), "one delivery for each attempt")
				require.Equal(t, 1, w.countEffects(srv))
				srv.AssertExactlyOnce(t)
			})
		}
	}
}

// A GET changes nothing and has no body. Go 1.26 and older repeat a GET by
// themselves. Newer versions leave the repetition to the SDK.
func TestReadsAreRepeatedOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newResetServer(t, func(n int64) func(io.Writer, uint32) {
		if n == 1 {
			return resetWith(codeProtocolError)
		}
		return nil
	})
	var got plural.Response
	require.NoError(t, getSomething(t.Context(), s.client(t, &gateway{}, 4), plural.WithResponseInto(&got)))
	require.LessOrEqual(t, got.Attempts, 2)
	require.EqualValues(t, 2, s.deliveries.Load())
}

func TestWritesSucceedOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newResetServer(t, func(int64) func(io.Writer, uint32) { return nil })
	c := s.client(t, &gateway{}, 4)
	require.NoError(t, c.Do(t.Context(), http.MethodPost, somePath, map[string]int{"a": 1}, nil))
	require.NoError(t, c.Do(t.Context(), http.MethodDelete, somePath, nil, nil))
	require.NoError(t, getSomething(t.Context(), c))
	require.EqualValues(t, 3, s.deliveries.Load())
}

// The server reads a request from a connection that was used before, and hangs
// up. To net/http this looks as if the server had just closed an idle
// connection.
func TestNetHTTPDoesNotRepeatWritesOnReusedConnections(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, test := range []struct {
				method     string
				in         any
				deliveries int64
			}{
				{http.MethodPost, map[string]int{"a": 1}, 1},
				{http.MethodPost, nil, 1},
				{http.MethodPut, nil, 1},
				{http.MethodPut, map[string]int{"a": 1}, 1},
				{http.MethodDelete, nil, 1},
				{http.MethodPatch, map[string]int{"a": 1}, 1},
				{http.MethodGet, nil, 2},
			} {
				var deliveries atomic.Int64
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == somePath {
						if _, err := io.Copy(io.Discard, r.Body); err == nil && deliveries.Add(1) == 1 {
							panic(http.ErrAbortHandler)
						}
					}
					_, _ = io.WriteString(w, `{"access_token":"t"}`)
				}))
				if secure {
					server.StartTLS()
				} else {
					server.Start()
				}
				c, err := plural.NewClient(
					gatewayCredentials(), plural.WithBaseURL(server.URL), plural.WithHTTPClient(server.Client()),
				)
				require.NoError(t, err)
				require.NoError(t, c.Do(t.Context(), http.MethodGet, "/first", nil, nil))
				var got plural.Response
				err = c.Do(
					t.Context(), test.method, somePath, test.in, nil, plural.WithResponseInto(&got), plural.WithHeader("X-A", "b"),
				)
				require.Equal(
					t, test.method != http.MethodGet, errors.Is(err, plural.ErrOutcomeUnknown), "%s: %v", test.method, err,
				)
				require.Equal(t, 1, got.Attempts)
				require.Equal(t, test.deliveries, deliveries.Load(), test.method)
				server.Close()
			}
		})
	}
}

// A write without a body announces a length of 0. Some gateways answer 411 to a
// write without a length, or to a write in chunks.
func TestWriteWithoutABodyHasALength(t *testing.T) {
	t.Parallel()
	type seen struct {
		method, protocol, length string
		encoding                 int
	}
	wrapsBodies := plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(r.Body)
			return next.RoundTrip(r)
		})
	})
	for _, name := range []string{"http", "https", "http2"} {
		for _, how := range []string{"", "stored token", "middleware that wraps bodies"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var got []seen
				refuse := true
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					if !isTokenRequest(r) {
						got = append(got, seen{r.Method, r.Proto, r.Header.Get("Content-Length"), len(r.TransferEncoding)})
						if refuse {
							refuse = false
							w.WriteHeader(http.StatusUnauthorized)
							return
						}
					}
					_, _ = io.WriteString(w, `{"access_token":"t","data":{"order_id":"v1-1","status":"CANCELLED"}}`)
				}))
				server.EnableHTTP2 = name == "http2"
				if name == "http" {
					server.Start()
				} else {
					server.StartTLS()
				}
				defer server.Close()
				opts := []plural.Option{plural.WithBaseURL(server.URL), plural.WithHTTPClient(server.Client())}
				switch how {
				case "stored token":
					store := newMemoryStore()
					opts = append(opts, plural.WithTokenStore(store))
					first, err := plural.NewClient(gatewayCredentials(), opts...)
					require.NoError(t, err)
					require.NoError(t, first.Warm(t.Context()))
					require.Eventually(t, func() bool { return store.saved() > 0 }, time.Minute, time.Millisecond)
				case "middleware that wraps bodies":
					opts = append(opts, wrapsBodies)
				}
				c, err := plural.NewClient(gatewayCredentials(), opts...)
				require.NoError(t, err)
				_, err = c.Cancels.Create(t.Context(), "v1-1") // the first token of this call is refused
				require.NoError(t, err)
				var want []seen
				protocol := map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[name == "http2"]
				for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
					require.NoError(t, c.Do(t.Context(), method, somePath, nil, nil))
					want = append(want, seen{method, protocol, "0", 0})
				}
				put := seen{http.MethodPut, protocol, "0", 0}
				require.Equal(t, append([]seen{put, put}, want...), got)
			})
		}
	}
}
