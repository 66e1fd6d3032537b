package token

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// StoreTimeout is how long any one call of a store may take before the token is fetched without it.
const StoreTimeout = 2 * time.Second

// Store keeps sealed tokens for a fleet.
type Store interface {
	Load(ctx context.Context, key string) (sealed []byte, err error)
	Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error
	Lock(ctx context.Context, key string, ttl time.Duration) (unlock func(context.Context), err error)
}

// Vault shares a token through a store that need not be trusted: it can lose, refuse and delay, but not read or forge. A store that fails, hangs,
// lies or panics costs time, and never a call.
type Vault struct {
	store  Store
	key    string
	aead   cipher.AEAD
	bound  []byte
	report func(step string, err error)
}

// NewVault makes a Vault. Its key is derived from secret; what it seals is bound to the identity (base URL and client id), and the name under which it
// is stored is a hash of that.
func NewVault(store Store, secret, identity string, report func(step string, err error)) (*Vault, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "plural access token v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	name := sha256.Sum256([]byte("plural access token v1\x00" + identity))
	return &Vault{store: store, key: "plural-token-" + hex.EncodeToString(name[:]), aead: aead, bound: []byte(identity), report: report}, nil
}

// Fetch returns the stored token if it is usable, or else fetches one under the store's lock and stores it.
func (v *Vault) Fetch(ctx context.Context, usable func(*Token) bool, fetch func(context.Context) (*Token, error)) (*Token, error) {
	if t := v.load(ctx); t != nil && usable(t) {
		return t, nil
	}
	unlock := v.lock(ctx)
	defer unlock()
	if t := v.load(ctx); t != nil && usable(t) {
		return t, nil
	}
	t, err := fetch(ctx)
	if err != nil {
		return nil, err
	}
	v.save(ctx, t)
	return t, nil
}

func (v *Vault) load(ctx context.Context) *Token {
	sealed, err := guarded(ctx, func(ctx context.Context) ([]byte, error) { return v.store.Load(ctx, v.key) }, nil)
	if err != nil {
		v.report("load", err)
		return nil
	}
	if len(sealed) == 0 {
		return nil
	}
	t, err := v.open(sealed)
	if err != nil {
		v.report("open", err)
		return nil
	}
	return t
}

func (v *Vault) save(ctx context.Context, t *Token) {
	_, err := guarded(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, v.store.Save(ctx, v.key, v.seal(t), time.Until(t.Expires))
	}, nil)
	if err != nil {
		v.report("save", err)
	}
}

// lock takes the store's lock. Without it the token is fetched all the same; the lock only saves requests.
func (v *Vault) lock(ctx context.Context) (unlock func()) {
	release := func(unlock func(context.Context)) {
		if unlock == nil {
			return
		}
		_, err := guarded(context.WithoutCancel(ctx), func(ctx context.Context) (struct{}, error) {
			unlock(ctx)
			return struct{}{}, nil
		}, nil)
		if err != nil {
			v.report("unlock", err)
		}
	}
	held, err := guarded(ctx, func(ctx context.Context) (func(context.Context), error) {
		return v.store.Lock(ctx, v.key, FetchTimeout)
	}, release)
	if err != nil {
		v.report("lock", err)
		return func() {}
	}
	return func() { release(held) }
}

type sealedToken struct {
	Value   string `json:"value"`
	Expires int64  `json:"expires"` // Unix milliseconds
	Refresh int64  `json:"refresh"`
}

func (v *Vault) seal(t *Token) []byte {
	plain, _ := json.Marshal(sealedToken{t.Value, t.Expires.UnixMilli(), t.Refresh.UnixMilli()}) //nolint:errchkjson // a string and two numbers
	nonce := make([]byte, v.aead.NonceSize(), v.aead.NonceSize()+len(plain)+v.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: it crashes the program instead
	return v.aead.Seal(nonce, nonce, plain, v.bound)
}

func (v *Vault) open(sealed []byte) (*Token, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("stored token is too short")
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], v.bound)
	if err != nil {
		return nil, errors.New("stored token was sealed by somebody else or altered")
	}
	var st sealedToken
	if err := json.Unmarshal(plain, &st); err != nil || st.Value == "" {
		return nil, errors.New("stored token has another form")
	}
	return &Token{Value: st.Value, Expires: time.UnixMilli(st.Expires), Refresh: time.UnixMilli(st.Refresh)}, nil
}

// guarded runs one call of a store, which is not trusted to return, to obey its context, or not to panic. It gives up after StoreTimeout; late is
// then given what the call returns after all.
func guarded[T any](ctx context.Context, call func(context.Context) (T, error), late func(T)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, StoreTimeout)
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	abandoned := make(chan struct{})
	go func() {
		defer cancel()
		r := result{err: errors.New("token store panicked")}
		func() {
			defer func() { _ = recover() }()
			r.value, r.err = call(ctx)
		}()
		select {
		case done <- r:
		case <-abandoned:
			if r.err == nil && late != nil {
				late(r.value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		close(abandoned)
		var zero T
		return zero, fmt.Errorf("token store did not answer: %w", context.Cause(ctx))
	}
}
