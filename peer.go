package plural

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
)

// peer is the base transport, and what it has told about the server.
type peer struct {
	base        http.RoundTripper
	speaksHTTP1 atomic.Bool // the last answer came by it
}

// RoundTrip holds a transport that is not net/http's to the contract: an answer
// with a body, or an error.
func (p *peer) RoundTrip(req *http.Request) (*http.Response, error) {
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
	if isHTTP1 := resp.ProtoMajor == 1; p.speaksHTTP1.Load() != isHTTP1 {
		p.speaksHTTP1.Store(isHTTP1)
	}
	return resp, nil
}

var errNoTunnel = errors.New("the proxy does not connect")

// isOfProxy reports whether err is no more than the words of a proxy that
// refuses to connect, such as "Unauthorized". They are not Plural's, and would
// be taken for that.
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

// checkTunnel tells what a proxy answered.
func checkTunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%w: it answered %d", errNoTunnel, resp.StatusCode)
}

// newTransport is made for one host and many parallel calls. net/http keeps two
// idle connections per host, so that parallel callers keep opening new ones.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: checkTunnel,
		DialContext:            newDialer().DialContext,
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

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
}
