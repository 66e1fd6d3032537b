package pluraltest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

// serverConn is the server's end of a connection. It decrypts TLS itself, so
// faults can reach the connection below HTTP.
type serverConn struct {
	net.Conn               // the decrypted connection
	raw           net.Conn // TCP or memory
	tls           *tls.Conn
	server        *Server
	requests      atomic.Int64
	closeWhenIdle atomic.Bool
	closeNext     atomic.Bool // close the connection after the next write
	frames        frameEditor
}

// wrappingListener makes serverConns.
type wrappingListener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l *wrappingListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &serverConn{Conn: raw, raw: raw, server: l.server}
	if cert := l.server.cert; cert != nil {
		c.tls = tls.Server(raw, cert.serverConfig(l.server.cfg.http2))
		c.Conn = c.tls
	}
	s := l.server
	s.mu.Lock()
	refuse := s.closed || s.down
	if !refuse {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if refuse {
		c.abort()
	}
	return c, nil
}

type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) *serverConn {
	c, _ := ctx.Value(connKey{}).(*serverConn)
	return c
}

// connState closes an idle connection if a fault has asked for that.
func connState(c net.Conn, state http.ConnState) {
	own, ok := c.(*serverConn)
	switch {
	case !ok || state != http.StateIdle || !own.closeWhenIdle.Load():
	case own.isHTTP2():
		own.closeNext.Store(true) // net/http has not flushed the answer yet
	default:
		_ = own.Close()
	}
}

// countRequest counts a request. It reports whether the connection has carried
// a request before.
func (c *serverConn) countRequest() bool { return c.requests.Add(1) > 1 }

// Close implements net.Conn.
func (c *serverConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// abort closes the connection with a reset.
func (c *serverConn) abort() {
	c.forget()
	switch raw := c.raw.(type) {
	case *net.TCPConn:
		_ = raw.SetLinger(0)
		_ = raw.Close()
	case *memConn:
		raw.abort()
	}
}

func (c *serverConn) forget() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c)
}

// Write implements net.Conn. When a handler gives up, net/http resets its
// HTTP/2 stream with the code INTERNAL_ERROR. The method Write replaces that
// code with PROTOCOL_ERROR. After a PROTOCOL_ERROR, net/http's client repeats
// the request by itself.
func (c *serverConn) Write(p []byte) (int, error) {
	if !c.isHTTP2() {
		return c.Conn.Write(p)
	}
	edited := append([]byte(nil), p...)
	c.frames.edit(edited)
	n, err := c.Conn.Write(edited)
	if c.closeNext.Load() {
		_ = c.Close()
	}
	return n, err
}

func (c *serverConn) isHTTP2() bool {
	return c.tls != nil && c.tls.ConnectionState().NegotiatedProtocol == "h2"
}

const (
	frameHeader        = 9
	frameRSTStream     = 0x3
	http2ProtocolError = 0x1 // the last of the four bytes of an error code
	http2InternalError = 0x2
)

// frameEditor follows the HTTP/2 frames of a stream of bytes and rewrites the
// error code of RST_STREAM frames.
type frameEditor struct {
	header [frameHeader]byte
	seen   int // how many bytes of the frame's header the editor has read
	left   int // how many bytes of the frame's payload the editor has not read yet
}

func (e *frameEditor) edit(p []byte) {
	for len(p) > 0 {
		if e.seen < frameHeader {
			n := copy(e.header[e.seen:], p)
			e.seen += n
			p = p[n:]
			if e.seen == frameHeader {
				e.left = int(e.header[0])<<16 | int(e.header[1])<<8 | int(e.header[2])
			}
		} else {
			n := min(e.left, len(p))
			if last := e.left - 1; e.header[3] == frameRSTStream && last < len(p) && p[last] == http2InternalError {
				p[last] = http2ProtocolError // every error code fits into one byte
			}
			e.left -= n
			p = p[n:]
		}
		if e.seen == frameHeader && e.left == 0 {
			e.seen = 0
		}
	}
}
