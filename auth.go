package plural

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/plural-go/plural/internal/token"
	"github.com/plural-go/plural/internal/wire"
)

// Credentials are what Plural's onboarding team gives to a merchant. They print
// as a placeholder under every fmt verb, in slog and in JSON. fmt shows them in
// two cases: in an unexported field of another struct, and under %p or a
// misplaced %w, which go vet refuses. So give them to [NewClient] and keep no
// copy.
type Credentials struct {
	ClientID     string
	ClientSecret string
}

// TokenStore lets the processes of a fleet share one access token, so all of
// them together fetch one. It holds opaque bytes: the token is sealed with
// AES-GCM under a key derived from the client secret and bound to the base URL
// and the client id, and the key names are hashes. The store need not be
// trusted to keep secrets.
//
// No call fails because of its store: one that fails, hangs, panics or returns
// nonsense is left out after two seconds, and the token is fetched directly.
type TokenStore interface {
	// Load returns what was last saved under key, and nil, nil when there is
	// nothing. It is called ten times a second while Lock waits, and a token that
	// is found ends the waiting.
	Load(ctx context.Context, key string) (sealed []byte, err error)
	// Save keeps sealed under key, for ttl.
	Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error
	// Lock blocks until the caller holds the lock named key, or ctx ends. The lock
	// frees itself after ttl. The context is for the waiting alone: it is
	// cancelled once the lock is held or not needed any more.
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
	creds     *Credentials // behind a pointer, so printing the client prints an address
	log       logger
	observer  observer
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
func (f *tokenFetcher) fetch(ctx context.Context) (t *token.Token, err error) {
	request := tokenRequest{f.creds.ClientID, f.creds.ClientSecret, "client_credentials"}
	body, err := json.Marshal(request) //nolint:gosec // the request for a token has to carry the secret
	if err != nil {
		return nil, err
	}
	requestID, began := newRequestID(), time.Now()
	defer func() {
		f.observer.tell(ctx, Observation{
			Operation: opToken.name, RequestID: requestID, Attempts: 1, Duration: time.Since(began), Err: err,
		})
	}()
	fail := func(a *answer) error {
		a.secret = f.creds.ClientSecret
		return a.failure(opToken, "", requestID, 1)
	}
	var connected atomic.Pointer[net.Conn]
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connected.Store(&c.Conn) }}
	req, err := http.NewRequestWithContext(
		httptrace.WithClientTrace(ctx, trace), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return nil, fail(&answer{err: err})
	}
	req.GetBody = nil // net/http would repeat the request by itself
	req.Header = newHeader(f.userAgent, requestID, nil, true)
	req.Header.Set("Request-Timestamp", timestamp())
	started := time.Now()
	resp, err := f.peer.RoundTrip(req) //nolint:bodyclose // readAnswer closes it
	a := &answer{err: foreign(err, f.creds.ClientSecret)}
	if err == nil {
		a = readAnswer(resp, f.creds.ClientSecret)
	} else if conn := connected.Load(); conn != nil {
		f.peer.distrust(*conn)
	}
	a.err = notTheCallers(a.err)
	f.log.attempt(ctx, opToken, req.URL.Path, a.status, requestID, 1, started)
	if a.err != nil || a.status < 200 || a.status > 299 {
		return nil, fail(a)
	}
	var granted tokenAnswer
	if err := wire.Unmarshal(a.body, &granted); err != nil {
		a.err = err
		return nil, fail(a)
	}
	if !validToken(granted.AccessToken) {
		a.err = errors.New("the answer has no usable access_token")
		return nil, fail(a)
	}
	date, _ := http.ParseTime(a.header.Get("Date"))
	life := token.Lifetime(granted.AccessToken, granted.ExpiresAt, granted.ExpiresIn, date, started)
	return token.New(granted.AccessToken, started, life), nil
}

// validToken reports whether the token can stand in a header. Plural states 1
// to 8192 characters.
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
