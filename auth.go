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

	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/token"
	"github.com/plural-go/plural/internal/wire"
)

// newTokenSource makes the source of tokens for a client. The request for a
// token goes directly to the base transport, so middleware never sees the
// client secret.
func newTokenSource(cfg *config, creds Credentials, p *peer.Peer) (*token.Source, error) {
	f := &tokenFetcher{
		peer:      p,
		url:       cfg.baseURL.JoinPath(tokenPath).String(),
		userAgent: cfg.userAgent,
		creds:     &creds,
		log:       cfg.log,
		observer:  cfg.observer,
	}
	if cfg.tokenStore == nil {
		return token.NewSource(
			func(ctx context.Context, _ *token.Token, _ bool) (*token.Token, error) { return f.fetch(ctx) },
			askedWait,
		), nil
	}
	vault, err := token.NewVault(
		cfg.tokenStore, creds.ClientSecret, cfg.baseText+"\x00"+creds.ClientID, f.log.storeFailed,
	)
	if err != nil {
		return nil, fmt.Errorf("plural: new client: %w", err)
	}
	var source *token.Source
	source = token.NewSource(func(ctx context.Context, old *token.Token, refused bool) (*token.Token, error) {
		// A store that has returned one refused token may hold more refused
		// tokens.
		skip := func(t *token.Token) bool {
			return refused || old != nil && t.Value == old.Value || source.Dead(t.Value)
		}
		return vault.Fetch(ctx, skip, f.fetch)
	}, askedWait)
	return source, nil
}

// askedWait returns how long the token endpoint asked the client to wait.
func askedWait(err error) time.Duration {
	if e := tokenAnswerError(err); e != nil {
		return e.RetryAfter
	}
	return 0
}

type tokenFetcher struct {
	peer      *peer.Peer
	url       string
	userAgent string
	creds     *Credentials // a pointer, so a printed client shows only an address
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

// The method fetch gets a token from Plural with one request (Plural's
// pre-authorisation guide, section 1). In the answers seen so far, the token's
// lifetime is in expires_at or in expires_in.
func (f *tokenFetcher) fetch(ctx context.Context) (t *token.Token, err error) {
	request := tokenRequest{f.creds.ClientID, f.creds.ClientSecret, "client_credentials"}
	body, err := json.Marshal(request) //nolint:gosec // the request for a token has to carry the secret
	if err != nil {
		return nil, err
	}
	requestID, began := newRequestID(), time.Now()
	defer func() {
		f.observer.notify(ctx, Observation{
			Operation: opToken.name, RequestID: requestID, Attempts: 1, Duration: time.Since(began), Err: err,
		})
	}()
	fail := func(a *answer, acceptErr error) error {
		a.secret = f.creds.ClientSecret
		return a.failure(opToken, "", requestID, 1, acceptErr)
	}
	var connected atomic.Pointer[net.Conn]
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connected.Store(&c.Conn) }}
	req, err := http.NewRequestWithContext(
		httptrace.WithClientTrace(ctx, trace), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return nil, fail(&answer{err: err}, nil)
	}
	req.GetBody = nil // with GetBody, net/http would repeat the request by itself
	req.Header = newHeader(f.userAgent, requestID, nil, true)
	req.Header.Set("Request-Timestamp", requestTimestamp())
	started := time.Now()
	resp, err := f.peer.RoundTrip(req) //nolint:bodyclose // readAnswer closes it
	a := &answer{err: foreign.Wrap(err, f.creds.ClientSecret)}
	if err == nil {
		a = readAnswer(resp, f.creds.ClientSecret)
	} else if conn := connected.Load(); conn != nil {
		f.peer.Distrust(*conn)
	}
	a.err = foreign.NotTheCallers(a.err)
	f.log.writeAttempt(ctx, opToken, req.URL.Path, a.status, requestID, 1, started)
	if a.err != nil || a.status < 200 || a.status > 299 {
		return nil, fail(a, nil)
	}
	var granted tokenAnswer
	if err := wire.Unmarshal(a.body, &granted); err != nil {
		return nil, fail(a, err)
	}
	const longest = 8192 // Plural's own limit
	if value := granted.AccessToken; value == "" || len(value) > longest || !isVisible(value) {
		return nil, fail(a, errors.New("the answer has no usable access_token"))
	}
	date, _ := http.ParseTime(a.header.Get("Date"))
	life := token.Lifetime(granted.AccessToken, granted.ExpiresAt, granted.ExpiresIn, date, started)
	return token.New(granted.AccessToken, started, life), nil
}
