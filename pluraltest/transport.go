package pluraltest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Transport makes a transport that reaches the server without sockets. It is a
// real *http.Transport on connections in memory, so httptrace hooks,
// truncation, resets and timeouts work as on a network. Each call makes a
// transport with connections of its own. [Server.Close] closes these
// connections.
//
// The transport sends every request to this server, whatever its host. Use
// [Server.URL].
func (s *Server) Transport() http.RoundTripper {
	return s.newTransport(s.dialMemory)
}

// Client makes an HTTP client for the server. The client trusts the server's
// certificate and follows no redirects. It uses TCP if the server listens.
// Otherwise it uses [Server.Transport].
func (s *Server) Client() *http.Client {
	transport := s.Transport()
	if s.addr != "" {
		transport = s.newTransport(new(net.Dialer).DialContext)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Certificate returns the server's self-signed certificate. It returns nil
// without TLS.
func (s *Server) Certificate() *x509.Certificate {
	if s.cert == nil {
		return nil
	}
	return s.cert.leaf
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// transport is an http.Transport that can apply the fault Refuse.
type transport struct {
	server *Server
	base   *http.Transport
	refuse *http.Transport
}

func (s *Server) newTransport(dial dialFunc) *transport {
	base := &http.Transport{
		DialContext:         dial,
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 256,
		ForceAttemptHTTP2:   s.cfg.http2,
	}
	if s.cert != nil {
		roots := x509.NewCertPool()
		roots.AddCert(s.cert.leaf)
		base.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	refuse := &http.Transport{DialContext: dialRefused, DisableKeepAlives: true}
	t := &transport{server: s, base: base, refuse: refuse}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, t)
	return t
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.server.mayRefuse() {
		return t.base.RoundTrip(r)
	}
	r, body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	run, orderID, reference := matchPath(r.URL.EscapedPath())
	if run.run == nil || run.method != r.Method || len(body) > maxRequestBody {
		return t.base.RoundTrip(r) // faults do not apply to this request
	}
	refused, name := t.server.decideEarly(t.server.newRequest(r, run, orderID, reference, body))
	if refused {
		return t.refuse.RoundTrip(r)
	}
	if name != "" {
		r.Header.Set(decisionHeader, name)
	}
	return t.base.RoundTrip(r)
}

// readBody reads a request's body. It returns the bytes of the body, and a copy
// of the request. The copy still has the whole body. If net/http can rewind the
// body of the original request, it can also rewind the body of the copy.
// Otherwise it can rewind neither body.
func readBody(r *http.Request) (*http.Request, []byte, error) {
	clone := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return clone, nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return clone, body, err
}

// CloseIdleConnections closes the connections that serve no request.
func (t *transport) CloseIdleConnections() {
	t.base.CloseIdleConnections()
	t.refuse.CloseIdleConnections()
}

// dialMemory connects to the server in memory. The first call makes the server
// accept such connections.
func (s *Server) dialMemory(ctx context.Context, network, addr string) (net.Conn, error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.ConnectStart != nil {
		trace.ConnectStart(network, addr)
	}
	conn, err := s.connectMemory(ctx)
	if trace != nil && trace.ConnectDone != nil {
		trace.ConnectDone(network, addr, err)
	}
	return conn, err
}

func (s *Server) connectMemory(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	refused := s.closed || s.down
	if !refused && !s.memServed {
		s.memServed = true
		s.goServe(s.mem)
	}
	s.mu.Unlock()
	if refused {
		return nil, errRefused()
	}
	return s.mem.dial(ctx)
}

func dialRefused(ctx context.Context, network, addr string) (net.Conn, error) {
	err := errRefused()
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		if trace.ConnectStart != nil {
			trace.ConnectStart(network, addr)
		}
		if trace.ConnectDone != nil {
			trace.ConnectDone(network, addr, err)
		}
	}
	return nil, err
}

// certificate is a self-signed certificate for the loopback names.
type certificate struct {
	leaf *x509.Certificate
	pair tls.Certificate
}

func newCertificate() *certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("pluraltest: " + err.Error())
	}
	// The certificate is valid at any time, even on the clock of a
	// testing/synctest bubble.
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"pluraltest"}},
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic("pluraltest: " + err.Error())
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic("pluraltest: " + err.Error())
	}
	return &certificate{leaf: leaf, pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
}

func (c *certificate) serverConfig(http2 bool) *tls.Config {
	protocols := []string{"http/1.1"}
	if http2 {
		protocols = []string{"h2", "http/1.1"}
	}
	return &tls.Config{Certificates: []tls.Certificate{c.pair}, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}
