package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/token"
	"github.com/plural-go/plural/internal/wire"
)

// pipeline is what all calls of a client share.
type pipeline struct {
	cfg       *config
	transport http.RoundTripper // middleware, the authTransport with the token, and the base transport
	peer      *peer             // that base transport
	jar       http.CookieJar    // of the user's client; may be nil
	tokens    *token.Source
}

// call is one logical call: its request, encoded once, and how often that was
// sent.
type call struct {
	p              *pipeline
	op             operation
	url            url.URL
	body           []byte
	cfg            *callConfig
	requestID      string
	subject        string // the order or reference, for errors
	orderID        string // what it is about, for middleware and the observer
	reference      string
	attempts       int
	isSettlingRead bool // it asks what became of another call
	askedBooks     bool // the books were asked what became of it
	cut            bool // the caller's deadline cut a try short, or left no time for another

	clock *serverClock // of a write, which its settling reads share; nil of other calls
}

// newCall makes a call of a request that passes its checks.
func (p *pipeline) newCall(
	ctx context.Context,
	op operation,
	path, subject string,
	in any,
	found checks,
	opts []CallOption,
) (*call, error) {
	cfg := newCallConfig(opts)
	found.must(ctx != nil, "ctx", "must not be nil")
	found.obey(cfg)
	var body []byte
	if in != nil {
		body = found.encode(in)
	}
	if err := found.err(op); err != nil {
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

// callWith makes a call that shares another's options, such as the settling
// read of a write.
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

// read sends until decode accepts an answer. For requests that have no effect.
func (k *call) read(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.observe(ctx, time.Now(), &err)
	for {
		a := k.try(ctx)
		if a.class() == classOK {
			if a.err = decode(a); a.err == nil {
				return nil
			}
		}
		failure := k.failure(a)
		if !failure.Retryable() || !k.again(ctx, a) {
			return k.orEnded(ctx, failure)
		}
	}
}

// once sends at most once; only a try of which nothing was sent is followed by
// another.
func (k *call) once(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.observe(ctx, time.Now(), &err)
	for {
		a := k.try(ctx)
		switch a.class() {
		case classOK:
			if a.err = decode(a); a.err == nil {
				return nil
			}
			if a.document().code().isDefinitive() {
				return k.failure(a)
			}
			if wire.Check(a.body) == nil {
				a.err = fmt.Errorf("the request was accepted, and its answer was not understood: %w", a.err)
				return k.failure(a)
			}
		case classRejected, classThrottled:
			return k.failure(a)
		case classNotSent:
			failure := k.failure(a)
			if failure.Retryable() && k.again(ctx, a) {
				continue
			}
			return k.orEnded(ctx, failure)
		case classAmbiguous:
		}
		return &OutcomeUnknownError{Op: k.op.op(), Err: k.orEnded(ctx, k.failure(a))}
	}
}

// warm has the token fetched, like a call of which nothing is sent.
func (k *call) warm(ctx context.Context) error {
	for {
		k.attempts++
		_, err := k.p.tokens.Get(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, ctx.Err()) {
			err = endOf(ctx)
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

// retries reports whether the request is to be sent again, because nothing of
// it was sent or the server did not take it, and waits until then.
func (k *call) retries(ctx context.Context, a *answer, class class, failure *Error) bool {
	return (class == classNotSent || class == classThrottled) && failure.Retryable() && k.again(ctx, a)
}

// again waits for the next attempt; false when there is none, or no time for
// it.
func (k *call) again(ctx context.Context, a *answer) bool {
	if k.attempts >= k.maxAttempts() {
		return false
	}
	return k.pause(ctx, k.attempts, a)
}

// pause waits as long as the policy says after try number n, and as long as the
// answer asked for.
func (k *call) pause(ctx context.Context, n int, a *answer) bool {
	wait := k.p.cfg.retry.Backoff(n)
	if askedWait(a.err) > retry.MaxRetryAfter {
		return false
	}
	if asked := a.retryAfter(); asked > retry.MaxRetryAfter {
		return false
	} else if asked > wait {
		wait = asked
	}
	k.cut = k.cut || !retry.Fits(ctx, wait)
	return retry.Wait(ctx, wait)
}

func (k *call) maxAttempts() int {
	most := k.p.cfg.retry.MaxAttempts
	switch {
	case k.cfg.tries > 0:
		return k.cfg.tries
	case k.isSettlingRead:
		return max(most, minLooks)
	case k.cfg.withoutRetry:
		return 1
	}
	return most
}

// orEnded adds the context's error to a failure that was not repeated because
// of it, also where the context has not ended yet but left no time.
func (k *call) orEnded(ctx context.Context, err *Error) error {
	ended, is := endOf(ctx), ctx.Err()
	if ended == nil && k.cut {
		ended, is = context.DeadlineExceeded, context.DeadlineExceeded
	}
	if ended != nil && !errors.Is(err, is) {
		err.Err = errors.Join(ended, err.Err)
	}
	return err
}

// endOf is how the context ended: its error and, where the caller gave one, the
// cause.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err { //nolint:errorlint // it is err itself where none was given
		return fmt.Errorf("%w: %w", err, foreign(cause))
	}
	return err
}

// errAttemptTimeout ends one try. Unlike the end of the caller's context it is
// followed by another.
var errAttemptTimeout = errors.New("no answer within the attempt timeout")

// errWouldRepeat ends a try that net/http was about to send a second time.
var errWouldRepeat = errors.New("the connection broke off before an answer came")

// try sends the request once.
func (k *call) try(ctx context.Context) *answer {
	k.attempts++
	sent := time.Now()
	a := k.send(ctx)
	k.clock.note(sent, time.Now(), a.header)
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

func (k *call) send(ctx context.Context) *answer {
	if err := endOf(ctx); err != nil {
		return &answer{err: err, notSent: true}
	}
	began := time.Now()
	limit := retry.AttemptTimeout(ctx, began, k.p.cfg.attemptTimeout, k.op.settles)
	tryCtx, cancel := context.WithDeadlineCause(ctx, began.Add(limit), errAttemptTimeout)
	defer cancel()
	state := &tryState{
		op: k.op.name, orderID: k.orderID, reference: k.reference, body: k.body,
		attempt: k.attempts, isSettling: k.isSettlingRead,
		url:   k.url, // a copy: middleware may change it
		isOwn: len(k.p.cfg.middleware) == 0,
	}
	if k.op.method != http.MethodGet && len(k.body) == 0 {
		state.stop = cancel
	}
	header := newHeader(k.p.cfg.userAgent, k.requestID, k.cfg.header, k.body != nil)
	req := (&http.Request{
		Method: k.op.method, URL: &state.url, Host: k.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(state.into(tryCtx))
	if k.op.method != http.MethodGet {
		req.Body = state.newBody()
		req.ContentLength = int64(len(k.body))
	}
	resp, err := k.p.roundTrip(req) //nolint:bodyclose // readAnswer closes it
	state.over.Store(true)
	var a *answer
	if err == nil {
		a = readAnswer(resp, state.secret())
	} else {
		a = &answer{err: state.failed(err), secret: state.secret()}
	}
	isStopped := state.stopped.Load()
	k.cut = k.cut || limit < k.p.cfg.attemptTimeout && tryCtx.Err() != nil && !isStopped
	k.p.cfg.log.attempt(ctx, k.op, k.url.Path, a.status, k.requestID, k.attempts, began)
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
			a.err = notTheCallers(a.err)
		}
		if a.status == 0 && !a.notSent && !errors.Is(ctx.Err(), context.Canceled) {
			k.p.peer.distrust(state.lastConn())
		}
	}
	return a
}

// roundTrip sends a request. It is what an [http.Client] does beside following
// redirects, which nothing here does.
func (p *pipeline) roundTrip(req *http.Request) (*http.Response, error) {
	if p.jar != nil {
		for _, cookie := range p.jar.Cookies(req.URL) {
			req.AddCookie(cookie)
		}
	}
	resp, err := p.transport.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errors.New("a middleware gave neither an answer nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if p.jar != nil {
		if cookies := resp.Cookies(); len(cookies) > 0 {
			p.jar.SetCookies(req.URL, cookies)
		}
	}
	return resp, nil
}

// asking is a call that asks for what k did, after k has ended. It shares
// nothing with k that changes.
func (k *call) asking() *call {
	cfg, clock := *k.cfg, *k.clock
	cfg.into = nil
	again := *k
	again.cfg, again.clock, again.cut = &cfg, &clock, false
	return &again
}

func (k *call) failure(a *answer) *Error {
	return a.failure(k.op, k.subject, k.requestID, k.attempts)
}

// observe tells of the call once it has ended; for defer. A settling read is a
// part of its write.
func (k *call) observe(ctx context.Context, began time.Time, err *error) {
	if k.isSettlingRead || k.p.cfg.observer == nil {
		return
	}
	k.p.cfg.observer.tell(ctx, Observation{
		Operation: k.op.name, OrderID: k.orderID, Reference: k.reference, RequestID: k.requestID,
		Attempts: k.attempts, Settled: k.askedBooks, Duration: time.Since(began), Err: *err,
	})
}

// minLooks is how often books that do not settle a matter are looked at, at the
// least, however few the attempts.
const minLooks = 4
