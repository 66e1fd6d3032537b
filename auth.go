package plural

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plural-go/plural/internal/token"
	"github.com/plural-go/plural/internal/wire"
)

// Credentials are what Plural's onboarding team gives to a merchant. They print
// as a placeholder under every fmt verb, in slog and in JSON. Only as an
// unexported field of another struct fmt shows them, and under %p or a %w that
// does not belong there, which go vet refuses: it asks no value how to print
// itself then. Give them to [NewClient] and let them go.
type Credentials struct {
	ClientID     string
	ClientSecret string
}

// TokenStore lets the processes of a fleet share one access token, so that all
// of them together fetch one. It holds opaque bytes: the token is sealed with
// AES-GCM under a key derived from the client secret and bound to the base URL
// and the client id, and the key names are hashes. The store need not be
// trusted to keep secrets.
//
// No call fails because of its store: one that fails, hangs, panics or returns
// nonsense is left out after two seconds, and the token is fetched directly.
type TokenStore interface {
	// Load returns what was last saved under key, and nil, nil when there is
	// nothing.
	Load(ctx context.Context, key string) (sealed []byte, err error)
	// Save keeps sealed under key, for ttl.
	Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error
	// Lock blocks until the caller holds the lock named key, or ctx ends. The lock
	// frees itself after ttl. The context is for the waiting alone: it is
	// cancelled once the lock is held.
	Lock(ctx context.Context, key string, ttl time.Duration) (unlock func(context.Context), err error)
}

func (c Credentials) validate() error {
	for _, f := range []struct{ name, value string }{{"client id", c.ClientID}, {"client secret", c.ClientSecret}} {
		if f.value == "" {
			return fmt.Errorf("plural: new client: the %s is empty", f.name)
		}
		for _, r := range f.value {
			if r <= ' ' || r >= 0x7f {
				return fmt.Errorf(
					"plural: new client: the %s has a space, a control character or a character outside ASCII",
					f.name,
				)
			}
		}
	}
	return nil
}

// authTransport adds the access token to requests for the base URL's host, and
// to no other. It fetches the token, keeps it fresh, and heals a refused token:
// it gets another and sends the request once more, and, where that one came
// from a store, which may keep old ones, a last time with one that did not.
type authTransport struct {
	peer   *peer
	origin *url.URL
	source *token.Source
}

// RoundTrip sends req with a token. The answer's Request is req itself, without
// the token.
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
		return nil, &tokenError{err}
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
			return nil, &tokenError{err}
		}
		resp, err := t.send(try, req, again(try, req), tok)
		// A store may have handed out another old one. After two it is not asked.
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !tok.Stored || tries > 0 {
			return resp, err
		}
		discard(resp.Body)
	}
}

func (t *authTransport) send(
	try *tryState,
	req *http.Request,
	body io.ReadCloser,
	tok *token.Token,
) (*http.Response, error) {
	authorized := req.WithContext(withoutTokenInTraces(req.Context(), try))
	authorized.Body = body
	values := [...]string{"Bearer " + tok.Value, timestamp()} // of now: the token may have been waited for
	authorized.Header = maps.Clone(req.Header)
	if authorized.Header == nil {
		authorized.Header = http.Header{}
	}
	authorized.Header["Authorization"] = values[0:1:1]
	authorized.Header["Request-Timestamp"] = values[1:2:2]
	// whatever middleware has added, net/http must not repeat a write
	if req.Method != http.MethodGet {
		authorized.GetBody = nil
		authorized.Header.Del("Idempotency-Key")
		authorized.Header.Del("X-Idempotency-Key")
		if (body == nil || body == http.NoBody) && try.guard(!t.peer.speaksHTTP1.Load()) {
			authorized.Body = io.NopCloser(bytes.NewReader(nil))
		}
	}
	if err := req.Context().Err(); err != nil { // the base transport would say the same, and not whether it had begun
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

// peer is the base transport, and what it has told about the server.
type peer struct {
	base        http.RoundTripper
	speaksHTTP1 atomic.Bool // the last answer came by it
}

// RoundTrip holds a transport that is not net/http's to the contract: an answer
// with a body, or an error.
func (p *peer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the HTTP client's transport gave neither an answer nor an error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if isHTTP1 := resp.ProtoMajor == 1; p.speaksHTTP1.Load() != isHTTP1 {
		p.speaksHTTP1.Store(isHTTP1)
	}
	return resp, nil
}

// tracedContext hands out its own trace in place of the one under it.
type tracedContext struct {
	context.Context //nolint:containedctx // it is a context

	trace *httptrace.ClientTrace
}

// Value is the context's, but for the trace.
func (c tracedContext) Value(key any) any {
	v := c.Context.Value(key)
	if _, isTrace := v.(*httptrace.ClientTrace); isTrace {
		return c.trace
	}
	return v
}

// withoutTokenInTraces keeps the token from those who follow the request by
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

// again is the request's body once more. Writes carry no GetBody, because
// net/http would repeat them by itself; the call's own bytes serve instead.
func again(try *tryState, req *http.Request) io.ReadCloser {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body
	}
	return try.newBody()
}

// askedWait is how long the token endpoint asked to wait.
func askedWait(err error) time.Duration {
	if e := tokenAnswerError(err); e != nil {
		return e.RetryAfter
	}
	return 0
}

type tokenFetcher struct {
	peer      *peer
	url       string
	userAgent string
	creds     *Credentials // behind a pointer, so that printing the client prints an address
	log       logger
}

type tokenRequest struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	GrantType    string `json:"grant_type"`
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresAt   string `json:"expires_at"`
	ExpiresIn   string `json:"expires_in"`
}

// fetch gets a token from Plural, in one request (Plural's pre-authorisation
// guide, section 1). The answers seen carry expires_at or expires_in.
func (f *tokenFetcher) fetch(ctx context.Context) (*token.Token, error) {
	request := tokenRequest{f.creds.ClientID, f.creds.ClientSecret, "client_credentials"}
	body, err := json.Marshal(request) //nolint:gosec // this is where the secret goes
	if err != nil {
		return nil, err
	}
	requestID := newRequestID()
	fail := func(a *answer) error {
		a.secret = f.creds.ClientSecret
		return a.failure(opToken, "", requestID, 1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return nil, fail(&answer{err: err})
	}
	req.GetBody = nil // net/http would repeat the request by itself
	req.Header.Set("Content-Type", "application/json")
	setCommonHeaders(req.Header, f.userAgent, requestID)
	started := time.Now()
	resp, err := f.peer.RoundTrip(req) //nolint:bodyclose // readAnswer closes it
	a := &answer{err: err}
	if err == nil {
		a = readAnswer(resp)
	}
	if a.err != nil {
		a.err = notTheCallers(described(a.err))
	}
	f.log.attempt(ctx, opToken, req.URL.Path, a.status, requestID, 1, time.Since(started))
	if a.err != nil || a.status < 200 || a.status > 299 {
		return nil, fail(a)
	}
	var t tokenAnswer
	if err := wire.Unmarshal(a.body, &t); err != nil {
		a.err = err
		return nil, fail(a)
	}
	if !validToken(t.AccessToken) {
		a.err = errors.New("the answer has no usable access_token")
		return nil, fail(a)
	}
	date, _ := http.ParseTime(a.header.Get("Date"))
	return token.New(t.AccessToken, started, token.Lifetime(t.AccessToken, t.ExpiresAt, t.ExpiresIn, date, started)), nil
}

// validToken says whether the token can stand in a header. Plural states 1 to
// 8192 characters.
func validToken(value string) bool {
	if value == "" || len(value) > 8192 {
		return false
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			return false
		}
	}
	return true
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
