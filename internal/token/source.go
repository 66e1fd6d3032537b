// Package token keeps an access token fresh for any number of callers.
package token

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Token is an access token.
type Token struct {
	Value   string
	Expires time.Time // when the server stops accepting the token; monotonic, unless the token came from a store
	Refresh time.Time // when to start fetching the next token
	Stored  bool      // the token came from a store
}

// New makes a token. Its lifetime begins at startTime.
func New(value string, startTime time.Time, lifetime time.Duration) *Token {
	expires := startTime.Add(lifetime)
	return &Token{Value: value, Expires: expires, Refresh: expires.Add(-refreshMargin(lifetime))}
}

// FetchTimeout limits the time of one fetch. A fetch does not end when the
// callers that wait for it give up.
const FetchTimeout = 30 * time.Second

// The limits for the waits after failed fetches. Each failure doubles the wait.
// There is no timer: later calls look at the clock to see whether the wait is
// over.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 8 * time.Second
	maxAsked   = 60 * time.Second // the longest wait that an answer can ask for
)

// maxDead is how many refused tokens are remembered.
const maxDead = 8

// If the server refuses a token within refusedSoon after the token's arrival,
// the token was probably never valid.
const refusedSoon = time.Minute

// FetchError is the error of a failed fetch. All callers that waited for the
// fetch get the same FetchError.
type FetchError struct {
	Err   error
	Until time.Time // until this time no fetch starts, and callers get this error
}

func (f *FetchError) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *FetchError) Unwrap() error { return f.Err }

// ErrPanicked replaces a panic in fetch. Such a panic can come from code that
// the caller supplies: the transport or the store.
var ErrPanicked = errors.New("fetching the access token panicked")

var errNothing = errors.New("fetching the access token returned no token")

// Source hands out one token to all callers and replaces it before it expires.
// Its zero value is not usable; see [NewSource].
type Source struct {
	fetch         func(ctx context.Context, old *Token, refused bool) (*Token, error)
	requestedWait func(error) time.Duration
	current       atomic.Pointer[Token]

	mu       sync.Mutex // held for a few instructions, never across a fetch
	flight   *flight
	failed   *FetchError
	failures int
	// dead has the last tokens that were refused. Each token is inside a
	// function. Some code prints all fields of a value by reflection. Such code
	// would print the text of a token, but it prints only the address of a
	// function.
	dead     []func(value string) bool
	landed   time.Time // when the last token arrived
	refusals int       // how many tokens in a row were refused soon after they arrived
}

type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

// NewSource makes a Source. The Source calls the function fetch to get a token,
// and never runs two fetches at once. The arguments of that function are the
// token that is replaced, if any, and whether the server has just refused two
// tokens in a row. After two refused tokens, the function fetch must not ask a
// store. The function fetch may return an error together with a token that is
// near its end but still valid. If the current token is still valid too, the
// Source uses the token that expires later. It uses this token until a later
// fetch succeeds.
//
// The function requestedWait gets the error of a failed fetch. It returns how
// long the server's answer asks the client to wait.
func NewSource(
	fetch func(ctx context.Context, old *Token, refused bool) (*Token, error),
	requestedWait func(error) time.Duration,
) *Source {
	return &Source{fetch: fetch, requestedWait: requestedWait}
}

// Get returns a token that has not expired. It waits for a fetch only when
// there is no such token. It stops waiting when ctx ends. Reading a fresh token
// takes no lock.
func (s *Source) Get(ctx context.Context) (*Token, error) {
	for {
		now := time.Now()
		t := s.current.Load()
		if t != nil && now.Before(t.Refresh) {
			return t, nil
		}
		if t != nil && now.Before(t.Expires) {
			_, _ = s.joinFetch(now) //nolint:contextcheck // a fetch is detached from its callers
			return t, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, failed := s.joinFetch(now) //nolint:contextcheck // a fetch is detached from its callers
		if failed != nil {
			return nil, failed
		}
		if f == nil {
			continue // another caller has replaced the token in the meantime
		}
		select {
		case <-f.done:
			return f.token, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Invalidate is for a token t that the server has refused. If t is still the
// current token, Invalidate records the refusal, and the next Get fetches
// another token. If t is no longer the current token, nothing changes.
func (s *Source) Invalidate(t *Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.CompareAndSwap(t, nil) {
		if len(s.dead) == maxDead {
			s.dead = s.dead[1:]
		}
		s.dead = append(s.dead, func(value string) bool { return value == t.Value })
		s.failed, s.failures = nil, 0
		if time.Since(s.landed) > refusedSoon {
			s.refusals = 0
		}
		s.refusals++
	}
}

// Dead reports whether the server has recently refused the token
// with this value.
func (s *Source) Dead(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.dead, func(is func(string) bool) bool { return is(value) })
}

// joinFetch distinguishes these cases, in this order:
//   - If another caller has already replaced the token, both results are nil.
//   - If a fetch is under way, joinFetch returns this fetch.
//   - If the last fetch has failed, and the wait after it is not over,
//     joinFetch returns the error of that fetch.
//   - Otherwise joinFetch starts a fetch, and returns it.
func (s *Source) joinFetch(now time.Time) (*flight, *FetchError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	if old != nil && now.Before(old.Refresh) {
		return nil, nil
	}
	if s.flight != nil {
		return s.flight, nil
	}
	if s.failed != nil && now.Before(s.failed.Until) {
		return nil, s.failed
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.run(f, old, s.refusals > 1)
	return f, nil
}

// The method run does one fetch. The fetch's context ends after FetchTimeout.
func (s *Source) run(f *flight, old *Token, refused bool) {
	ctx, cancel := context.WithTimeout(context.Background(), FetchTimeout)
	defer cancel()
	err := ErrPanicked
	var t *Token
	defer func() {
		if p := recover(); p != nil {
			t = nil
		}
		s.land(f, t, err)
	}()
	if t, err = s.fetch(ctx, old, refused); err == nil && t == nil {
		err = errNothing
	}
}

func (s *Source) land(f *flight, t *Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if err != nil {
		s.failures++
		wait := max(min(maxBackoff, minBackoff<<min(s.failures-1, 10)), min(maxAsked, s.requestedWait(err)))
		s.failed = &FetchError{Err: err, Until: time.Now().Add(wait)}
		t = lastToExpire(t, s.current.Load())
	} else {
		s.failures, s.failed, s.landed = 0, nil, time.Now()
	}
	if t != nil {
		s.current.Store(t)
		f.token = t
	} else {
		f.err = s.failed
	}
	close(f.done)
}

// lastToExpire returns the token that is valid for longest. It returns nil if
// no token is valid.
func lastToExpire(tokens ...*Token) *Token {
	var last *Token
	for _, t := range tokens {
		if t != nil && time.Now().Before(t.Expires) && (last == nil || t.Expires.After(last.Expires)) {
			last = t
		}
	}
	return last
}
