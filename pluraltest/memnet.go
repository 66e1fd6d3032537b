package pluraltest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// This file implements a network in memory. For HTTP this network behaves like
// loopback TCP. Writes are buffered. After one side has closed a connection,
// the other side still reads the bytes that were written before, and then
// io.EOF. After a reset, the other side gets ECONNRESET, and the bytes that
// nobody has read are lost. Deadlines work. The code in this file waits only on
// channels. So testing/synctest knows when a goroutine of this network waits.

// memListener accepts the connections that dial makes.
type memListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

type memAddr struct{}

func (memAddr) Network() string { return "tcp" }
func (memAddr) String() string  { return "127.0.0.1:0" }

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *memListener) Addr() net.Addr { return memAddr{} }

func (l *memListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := memPair()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, errRefused()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func errRefused() error {
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	return &net.OpError{Op: "dial", Net: "tcp", Addr: memAddr{}, Err: refused}
}

func memError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: memAddr{}, Err: os.NewSyscallError(op, errno)}
}

// memWindow is the number of unread bytes that a connection can hold.
const memWindow = 64 << 10

// memStream is one direction of a connection.
type memStream struct {
	mu      sync.Mutex
	buf     []byte
	eof     bool // the side that writes has closed the connection
	gone    bool // the side that reads has closed the connection
	reset   bool
	changed chan struct{} // closed and replaced at each change
}

func newMemStream() *memStream { return &memStream{changed: make(chan struct{})} }

// applyChange calls the given function, which changes the stream. Then
// applyChange wakes the goroutines that wait for a change.
func (s *memStream) applyChange(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// memConn is one side of a connection.
type memConn struct {
	in, out       *memStream
	readDeadline  *deadline
	writeDeadline *deadline
	once          sync.Once
	closed        chan struct{}
}

func memPair() (client, server *memConn) {
	up, down := newMemStream(), newMemStream()
	return newMemConn(down, up), newMemConn(up, down)
}

func newMemConn(in, out *memStream) *memConn {
	return &memConn{
		in:            in,
		out:           out,
		readDeadline:  newDeadline(),
		writeDeadline: newDeadline(),
		closed:        make(chan struct{}),
	}
}

// Read implements net.Conn.
func (c *memConn) Read(p []byte) (int, error) {
	for {
		c.in.mu.Lock()
		changed := c.in.changed
		var n int
		var err error
		switch {
		case c.isClosed():
			err = net.ErrClosed
		case c.readDeadline.passed():
			err = os.ErrDeadlineExceeded
		case c.in.reset:
			err = memError("read", syscall.ECONNRESET)
		case len(c.in.buf) > 0:
			n = copy(p, c.in.buf)
			c.in.buf = c.in.buf[n:]
		case c.in.eof:
			err = io.EOF
		case len(p) == 0:
		default:
			n = -1
		}
		c.in.mu.Unlock()
		if n > 0 {
			c.in.applyChange(func() {})
		}
		if n >= 0 {
			return n, err
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-c.readDeadline.done():
		}
	}
}

var errWait = errors.New("wait")

// Write implements net.Conn.
func (c *memConn) Write(p []byte) (written int, err error) {
	for {
		n, changed, err := c.writeSome(p)
		written += n
		p = p[n:]
		switch {
		case n > 0 && c.peerGone():
			c.in.applyChange(func() { c.in.reset = true }) // the peer's kernel would answer with a reset
		case n > 0:
			c.out.applyChange(func() {})
		}
		if err != nil && !errors.Is(err, errWait) {
			return written, err
		}
		if len(p) == 0 {
			return written, nil
		}
		if err == nil {
			continue
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-c.writeDeadline.done():
		}
	}
}

func (c *memConn) writeSome(p []byte) (n int, changed chan struct{}, err error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	switch {
	case c.isClosed():
		return 0, nil, net.ErrClosed
	case c.writeDeadline.passed():
		return 0, nil, os.ErrDeadlineExceeded
	case c.out.reset:
		return 0, nil, memError("write", syscall.EPIPE)
	case c.out.gone:
		c.out.reset = true // as with a real kernel, this write succeeds and the next write fails
		return len(p), nil, nil
	}
	if n = min(len(p), memWindow-len(c.out.buf)); n <= 0 && len(p) > 0 {
		return 0, c.out.changed, errWait
	}
	c.out.buf = append(c.out.buf, p[:n]...)
	return n, nil, nil
}

func (c *memConn) peerGone() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.gone
}

func (c *memConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Close implements net.Conn. The other side can still read the bytes that were
// written before. After these bytes it gets io.EOF.
func (c *memConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.out.applyChange(func() { c.out.eof = true })
		c.in.applyChange(func() { c.in.gone, c.in.buf = true, nil })
		c.readDeadline.set(time.Time{})
		c.writeDeadline.set(time.Time{})
	})
	return nil
}

// memConn.abort closes both sides of the connection with a reset.
func (c *memConn) abort() {
	c.out.applyChange(func() { c.out.reset, c.out.buf = true, nil })
	c.in.applyChange(func() { c.in.reset, c.in.buf = true, nil })
	_ = c.Close()
}

// LocalAddr implements net.Conn.
func (c *memConn) LocalAddr() net.Addr { return memAddr{} }

// RemoteAddr implements net.Conn.
func (c *memConn) RemoteAddr() net.Addr { return memAddr{} }

// SetDeadline implements net.Conn.
func (c *memConn) SetDeadline(t time.Time) error {
	c.readDeadline.set(t)
	c.writeDeadline.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *memConn) SetReadDeadline(t time.Time) error { c.readDeadline.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *memConn) SetWriteDeadline(t time.Time) error { c.writeDeadline.set(t); return nil }

// deadline is a time that can be moved. When that time has passed, doneChan is
// closed.
type deadline struct {
	mu       sync.Mutex
	timer    *time.Timer
	sets     int // how often the deadline has been set
	doneChan chan struct{}
}

func newDeadline() *deadline { return &deadline{doneChan: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sets++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.doneChan:
		d.doneChan = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.doneChan)
		return
	}
	this := d.sets
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.sets == this {
			close(d.doneChan)
		}
	})
}

func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doneChan
}

func (d *deadline) passed() bool {
	select {
	case <-d.done():
		return true
	default:
		return false
	}
}
