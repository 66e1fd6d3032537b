package plural

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/token"
	"github.com/plural-go/plural/internal/wire"
)

// version is the SDK's, for the User-Agent.
const version = "0.1.0"

// operation is what a call does. Its name is of low cardinality, for metrics.
type operation struct {
	name   string
	phrase string // for people, where the name would not do
	method string
	lookup bool // it looks something up that may not be there
	money  bool // some of its time is kept for asking what became of it
}

//nolint:gochecknoglobals // constants in all but name
var (
	opToken          = operation{name: "token", method: http.MethodPost}
	opCreateOrder    = operation{name: "orders.create", method: http.MethodPost, money: true}
	opGetOrder       = operation{name: "orders.get", method: http.MethodGet, lookup: true}
	opGetByReference = operation{name: "orders.get_by_reference", method: http.MethodGet, lookup: true}
	opConfirm        = operation{name: "orders.confirm"} // for errors only; what is sent is orders.get, here and in the next two
	opCheck          = operation{name: "orders.check"}
	opWait           = operation{name: "orders.wait"}
	opCapture        = operation{name: "captures.create", method: http.MethodPut, money: true}
	opCancel         = operation{name: "cancels.create", method: http.MethodPut, money: true}
	opRefund         = operation{name: "refunds.create", method: http.MethodPost, money: true}
)

// op is what errors carry.
func (o operation) op() string {
	if o.phrase != "" {
		return o.phrase
	}
	return o.name
}

// call is one logical call: its request, encoded once, and how often that was sent.
type call struct {
	c         *Client
	op        operation
	url       *url.URL
	body      []byte
	cfg       *callConfig
	requestID string
	subject   string // the order or reference, for errors
	attempts  int
	settles   bool // it asks what became of another call
}

// newCall makes a call of a request that passes its checks.
func (c *Client) newCall(ctx context.Context, op operation, path, subject string, in any, found checks, opts []CallOption) (*call, error) {
	cfg := newCallConfig(opts)
	found.must(ctx != nil, "ctx", "has to be given")
	if err := found.err(op, cfg); err != nil {
		return nil, err
	}
	k, err := c.callWith(cfg, op, path, in)
	if err != nil {
		return nil, err
	}
	k.subject = subject
	return k, nil
}

// callWith makes a call that shares another's options, such as the settling read of a write.
func (c *Client) callWith(cfg *callConfig, op operation, path string, in any) (*call, error) {
	k := &call{c: c, op: op, cfg: cfg, requestID: cfg.requestID}
	if k.requestID == "" {
		k.requestID = newRequestID()
		cfg.requestID = k.requestID
	}
	u, err := url.Parse(c.cfg.baseURL.String() + path)
	if err != nil || u.Host != c.cfg.baseURL.Host {
		return nil, &ValidationError{Op: op.op(), Fields: []FieldError{{Field: "path", Rule: "is not a URL path"}}}
	}
	k.url = u
	if in != nil {
		if k.body, err = encode(in); err != nil {
			return nil, &ValidationError{Op: op.op(), Fields: []FieldError{{Field: "request", Rule: "cannot be encoded: " + err.Error()}}}
		}
	}
	return k, nil
}

// read sends until decode accepts an answer. For requests that have no effect.
func (k *call) read(ctx context.Context, decode func(*answer) error) error {
	for {
		a := k.try(ctx)
		if a.class() == classOK {
			if a.err = decode(a); a.err == nil {
				return nil
			}
		}
		err := k.failure(a)
		if !err.Retryable() || !k.again(ctx, a) {
			return k.orEnded(ctx, err)
		}
	}
}

// once sends at most once; only a try of which nothing was sent is followed by another.
func (k *call) once(ctx context.Context, decode func(*answer) error) error {
	for {
		a := k.try(ctx)
		switch a.class() {
		case classOK:
			if a.err = decode(a); a.err == nil {
				return nil
			}
			if wire.Check(a.body) == nil {
				return k.failure(a)
			}
		case classRejected, classThrottled:
			return k.failure(a)
		case classNotSent:
			err := k.failure(a)
			if err.Retryable() && k.again(ctx, a) {
				continue
			}
			return k.orEnded(ctx, err)
		case classAmbiguous:
		}
		return &OutcomeUnknownError{Op: k.op.op(), Err: k.orEnded(ctx, k.failure(a))}
	}
}

// warm has the token fetched, like a call of which nothing is sent.
func (k *call) warm(ctx context.Context) error {
	for {
		k.attempts++
		_, err := k.c.tokens.Get(ctx)
		if err == nil {
			return nil
		}
		a := &answer{err: err, notSent: true}
		failure := k.failure(a)
		if !failure.Retryable() || !k.again(ctx, a) {
			if refused := tokenAnswerError(err); refused != nil {
				own := *refused
				own.Attempts, failure = k.attempts, &own
			}
			return k.orEnded(ctx, failure)
		}
	}
}

// again waits for the next attempt; false when there is none, or no time for it.
func (k *call) again(ctx context.Context, a *answer) bool {
	if k.attempts >= k.maxAttempts() {
		return false
	}
	return k.pause(ctx, k.attempts, a)
}

// pause waits as long as the policy says after try number n, and as long as the answer asked for.
func (k *call) pause(ctx context.Context, n int, a *answer) bool {
	wait := k.c.cfg.retry.Backoff(n)
	if askedWait(a.err) > retry.MaxRetryAfter {
		return false
	}
	if asked := a.retryAfter(); asked > retry.MaxRetryAfter {
		return false
	} else if asked > wait {
		wait = asked
	}
	return retry.Wait(ctx, wait)
}

func (k *call) maxAttempts() int {
	most := k.c.cfg.retry.MaxAttempts
	switch {
	case k.settles:
		return max(most, minLooks)
	case k.cfg.withoutRetry:
		return 1
	}
	return most
}

// orEnded adds the context's error to a failure that was not repeated because of it.
func (k *call) orEnded(ctx context.Context, err *Error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		err.Err = errors.Join(ended, err.Err)
	}
	return err
}

// errAttemptTimeout ends one try. Unlike the end of the caller's context it is followed by another.
var errAttemptTimeout = errors.New("no answer within the attempt timeout")

// try sends the request once.
func (k *call) try(ctx context.Context) *answer {
	k.attempts++
	a := k.send(ctx)
	if into := k.cfg.into; into != nil {
		attempts := k.attempts
		if k.settles {
			attempts = into.Attempts
		}
		*into = Response{StatusCode: a.status, Header: a.header, RequestID: k.requestID, Attempts: attempts, Body: a.body}
	}
	return a
}

func (k *call) send(ctx context.Context) *answer {
	if err := ctx.Err(); err != nil {
		return &answer{err: err, notSent: true}
	}
	tryCtx, cancel := context.WithTimeoutCause(ctx, retry.AttemptTimeout(ctx, k.c.cfg.attemptTimeout, k.op.money), errAttemptTimeout)
	defer cancel()
	a := k.sendWith(ctx, tryCtx, false)
	if a.unguarded {
		a = k.sendWith(ctx, tryCtx, true)
	}
	return a
}

func (k *call) sendWith(ctx, tryCtx context.Context, guarded bool) *answer {
	state := &tryState{op: k.op.name, body: k.body}
	state.guarded.Store(guarded)
	if !guarded && k.op.method != http.MethodGet && len(k.body) == 0 {
		tryCtx, state.stop = context.WithCancel(tryCtx)
		defer state.stop()
	}
	req, err := http.NewRequestWithContext(state.into(tryCtx), k.op.method, k.url.String(), nil)
	if err != nil {
		return &answer{err: err, notSent: true}
	}
	maps.Copy(req.Header, k.cfg.header)
	setCommonHeaders(req.Header, k.c.cfg.userAgent, k.requestID)
	if k.op.method != http.MethodGet {
		req.Body = state.newBody()
		req.ContentLength = int64(len(k.body))
	}
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	started := time.Now()
	resp, err := k.c.http.Do(req) //nolint:bodyclose // readAnswer closes it
	state.over.Store(true)
	a := &answer{err: err, unguarded: state.stopped.Load() && !state.wrote.Load()}
	if err == nil {
		a = readAnswer(resp)
	}
	if t := state.token.Load(); t != nil {
		a.secret = t.Value
	}
	if a.unguarded {
		return a
	}
	k.c.cfg.log.attempt(ctx, k.op, k.url.Path, a.status, k.requestID, k.attempts, time.Since(started))
	if a.err != nil {
		a.err = trimURLError(a.err)
		a.notSent = a.status == 0 && state.notSent(tryCtx.Err() != nil || isTimeout(a.err))
		switch ended := ctx.Err(); {
		case ended != nil:
			a.err = ended
		case tryCtx.Err() != nil:
			a.err = errAttemptTimeout
		default:
			a.err = notTheCallers(a.err)
		}
	}
	return a
}

// notTheCallers keeps a time limit of the transport's, or of ours, from being taken for the end of the caller's context.
func notTheCallers(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}

// isTimeout says whether err is of a time limit: the call's, the HTTP client's or a middleware's.
func isTimeout(err error) bool {
	var timed interface{ Timeout() bool }
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}

// tryState travels with a request's context: to tell middleware the operation, the auth transport the body, and the call whether a byte was sent.
type tryState struct {
	op   string
	body []byte
	stop context.CancelFunc // set if the request has no body of its own

	token                      atomic.Pointer[token.Token] // the last that was sent
	guarded, stopped           atomic.Bool
	over                       atomic.Bool // the call has moved on
	stage                      atomic.Int32
	wantedConn, gotConn, wrote atomic.Bool
}

// The stages of a try. Middleware may return before the transport under it does.
const (
	tryOutside  int32 = iota // not handed to the base transport
	tryInside                // handed to it
	tryReturned              // and returned
)

// enter says that the request is being handed to the base transport; false when the call has moved on, so that it must not be.
func (s *tryState) enter() bool {
	before := s.stage.Swap(tryInside)
	if s.over.Load() {
		s.stage.Store(before)
		return false
	}
	return true
}

func (s *tryState) leave() { s.stage.Store(tryReturned) }

// refused says that the server has refused the token, and so has done nothing: the try starts over.
func (s *tryState) refused() {
	s.wantedConn.Store(false)
	s.gotConn.Store(false)
	s.wrote.Store(false)
	s.stage.Store(tryOutside)
}

// guard says whether a write without a body has to carry an empty one that net/http cannot repeat. Over HTTP/2 it repeats a request without a body when the
// peer resets the stream; over HTTP/1 it does not, and an empty body would be sent in chunks. A guess at HTTP/1 that turns out wrong is noticed when the
// request gets its connection, before it is sent; see [tryState.connected].
func (s *tryState) guard(maybeHTTP2 bool) bool {
	if maybeHTTP2 {
		s.guarded.Store(true)
	}
	return s.guarded.Load()
}

type tryKey struct{}

func (s *tryState) into(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, tryKey{}, s)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:          func(string) { s.wantedConn.Store(true) },
		GotConn:          s.connected,
		WroteHeaderField: func(string, []string) { s.wrote.Store(true) },
		WroteHeaders:     func() { s.wrote.Store(true) },
	})
}

func (s *tryState) connected(conn httptrace.GotConnInfo) {
	s.gotConn.Store(true)
	secure, ok := conn.Conn.(interface{ ConnectionState() tls.ConnectionState })
	if ok && s.stop != nil && !s.guarded.Load() && secure.ConnectionState().NegotiatedProtocol == "h2" {
		s.stopped.Store(true)
		s.stop()
	}
}

func tryFrom(ctx context.Context) *tryState {
	s, _ := ctx.Value(tryKey{}).(*tryState)
	return s
}

// OperationFromContext names the operation that a request belongs to, such as "captures.create", or "do"; "" outside of this package's requests. It is for
// middleware: span names and metric labels of low cardinality.
func OperationFromContext(ctx context.Context) string {
	if s := tryFrom(ctx); s != nil {
		return s.op
	}
	return ""
}

// newBody returns no GetBody along with it, so that net/http cannot repeat the request.
func (s *tryState) newBody() io.ReadCloser {
	if len(s.body) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(s.body))
}

// notSent says whether it is certain that no byte of the request went out or will. A transport that does not report through httptrace leaves it uncertain,
// and so do one that is still at it and a try that was cut off after it had its connection.
func (s *tryState) notSent(cutOff bool) bool {
	switch stage := s.stage.Load(); {
	case stage == tryOutside:
		return true
	case stage == tryInside || s.wrote.Load():
		return false
	case s.gotConn.Load():
		return !cutOff
	}
	return s.wantedConn.Load()
}

func setCommonHeaders(h http.Header, userAgent, requestID string) {
	h.Set("Accept", "application/json")
	h.Set("User-Agent", userAgent)
	h.Set("Request-ID", requestID)
	h.Set("Request-Timestamp", timestamp())
}

func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

func newRequestID() string {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Sprintf("plural-%d", time.Now().UnixNano())
	}
	return id.String()
}

// trimURLError leaves the URL out of a transport's error: the operation and the order are named already.
func trimURLError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
