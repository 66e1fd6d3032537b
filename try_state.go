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

// tryState travels with a request's context. It tells middleware the operation,
// the auth transport the body, and the call whether a byte was sent.
type tryState struct {
	context.Context //nolint:containedctx // the state is found in the context that it wraps

	op                 string
	orderID, reference string
	attempt            int
	isSettling         bool // it asks what happened to another call
	url                url.URL
	body               []byte
	stop               context.CancelFunc // ends the try; set for a write without a body

	trace    httptrace.ClientTrace // this package's own trace
	isTraced bool                  // the caller has a trace, too

	token                      atomic.Pointer[token.Token] // the last token that was sent
	tokenless                  atomic.Pointer[tokenError]  // why there was no token
	conn                       atomic.Pointer[net.Conn]
	stopped                    atomic.Bool
	over                       atomic.Bool // the call no longer waits for the try
	stage                      atomic.Int32
	wantedConn, gotConn, wrote atomic.Bool
	earlier                    atomic.Bool // middleware has sent the request before, so it may have gone out
}

// The stages of a try. Middleware may return before the transport under it
// does.
const (
	tryOutside  int32 = iota // not handed to the base transport
	tryInside                // handed to it
	tryReturned              // and returned
)

// enter says that the request is being passed to the base transport. It returns
// false if the call no longer waits, and then the request must not be sent.
func (s *tryState) enter() bool {
	before := s.stage.Swap(tryInside)
	if s.over.Load() {
		s.stage.Store(before)
		return false
	}
	return true
}

func (s *tryState) leave() { s.stage.Store(tryReturned) }

// begin says that the request comes from the middleware. It is called once,
// unless middleware repeats the request, which it must not. If the request went
// out once, that is remembered, whatever happens to the repetition.
func (s *tryState) begin() {
	if s.stage.Load() != tryOutside && !s.notSent(false) {
		s.earlier.Store(true)
	}
	s.refused()
}

// refused says that the server has refused the token and so has done nothing:
// the try starts again.
func (s *tryState) refused() {
	s.wantedConn.Store(false)
	s.gotConn.Store(false)
	s.wrote.Store(false)
	s.stage.Store(tryOutside)
}

// noToken says why the request cannot be sent.
func (s *tryState) noToken(err error) error {
	why := &tokenError{err}
	s.tokenless.Store(why)
	return why
}

// secret is the token that was sent.
func (s *tryState) secret() string {
	if t := s.token.Load(); t != nil {
		return t.Value
	}
	return ""
}

// failed is the error that the middleware returned. The only error of this
// package in it is the token's, and only that of this try.
func (s *tryState) failed(err error) error {
	if sent, ok := err.(*url.Error); ok { //nolint:errorlint // the HTTP client's own, around what came out
		err = sent.Err
	}
	why := s.tokenless.Load()
	switch {
	case why == nil:
		return foreign.Wrap(err, s.secret())
	case err == error(why): //nolint:errorlint // itself, and not something around it
		return err
	}
	return foreign.Around(err, why, s.secret())
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

// Value finds the state itself, and every value of the context that it wraps.
func (s *tryState) Value(key any) any {
	if key == (tryKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// connected ends a write without a body that gets a second connection after
// part of it was sent: net/http is about to repeat it. Over HTTP/2, net/http
// does so when the peer resets the stream or sends GOAWAY. Then only the peer
// says that nothing was done. Over HTTP/1 it repeats a write only if no byte of
// it was sent. It knows that better than the trace, which reports bytes that
// are still in a buffer.
func (s *tryState) connected(conn httptrace.GotConnInfo) {
	s.gotConn.Store(true)
	if s.stop != nil && s.wrote.Load() && !peer.IsHTTP1(conn.Conn) {
		s.stopped.Store(true)
		s.stop()
	}
	s.conn.Store(&conn.Conn)
}

// lastConn is the request's connection; nil if there is none.
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

// notSent reports whether surely no byte of the request was or will be sent. It
// is not sure for a transport that does not report through httptrace, for one
// that is still working, and for a try that was cut off after it had its
// connection.
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

// isTimeout reports whether err is from a time limit: the call's, the HTTP
// client's or a middleware's.
func isTimeout(err error) bool {
	timed, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || ok && timed.Timeout()
}
