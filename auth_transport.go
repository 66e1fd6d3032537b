package plural

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/token"
)

// authTransport adds the access token to requests for the base URL's host, and
// to no other. It fetches the token and keeps it fresh. If a token is refused,
// it gets another one and sends the request again. A store may keep old tokens.
// So if the second token came from a store and is refused too, it sends a last
// time with a token that is not from the store.
type authTransport struct {
	peer   *peer.Peer
	origin *url.URL
	source *token.Source
}

// RoundTrip sends req with a token. The response's Request is req, which has no
// token, so middleware cannot see one there.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != t.origin.Scheme || req.URL.Host != t.origin.Host {
		closeBody(req)
		return nil, errors.New("the access token goes to " + t.origin.Host + " only")
	}
	try := tryFrom(req.Context())
	if try == nil {
		closeBody(req)
		return nil, errors.New("a middleware has replaced the request's context: it must pass it on")
	}
	try.begin()
	tok, err := t.source.Get(req.Context())
	if err != nil {
		closeBody(req)
		return nil, try.noToken(err)
	}
	resp, err := t.send(try, req, req.Body, tok)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	discard(resp.Body) // before the fetch, which may need the connection
	for tries := 0; ; tries++ {
		try.refused()
		t.source.Invalidate(tok)
		if tok, err = t.source.Get(req.Context()); err != nil {
			return nil, try.noToken(err)
		}
		resp, err := t.send(try, req, resendBody(try, req), tok)
		// A store may have returned another old token. After two refused
		// tokens, the store is not asked any more.
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !tok.Stored || tries > 0 {
			return resp, err
		}
		discard(resp.Body)
	}
}

func (t *authTransport) send(
	try *tryState, req *http.Request, body io.ReadCloser, tok *token.Token,
) (*http.Response, error) {
	authorized := req.WithContext(withoutTokenInTraces(req.Context(), try))
	authorized.Header = maps.Clone(req.Header)
	if authorized.Header == nil {
		authorized.Header = http.Header{}
	}
	authorized.Body = body
	authorized.Header.Set("Authorization", "Bearer "+tok.Value)
	authorized.Header.Set("Request-Timestamp", requestTimestamp()) // now: the wait for the token may have been long
	// net/http must not repeat a write, whatever middleware has added
	if req.Method != http.MethodGet {
		authorized.GetBody = nil
		delete(authorized.Header, "Idempotency-Key")
		delete(authorized.Header, "X-Idempotency-Key")
		if len(try.body) == 0 { // a wrapped body would be sent without a length
			closeBody(authorized)
			authorized.Body, authorized.ContentLength = http.NoBody, 0
		}
	}
	if err := req.Context().Err(); err != nil { // the base transport would hide whether it had begun
		closeBody(authorized)
		return nil, err
	}
	try.token.Store(tok)
	if !try.enter() {
		closeBody(authorized)
		return nil, errors.New("the try was given up before it was sent")
	}
	defer try.leave()
	resp, err := t.peer.RoundTrip(authorized)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// tracedContext returns its own trace in place of the trace of the context that
// it wraps.
type tracedContext struct {
	context.Context //nolint:containedctx // a wrapper of a context has to embed it

	trace *httptrace.ClientTrace
}

// Value returns the value of the wrapped context, except for the trace.
func (c tracedContext) Value(key any) any {
	v := c.Context.Value(key)
	if _, isTrace := v.(*httptrace.ClientTrace); isTrace {
		return c.trace
	}
	return v
}

// withoutTokenInTraces hides the token from code that follows the request by
// httptrace, as middleware does.
func withoutTokenInTraces(ctx context.Context, try *tryState) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.WroteHeaderField == nil || trace == &try.trace && !try.isTraced {
		return ctx
	}
	quiet := *trace
	quiet.WroteHeaderField = func(name string, values []string) {
		if strings.EqualFold(name, "Authorization") {
			values = []string{redacted}
		}
		trace.WroteHeaderField(name, values)
	}
	return tracedContext{ctx, &quiet}
}

// resendBody returns another copy of the request's body. It makes the copy from
// the call's own bytes. Writes have no GetBody, because with one net/http would
// repeat them by itself.
func resendBody(try *tryState, req *http.Request) io.ReadCloser {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body
	}
	return try.newBody()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
