package pluraltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/plural-go/plural"
)

// TestTokenStore checks that an implementation of [plural.TokenStore] keeps the
// rules of the interface, and reports each broken rule. newStore makes a
// TokenStore. All stores that newStore makes must share their state, as the
// stores of several processes do.
//
// To check some rules, TestTokenStore waits until a lock or some saved bytes
// have expired. This takes a few seconds, or no time in a testing/synctest
// bubble.
func TestTokenStore(t TB, newStore func() plural.TokenStore) {
	t.Helper()
	c := &tokenStoreCheck{t: t, make: newStore, prefix: fmt.Sprintf("plural-token-%d-", time.Now().UnixNano())}
	c.keepsBytes()
	c.forgets()
	c.locks()
	c.lockFreesItself()
	c.loadsWhileOthersWait()
	c.waitingEnds()
	c.lockOutlivesItsContext()
}

type tokenStoreCheck struct {
	t      TB
	make   func() plural.TokenStore
	prefix string
	keys   int
}

func (c *tokenStoreCheck) key() string {
	c.keys++
	return fmt.Sprint(c.prefix, c.keys)
}

func (c *tokenStoreCheck) noError(err error, rule string) bool {
	c.t.Helper()
	if err != nil {
		c.t.Errorf("plural.TokenStore: %s: %v", rule, err)
	}
	return err == nil
}

func (c *tokenStoreCheck) loads(s plural.TokenStore, key string, want []byte, rule string) {
	c.t.Helper()
	got, err := s.Load(context.Background(), key)
	if c.noError(err, rule) && !bytes.Equal(got, want) {
		c.t.Errorf("plural.TokenStore: %s: Load gave %d bytes, want %d", rule, len(got), len(want))
	}
}

// lockWithinTenSeconds waits up to ten seconds for a lock. If a store never
// gives the lock, the test reports that and goes on.
func lockWithinTenSeconds(s plural.TokenStore, key string, ttl time.Duration) (func(context.Context), error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.Lock(ctx, key, ttl)
}

func (c *tokenStoreCheck) keepsBytes() {
	const rule = "every store loads exactly the bytes that one store has saved"
	first, second, key := c.make(), c.make(), c.key()
	c.loads(first, key, nil, "Load returns nil and no error if nothing is saved")
	for _, sealed := range [][]byte{{0, 1, 2, 0xff, 0x80, '\n', 0}, bytes.Repeat([]byte("x"), 10_000)} {
		c.noError(first.Save(context.Background(), key, sealed, time.Hour), rule)
		c.loads(second, key, sealed, rule)
	}
	c.loads(first, c.key(), nil, "another key has nothing")
}

func (c *tokenStoreCheck) forgets() {
	const rule = "saved bytes are forgotten after their ttl"
	s, key := c.make(), c.key()
	c.noError(s.Save(context.Background(), key, []byte("x"), time.Second), rule)
	<-time.After(2 * time.Second)
	c.loads(s, key, nil, rule)
}

func (c *tokenStoreCheck) locks() {
	const rule = "only one caller holds a lock, and the next caller gets it after unlock"
	first, second, key := c.make(), c.make(), c.key()
	unlock, err := lockWithinTenSeconds(first, key, time.Hour)
	if !c.noError(err, rule) {
		return
	}
	other, err := lockWithinTenSeconds(second, c.key(), time.Hour)
	if c.noError(err, "another key's lock is free") {
		other(context.Background())
	}
	var isFree atomic.Bool
	got := make(chan error, 1)
	go func() {
		next, err := lockWithinTenSeconds(second, key, time.Hour)
		if err == nil && !isFree.Load() {
			err = errors.New("two callers hold the lock at once")
		}
		if next != nil {
			next(context.Background())
		}
		got <- err
	}()
	<-time.After(500 * time.Millisecond)
	isFree.Store(true)
	unlock(context.Background())
	c.noError(<-got, rule)
}

func (c *tokenStoreCheck) lockFreesItself() {
	const rule = "a lock frees itself after its ttl, and the late unlock does not free the next holder's lock"
	s, key := c.make(), c.key()
	late, err := lockWithinTenSeconds(s, key, time.Second)
	if !c.noError(err, rule) {
		return
	}
	unlock, err := lockWithinTenSeconds(s, key, time.Hour)
	if !c.noError(err, rule) {
		return
	}
	late(context.Background())
	short, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	if third, err := s.Lock(short, key, time.Hour); err == nil {
		c.t.Errorf("plural.TokenStore: %s", rule)
		third(context.Background())
	}
	unlock(context.Background())
}

func (c *tokenStoreCheck) loadsWhileOthersWait() {
	const rule = "Load answers while a lock is held and waited for"
	holder, waiter, key := c.make(), c.make(), c.key()
	unlock, err := lockWithinTenSeconds(holder, key, time.Hour)
	if !c.noError(err, rule) {
		return
	}
	c.noError(holder.Save(context.Background(), key, []byte("x"), time.Hour), rule)
	ctx, stop := context.WithCancel(context.Background())
	waited := make(chan func(context.Context), 1)
	go func() {
		next, _ := waiter.Lock(ctx, key, time.Hour)
		waited <- next
	}()
	<-time.After(200 * time.Millisecond)
	loaded := make(chan error, 1)
	go func() {
		_, err := waiter.Load(context.Background(), key)
		loaded <- err
	}()
	select {
	case err := <-loaded:
		c.noError(err, rule)
	case <-time.After(5 * time.Second):
		c.t.Errorf("plural.TokenStore: %s", rule)
	}
	stop()
	unlock(context.Background())
	if next := <-waited; next != nil {
		next(context.Background())
	}
}

func (c *tokenStoreCheck) waitingEnds() {
	const rule = "Lock stops waiting when its context ends"
	s, key := c.make(), c.key()
	unlock, err := lockWithinTenSeconds(s, key, time.Hour)
	if !c.noError(err, rule) {
		return
	}
	defer unlock(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		again, err := s.Lock(ctx, key, time.Hour)
		if err == nil {
			again(context.Background())
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			c.t.Errorf("plural.TokenStore: %s: two callers have the lock", rule)
		}
	case <-time.After(10 * time.Second):
		c.t.Errorf("plural.TokenStore: %s", rule)
	}
}

func (c *tokenStoreCheck) lockOutlivesItsContext() {
	const rule = "a lock stays held after the context of its Lock call has ended"
	s, key := c.make(), c.key()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	unlock, err := s.Lock(ctx, key, time.Hour)
	cancel()
	if !c.noError(err, rule) {
		return
	}
	short, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	if second, err := s.Lock(short, key, time.Hour); err == nil {
		c.t.Errorf("plural.TokenStore: %s", rule)
		second(context.Background())
	}
	unlock(context.Background())
}
