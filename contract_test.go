package plural_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// The conformance tests that merchants hold their own implementations to.
func TestMemoryDeduperConforms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pluraltest.TestDeduper(t, func() plural.Deduper { return plural.NewMemoryDeduper(0) }, false)
		shared := plural.NewMemoryDeduper(0)
		pluraltest.TestDeduper(t, func() plural.Deduper { return shared }, true)
	})
}

// recorder is a test that notes what is reported to it.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	problems []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// A Deduper that breaks one rule is found out.
func TestDeduperConformanceFindsFaults(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(plural.Deduper) plural.Deduper{
		"claims twice":            func(d plural.Deduper) plural.Deduper { return claimsTwice{d} },
		"forgets what it handled": func(d plural.Deduper) plural.Deduper { return forgetful{d} },
		"takes any token":         func(d plural.Deduper) plural.Deduper { return unfenced{d} },
		"gives no reason":         func(d plural.Deduper) plural.Deduper { return silent{d} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				pluraltest.TestDeduper(r, func() plural.Deduper { return broken(plural.NewMemoryDeduper(0)) }, false)
				require.NotEmpty(t, r.problems)
			})
		})
	}
}

type claimsTwice struct{ plural.Deduper }

func (d claimsTwice) Claim(ctx context.Context, id string, lease time.Duration) (plural.Claim, error) {
	claim, err := d.Deduper.Claim(ctx, id, lease)
	if claim.State == plural.InProgress {
		claim = plural.Claim{State: plural.Claimed, Token: "again"}
	}
	return claim, err
}

type forgetful struct{ plural.Deduper }

func (d forgetful) Commit(ctx context.Context, id, token string, _ time.Duration) error {
	return d.Deduper.Commit(ctx, id, token, time.Millisecond)
}

type unfenced struct{ plural.Deduper }

func (d unfenced) Release(ctx context.Context, id, token string) error {
	_ = d.Deduper.Release(ctx, id, token)
	return nil
}

type silent struct{ plural.Deduper }

func (d silent) Commit(ctx context.Context, id, token string, keep time.Duration) error {
	if d.Deduper.Commit(ctx, id, token, keep) != nil {
		return errors.New("no")
	}
	return nil
}

func TestTokenStoreConformance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newLeasedStore()
		pluraltest.TestTokenStore(t, func() plural.TokenStore { return shared })
		r := &recorder{TB: t}
		forever := newMemoryStore() // its locks never free themselves, and it forgets nothing
		pluraltest.TestTokenStore(r, func() plural.TokenStore { return forever })
		require.GreaterOrEqual(t, len(r.problems), 2)
		r = &recorder{TB: t}
		busy := busyStore{newLeasedStore(), make(chan struct{}, 1)}
		pluraltest.TestTokenStore(r, func() plural.TokenStore { return busy })
		require.Len(t, r.problems, 1)
		require.Contains(t, r.problems[0], "Load answers while a lock is held and waited for")
	})
}

// busyStore does one thing at a time, and waiting for a lock is one.
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
