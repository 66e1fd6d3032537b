package plural_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// memoryStore is a [plural.TokenStore] that works. Tests embed it and replace
// one of its methods with a broken method.
type memoryStore struct {
	mu    sync.Mutex
	data  map[string][]byte
	saves int
	lock  chan struct{}
}

func newMemoryStore() *memoryStore {
	return &memoryStore{data: map[string][]byte{}, lock: make(chan struct{}, 1)}
}

func (s *memoryStore) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.data[key]), nil
}

func (s *memoryStore) Save(_ context.Context, key string, sealed []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key] = slices.Clone(sealed)
	s.saves++
	return nil
}

func (s *memoryStore) Lock(ctx context.Context, _ string, _ time.Duration) (func(context.Context), error) {
	select {
	case s.lock <- struct{}{}:
		return func(context.Context) { <-s.lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *memoryStore) saved() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// onlyEntry returns the only entry in the store: its key, and its value. The
// client has sealed the value.
func (s *memoryStore) onlyEntry(t *testing.T) (key string, sealed []byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.data, 1)
	for key, sealed = range s.data { //nolint:revive // there is one
	}
	return key, slices.Clone(sealed)
}

func (s *memoryStore) put(key string, sealed []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key] = sealed
}

func TestFleetSharesOneToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := &gateway{}, newMemoryStore()
		g.token = func(s sent) (*http.Response, error) {
			_ = s.wait(time.Second)
			return g.issueToken(`,"expires_in":3600`), nil
		}
		fleet := make([]*plural.Client, 20)
		for i := range fleet {
			fleet[i] = g.client(t, plural.WithTokenStore(s))
		}
		all := func() {
			var wg sync.WaitGroup
			for _, c := range fleet {
				for range 5 {
					wg.Go(func() {
						if err := getSomething(t.Context(), c); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			synctest.Wait()
		}
		all()
		require.Equal(t, 1, g.tokenRequests(), "cold")

		key, sealed := s.onlyEntry(t)
		for _, plain := range []string{"token-1", gatewayClientSecret, gatewayClientID, "pinepg"} {
			require.False(t, bytes.Contains(sealed, []byte(plain)))
			require.NotContains(t, key, plain)
		}

		pass(59*time.Minute + time.Second)
		all()
		pass(2 * time.Second)
		all()
		require.Equal(t, 2, g.tokenRequests(), "the token is refreshed early, in the background")

		g.revoke()
		all()
		require.Equal(t, 3, g.tokenRequests(), "revoked")
		_, calls, _ := g.counts()
		require.Equal(t, 400, calls)
	})
}

func TestStoredTokenOpensForItsOwnersOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		creds plural.Credentials
		opts  []plural.Option
		opens bool
	}{
		"the same":         {gatewayCredentials(), nil, true},
		"another secret":   {plural.Credentials{ClientID: gatewayClientID, ClientSecret: "another-than-theirs"}, nil, false},
		"another client":   {plural.Credentials{ClientID: "other", ClientSecret: gatewayClientSecret}, nil, false},
		"another base URL": {gatewayCredentials(), []plural.Option{plural.WithEnvironment(plural.Production)}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, s := &gateway{}, newMemoryStore()
				require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
				synctest.Wait()
				_, sealed := s.onlyEntry(t)
				lying := &spoiledStore{
					TokenStore: s,
					load:       func(context.Context) ([]byte, error) { return sealed, nil },
				} // for any key
				opts := append(
					[]plural.Option{plural.WithTokenStore(lying), plural.WithHTTPClient(&http.Client{Transport: g})},
					test.opts...)
				c, err := plural.NewClient(test.creds, opts...)
				require.NoError(t, err)
				require.NoError(t, getSomething(t.Context(), c))
				want := 2
				if test.opens {
					want = 1
				}
				require.Equal(t, want, g.tokenRequests())
				synctest.Wait()
			})
		})
	}
}

// spoiledStore is a store in which a test replaces some methods with broken
// ones.
type spoiledStore struct {
	plural.TokenStore
	load func(context.Context) ([]byte, error)
	save func(context.Context) error
	lock func(context.Context) (func(context.Context), error)
}

func (s *spoiledStore) Load(ctx context.Context, key string) ([]byte, error) {
	if s.load != nil {
		return s.load(ctx)
	}
	return s.TokenStore.Load(ctx, key)
}

func (s *spoiledStore) Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error {
	if s.save != nil {
		return s.save(ctx)
	}
	return s.TokenStore.Save(ctx, key, sealed, ttl)
}

func (s *spoiledStore) Lock(ctx context.Context, key string, ttl time.Duration) (func(context.Context), error) {
	if s.lock != nil {
		return s.lock(ctx)
	}
	return s.TokenStore.Lock(ctx, key, ttl)
}

func TestNoCallFailsBecauseOfItsStore(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	errStore := errors.New("store: connection refused")
	tests := map[string]struct {
		spoil func(s *spoiledStore, hang func())
		took  time.Duration
	}{
		"load fails": {func(s *spoiledStore, _ func()) {
			s.load = func(context.Context) ([]byte, error) { return nil, errStore }
		}, 0},
		"load panics": {
			func(s *spoiledStore, _ func()) { s.load = func(context.Context) ([]byte, error) { panic("boom") } },
			0,
		},
		"load brings garbage": {func(s *spoiledStore, _ func()) {
			s.load = func(context.Context) ([]byte, error) { return []byte("{}"), nil }
		}, 0},
		"load hangs": {func(s *spoiledStore, hang func()) {
			s.load = func(context.Context) ([]byte, error) {
				hang()
				return nil, nil
			}
		}, patience},
		"lock fails": {func(s *spoiledStore, _ func()) {
			s.lock = func(context.Context) (func(context.Context), error) { return nil, errStore }
		}, 0},
		"lock panics": {func(s *spoiledStore, _ func()) {
			s.lock = func(context.Context) (func(context.Context), error) { panic("boom") }
		}, 0},
		"lock is never granted": {func(s *spoiledStore, _ func()) {
			s.lock = func(ctx context.Context) (func(context.Context), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}, patience},
		"lock hangs": {func(s *spoiledStore, hang func()) {
			s.lock = func(context.Context) (func(context.Context), error) {
				hang()
				return nil, errStore
			}
		}, patience},
		"unlock panics": {func(s *spoiledStore, _ func()) {
			s.lock = func(context.Context) (func(context.Context), error) {
				return func(context.Context) { panic("boom") }, nil
			}
		}, 0},
		"unlock hangs": {func(s *spoiledStore, hang func()) {
			s.lock = func(context.Context) (func(context.Context), error) {
				return func(context.Context) { hang() }, nil
			}
		}, 0},
		"save fails":  {func(s *spoiledStore, _ func()) { s.save = func(context.Context) error { return errStore } }, 0},
		"save panics": {func(s *spoiledStore, _ func()) { s.save = func(context.Context) error { panic("boom") } }, 0},
		"save hangs": {func(s *spoiledStore, hang func()) {
			s.save = func(context.Context) error {
				hang()
				return nil
			}
		}, 0},
		"all hang": {func(s *spoiledStore, hang func()) {
			s.load = func(context.Context) ([]byte, error) {
				hang()
				return nil, nil
			}
			s.lock = func(context.Context) (func(context.Context), error) {
				hang()
				return nil, nil //nolint:nilnil // the result of a store that hangs does not matter
			}
			s.save = func(context.Context) error {
				hang()
				return nil
			}
		}, patience},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				t.Cleanup(func() { close(end) })
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, nil))
				g, s := &gateway{}, &spoiledStore{TokenStore: newMemoryStore()}
				test.spoil(s, func() { <-end }) // this store does not return when its context ends
				c := g.client(t, plural.WithTokenStore(s), plural.WithLogger(logger))
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				require.NoError(t, getSomething(ctx, c, plural.WithoutRetry()))
				require.Equal(t, test.took, time.Since(began))
				require.NoError(t, getSomething(ctx, c))
				require.Equal(t, 1, g.tokenRequests())
				pass(5 * time.Second)
				synctest.Wait()
				require.Contains(t, log.String(), "plural token store failed")
				require.NotContains(t, log.String(), "token-1")
				require.NotContains(t, log.String(), gatewayClientSecret)
			})
		})
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

func TestStoredTokensThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(sealed []byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"a stump":   func(b []byte) []byte { return b[:5] },
		"one bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"its nonce": func(b []byte) []byte { b[0] ^= 1; return b },
		"longer":    func(b []byte) []byte { return append(b, 0) },
		"text": func([]byte) []byte {
			return []byte(`{"value":"evil","expires":99999999999999,"refresh":99999999999999}`)
		},
		"empty": func([]byte) []byte { return []byte{} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, s := &gateway{}, newMemoryStore()
				require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
				synctest.Wait()
				key, sealed := s.onlyEntry(t)
				s.put(key, change(sealed))
				require.NoError(t, getSomething(t.Context(), g.client(t, plural.WithTokenStore(s))))
				require.Equal(t, 2, g.tokenRequests())
				synctest.Wait()
				require.NoError(t, getSomething(t.Context(), g.client(t, plural.WithTokenStore(s))))
				require.Equal(t, 2, g.tokenRequests(), "the changed entry is overwritten")
				synctest.Wait()
			})
		})
	}
}

func TestExpiredStoredTokenIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := &gateway{}, newMemoryStore()
		require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
		pass(59*time.Minute - 1)
		require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
		require.Equal(t, 1, g.tokenRequests())
		pass(1)
		require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()), "a token about to expire is not used")
		require.Equal(t, 2, g.tokenRequests())
		synctest.Wait()
	})
}

func TestStoreBringsADeadToken(t *testing.T) {
	t.Parallel()
	for name, keepsSaves := range map[string]bool{"replaced in the store": true, "the store lies on": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, s := &gateway{}, newMemoryStore()
				require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
				synctest.Wait()
				spoiled := &spoiledStore{TokenStore: s}
				if !keepsSaves {
					spoiled.save = func(context.Context) error { return nil }
				}
				c := g.client(t, plural.WithTokenStore(spoiled))
				for n := range 5 {
					g.revoke()
					require.NoError(t, getSomething(t.Context(), c))
					require.Equal(t, 2+n, g.tokenRequests(), "a stored token that was refused is not tried again")
					synctest.Wait()
				}
				if keepsSaves {
					require.NoError(t, getSomething(t.Context(), g.client(t, plural.WithTokenStore(s))))
					require.Equal(t, 6, g.tokenRequests())
				}
				synctest.Wait()
			})
		})
	}
}

func TestLateLockIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		granted, released := make(chan struct{}), make(chan struct{})
		g, s := &gateway{}, &spoiledStore{TokenStore: newMemoryStore()}
		s.lock = func(context.Context) (func(context.Context), error) {
			<-granted
			return func(ctx context.Context) {
				if ctx.Err() == nil {
					close(released)
				}
			}, nil
		}
		began := time.Now()
		require.NoError(t, g.client(t, plural.WithTokenStore(s)).Warm(t.Context()))
		require.Equal(t, 2*time.Second, time.Since(began))
		pass(time.Hour)
		close(granted)
		<-released
		synctest.Wait()
	})
}

func TestStoreFailuresInTheLogNameTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g, s := &gateway{}, &spoiledStore{TokenStore: newMemoryStore()}
		s.load = func(context.Context) ([]byte, error) { return nil, errors.New("down") }
		c := g.client(
			t, plural.WithTokenStore(s), plural.WithLogger(slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, nil))),
		)
		require.NoError(t, c.Warm(t.Context()))
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.Len(t, lines, 2)
		require.Contains(
			t,
			lines[0],
			`"level":"WARN","msg":"plural token store failed","op":"token","step":"load","error":"down"`,
		)
	})
}

// A store may keep returning old tokens that this client sealed and that Plural
// has revoked since. No call fails because of that: after two such tokens the
// client fetches a new one.
func TestStoreOfOldTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		honest := newMemoryStore()
		var old [][]byte
		for range 12 {
			require.NoError(t, getSomething(t.Context(), g.client(t, plural.WithTokenStore(honest))))
			synctest.Wait()
			_, sealed := honest.onlyEntry(t)
			old = append(old, sealed)
			honest = newMemoryStore()
			g.revoke()
		}
		rotating := &rotatingStore{memoryStore: newMemoryStore(), old: old}
		c := g.client(t, plural.WithTokenStore(rotating))
		for range 30 {
			require.NoError(t, getSomething(t.Context(), c))
			synctest.Wait()
			g.revoke()
			pass(time.Second)
		}
	})
}

// rotatingStore returns a different old token at each Load.
type rotatingStore struct {
	*memoryStore

	old  [][]byte
	next int
	lock sync.Mutex
}

func (s *rotatingStore) Load(context.Context, string) ([]byte, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.next++
	return s.old[s.next%len(s.old)], nil
}

// A method of a store may end its goroutine with runtime.Goexit. Even then, no
// call fails, and the next calls do not wait forever.
func TestStoreThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		c := g.client(t, plural.WithTokenStore(leavingStore{}))
		for range 3 {
			began := time.Now()
			require.NoError(t, getSomething(t.Context(), c))
			require.Less(t, time.Since(began), time.Second)
			g.revoke()
		}
	})
}

type leavingStore struct{}

func (leavingStore) Load(context.Context, string) ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

func (leavingStore) Save(context.Context, string, []byte, time.Duration) error {
	runtime.Goexit()
	return nil
}

func (leavingStore) Lock(context.Context, string, time.Duration) (func(context.Context), error) {
	runtime.Goexit()
	return nil, nil
}

func TestTokenStoreConformance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newLeasedStore()
		pluraltest.TestTokenStore(t, func() plural.TokenStore { return shared })
		r := &recorder{TB: t}
		forever := newMemoryStore() // its locks never expire, and its entries never expire
		pluraltest.TestTokenStore(r, func() plural.TokenStore { return forever })
		require.GreaterOrEqual(t, len(r.problems), 2)
		r = &recorder{TB: t}
		busy := busyStore{newLeasedStore(), make(chan struct{}, 1)}
		pluraltest.TestTokenStore(r, func() plural.TokenStore { return busy })
		require.Len(t, r.problems, 1)
		require.Contains(t, r.problems[0], "Load answers while a lock is held and waited for")
	})
}

// busyStore runs one method at a time. A Lock that waits also keeps Load from
// running.
type busyStore struct {
	*leasedStore

	one chan struct{}
}

func (s busyStore) Load(ctx context.Context, key string) ([]byte, error) {
	s.one <- struct{}{}
	defer func() { <-s.one }()
	return s.leasedStore.Load(ctx, key)
}

func (s busyStore) Lock(ctx context.Context, key string, ttl time.Duration) (func(context.Context), error) {
	s.one <- struct{}{}
	defer func() { <-s.one }()
	return s.leasedStore.Lock(ctx, key, ttl)
}

// leasedStore is a [plural.TokenStore] that keeps to every rule.
type leasedStore struct {
	mu    sync.Mutex
	data  map[string]stored
	locks map[string]stored
	next  int
}

type stored struct {
	sealed []byte
	holder int
	until  time.Time
}

func newLeasedStore() *leasedStore {
	return &leasedStore{data: map[string]stored{}, locks: map[string]stored{}}
}

func (s *leasedStore) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.data[key]; time.Now().Before(one.until) {
		return one.sealed, nil
	}
	return nil, nil
}

func (s *leasedStore) Save(_ context.Context, key string, sealed []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key] = stored{sealed: sealed, until: time.Now().Add(ttl)}
	return nil
}

func (s *leasedStore) Lock(ctx context.Context, key string, ttl time.Duration) (func(context.Context), error) {
	for {
		s.mu.Lock()
		if !time.Now().Before(s.locks[key].until) {
			s.next++
			me := s.next
			s.locks[key] = stored{holder: me, until: time.Now().Add(ttl)}
			s.mu.Unlock()
			return func(context.Context) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.locks[key].holder == me {
					delete(s.locks, key)
				}
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
