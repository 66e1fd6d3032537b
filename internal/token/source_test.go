package token_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/token"
)

// The type issuer counts fetches. It answers the fetches with the tokens t1, t2
// and so on, or with its error.
type issuer struct {
	fetches  atomic.Int64
	took     time.Duration
	lifetime time.Duration
	asked    time.Duration

	mu  sync.Mutex
	err error
	old []*token.Token
}

// The function pass waits until the clock of the synctest bubble has advanced
// by d.
func pass(d time.Duration) { <-time.After(d) }

func newIssuer() *issuer { return &issuer{took: 100 * time.Millisecond, lifetime: time.Hour} }

func (i *issuer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

func (i *issuer) fetch(_ context.Context, old *token.Token, _ bool) (*token.Token, error) {
	n := i.fetches.Add(1)
	started := time.Now()
	pass(i.took)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.old = append(i.old, old)
	if i.err != nil {
		return nil, i.err
	}
	return token.New("t"+strconv.FormatInt(n, 10), started, i.lifetime), nil
}

func (i *issuer) source() *token.Source {
	return token.NewSource(i.fetch, func(error) time.Duration { return i.asked })
}

func get(t *testing.T, s *token.Source) string {
	t.Helper()
	tok, err := s.Get(t.Context())
	require.NoError(t, err)
	return tok.Value
}

func TestColdCallersShareOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				tok, err := s.Get(t.Context())
				if err != nil || tok.Value != "t1" {
					t.Errorf("got %v, %v", tok, err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, i.fetches.Load())
	})
}

func TestCallersOfAFailingFetchAreToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		down := errors.New("down")
		i.fail(down)
		s := i.source()
		began := time.Now()
		var wg sync.WaitGroup
		var told sync.Map
		for range 200 {
			wg.Go(func() {
				_, err := s.Get(t.Context())
				told.Store(err, true)
				if !errors.Is(err, down) || err.Error() != "down" || time.Since(began) != i.took {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, i.fetches.Load())
		distinct := 0
		told.Range(func(any, any) bool { distinct++; return true })
		require.Equal(t, 1, distinct)

		_, err := s.Get(t.Context())
		require.ErrorIs(t, err, down)
		require.EqualValues(t, 1, i.fetches.Load(), "during the backoff, Get returns the earlier failure")
	})
}

func TestBackoffAfterFailedFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.took = 0
		i.fail(errors.New("down"))
		s := i.source()
		for _, want := range []int64{250, 500, 1000, 2000, 4000, 8000, 8000} {
			fetches := i.fetches.Load()
			_, err := s.Get(t.Context())
			var failure *token.FetchError
			require.ErrorAs(t, err, &failure)
			require.Equal(t, want, time.Until(failure.Until).Milliseconds())
			pass(time.Until(failure.Until) - 1)
			_, again := s.Get(t.Context())
			require.Same(t, err, again)
			require.Equal(t, fetches+1, i.fetches.Load())
			pass(1)
		}
		pass(time.Hour)
		require.EqualValues(t, 7, i.fetches.Load(), "no timer fetches by itself")

		i.fail(nil)
		require.Equal(t, "t8", get(t, s))
		s.Invalidate(current(t, s))
		i.fail(errors.New("down again"))
		_, err := s.Get(t.Context())
		var failure *token.FetchError
		require.ErrorAs(t, err, &failure)
		require.Equal(t, 250*time.Millisecond, time.Until(failure.Until), "a success resets the backoff")
	})
}

func current(t *testing.T, s *token.Source) *token.Token {
	t.Helper()
	tok, err := s.Get(t.Context())
	require.NoError(t, err)
	return tok
}

func TestBackoffIsWhatTheAnswerAsksFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ asked, want time.Duration }{
		"less than the backoff": {time.Millisecond, 250 * time.Millisecond},
		"more":                  {30 * time.Second, 30 * time.Second},
		"too much":              {time.Hour, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer()
				i.asked = test.asked
				i.fail(errors.New("slow down"))
				_, err := i.source().Get(t.Context())
				var failure *token.FetchError
				require.ErrorAs(t, err, &failure)
				require.Equal(t, test.want, time.Until(failure.Until))
			})
		})
	}
}

func TestRefreshRunsInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		first := current(t, s)
		pass(time.Until(first.Refresh) - 1)
		require.Equal(t, "t1", get(t, s))
		synctest.Wait()
		require.EqualValues(t, 1, i.fetches.Load(), "not before the margin")

		pass(1)
		began := time.Now()
		for range 100 {
			require.Equal(t, "t1", get(t, s))
		}
		require.Zero(t, time.Since(began), "nobody waits")
		synctest.Wait()
		require.EqualValues(t, 2, i.fetches.Load())
		pass(i.took)
		synctest.Wait()
		require.Equal(t, "t2", get(t, s))
		require.Equal(t, []*token.Token{nil, first}, i.old, "fetch gets the token that it replaces")
	})
}

func TestOldTokenServesWhileTheEndpointIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		first := current(t, s)
		i.fail(errors.New("down"))
		pass(time.Until(first.Refresh))
		for time.Now().Before(first.Expires) {
			require.Equal(t, "t1", get(t, s))
			pass(50 * time.Millisecond)
		}
		tries := i.fetches.Load() - 1
		require.Greater(t, tries, int64(5))
		require.Less(t, tries, int64(15), "backed off")
		i.fail(nil)
		pass(8 * time.Second)
		require.NotEqual(t, "t1", get(t, s), "an expired token is not served")
	})
}

func TestExpiredTokenIsNotServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		first := current(t, s)
		pass(time.Until(first.Expires) - 1)
		require.Equal(t, "t1", get(t, s))
		i.fail(errors.New("down"))
		pass(1)
		_, err := s.Get(t.Context())
		require.EqualError(t, err, "down")
	})
}

func TestWaitersLeaveOnTheirOwnContexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.took = 20 * time.Second
		s := i.source()
		began := time.Now()
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancelSecond()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Get(first)
			if !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		synctest.Wait() // the first caller started the fetch
		wg.Go(func() {
			_, err := s.Get(second)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		wg.Go(func() {
			tok, err := s.Get(t.Context())
			if err != nil || tok.Value != "t1" || time.Since(began) != i.took {
				t.Errorf("%v, %v after %v", tok, err, time.Since(began))
			}
		})
		pass(time.Second)
		cancelFirst()
		wg.Wait()
		require.EqualValues(t, 1, i.fetches.Load())
	})
}

func TestEndedContextStartsNoFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Get(ctx)
		require.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		require.Zero(t, i.fetches.Load())
		require.Equal(t, "t1", get(t, s))
		tok, err := s.Get(ctx)
		require.NoError(t, err, "a valid token is returned without a wait")
		require.Equal(t, "t1", tok.Value)
	})
}

func TestFetchIsBoundedAndDetached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var value any
		s := token.NewSource(func(ctx context.Context, _ *token.Token, _ bool) (*token.Token, error) {
			value = ctx.Value(key{})
			<-ctx.Done()
			return nil, ctx.Err()
		}, noWait)
		began := time.Now()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "caller's"))
		defer cancel()
		_, err := s.Get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 30*time.Second, time.Since(began))
		require.Nil(t, value)
	})
}

func noWait(error) time.Duration { return 0 }

// A fetch that fails may still return a token that is near its end. In this
// test, that token is called the spare token. The spare token is used only if
// it is valid for longer than the current token.
func TestTokenBesideAnErrorServesWhileItLivesLongest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		current, spare time.Duration // how long each token is valid; 0: there is no such token
		takes          time.Duration // how long the failing fetch takes
		want           string        // the token that Get returns; "": an error
	}{
		"only a spare token":                {0, 30 * time.Second, time.Second, "spare"},
		"the current token lives longer":    {50 * time.Second, 10 * time.Second, time.Second, "current"},
		"the spare token lives longer":      {10 * time.Second, 50 * time.Second, time.Second, "spare"},
		"the spare ends before the fetch":   {0, 10 * time.Second, 20 * time.Second, ""},
		"both tokens end before the fetch":  {10 * time.Second, 15 * time.Second, 20 * time.Second, ""},
		"neither a current nor a spare":     {0, 0, time.Second, ""},
		"only a current token and no spare": {50 * time.Second, 0, time.Second, "current"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				down := errors.New("down")
				lives := func(value string, d time.Duration) *token.Token {
					return &token.Token{Value: value, Expires: time.Now().Add(d), Refresh: time.Now()}
				}
				isFirst := test.current > 0
				s := token.NewSource(func(context.Context, *token.Token, bool) (*token.Token, error) {
					if isFirst {
						isFirst = false
						return lives("current", test.current), nil
					}
					var spare *token.Token
					if test.spare > 0 {
						spare = lives("spare", test.spare)
					}
					pass(test.takes)
					return spare, down
				}, noWait)
				if isFirst {
					require.Equal(t, "current", current(t, s).Value)
				}
				// Get starts a fetch, and the fetch fails. If there is no
				// current token, Get waits until the fetch has ended.
				_, _ = s.Get(t.Context())
				pass(test.takes)
				synctest.Wait()
				defer pass(time.Minute) // the last Get may start a fetch, which ends in this minute
				got, err := s.Get(t.Context())
				if test.want == "" {
					require.ErrorIs(t, err, down)
					return
				}
				require.NoError(t, err)
				require.Equal(t, test.want, got.Value)
			})
		})
	}
}

func TestInvalidateOnlyTheCurrentToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		first := current(t, s)
		s.Invalidate(first)
		require.True(t, s.Dead("t1"))
		require.False(t, s.Dead("t2"))
		require.False(t, s.Dead(""))
		second := current(t, s)
		require.Equal(t, "t2", second.Value)

		s.Invalidate(first) // the second token has already replaced the first token
		require.Same(t, second, current(t, s))
		require.EqualValues(t, 2, i.fetches.Load())
	})
}

func TestRefusedTokensAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newIssuer().source()
		for range 9 {
			s.Invalidate(current(t, s))
		}
		require.False(t, s.Dead("t1"), "the list is bounded")
		for _, value := range []string{"t2", "t5", "t9"} {
			require.True(t, s.Dead(value))
		}
	})
}

func TestManyCallersMeetARefusedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		refused := current(t, s)
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				pass(time.Duration(n) * 2 * time.Millisecond) // some calls come during the fetch, some long after it
				s.Invalidate(refused)
				if tok, err := s.Get(t.Context()); err != nil || tok.Value != "t2" {
					t.Errorf("%v, %v", tok, err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 2, i.fetches.Load())
	})
}

func TestRefusedWhileItIsBeingRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		s := i.source()
		first := current(t, s)
		pass(time.Until(first.Refresh))
		require.Equal(t, "t1", get(t, s)) // starts the refresh
		s.Invalidate(first)
		require.Equal(t, "t2", get(t, s), "Get waits for the refresh that was under way")
		require.EqualValues(t, 2, i.fetches.Load())
	})
}

func TestInvalidateEndsTheBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.asked = time.Minute
		s := i.source()
		first := current(t, s)
		pass(time.Until(first.Refresh))
		i.fail(errors.New("down"))
		require.Equal(t, "t1", get(t, s))
		pass(i.took)
		synctest.Wait()
		i.fail(nil)
		s.Invalidate(first)
		require.Equal(t, "t3", get(t, s), "after a refusal, Get fetches at once")
	})
}

func TestFetchThatPanics(t *testing.T) {
	t.Parallel()
	tests := map[string]func(){
		"panic":       func() { panic("boom") },
		"panic(nil)":  func() { panic(nil) }, //nolint:govet // the test needs panic(nil)
		"goexit":      runtime.Goexit,
		"with secret": func() { panic("secret") },
	}
	for name, misbehave := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := token.NewSource(func(context.Context, *token.Token, bool) (*token.Token, error) {
					misbehave()
					return nil, nil //nolint:nilnil // never reached
				}, noWait)
				_, err := s.Get(t.Context())
				require.ErrorIs(t, err, token.ErrPanicked)
				require.EqualError(t, err, token.ErrPanicked.Error())
			})
		})
	}
}

func TestFetchThatBringsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := token.NewSource(func(context.Context, *token.Token, bool) (*token.Token, error) {
			return nil, nil //nolint:nilnil // the test needs a fetch that returns nothing
		}, noWait)
		tok, err := s.Get(t.Context())
		require.Error(t, err)
		require.Nil(t, tok)
	})
}

func TestTokenThatArrivesExpiredIsHandedOutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.lifetime = i.took / 2
		s := i.source()
		require.Equal(t, "t1", get(t, s), "the caller that waited for the token gets it")
		require.Equal(t, "t2", get(t, s), "a later caller does not get the expired token")
	})
}

func TestReadingAFreshTokenAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	i := newIssuer()
	i.took = 0
	s := i.source()
	ctx := t.Context()
	_, err := s.Get(ctx)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = s.Get(ctx) }))
}
