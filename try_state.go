package plural

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/token"
)

// tryState is the state of one try, and is found in the request's context.
// Middleware gets the operation from the state. The auth transport gets the
// body from it. The call learns from it whether a byte was sent.
type tryState struct {
	context.Context //nolint:containedctx // the state is itself a context, which wraps this one

	op                 string
	orderID, reference string
	attempt            int
	isSettling         bool // the request only reads the books, to find out what happened to a write
	url                url.URL
	body               []byte
	stop               context.CancelFunc // ends the try. It is nil unless the request is a write without a body

	trace    httptrace.ClientTrace // this package's own trace, which records how far the sending has come
	isTraced bool                  // the caller's context has a trace as well

	token                      atomic.Pointer[token.Token] // the last token that was sent
	tokenless                  atomic.Pointer[tokenError]  // why there was no token
	conn                       atomic.Pointer[net.Conn]
	stopped                    atomic.Bool
	over                       atomic.Bool // the HTTP client has returned, and nothing may be sent any more
	stage                      atomic.Int32
	wantedConn, gotConn, wrote atomic.Bool
	earlier                    atomic.Bool // middleware repeats the request, which may have been sent before
}

// The stages of a try. Middleware may return before the base transport returns.
const (
	tryOutside  int32 = iota // not handed to the base transport
	tryInside                // handed to the base transport
	tryReturned              // the base transport has returned
)

// enterTransport records that the base transport now gets the request. If the
// HTTP client has already returned (the field over), enterTransport returns
// false. Then the request must not be sent.
func (s *tryState) enterTransport() bool {
	before := s.stage.Swap(tryInside)
	if s.over.Load() {
		s.stage.Store(before)
		return false
	}
	return true
}

func (s *tryState) leaveTransport() { s.stage.Store(tryReturned) }

// This method records that the request has come out of the middleware.
// Middleware must not repeat a request. If middleware repeats a request anyway,
// this method runs again. Then the method also records that the request may
// have been sent before.
func (s *tryState) begin() {
	if s.stage.Load() != tryOutside && !s.notSent(false) {
		s.earlier.Store(true)
	}
	s.refused()
}

// This method resets the state, so the try can start again. The auth transport
// calls the method when the server has refused the token, because then the
// server has not carried out the request.
func (s *tryState) refused() {
	s.wantedConn.Store(false)
	s.gotConn.Store(false)
	s.wrote.Store(false)
	s.stage.Store(tryOutside)
}

// noToken records why there is no token. Without a token the request cannot be
// sent. So noToken also returns the error with which the request fails.
func (s *tryState) noToken(err error) error {
	why := &tokenError{err}
	s.tokenless.Store(why)
	return why
}

// sentToken returns the last token that was sent, or "" if no token was sent.
func (s *tryState) sentToken() string {
	if t := s.token.Load(); t != nil {
		return t.Value
	}
	return ""
}

// tryError makes the error of this try. The parameter err is the error that
// came out of the middleware. If err wraps errors of this package, tryError
// hides them, because these errors are from other calls. There is one
// exception: if this try got no token, err may wrap the error that explains
// why, and tryError keeps that error.
func (s *tryState) tryError(err error) error {
	if sent, ok := err.(*url.Error); ok { //nolint:errorlint // only the HTTP client's own error is unwrapped
		err = sent.Err
	}
	why := s.tokenless.Load()
	switch {
	case why == nil:
		return foreign.Wrap(err, s.sentToken())
	case err == error(why): //nolint:errorlint // a wrapped error must not match here
		return err
	}
	return foreign.Around(err, why, s.sentToken())
}

type tryKey struct{}

func (s *tryState) trackedContext(ctx context.Context) context.Context {
	s.Context = ctx
	s.trace = httptrace.ClientTrace{
		GetConn:          func(string) { s.wantedConn.Store(true) },
		GotConn:          s.connected,
		WroteHeaderField: func(string, []string) { s.wrote.Store(true) },
		WroteHeaders:     func() { s.wrote.Store(true) },
	}
	s.isTraced = httptrace.ContextClientTrace(ctx) != nil
	return httptrace.WithClientTrace(s, &s.trace)
}

// Value returns the state itself, or a value of the context that the state
// wraps.
func (s *tryState) Value(key any) any {
	if key == (tryKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// This method records the connection of the request. It ends the try if
// net/http is about to repeat a write without a body. This is the case if the
// write gets a second connection after a part of the write was sent.
//
// Over HTTP/2, net/http repeats a write when the peer resets the stream or
// sends GOAWAY. In this way the peer says that it has not carried out the
// write. But nothing else shows that this is true. So the write must not be
// repeated.
//
// Over HTTP/1, net/http repeats a write only if no byte of the write was sent.
// The trace cannot show whether a byte was sent, because the trace also reports
// bytes that are still in a buffer. So over HTTP/1 this method does not end the
// try.
func (s *tryState) connected(conn httptrace.GotConnInfo) {
	s.gotConn.Store(true)
	if s.stop != nil && s.wrote.Load() && !peer.IsHTTP1(conn.Conn) {
		s.stopped.Store(true)
		s.stop()
	}
	s.conn.Store(&conn.Conn)
}

// lastConn returns the request's last connection, or nil if there was none.
func (s *tryState) lastConn() net.Conn {
	if conn := s.conn.Load(); conn != nil {
		return *conn
	}
	return nil
}

func tryFrom(ctx context.Context) *tryState {
	s, _ := ctx.Value(tryKey{}).(*tryState)
	return s
}

// newBody returns a body without a GetBody, so net/http cannot repeat the
// request.
func (s *tryState) newBody() io.ReadCloser {
	if len(s.body) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(s.body))
}

// notSent returns true only if it is certain that no byte of the request was
// sent, and that no byte will be sent. So it also returns false in these cases:
//
//   - Middleware repeats the request, which may have been sent before.
//   - The base transport has the request, and has not returned yet.
//   - The base transport does not report its steps through httptrace.
//   - The request got a connection, and then the try was cut off (the parameter
//     cutOff is true).
func (s *tryState) notSent(cutOff bool) bool {
	switch stage := s.stage.Load(); {
	case s.earlier.Load():
		return false
	case stage == tryOutside:
		return true
	case stage == tryInside || s.wrote.Load():
		return false
	case s.gotConn.Load():
		return !cutOff
	}
	return s.wantedConn.Load()
}

// isTimeout reports whether err comes from a time limit or a cancelled context.
// The call, the HTTP client or middleware may have set the limit or cancelled
// the context.
func isTimeout(err error) bool {
	timed, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || ok && timed.Timeout()
}
