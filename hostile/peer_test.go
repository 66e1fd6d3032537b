package hostile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	hostileOrder     = "v1-1-aa-b"
	hostileReference = "own-ref"
)

// hostileCall is a call of one method of the SDK to a server that misbehaves.
type hostileCall struct {
	op     string
	writes bool // the call is a write: a lost answer leaves its outcome unknown
	do     bool // the answer is decoded into the caller's own type
	pages  bool // the call makes several requests, and each has its own id
	call   func(context.Context, *plural.Client, ...plural.CallOption) error
}

// requestID returns an option that sets the request's id, if the call makes
// only one request.
func (c hostileCall) requestID() plural.CallOption {
	if c.pages {
		return plural.WithHeader("X-Own", "yes")
	}
	return plural.WithRequestID("own-request")
}

func hostileCalls() []hostileCall {
	return []hostileCall{
		{
			"token",
			false,
			false,
			false,
			func(ctx context.Context, c *plural.Client, _ ...plural.CallOption) error { return c.Warm(ctx) },
		},
		{"orders.create", true, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Orders.Create(ctx, minimalOrder(), o...)
			return err
		}},
		{"orders.get", false, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Orders.Get(ctx, hostileOrder, o...)
			return err
		}},
		{op: "orders.get_by_reference", call: func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Orders.GetByReference(ctx, hostileReference, o...)
			return err
		}},
		{"captures.create", true, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Captures.Create(
				ctx,
				hostileOrder,
				&plural.CaptureRequest{MerchantCaptureReference: hostileReference, FullAmount: true},
				o...)
			return err
		}},
		{"cancels.create", true, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Cancels.Create(ctx, hostileOrder, o...)
			return err
		}},
		{"refunds.create", true, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Refunds.Create(
				ctx,
				hostileOrder,
				&plural.RefundRequest{MerchantOrderReference: hostileReference, OrderAmount: plural.INR(100)},
				o...)
			return err
		}},
		{op: "payment_links.create", writes: true, call: createLink},
		{op: "payment_links.cancel", writes: true, call: cancelLink},
		{"payment_links.get", false, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.PaymentLinks.Get(ctx, "pl-v1-1", o...)
			return err
		}},
		{"orders.get", false, false, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Refunds.Get(ctx, hostileOrder, o...)
			return err
		}},
		{op: "orders.get_by_reference", call: func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Refunds.GetByReference(ctx, hostileReference, o...)
			return err
		}},
		{op: "settlements.list", pages: true, call: func(
			ctx context.Context, c *plural.Client, o ...plural.CallOption,
		) error {
			now := time.Now().In(plural.India())
			return lastError(c.Settlements.List(ctx, plural.Days{First: now, Last: now}, o...))
		}},
		{op: "settlements.lines", pages: true, call: func(
			ctx context.Context, c *plural.Client, o ...plural.CallOption,
		) error {
			return lastError(c.Settlements.Lines(ctx, hostileReference, o...))
		}},
		{op: "settlements.get", pages: true, call: func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			_, err := c.Settlements.Get(ctx, hostileReference, o...)
			return err
		}},
		{"GET /api/x", false, true, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			var out any
			return c.Do(ctx, http.MethodGet, "/api/x", nil, &out, o...)
		}},
		{"POST /api/x", true, true, false, func(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
			var out any
			return c.Do(ctx, http.MethodPost, "/api/x", map[string]int{"a": 1}, &out, o...)
		}},
	}
}

func createLink(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
	_, err := c.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: hostileReference, Amount: plural.INR(100),
		Customer: &plural.Customer{EmailID: "payer@example.com"},
	}, o...)
	return err
}

func cancelLink(ctx context.Context, c *plural.Client, o ...plural.CallOption) error {
	_, err := c.PaymentLinks.Cancel(ctx, "pl-v1-1", o...)
	return err
}

// fault is one way in which a server misbehaves.
type fault struct {
	name   string
	answer http.HandlerFunc
	status int  // the status that the error has; 0: there is no answer
	slow   bool // the answer never ends by itself
	typed  bool // the answer is valid JSON: the method Client.Do may accept it, see requireFromDo
	heavy  bool // the fault costs much processor time
	http2  bool
}

// cutAfter returns a handler that writes the text and then closes the
// connection. If the text is empty, the handler resets the connection instead.
func cutAfter(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		if tcp, ok := conn.(*net.TCPConn); ok && text == "" {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// answersWith answers with the given status, content type and body.
func answersWith(status int, contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func saysJSON(body string) http.HandlerFunc {
	return answersWith(http.StatusOK, "application/json", []byte(body))
}

const healthyOrder = `{"data":{"order_id":"v1-1-aa-b","merchant_order_reference":"own-ref","type":"CHARGE",` +
	`"status":"CREATED","order_amount":{"value":100,"currency":"INR"}}}`

func amounting(value string) string {
	return strings.Replace(healthyOrder, `"value":100`, `"value":`+value, 1)
}

// gzipBomb returns a few KiB that decompress to 16 MiB. That is four times the
// size that an answer may have.
func gzipBomb() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is valid, so the error is nil
	_, _ = z.Write(make([]byte, 16<<20))
	_ = z.Close()
	return b.Bytes()
}

func faults() []fault {
	bomb := gzipBomb()
	endless := func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	abort := func(parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for _, part := range parts {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	hang := func(parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for _, part := range parts {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}
	}
	all := []fault{
		{name: "reset before an answer", answer: cutAfter("")},
		{name: "closed in the status line", answer: cutAfter("HTTP/1.1 20")},
		{name: "closed in the header", answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Le")},
		{
			name:   "closed in the body",
			answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\":"),
			status: 200,
		},
		{
			name:   "closed in a chunk",
			answer: cutAfter("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"d"),
			status: 200,
		},
		{
			name:   "closed in an error's body",
			answer: cutAfter("HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\n{\"code\":"),
			status: 503,
		},
		{name: "no HTTP", answer: cutAfter("SSH-2.0-OpenSSH_9.9\r\n")},
		{name: "two lengths", answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}")},
		{name: "a negative length", answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")},
		{name: "slow header", answer: hang(), slow: true},
		{name: "slow body", answer: hang("{", `"data"`), slow: true, status: 200},
		{name: "endless body", answer: endless, heavy: true, status: 200},
		{name: "4 GiB announced", answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n{"), status: 200},
		{name: "gzip bomb", status: 200, heavy: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}},
		{name: "no gzip", status: 200, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, healthyOrder)
		}},
		{name: "a page", answer: answersWith(200, "text/html", []byte("<html>sign in to the network</html>")), status: 200},
		{name: "nothing", answer: saysJSON(""), status: 200},
		{name: "a status that does not exist", answer: answersWith(999, "application/json", []byte(`{}`)), status: 999},
		{name: "trailing garbage", answer: saysJSON(healthyOrder + " x"), status: 200},
		{name: "two documents", answer: saysJSON(healthyOrder + healthyOrder), status: 200},
		{name: "two byte order marks", answer: saysJSON("\ufeff\ufeff" + healthyOrder), status: 200},
		{name: "UTF-16", answer: saysJSON("\xff\xfe{\x00}\x00"), status: 200},
		{
			name:   "deep nesting",
			answer: saysJSON(`{"data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`),
			status: 200,
		},
		{
			name: "deep nesting of refunds",
			answer: saysJSON(
				`{"data":` + strings.Repeat(
					`{"order_id":"v1-1-aa-b","status":"CREATED","refunds":[`,
					500,
				) + strings.Repeat(
					`]}`,
					500,
				) + `}`,
			),
			status: 200,
			typed:  true,
		},
		{name: "a huge exponent", answer: saysJSON(amounting("1e999999999")), status: 200, typed: true},
		{name: "400 digits", answer: saysJSON(amounting(strings.Repeat("9", 400))), status: 200, typed: true},
		{name: "a fraction of a paisa", answer: saysJSON(amounting("100.5")), status: 200, typed: true},
		{name: "null", answer: saysJSON("null"), status: 200, typed: true},
		{name: "a list", answer: saysJSON("[]"), status: 200, typed: true},
		{name: "an object", answer: saysJSON("{}"), status: 200, typed: true},
		{name: "data null", answer: saysJSON(`{"data":null}`), status: 200, typed: true},
		{name: "data a string", answer: saysJSON(`{"data":"x"}`), status: 200, typed: true},
		{name: "data empty", answer: saysJSON(`{"data":{}}`), status: 200, typed: true},
		{
			name:   "another order",
			answer: saysJSON(strings.NewReplacer("v1-1-aa-b", "v1-2-aa-c", "own-ref", "other").Replace(healthyOrder)),
			status: 200,
			typed:  true,
		},
		{name: "HTTP/2: reset before an answer", answer: abort(), http2: true},
		{name: "HTTP/2: reset in the body", answer: abort("{", `"data":`), http2: true, status: 200},
		{name: "HTTP/2: slow header", answer: hang(), slow: true, http2: true},
		{name: "HTTP/2: slow body", answer: hang("{"), slow: true, http2: true, status: 200},
		{name: "HTTP/2: endless body", answer: endless, heavy: true, http2: true, status: 200},
	}
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		all = append(
			all,
			fault{
				name:   fmt.Sprintf("redirect %d", status),
				status: status,
				answer: func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", "http://"+r.Host+"/redirected")
					w.WriteHeader(status)
				},
			},
		)
	}
	return all
}

// hostilePeer is a server that answers with a fault until the test sets the
// field isHealed to true. The fault concerns either the token requests or all
// other requests.
type hostilePeer struct {
	*httptest.Server

	isHealed    atomic.Bool
	redirected  atomic.Bool
	connections atomic.Int64
}

func newHostilePeer(t *testing.T, f fault, faultyToken bool) *hostilePeer {
	t.Helper()
	p := &hostilePeer{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/redirected":
			p.redirected.Store(true)
		case !p.isHealed.Load() && isTokenRequest(r) == faultyToken:
			f.answer(w, r)
		case isTokenRequest(r):
			saysJSON(`{"access_token":"own-token","expires_in":3600}`)(w, r)
		default:
			saysJSON(healthyOrder)(w, r)
		}
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			p.connections.Add(1)
		}
	}
	if f.http2 {
		p.EnableHTTP2 = true
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *hostilePeer) client(t *testing.T, opts ...plural.Option) *plural.Client {
	t.Helper()
	transport := p.Client().Transport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	t.Cleanup(transport.CloseIdleConnections)
	return hostileClient(t, p.URL, transport, opts...)
}

func hostileClient(t *testing.T, url string, transport http.RoundTripper, opts ...plural.Option) *plural.Client {
	t.Helper()
	all := append([]plural.Option{
		plural.WithBaseURL(url),
		plural.WithHTTPClient(&http.Client{Transport: transport}),
		plural.WithAttemptTimeout(20 * time.Second),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}),
	}, opts...)
	client, err := plural.NewClient(plural.Credentials{ClientID: "own-client", ClientSecret: "own-secret"}, all...)
	require.NoError(t, err)
	return client
}
