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
	Expires time.Time // when the server stops accepting it; carries a monotonic reading unless it came from a store
	Refresh time.Time // when to start fetching the next one
	Stored  bool      // it came from a store
}

// New is a token that lives for lifetime, counted from start.
func New(value string, start time.Time, lifetime time.Duration) *Token {
	expires := start.Add(lifetime)
	return &Token{Value: value, Expires: expires, Refresh: expires.Add(-refreshMargin(lifetime))}
}

// refreshMargin is how long before its end a token is replaced: the smaller of
// a minute and a tenth of its lifetime.
func refreshMargin(lifetime time.Duration) time.Duration { return min(time.Minute, lifetime/10) }

// FetchTimeout is the limit for one fetch, which runs independently of the
// callers that wait for it.
const FetchTimeout = 30 * time.Second

// The waits after failed fetches, doubled from one failure to the next. There
// is no timer: later calls look at the clock to see whether a wait is over.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 8 * time.Second
	maxAsked   = 60 * time.Second // an answer can ask for a longer wait, up to this
)

// maxDead is how many refused tokens are remembered.
const maxDead = 8

// A token that is refused within refusedSoon of its arrival was probably never
// good.
const refusedSoon = time.Minute

// FetchError is a fetch that failed. All callers that waited for it get the
// same one.
type FetchError struct {
	Err   error
	Until time.Time // no fetch starts before it; until then callers get this failure
}

func (f *FetchError) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *FetchError) Unwrap() error { return f.Err }

// ErrPanicked replaces a panic in fetch, which runs the caller's code: the
// transport and the store.
var ErrPanicked = errors.New("fetching the access token panicked")

var errNothing = errors.New("fetching the access token brought nothing")

// Source hands out one token to all callers and replaces it before it expires.
// Its zero value is not usable; see [NewSource].
type Source struct {
	fetch   func(ctx context.Context, old *Token, refused bool) (*Token, error)
	asked   func(error) time.Duration
	current atomic.Pointer[Token]

	mu       sync.Mutex // held for a few instructions, never across a fetch
	flight   *flight
	failed   *FetchError
	failures int
	// the last tokens that were refused; functions, because printers show the
	// target of a pointer
	dead     []func(value string) bool
	landed   time.Time // when the last token arrived
	refusals int       // how many in a row, each soon after its token arrived
}

type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

// NewSource makes a Source. fetch fetches a token; it never runs twice at once.
// It gets the token that it replaces, if any, and whether the server has just
// refused two in a row: then a store must not be asked. Together with an error
// it may return a token that is near its end but still valid: that token is
// used until a later fetch succeeds. asked is how long the answer of a failed
// fetch asks to wait.
func NewSource(
	fetch func(ctx context.Context, old *Token, refused bool) (*Token, error),
	asked func(error) time.Duration,
) *Source {
	return &Source{fetch: fetch, asked: asked}
}

// Get returns a token that has not expired. It waits for a fetch only when
// there is no such token, and returns when ctx ends. Reading a fresh token
// takes no lock.
func (s *Source) Get(ctx context.Context) (*Token, error) {
	for {
		now := time.Now()
		t := s.current.Load()
		if t != nil && now.Before(t.Refresh) {
			return t, nil
		}
		if t != nil && now.Before(t.Expires) {
			_, _ = s.join(now) //nolint:contextcheck // a fetch is detached from its callers
			return t, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, failed := s.join(now) //nolint:contextcheck // a fetch is detached from its callers
		if failed != nil {
			return nil, failed
		}
		if f == nil {
			continue // replaced in the meantime
		}
		select {
		case <-f.done:
			return f.token, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Invalidate says that the server refused t. If t is still the current token,
// the next Get fetches another.
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

// Dead reports whether value is a token that was refused recently.
func (s *Source) Dead(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.dead, func(is func(string) bool) bool { return is(value) })
}

// join returns the fetch under way, or starts one. It returns neither a fetch
// nor a failure when another caller has replaced the token already. During the
// backoff after a failure it returns only that failure.
func (s *Source) join(now time.Time) (*flight, *FetchError) {
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

// run does one fetch. It ends within FetchTimeout, so no goroutine outlives its
// work.
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
		wait := max(min(maxBackoff, minBackoff<<min(s.failures-1, 10)), min(maxAsked, s.asked(err)))
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

// lastToExpire is the token that is valid for longest; nil when none is.
func lastToExpire(tokens ...*Token) *Token {
	var last *Token
	for _, t := range tokens {
		if t != nil && time.Now().Before(t.Expires) && (last == nil || t.Expires.After(last.Expires)) {
			last = t
		}
	}
	return last
}
