package plural

import (
	"context"
	"fmt"
	"time"
)

// Credentials are the id and the secret that Plural's onboarding team gives to
// a merchant. They print as a placeholder in fmt, slog and JSON. There are two
// exceptions:
//
//   - fmt shows credentials that are in an unexported field of another struct.
//   - fmt shows credentials that are printed with %p, or with %w in the wrong
//     place. The command go vet reports such a %p and such a %w.
//
// So give the credentials to [NewClient] and keep no copy.
type Credentials struct {
	ClientID     string
	ClientSecret string
}

// TokenStore lets the processes of a fleet share one access token, so only one
// of them has to fetch it. The store gets only opaque bytes. The token is
// encrypted with AES-GCM, under a key that is derived from the client secret.
// The encrypted token is bound to the base URL and the client id. The methods
// of the store get a parameter named key. This parameter is a hash, and not the
// key that encrypts the token. So the store does not have to keep its contents
// secret.
//
// A broken store does not make a call fail. If the store fails, hangs, panics
// or returns nonsense, the SDK fetches the token without the store, after at
// most two seconds.
type TokenStore interface {
	// Load returns the bytes that were last saved under the key. It returns
	// nil, nil when nothing is saved there. While Lock waits, Load is called
	// ten times a second. If Load finds a token, the wait ends.
	Load(ctx context.Context, key string) (sealed []byte, err error)
	// Save stores the encrypted token, which is the parameter sealed, under the
	// key. The parameter ttl is how long the store keeps the token.
	Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error
	// Lock blocks until the caller holds the lock named key, or ctx ends.
	// The lock must free itself after ttl. The context ctx limits only the
	// wait for the lock. The SDK cancels ctx as soon as it holds the lock,
	// or no longer needs the lock. A lock that is held must stay held when
	// ctx is cancelled.
	Lock(ctx context.Context, key string, ttl time.Duration) (unlock func(context.Context), err error)
}

func (c Credentials) validate() error {
	for _, f := range []struct{ name, value string }{{"client id", c.ClientID}, {"client secret", c.ClientSecret}} {
		switch {
		case f.value == "":
			return fmt.Errorf("plural: new client: the %s is empty", f.name)
		case !isVisible(f.value):
			const rule = "plural: new client: the %s has a space, a control character or a character outside ASCII"
			return fmt.Errorf(rule, f.name)
		}
	}
	return nil
}
