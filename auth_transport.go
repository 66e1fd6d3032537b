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

// authTransport adds the access token to requests to the base URL's host, and
// to no other requests. It fetches the token and keeps it fresh. If the server
// refuses the token, authTransport gets another token and sends the request
// again. A store may keep old tokens. So if the second token is from a store
// and is refused too, authTransport sends the request a last time, with a token
// that is not from the store.
type authTransport struct {
	peer   *peer.Peer
	origin *url.URL
	source *token.Source
}

// RoundTrip sends req with a token. The response's Request is req, which has no
// token, so middleware cannot see the token there.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != t.origin.Scheme || req.URL.Host != t.origin.Host {
		closeBody(req)
		return nil, errors.New("the access token goes to " + t.origin.Host + " only")
	}
	try := tryFrom(req.Context())
	if try == nil {
		closeBody(req)
		return nil, errors.New("middleware has replaced the request's context: middleware must pass the context on")
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
	discardBody(resp.Body) // done before the token fetch, which may need the connection
	for tries := 0; ; tries++ {
		try.refused()
		t.source.Invalidate(tok)
		if tok, err = t.source.Get(req.Context()); err != nil {
			return nil, try.noToken(err)
		}
		resp, err := t.send(try, req, resendBody(try, req), tok)
		// A store may have returned another old token. After two refused
		// tokens, the store is no longer asked.
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !tok.Stored || tries > 0 {
			return resp, err
		}
		discardBody(resp.Body)
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
	authorized.Header.Set("Request-Timestamp", requestTimestamp()) // after the wait for the token
	// GetBody or one of these headers, which middleware may have added, would
	// allow net/http to repeat a write.
	if req.Method != http.MethodGet {
		authorized.GetBody = nil
		delete(authorized.Header, "Idempotency-Key")
		delete(authorized.Header, "X-Idempotency-Key")
		// An empty body that middleware has wrapped would be sent without a
		// length.
		if len(try.body) == 0 {
			closeBody(authorized)
			authorized.Body, authorized.ContentLength = http.NoBody, 0
		}
	}
	// Once the context has ended, an error of the base transport does not show
	// whether sending had begun. So a request whose context has ended is not
	// sent.
	if err := req.Context().Err(); err != nil {
		closeBody(authorized)
		return nil, err
	}
	try.token.Store(tok)
	if !try.enterTransport() {
		closeBody(authorized)
		return nil, errors.New("the try was given up before it was sent")
	}
	defer try.leaveTransport()
	resp, err := t.peer.RoundTrip(authorized)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// tracedContext wraps another context, and replaces the trace of that context
// with the trace in the field trace.
type tracedContext struct {
	context.Context //nolint:containedctx // a wrapper has to embed the wrapped context

	trace *httptrace.ClientTrace
}

// Value returns the wrapped context's value for key. If that value is a trace,
// Value returns the trace in the field trace instead.
func (c tracedContext) Value(key any) any {
	v := c.Context.Value(key)
	if _, isTrace := v.(*httptrace.ClientTrace); isTrace {
		return c.trace
	}
	return v
}

// withoutTokenInTraces hides the token from code that traces the request with
// httptrace, such as middleware.
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
// the call's own bytes. The request of a write has no GetBody. If the request
// had a GetBody, net/http could repeat the write by itself.
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
