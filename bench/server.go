package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The type canned is a transport that answers from memory, so only the client
// is measured.
type canned struct {
	body   []byte
	chunks sync.Pool
}

func newCanned(body []byte) *canned {
	return &canned{body: body, chunks: sync.Pool{New: func() any { return new([4096]byte) }}}
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		chunk := c.chunks.Get().(*[4096]byte)
		for {
			if _, err := r.Body.Read(chunk[:]); err != nil {
				break
			}
		}
		c.chunks.Put(chunk)
		_ = r.Body.Close()
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(c.body))},
			"Date": {"Wed, 09 Apr 2031 09:13:23 GMT"}, "X-Request-Id": {"8a0c2f5e-3d0e-4e57-9c3e-0f5b7a7e2d11"},
			"Cache-Control": {"no-store"},
		},
		Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r,
	}, nil
}

// server answers every request at once with the same body.
type server struct {
	*httptest.Server

	connections atomic.Int64 // connections opened so far
}

func newServer(body []byte, http2 bool) *server {
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.EnableHTTP2 = http2
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

// newTransport makes a transport with room for each connection. In the suites
// that callSuites returns, every client that uses the network gets such a
// transport. So connection pools make no difference in these suites.
func (s *server) newTransport() *http.Transport {
	t := &http.Transport{
		MaxIdleConns: 256, MaxIdleConnsPerHost: 128, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	if s.EnableHTTP2 {
		t.ForceAttemptHTTP2 = true
		t.TLSClientConfig = &tls.Config{
			MinVersion: tls.VersionTLS12,
			RootCAs:    s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		}
	}
	return t
}
