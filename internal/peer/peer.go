// Package peer is the base transport: it sends to Plural, and knows the state
// of its connections.
package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plural-go/plural/internal/retry"
)

// Peer sends through a transport, and stops using connections that gave no
// answer.
type Peer struct {
	base       http.RoundTripper
	distrusted atomic.Bool // the next request first closes the idle connections
}

// New makes a Peer that sends through the base transport.
func New(base http.RoundTripper) *Peer { return &Peer{base: base} }

// RoundTrip sends a request. It returns either an error or an answer with a
// body. A transport other than net/http's may return neither an error nor an
// answer. Then RoundTrip returns an error of its own. If such a transport
// returns an answer without a body, RoundTrip adds an empty body.
func (p *Peer) RoundTrip(req *http.Request) (*http.Response, error) {
	if p.distrusted.CompareAndSwap(true, false) {
		retry.Wait(req.Context(), idleDelay)
		p.CloseIdle()
	}
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		if isOfProxy(p.base, req, err) {
			err = errNoTunnel
		}
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the HTTP client's transport gave neither an answer nor an error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// If a request on an HTTP/2 connection is given up, net/http needs a moment to
// mark the connection as idle. idleDelay is how long the next request waits for
// that.
const idleDelay = 10 * time.Millisecond

// Distrust is for a connection that gave no answer. After a call of Distrust,
// the next request uses none of the connections that are idle. The idle
// connections may be dead as well, for example after a failover, or because a
// NAT router no longer knows them. Then each dead connection would use up a
// whole try.
//
// An HTTP/2 connection is not idle until net/http has released the request. So
// for an HTTP/2 connection, the next request first waits for idleDelay, and
// then closes the idle connections. For any other connection, Distrust closes
// them at once.
func (p *Peer) Distrust(conn net.Conn) {
	if isHTTP2(conn) {
		p.distrusted.Store(true)
		return
	}
	p.CloseIdle()
}

// CloseIdle closes the connections that are idle.
func (p *Peer) CloseIdle() {
	if t, ok := p.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// IsHTTP1 reports whether a connection certainly uses HTTP/1. On a connection
// with TLS, the handshake shows the version of HTTP. Without TLS the version is
// not certain, so the result is false.
func IsHTTP1(conn net.Conn) bool {
	protocol, ok := negotiated(conn)
	return ok && protocol != "h2"
}

func isHTTP2(conn net.Conn) bool {
	protocol, _ := negotiated(conn)
	return protocol == "h2"
}

func negotiated(conn net.Conn) (protocol string, ok bool) {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return "", false
	}
	return secure.ConnectionState().NegotiatedProtocol, true
}

var errNoTunnel = errors.New("the proxy does not connect")

// isOfProxy reports whether err is only the status text of a proxy that refuses
// to connect, such as "Unauthorized". A reader would take that text for an
// answer from Plural.
func isOfProxy(base http.RoundTripper, req *http.Request, err error) bool {
	t, ok := base.(*http.Transport)
	if !ok || t.Proxy == nil || t.OnProxyConnectResponse != nil || req.URL.Scheme != "https" ||
		reflect.TypeOf(err) != reflect.TypeOf(errNoTunnel) {
		return false
	}
	for _, own := range []string{"http: ", "net/http: ", "http2: ", "tls: ", io.EOF.Error(), io.ErrUnexpectedEOF.Error()} {
		if strings.HasPrefix(err.Error(), own) {
			return false
		}
	}
	proxy, failed := t.Proxy(req)
	return proxy != nil && failed == nil
}

// checkTunnel reports a proxy's refusal.
func checkTunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%w: it answered %d", errNoTunnel, resp.StatusCode)
}

// NewTransport makes a transport for one host and many parallel calls. By
// default net/http keeps only two idle connections for each host, so parallel
// callers would open new connections again and again.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: checkTunnel,
		DialContext:            NewDialer().DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// NewDialer makes the dialer of the transport.
func NewDialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
}
