// Package redisstore lets the processes of a fleet share data in Redis: the
// access token of package plural, and the record of handled webhooks.
//
//	store := redisstore.New(redisClient)
//	client, err := plural.NewClient(credentials, plural.WithTokenStore(store))
//	remember := plural.WithDeduper(store)
//	handler := plural.NewWebhookHandler(verifier, handle, remember)
//
// The package works with a single Redis, with a replicated Redis and with a
// cluster, from version 6. Every operation is one command or script on one key.
// The time comes from the Redis server, so the clocks of the processes do not
// matter. If an answer is lost, go-redis repeats the command, by default up to
// three times. The command still takes effect once.
//
// If Redis loses a token, the token is fetched again. If Redis loses the record
// of a webhook, the webhook may be handled again when Plural delivers it again.
// So set Redis to write its log to disk (appendonly yes) and never to evict
// (maxmemory-policy noeviction). Or keep handled webhooks in the shop's own
// database, with package sqlstore.
package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/plural-go/plural"
)

// Store is a [plural.TokenStore] and a [plural.Deduper] on Redis. It is safe
// for concurrent use. All processes that use the same Redis and the same prefix
// share the store's contents.
type Store struct {
	redis  redis.UniversalClient
	prefix string
}

var (
	_ plural.TokenStore = (*Store)(nil)
	_ plural.Deduper    = (*Store)(nil)
)

// Option changes how a [Store] works.
type Option func(*Store)

// WithPrefix sets the beginning of the names of all keys. The default is
// "plural:". If several shops share a Redis, each shop needs a different
// prefix.
func WithPrefix(prefix string) Option { return func(s *Store) { s.prefix = prefix } }

// New makes a Store. The merchant sets the timeouts of the Redis client.
// Package plural waits two seconds for a token store, and five seconds for a
// deduper.
func New(client redis.UniversalClient, opts ...Option) *Store {
	s := &Store{redis: client, prefix: "plural:"}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	return s
}

// Load returns what was last saved under key. It returns nil if nothing is
// saved there.
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	sealed, err := s.redis.Get(ctx, s.prefix+"token:"+key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return sealed, err
}

// Save stores a sealed token. The parameter key is the name under which
// [Store.Load] finds the token. The parameter ttl is how long Redis keeps the
// token. It must be at least a millisecond, because for go-redis a time of zero
// means that the token never expires.
func (s *Store) Save(ctx context.Context, key string, sealed []byte, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return errors.New("redisstore: save token: the time to keep it must be positive")
	}
	return s.redis.Set(ctx, s.prefix+"token:"+key, sealed, ttl).Err()
}

const (
	// If the lock is taken, Lock waits before it tries again. The first wait is
	// about minPoll. Each later wait is about twice as long as the wait before
	// it, up to about maxPoll.
	minPoll = 10 * time.Millisecond
	maxPoll = 100 * time.Millisecond

	// If the answer to a command was lost, the command may still have taken
	// the lock. So after an error, Lock releases the lock. unlockTimeout is
	// the time limit for this release.
	unlockTimeout = time.Second
)

// Lock blocks until the caller holds the lock, or ctx ends. The lock frees
// itself after the time ttl, which must be at least a millisecond. The returned
// function frees only the caller's own lock, and never a later lock of somebody
// else.
func (s *Store) Lock(ctx context.Context, key string, ttl time.Duration) (func(context.Context), error) {
	if ttl < time.Millisecond {
		return nil, errors.New("redisstore: lock: the time to hold it must be positive")
	}
	name, mark := s.prefix+"lock:"+key, uuid.NewString()
	free := func(ctx context.Context) { _ = s.run(ctx, unlockScript, name, mark).Err() }
	for poll := minPoll; ; poll = min(2*poll, maxPoll) {
		held, err := s.run(ctx, lockScript, name, mark, ttl.Milliseconds()).Int()
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
			defer cancel()
			free(ctx)
			return nil, err
		}
		if held == 1 {
			return free, nil
		}
		timer := time.NewTimer(poll/2 + rand.N(poll)) //nolint:gosec // so waiters do not all try at once
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// The scripts are sent as text and not by their digest, because go-redis would
// make the digest with SHA-1. A program in FIPS 140-only mode must not use
// SHA-1.
//
// ARGV[1] is a mark that is unique to one call of a method. If the answer to a
// script was lost, go-redis sends the script again with the same mark. By the
// mark, the script recognises what its first run did.
const (
	lockScript = `
		local holder = redis.call('GET', KEYS[1])
		if holder and holder ~= ARGV[1] then
			return 0
		end
		redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
		return 1`

	unlockScript = `
		if redis.call('GET', KEYS[1]) == ARGV[1] then
			return redis.call('DEL', KEYS[1])
		end
		return 0`

	// claimScript returns 1 for claimed, 2 for in progress, 3 for done. A claim
	// whose lease ran out stays for a while, so its worker may still commit.
	claimScript = `
		local time = redis.call('TIME')
		local now = time[1] * 1000 + math.floor(time[2] / 1000)
		local event = redis.call('HMGET', KEYS[1], 'done', 'until', 'token')
		if event[1] then
			return 3
		end
		if event[2] and tonumber(event[2]) > now then
			if event[3] == ARGV[1] then
				return 1
			end
			return 2
		end
		redis.call('HSET', KEYS[1], 'token', ARGV[1], 'until', now + tonumber(ARGV[2]))
		redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]))
		return 1`

	// The scripts commitScript and releaseScript return 0 if ARGV[2] is not the
	// token of the last claim. If go-redis repeats a script that has succeeded,
	// the script returns 1 again.
	commitScript = `
		local event = redis.call('HMGET', KEYS[1], 'token', 'done')
		if event[2] == ARGV[1] then
			return 1
		end
		if event[1] ~= ARGV[2] then
			return 0
		end
		redis.call('DEL', KEYS[1])
		redis.call('HSET', KEYS[1], 'done', ARGV[1])
		redis.call('PEXPIRE', KEYS[1], ARGV[3])
		return 1`

	releaseScript = `
		local event = redis.call('HMGET', KEYS[1], 'token', 'released')
		if event[2] == ARGV[1] then
			return 1
		end
		if event[1] ~= ARGV[2] then
			return 0
		end
		redis.call('DEL', KEYS[1])
		redis.call('HSET', KEYS[1], 'released', ARGV[1])
		redis.call('PEXPIRE', KEYS[1], ARGV[3])
		return 1`
)

func (s *Store) run(ctx context.Context, script, key string, args ...any) *redis.Cmd {
	return s.redis.Eval(ctx, script, []string{key}, args...)
}

const (
	// commitGrace is how long Redis keeps a claim after its lease has run out.
	commitGrace = time.Hour
	// releasedGrace is how long Redis keeps the record of a release, because
	// go-redis may repeat the command.
	releasedGrace = time.Minute
)

// Claim takes the event for the duration of the lease, unless it was handled
// already or a worker holds an unexpired claim.
func (s *Store) Claim(ctx context.Context, id string, lease time.Duration) (plural.Claim, error) {
	if id == "" || lease < time.Millisecond {
		return plural.Claim{}, errors.New("redisstore: claim webhook: an id and a positive lease are needed")
	}
	mark := uuid.NewString()
	state, err := s.run(ctx, claimScript, s.event(id), mark, lease.Milliseconds(), commitGrace.Milliseconds()).Int()
	switch {
	case err != nil:
		return plural.Claim{}, err
	case state == 1:
		return plural.Claim{State: plural.Claimed, Token: mark}, nil
	case state == 2:
		return plural.Claim{State: plural.InProgress}, nil
	}
	return plural.Claim{State: plural.Done}, nil
}

// Commit records that the event was handled, and keeps the record for the given
// time. It fails with [plural.ErrClaimLost] unless the token is that of the
// event's last claim.
func (s *Store) Commit(ctx context.Context, id, token string, keep time.Duration) error {
	if keep < time.Millisecond {
		return errors.New("redisstore: commit webhook: the time to keep it must be positive")
	}
	return settle(s.run(ctx, commitScript, s.event(id), uuid.NewString(), token, keep.Milliseconds()))
}

// Release gives the event back for the next worker. It fails with
// [plural.ErrClaimLost] unless the token is that of the event's last claim.
func (s *Store) Release(ctx context.Context, id, token string) error {
	return settle(s.run(ctx, releaseScript, s.event(id), uuid.NewString(), token, releasedGrace.Milliseconds()))
}

func settle(c *redis.Cmd) error {
	held, err := c.Int()
	if err == nil && held == 0 {
		return plural.ErrClaimLost
	}
	return err
}

func (s *Store) event(id string) string { return s.prefix + "event:" + id }
