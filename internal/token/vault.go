package token

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// StoreTimeout limits how long the store may delay the request for a token. All
// calls of the store before the request share this limit. After that time, the
// token is fetched without the store. When a token was fetched, saving the
// token may take up to StoreTimeout, and so may unlocking.
const StoreTimeout = 2 * time.Second

// fetchTime is the part of FetchTimeout that is left for the request.
const fetchTime = FetchTimeout - 3*StoreTimeout

// Store keeps sealed tokens for a fleet of processes.
type Store interface {
	Load(ctx context.Context, key string) (sealed []byte, err error)
	Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error
	Lock(ctx context.Context, key string, ttl time.Duration) (unlock func(context.Context), err error)
}

// Vault shares a token through a store that need not be trusted. The store can
// lose, refuse and delay tokens, but cannot read or forge them. A store that
// fails, hangs, lies or panics costs time, but never makes a call fail.
type Vault struct {
	store  Store
	key    string
	aead   cipher.AEAD
	bound  []byte
	report func(step string, err error)
	stuck  atomic.Int64 // how many abandoned calls of the store have not returned yet
}

// NewVault makes a Vault. Its key is derived from secret. A sealed token is
// bound to the identity (base URL and client id). It is stored under a hash of
// the identity.
func NewVault(store Store, secret, identity string, report func(step string, err error)) (*Vault, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "plural access token v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	// This GCM makes the nonce, and writes it before the sealed token. FIPS 140
	// allows no other GCM for sealing.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	name := sha256.Sum256([]byte("plural access token v1\x00" + identity))
	return &Vault{
		store:  store,
		key:    "plural-token-" + hex.EncodeToString(name[:]),
		aead:   aead,
		bound:  []byte(identity),
		report: report,
	}, nil
}

// Fetch returns the stored token, unless it was refused or is near its end.
// Otherwise it takes the store's lock and fetches a new token. Fetch returns
// the new token at once. Afterwards, the new token is stored in the background,
// and then the lock is released. If the request for a new token fails, Fetch
// returns the error. If there is a stored token that is near its end, Fetch
// returns that token together with the error.
func (v *Vault) Fetch(
	ctx context.Context, refused func(*Token) bool, fetch func(context.Context) (*Token, error),
) (*Token, error) {
	stored, unlock := v.loadOrLock(ctx, refused)
	if isFresh(stored) {
		go unlock()
		return stored, nil
	}
	var fetched *Token
	defer func() {
		go func() {
			defer unlock()
			if fetched != nil {
				v.save(ctx, fetched)
			}
		}()
	}()
	bounded, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	t, err := fetch(bounded)
	if err != nil {
		return stored, err
	}
	fetched = t
	return fetched, nil
}

func isFresh(t *Token) bool { return t != nil && time.Now().Before(t.Refresh) }

// loadOrLock loads the token from the store. If there is no fresh token,
// loadOrLock takes the lock and loads the token again. All of this takes no
// longer than StoreTimeout.
func (v *Vault) loadOrLock(ctx context.Context, refused func(*Token) bool) (t *Token, unlock func()) {
	unlock = func() {}
	if v.stuck.Load() > 0 {
		v.report("load", errStuck)
		return nil, unlock
	}
	ctx, cancel := context.WithTimeout(ctx, StoreTimeout) // also ends the wait for a lock that another process holds
	defer cancel()
	if t = v.load(ctx, refused); isFresh(t) || ctx.Err() != nil {
		return t, unlock
	}
	return v.lockAndLoad(ctx, t, refused)
}

// While a process waits for the lock, it also searches the store for a token.
// searchInterval is the time between two of these searches.
const searchInterval = 100 * time.Millisecond

// errNotNeeded ends the wait for a lock.
var errNotNeeded = errors.New("there is a token in the store")

// lockAndLoad waits for the lock, and then loads the token from the store. If
// it does not get the lock, or the store has no valid token, it returns the
// token t. While it waits for the lock, it also searches the store for a fresh
// token. If it finds one, it returns this token at once. So when one process
// has stored a token, all other processes find the token soon, and need not
// take the lock one after the other.
func (v *Vault) lockAndLoad(ctx context.Context, t *Token, refused func(*Token) bool) (*Token, func()) {
	type taken struct {
		unlock func()
		held   bool
	}
	lock := make(chan taken, 1)
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(errNotNeeded)
	go func() {
		unlock, held := v.lock(waiting)
		lock <- taken{unlock, held}
	}()
	ticker := time.NewTicker(searchInterval)
	defer ticker.Stop()
	for {
		select {
		case l := <-lock:
			if l.held && ctx.Err() == nil {
				if again := v.load(ctx, refused); again != nil {
					t = again
				}
			}
			return t, l.unlock
		case <-ticker.C:
			if again, _, _ := v.tryLoad(ctx, refused); isFresh(again) {
				return again, func() { (<-lock).unlock() }
			}
		}
	}
}

// The method load returns the stored token if it is valid and was not refused.
func (v *Vault) load(ctx context.Context, refused func(*Token) bool) *Token {
	t, step, err := v.tryLoad(ctx, refused)
	if err != nil {
		v.report(step, err)
	}
	return t
}

// tryLoad is a variant of the method load. It does not report a failure. It
// returns the error and the name of the step that failed.
func (v *Vault) tryLoad(ctx context.Context, refused func(*Token) bool) (t *Token, step string, err error) {
	sealed, err := callStore(
		ctx, &v.stuck, func(ctx context.Context) ([]byte, error) { return v.store.Load(ctx, v.key) }, nil,
	)
	if err != nil {
		return nil, "load", err
	}
	if len(sealed) == 0 {
		return nil, "", nil
	}
	t, err = v.open(sealed)
	if err != nil {
		return nil, "open", err
	}
	if refused(t) || !time.Now().Before(t.Expires) {
		return nil, "", nil
	}
	return t, "", nil
}

func (v *Vault) save(ctx context.Context, t *Token) {
	ctx, cancel := contextAfter(ctx)
	defer cancel()
	if v.stuck.Load() > 0 {
		v.report("save", errStuck)
		return
	}
	_, err := callStore(ctx, &v.stuck, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, v.store.Save(ctx, v.key, v.seal(t), time.Until(t.Expires))
	}, nil)
	if err != nil {
		v.report("save", err)
	}
}

// The method lock takes the store's lock. If the store does not give the lock,
// the token is fetched without the lock, because the lock only saves requests.
func (v *Vault) lock(ctx context.Context) (unlock func(), held bool) {
	release := func(unlock func(context.Context)) {
		if unlock == nil {
			return
		}
		ctx, cancel := contextAfter(ctx)
		defer cancel()
		_, err := callStore(ctx, &v.stuck, func(ctx context.Context) (struct{}, error) {
			unlock(ctx)
			return struct{}{}, nil
		}, nil)
		if err != nil {
			v.report("unlock", err)
		}
	}
	free, err := callStore(ctx, &v.stuck, func(ctx context.Context) (func(context.Context), error) {
		return v.store.Lock(ctx, v.key, FetchTimeout)
	}, release)
	if err != nil {
		if !errors.Is(context.Cause(ctx), errNotNeeded) {
			v.report("lock", err)
		}
		return func() {}, false
	}
	return func() { release(free) }, true
}

type sealedToken struct {
	Value   string `json:"value"`
	Expires int64  `json:"expires"` // Unix milliseconds
	Refresh int64  `json:"refresh"`
}

func (v *Vault) seal(t *Token) []byte {
	sealed := sealedToken{t.Value, t.Expires.UnixMilli(), t.Refresh.UnixMilli()}
	plain, _ := json.Marshal(sealed)             //nolint:errchkjson // a string and two numbers
	return v.aead.Seal(nil, nil, plain, v.bound) //nolint:gosec // the AEAD makes the nonce
}

func (v *Vault) open(sealed []byte) (*Token, error) {
	plain, err := v.aead.Open(nil, nil, sealed, v.bound)
	if err != nil {
		return nil, errors.New("stored token was sealed by somebody else or altered")
	}
	var st sealedToken
	if err := json.Unmarshal(plain, &st); err != nil || st.Value == "" {
		return nil, errors.New("stored token does not have the expected form")
	}
	return &Token{
		Value:   st.Value,
		Expires: time.UnixMilli(st.Expires),
		Refresh: time.UnixMilli(st.Refresh),
		Stored:  true,
	}, nil
}

// contextAfter makes a context for the work that remains after the token was
// fetched.
func contextAfter(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), StoreTimeout)
}

var errStuck = errors.New("an earlier call of the token store has not returned yet")

// callStore runs one call of a store. The store may hang, ignore its context or
// panic. When ctx ends, callStore returns an error, and no longer waits for the
// call. From then on the call counts as stuck, until the call returns. If the
// call then returns without an error, the function onLateResult gets the
// result.
func callStore[T any](
	ctx context.Context, stuck *atomic.Int64, call func(context.Context) (T, error), onLateResult func(T),
) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	abandoned := make(chan struct{})
	go func() {
		r := result{err: errors.New("token store panicked")}
		defer func() { // this also runs if the store ends this goroutine
			_ = recover()
			select {
			case done <- r:
			case <-abandoned:
				stuck.Add(-1)
				if r.err == nil && onLateResult != nil {
					onLateResult(r.value)
				}
			}
		}()
		r.value, r.err = call(ctx)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		stuck.Add(1)
		close(abandoned)
		var zero T
		return zero, fmt.Errorf("token store did not answer: %w", context.Cause(ctx))
	}
}
