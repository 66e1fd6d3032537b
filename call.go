package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/token"
)

// pipeline holds what all calls of a client share.
type pipeline struct {
	cfg    *config
	http   *http.Client  // its transport is the chain of middleware, authTransport and base transport
	peer   *peer.Peer    // the base transport at the end of that chain
	tokens *token.Source // where the authTransport gets its tokens
}

// A call sends one request. The request is encoded once, and may be sent
// several times.
type call struct {
	p              *pipeline
	op             operation
	url            url.URL
	body           []byte
	cfg            *callConfig
	requestID      string
	subject        string // the order's id or the reference, for error texts
	orderID        string // the order that the call is about, for middleware and the observer
	reference      string
	attempts       int
	isSettlingRead bool // the call reads the books to find out what happened to another call
	askedBooks     bool // the books were read to find out what happened to the call
	ambiguous      bool // a try of the call may have been carried out
	cut            bool // the caller's deadline cut a try short, or left no time for another try

	// what the answers show about the server's clock. A trackedWrite shares
	// one clock with the calls that read the books for it. For all other
	// calls, the field is nil
	clock *serverClock
}

// newCall makes a call from a request. It fails if the request does not pass
// its checks.
func (p *pipeline) newCall(
	ctx context.Context, op operation, path, subject string, in any, check requestCheck, opts []CallOption,
) (*call, error) {
	cfg := newCallConfig(opts)
	check.must(ctx != nil, "ctx", "must not be nil")
	check.applyOptions(cfg)
	var body []byte
	if in != nil {
		body = check.encode(in)
	}
	if err := check.err(op); err != nil {
		return nil, err
	}
	k, err := p.callWith(cfg, op, path, body)
	if err != nil {
		return nil, err
	}
	k.subject, k.orderID = subject, subject
	if op.byReference {
		k.orderID, k.reference = "", subject
	}
	return k, nil
}

// callWith makes a call with the options in cfg. If the call reads the books to
// find out what happened to a write, cfg has the options of that write.
func (p *pipeline) callWith(cfg *callConfig, op operation, path string, body []byte) (*call, error) {
	k := &call{p: p, op: op, cfg: cfg, requestID: cfg.requestID, body: body}
	if k.requestID == "" {
		k.requestID = newRequestID()
		cfg.requestID = k.requestID
	}
	var err error
	if k.url, err = p.cfg.address(path); err != nil {
		return nil, &ValidationError{Op: op.op(), Fields: []FieldError{{Field: "path", Rule: "is not a URL path"}}}
	}
	return k, nil
}

// errAttemptTimeout ends one try. Another try may follow, unless the caller's
// context has ended too.
var errAttemptTimeout = errors.New("no answer within the attempt timeout")

// errWouldRepeat ends a try that net/http was about to send a second time.
var errWouldRepeat = errors.New("the connection broke off before an answer came")

// tryOnce makes one try of the call. It sends the request once, and fills the
// Response of [WithResponseInto].
func (k *call) tryOnce(ctx context.Context) *answer {
	k.attempts++
	sent := time.Now()
	a := k.exchange(ctx)
	k.clock.noteDate(sent, time.Now(), a.header)
	if into := k.cfg.into; into != nil {
		attempts := k.attempts
		if k.isSettlingRead {
			attempts = into.Attempts
		}
		*into = Response{StatusCode: a.status, Header: a.header, RequestID: k.requestID, Attempts: attempts}
		if a.body != "" {
			into.Body = []byte(a.body)
		}
	}
	return a
}

// The method exchange sends the request once, within the time limit of one try.
func (k *call) exchange(ctx context.Context) *answer {
	if err := endOf(ctx); err != nil {
		return &answer{err: err, notSent: true}
	}
	if k.op.name == opToken.name {
		return k.fetchToken(ctx)
	}
	began := time.Now()
	limit := retry.AttemptTimeout(ctx, began, k.p.cfg.attemptTimeout, k.op.settles)
	tryCtx, cancel := context.WithDeadlineCause(ctx, began.Add(limit), errAttemptTimeout)
	defer cancel()
	state := &tryState{
		op: k.op.name, orderID: k.orderID, reference: k.reference, body: k.body,
		attempt: k.attempts, isSettling: k.isSettlingRead,
		url: k.url, // a copy, because middleware may change it
	}
	if k.op.method != http.MethodGet && len(k.body) == 0 {
		state.stop = cancel
	}
	header := newHeader(k.p.cfg.userAgent, k.requestID, k.cfg.header, k.body != nil)
	req := (&http.Request{
		Method: k.op.method, URL: &state.url, Host: k.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(state.trackedContext(tryCtx))
	if k.op.method != http.MethodGet {
		req.Body = state.newBody()
		req.ContentLength = int64(len(k.body))
	}
	resp, err := k.p.http.Do(req) //nolint:bodyclose // readAnswer closes it
	state.over.Store(true)
	var a *answer
	if err == nil {
		a = readAnswer(resp, state.sentToken())
	} else {
		a = &answer{err: state.tryError(err), secret: state.sentToken()}
	}
	isStopped := state.stopped.Load()
	k.cut = k.cut || limit < k.p.cfg.attemptTimeout && tryCtx.Err() != nil && !isStopped
	k.p.cfg.log.writeAttempt(ctx, k.op, k.url.Path, a.status, k.requestID, k.attempts, began)
	if a.err != nil {
		a.notSent = a.status == 0 && state.notSent(tryCtx.Err() != nil || isTimeout(a.err))
		switch ended := endOf(ctx); {
		case ended != nil:
			a.err = ended
		case isStopped:
			a.err = errWouldRepeat
		case tryCtx.Err() != nil:
			a.err = errAttemptTimeout
		default:
			a.err = foreign.NotTheCallers(a.err)
		}
		if a.status == 0 && !a.notSent && !errors.Is(ctx.Err(), context.Canceled) {
			k.p.peer.Distrust(state.lastConn())
		}
	}
	return a
}

// fetchToken tries once to get a token, and sends no other request.
func (k *call) fetchToken(ctx context.Context) *answer {
	_, err := k.p.tokens.Get(ctx)
	switch {
	case err == nil:
		return &answer{status: http.StatusNoContent}
	case errors.Is(err, ctx.Err()):
		err = endOf(ctx)
	}
	return &answer{err: err, notSent: true}
}

// endOf returns the error of a context that has ended, together with the cause
// if the caller gave one. It returns nil while the context has not ended.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err { //nolint:errorlint // if the caller gave no cause, cause is err
		return fmt.Errorf("%w: %w", err, foreign.Wrap(cause))
	}
	return err
}

// settlingCopy returns a copy of k that shares no changing data with k. After
// the call k has ended, the copy can read the books to find out what happened
// to k's request.
func (k *call) settlingCopy() *call {
	cfg, clock := *k.cfg, *k.clock
	cfg.into = nil
	again := *k
	again.cfg, again.clock, again.cut = &cfg, &clock, false
	return &again
}

func (k *call) failure(a *answer, acceptErr error) *Error {
	return a.failure(k.op, k.subject, k.requestID, k.attempts, acceptErr)
}

// notifyObserver reports to the observer that a call has ended. Use
// notifyObserver with defer. Some calls only read the books, to find out what
// happened to another call. notifyObserver does not report such a call, because
// the call is a part of that other call.
func (k *call) notifyObserver(ctx context.Context, began time.Time, err *error) {
	if k.isSettlingRead || k.p.cfg.observer == nil {
		return
	}
	k.p.cfg.observer.notify(ctx, Observation{
		Operation: k.op.name, OrderID: k.orderID, Reference: k.reference, RequestID: k.requestID,
		Attempts: k.attempts, Settled: k.askedBooks, Duration: time.Since(began), Err: *err,
	})
}
