package token_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/token"
)

// The type store is a token store in memory. A test can make each method of the
// store fail.
type store struct {
	mu       sync.Mutex
	data     map[string][]byte
	ttl      time.Duration
	locked   chan struct{}
	unlocked int

	load   func(context.Context) ([]byte, error)
	save   func(context.Context) error
	lock   func(context.Context) error
	unlock func()
}

func newStore() *store { return &store{data: map[string][]byte{}, locked: make(chan struct{}, 1)} }

func (s *store) Load(ctx context.Context, key string) ([]byte, error) {
	if s.load != nil {
		return s.load(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[key], nil
}

func (s *store) Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error {
	if s.save != nil {
		return s.save(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key], s.ttl = sealed, ttl
	return nil
}

func (s *store) Lock(ctx context.Context, _ string, _ time.Duration) (func(context.Context), error) {
	if s.lock != nil {
		if err := s.lock(ctx); err != nil {
			return nil, err
		}
	}
	select {
	case s.locked <- struct{}{}: // takes a free lock even if the context has ended
	default:
		select {
		case s.locked <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func(context.Context) {
		if s.unlock != nil {
			s.unlock()
		}
		<-s.locked
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unlocked++
	}, nil
}

func (s *store) unlocks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlocked
}

// A stepRecorder stores the steps that a vault reported as failed.
type stepRecorder struct {
	mu    sync.Mutex
	steps []string
}

func (r *stepRecorder) add(step string, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step)
}

func (r *stepRecorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.steps)
}

// vaultSecret is long enough for FIPS 140.
const (
	vaultSecret   = "secret of the client"
	vaultIdentity = "https://example.com\x00client"
)

func newVault(t *testing.T, s token.Store, r *stepRecorder) *token.Vault {
	t.Helper()
	v, err := token.NewVault(s, vaultSecret, vaultIdentity, r.add)
	require.NoError(t, err)
	return v
}

func none(*token.Token) bool { return false }

func hourToken(context.Context) (*token.Token, error) {
	return token.New("fresh", time.Now(), time.Hour), nil
}

func TestVaultKeepsWhatItFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		first, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, time.Hour, s.ttl)
		second, err := newVault(t, s, r).Fetch(t.Context(), none, func(context.Context) (*token.Token, error) {
			return nil, errors.New("not to be called")
		})
		require.NoError(t, err)
		require.Equal(t, "fresh", second.Value)
		require.WithinDuration(t, first.Expires, second.Expires, time.Millisecond)
		require.WithinDuration(t, first.Refresh, second.Refresh, time.Millisecond)
		require.Empty(t, r.all())
		require.Len(t, s.data, 1)
		for key, sealed := range s.data {
			require.Regexp(t, `^plural-token-[0-9a-f]{64}$`, key)
			for _, plain := range []string{"fresh", "secret", "client", "example"} {
				require.False(t, bytes.Contains(sealed, []byte(plain)))
				require.NotContains(t, key[len("plural-token-"):], plain)
			}
		}
	})
}

func TestVaultsOfOthersCannotOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ secret, identity string }{
		"another secret":   {vaultSecret + "2", vaultIdentity},
		"another client":   {vaultSecret, "https://example.com\x00client2"},
		"another base URL": {vaultSecret, "https://example.org\x00client"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := newStore(), &stepRecorder{}
				_, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
				require.NoError(t, err)
				synctest.Wait()
				var sealed []byte
				for _, sealed = range s.data { //nolint:revive // there is one
				}
				s.load = func(context.Context) ([]byte, error) { return sealed, nil } // under any key
				other, err := token.NewVault(s, test.secret, test.identity, r.add)
				require.NoError(t, err)
				got, err := other.Fetch(t.Context(), none, func(context.Context) (*token.Token, error) {
					return token.New("own", time.Now(), time.Hour), nil
				})
				require.NoError(t, err)
				require.Equal(t, "own", got.Value)
				require.Equal(t, []string{"open", "open"}, r.all())
			})
		})
	}
}

// An earlier version of this package made the nonce itself. Processes of that
// version share a token with processes of this version. FIPS 140 does not allow
// the earlier way, so this test suspends the enforcement of FIPS 140.
func TestVaultSharesWithEarlierVersions(t *testing.T) {
	t.Parallel()
	key, err := hkdf.Key(sha256.New, []byte(vaultSecret), nil, "plural access token v1", 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	var earlier cipher.AEAD
	fips140.WithoutEnforcement(func() { earlier, err = cipher.NewGCM(block) })
	require.NoError(t, err)
	nonce := []byte("twelve bytes")

	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		_, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, s.data, 1)
		for name, sealed := range s.data {
			var plain []byte
			fips140.WithoutEnforcement(func() {
				plain, err = earlier.Open(nil, sealed[:len(nonce)], sealed[len(nonce):], []byte(vaultIdentity))
			})
			require.NoError(t, err, "the earlier version opens a token that this version sealed")
			require.Contains(t, string(plain), `"value":"fresh"`)
			old := bytes.Replace(plain, []byte("fresh"), []byte("older"), 1)
			fips140.WithoutEnforcement(func() {
				s.data[name] = earlier.Seal(bytes.Clone(nonce), nonce, old, []byte(vaultIdentity))
			})
		}
		got, err := newVault(t, s, r).Fetch(t.Context(), none, func(context.Context) (*token.Token, error) {
			return nil, errors.New("not to be called")
		})
		require.NoError(t, err, "this version opens a token that the earlier version sealed")
		require.Equal(t, "older", got.Value)
		require.Empty(t, r.all())
	})
}

func TestVaultSealsDifferentlyEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		for range 10 {
			s := newStore()
			_, err := newVault(t, s, &stepRecorder{}).Fetch(t.Context(), none, func(context.Context) (*token.Token, error) {
				return &token.Token{Value: "same", Expires: time.UnixMilli(1 << 42), Refresh: time.UnixMilli(1 << 41)}, nil
			})
			require.NoError(t, err)
			synctest.Wait()
			for _, sealed := range s.data {
				seen[string(sealed)] = true
			}
		}
		require.Len(t, seen, 10)
	})
}

func TestVaultDoesNotTrustItsStore(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	forever := func(t *testing.T) func(context.Context) error { // ignores its context
		t.Helper()
		end := make(chan struct{})
		t.Cleanup(func() { close(end) })
		return func(context.Context) error {
			<-end
			return nil
		}
	}
	tests := map[string]struct {
		spoil func(*testing.T, *store)
		took  time.Duration // how long the store delays the token
		steps []string
	}{
		"load fails": {func(_ *testing.T, s *store) {
			s.load = func(context.Context) ([]byte, error) { return nil, broken }
		}, 0, []string{"load", "load"}},
		"load panics": {func(_ *testing.T, s *store) {
			s.load = func(context.Context) ([]byte, error) { panic("boom") }
		}, 0, []string{"load", "load"}},
		"load hangs": {func(t *testing.T, s *store) {
			t.Helper()
			hang := forever(t)
			s.load = func(ctx context.Context) ([]byte, error) { return nil, hang(ctx) }
		}, token.StoreTimeout, []string{"load", "save"}},
		"load brings garbage": {func(_ *testing.T, s *store) {
			s.load = func(context.Context) ([]byte, error) { return bytes.Repeat([]byte("x"), 100), nil }
		}, 0, []string{"open", "open"}},
		"load returns one byte": {func(_ *testing.T, s *store) {
			s.load = func(context.Context) ([]byte, error) { return []byte("x"), nil }
		}, 0, []string{"open", "open"}},
		"load returns an empty value": {func(_ *testing.T, s *store) {
			s.load = func(context.Context) ([]byte, error) { return []byte{}, nil }
		}, 0, nil},
		"lock fails": {func(_ *testing.T, s *store) {
			s.lock = func(context.Context) error { return broken }
		}, 0, []string{"lock"}},
		"lock panics": {func(_ *testing.T, s *store) {
			s.lock = func(context.Context) error { panic("boom") }
		}, 0, []string{"lock"}},
		"lock hangs": {func(t *testing.T, s *store) {
			t.Helper()
			s.lock = forever(t)
		}, token.StoreTimeout, []string{"lock", "save"}},
		"lock is never granted": {
			func(_ *testing.T, s *store) { s.locked <- struct{}{} },
			token.StoreTimeout,
			[]string{"lock"},
		},
		"save fails": {func(_ *testing.T, s *store) {
			s.save = func(context.Context) error { return broken }
		}, 0, []string{"save"}},
		"save panics": {func(_ *testing.T, s *store) {
			s.save = func(context.Context) error { panic("boom") }
		}, 0, []string{"save"}},
		"save hangs": {func(t *testing.T, s *store) {
			t.Helper()
			s.save = forever(t)
		}, 0, []string{"save"}},
		"unlock panics": {func(_ *testing.T, s *store) { s.unlock = func() { panic("boom") } }, 0, []string{"unlock"}},
		"unlock hangs": {func(t *testing.T, s *store) {
			t.Helper()
			hang := forever(t)
			s.unlock = func() { _ = hang(t.Context()) }
		}, 0, []string{"unlock"}},
		"all hang": {func(t *testing.T, s *store) {
			t.Helper()
			hang := forever(t)
			s.load = func(ctx context.Context) ([]byte, error) { return nil, hang(ctx) }
			s.lock, s.save = hang, hang
		}, token.StoreTimeout, []string{"load", "save"}},
		"load and lock are slow": {func(_ *testing.T, s *store) {
			s.load = func(ctx context.Context) ([]byte, error) { return nil, slow(ctx, 1500*time.Millisecond) }
			s.lock = func(ctx context.Context) error { return slow(ctx, 1500*time.Millisecond) }
		}, token.StoreTimeout, []string{"lock"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := newStore(), &stepRecorder{}
				test.spoil(t, s)
				began := time.Now()
				got, err := newVault(t, s, r).Fetch(t.Context(), none, func(ctx context.Context) (*token.Token, error) {
					// The vault may have stopped waiting for a call of the
					// store. While the request takes its time, this call can
					// end.
					pass(time.Millisecond)
					return hourToken(ctx)
				})
				require.NoError(t, err)
				require.Equal(t, "fresh", got.Value)
				require.Equal(t, test.took+time.Millisecond, time.Since(began))
				pass(2 * token.StoreTimeout)
				synctest.Wait()
				require.Equal(t, test.steps, r.all())
			})
		})
	}
}

func slow(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestLockThatIsGrantedTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		late := make(chan struct{})
		s.lock = func(context.Context) error {
			<-late // ignores its context
			return nil
		}
		got, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		require.Equal(t, "fresh", got.Value)
		synctest.Wait()
		require.Zero(t, s.unlocks())
		close(late)
		synctest.Wait()
		require.Equal(t, 1, s.unlocks())
	})
}

func TestLockWithoutUnlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &stepRecorder{}
		got, err := newVault(t, lockless{newStore()}, r).Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		require.Equal(t, "fresh", got.Value)
		synctest.Wait()
		require.Empty(t, r.all())
	})
}

// An empty token that was sealed with the right key is not used.
func TestEmptyStoredTokenIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		_, err := newVault(t, s, r).Fetch(t.Context(), none, func(context.Context) (*token.Token, error) {
			return token.New("", time.Now(),
				time.Hour), nil
		})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, s.data, 1)
		got, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		require.Equal(t, "fresh", got.Value)
		require.Equal(t, []string{"open", "open"}, r.all())
	})
}

type lockless struct{ *store }

func (lockless) Lock(context.Context, string, time.Duration) (func(context.Context), error) {
	return nil, nil //nolint:nilnil // the test needs a store whose Lock returns no unlock function
}

func TestUnusableStoredTokenIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		v := newVault(t, s, r)
		value := "dead"
		fetch := func(context.Context) (*token.Token, error) { return token.New(value, time.Now(), time.Hour), nil }
		_, err := v.Fetch(t.Context(), none, fetch)
		require.NoError(t, err)
		synctest.Wait()
		value = "alive"
		dead := func(t *token.Token) bool { return t.Value == "dead" }
		for range 2 {
			got, err := v.Fetch(t.Context(), dead, fetch)
			require.NoError(t, err)
			require.Equal(t, "alive", got.Value)
			synctest.Wait()
		}
		require.Equal(t, 2, s.unlocks(), "the third Fetch found a usable token, and took no lock")
	})
}

// A stored token that is near its end does not prevent a fetch. If the fetch
// fails, the stored token is used.
func TestStoredTokenNearItsEndServesWhileTheFetchFails(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	tests := map[string]struct {
		age     time.Duration
		refused bool
		want    string
	}{
		"near its end":          {59*time.Minute + 30*time.Second, false, "fresh"},
		"at its end":            {time.Hour, false, ""},
		"near its end, refused": {59*time.Minute + 30*time.Second, true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := newStore(), &stepRecorder{}
				_, err := newVault(t, s, r).Fetch(t.Context(), none, hourToken)
				require.NoError(t, err)
				pass(test.age)
				v := newVault(t, s, r)
				var fetches atomic.Int64
				source := token.NewSource(func(ctx context.Context, _ *token.Token, _ bool) (*token.Token, error) {
					return v.Fetch(ctx, func(*token.Token) bool { return test.refused }, func(context.Context) (*token.Token, error) {
						fetches.Add(1)
						return nil, down
					})
				}, noWait)
				for range 100 {
					got, err := source.Get(t.Context())
					if test.want == "" {
						require.ErrorIs(t, err, down)
						continue
					}
					require.NoError(t, err)
					require.Equal(t, test.want, got.Value)
				}
				synctest.Wait()
				require.EqualValues(t, 1, fetches.Load(), "there is a wait after the failed fetch, although a token is in use")
				pass(10 * time.Second)
				_, _ = source.Get(t.Context())
				synctest.Wait()
				require.EqualValues(t, 2, fetches.Load())
			})
		})
	}
}

// A call of the store never returns, so it blocks one goroutine. Later fetches
// do not call the store, so they block no other goroutines.
func TestStuckStoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		var calls atomic.Int64
		end := make(chan struct{})
		s.save = func(context.Context) error {
			calls.Add(1)
			<-end
			return nil
		}
		v := newVault(t, s, r)
		for range 50 {
			_, err := v.Fetch(t.Context(), none, hourToken)
			require.NoError(t, err)
			pass(2 * token.StoreTimeout)
		}
		require.EqualValues(t, 1, calls.Load())
		close(end)
		synctest.Wait()
		s.save = nil
		_, err := v.Fetch(t.Context(), none, hourToken)
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, s.data, 1, "the store is used again after its call has returned")
	})
}

// After a token was fetched, saving the token and unlocking also end within
// FetchTimeout.
func TestStoreIsDoneWithWithinTheFetchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		began := time.Now()
		var last atomic.Int64
		used := func() { last.Store(int64(time.Since(began))) }
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			used()
			return ctx.Err()
		}
		s.lock = func(ctx context.Context) error { return slow(ctx, token.StoreTimeout-time.Millisecond) }
		s.save = hang
		s.unlock = func() {
			pass(token.StoreTimeout)
			used()
		}
		v := newVault(t, s, r)
		source := token.NewSource(func(ctx context.Context, _ *token.Token, _ bool) (*token.Token, error) {
			return v.Fetch(ctx, none, func(ctx context.Context) (*token.Token, error) {
				deadline, bounded := ctx.Deadline()
				require.True(t, bounded)
				pass(time.Until(deadline) - time.Millisecond)
				return hourToken(ctx)
			})
		}, noWait)
		_, err := source.Get(t.Context())
		require.NoError(t, err)
		pass(time.Minute)
		require.Positive(t, last.Load())
		require.LessOrEqual(t, time.Duration(last.Load()), token.FetchTimeout)
	})
}

func TestWaitersForTheLockUseWhatItsHolderFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		fetches := 0
		var wg sync.WaitGroup
		for range 20 {
			v := newVault(t, s, r)
			wg.Go(func() {
				_, err := v.Fetch(t.Context(), none, func(ctx context.Context) (*token.Token, error) {
					fetches++ // no race: the vault holds the lock
					pass(time.Second)
					return hourToken(ctx)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Equal(t, 1, fetches)
		require.Empty(t, r.all())
		require.Empty(t, s.locked, "the lock is free")
	})
}

// Many processes wait for the lock, and each unlock takes a second. When one
// process has stored a token, the others find this token. They do not wait
// until each of them has had the lock.
func TestWaitersDoNotQueueForTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		s.unlock = func() { pass(time.Second) }
		var fetches atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			v := newVault(t, s, r)
			wg.Go(func() {
				_, err := v.Fetch(t.Context(), none, func(ctx context.Context) (*token.Token, error) {
					fetches.Add(1)
					pass(500 * time.Millisecond)
					return hourToken(ctx)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		require.EqualValues(t, 1, fetches.Load())
		require.Empty(t, r.all())
		pass(token.StoreTimeout)
	})
}

// While Fetch waits for the lock, it often searches the store for a token. If
// such a search fails, the failure is not reported, because each report would
// be a line in the log.
func TestFailingLooksAreNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newStore(), &stepRecorder{}
		s.load = func(context.Context) ([]byte, error) { return nil, errors.New("down") }
		s.lock = func(ctx context.Context) error { return slow(ctx, time.Hour) }
		_, err := newVault(t, s, r).Fetch(t.Context(), none, func(ctx context.Context) (*token.Token, error) {
			pass(time.Second)
			return hourToken(ctx)
		})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []string{"load", "lock"}, r.all())
	})
}

func TestLockIsGivenBackWhenTheFetchFails(t *testing.T) {
	t.Parallel()
	tests := map[string]func(context.Context) (*token.Token, error){
		"error": func(context.Context) (*token.Token, error) { return nil, errors.New("down") },
		"panic": func(context.Context) (*token.Token, error) { panic("boom") },
	}
	for name, fetch := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := newStore(), &stepRecorder{}
				v := newVault(t, s, r)
				source := token.NewSource(func(ctx context.Context, _ *token.Token, _ bool) (*token.Token, error) {
					return v.Fetch(ctx, none, fetch)
				}, noWait)
				_, err := source.Get(t.Context())
				require.Error(t, err)
				synctest.Wait()
				require.Equal(t, 1, s.unlocks())
				require.Empty(t, s.data)
			})
		})
	}
}
