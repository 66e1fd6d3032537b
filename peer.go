package plural

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
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

// newTransport is made for one host and many parallel calls. net/http keeps two
// idle connections per host, so that parallel callers keep opening new ones.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
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
