package pluraltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/plural-go/plural"
)

// conformanceLease is the length of the lease in the tests that wait for its
// end.
const conformanceLease = time.Second

// TestDeduper checks that an implementation of [plural.Deduper] keeps the rules
// of the interface, and reports each broken rule. newDeduper makes an empty
// Deduper for each rule. All Dedupers may use the same store, because each rule
// uses names of its own. Set isShared if Dedupers on the same store share their
// state, as two processes do.
//
// To check some rules, TestDeduper waits until a lease has ended. This takes a
// few seconds, or no time in a testing/synctest bubble.
func TestDeduper(t TB, newDeduper func() plural.Deduper, isShared bool) {
	t.Helper()
	c := &deduperCheck{
		t: t, make: newDeduper, isShared: isShared,
		prefix: fmt.Sprintf("msg_%d_", time.Now().UnixNano()),
	}
	c.claimIsExclusive()
	c.handledStaysHandled()
	c.releaseLetsTheNextIn()
	c.leaseRunsOut()
	c.lateWorkerMayStillCommit()
	c.tokensFence()
	c.oneOfManyClaims()
	c.namesAreApart()
	c.endedContext()
	c.restart()
}

type deduperCheck struct {
	t        TB
	make     func() plural.Deduper
	isShared bool
	prefix   string
	names    int
}

func (c *deduperCheck) name() string {
	c.names++
	return fmt.Sprint(c.prefix, c.names)
}

func (c *deduperCheck) claim(
	d plural.Deduper, id string, lease time.Duration, want plural.ClaimState, rule string,
) string {
	c.t.Helper()
	claim, err := d.Claim(context.Background(), id, lease)
	if err != nil || claim.State != want {
		c.t.Errorf("plural.Deduper: %s: Claim gave state %d and error %v, want state %d", rule, claim.State, err, want)
	}
	if want == plural.Claimed && claim.Token == "" {
		c.t.Errorf("plural.Deduper: %s: the claim has no token", rule)
	}
	return claim.Token
}

func (c *deduperCheck) noError(err error, rule string) {
	c.t.Helper()
	if err != nil {
		c.t.Errorf("plural.Deduper: %s: %v", rule, err)
	}
}

func (c *deduperCheck) claimIsLost(err error, rule string) {
	c.t.Helper()
	if !errors.Is(err, plural.ErrClaimLost) {
		c.t.Errorf("plural.Deduper: %s: error %v, want ErrClaimLost", rule, err)
	}
}

func (c *deduperCheck) claimIsExclusive() {
	const rule = "while an event is claimed, another claim gets InProgress"
	d, id := c.make(), c.name()
	token := c.claim(d, id, time.Hour, plural.Claimed, rule)
	c.claim(d, id, time.Hour, plural.InProgress, rule)
	c.noError(d.Release(context.Background(), id, token), rule)
}

func (c *deduperCheck) handledStaysHandled() {
	const rule = "after Commit the event is done, and its claim has ended"
	d, id := c.make(), c.name()
	token := c.claim(d, id, conformanceLease, plural.Claimed, rule)
	c.noError(d.Commit(context.Background(), id, token, time.Hour), rule)
	c.claim(d, id, time.Hour, plural.Done, rule)
	c.claimIsLost(d.Commit(context.Background(), id, token, time.Hour), rule+": a second Commit")
	c.claimIsLost(d.Release(context.Background(), id, token), rule+": Release after Commit")
	<-time.After(conformanceLease * 3 / 2)
	c.claim(d, id, time.Hour, plural.Done, "a committed event stays done after its claim's lease has ended")
}

func (c *deduperCheck) releaseLetsTheNextIn() {
	const rule = "a released event can be claimed at once"
	d, id := c.make(), c.name()
	token := c.claim(d, id, time.Hour, plural.Claimed, rule)
	c.noError(d.Release(context.Background(), id, token), rule)
	next := c.claim(d, id, time.Hour, plural.Claimed, rule)
	c.claimIsLost(d.Commit(context.Background(), id, token, time.Hour), rule+": Commit after Release")
	c.noError(d.Commit(context.Background(), id, next, time.Hour), rule)
}

func (c *deduperCheck) leaseRunsOut() {
	const rule = "an event whose lease has run out can be claimed again"
	d, id := c.make(), c.name()
	first := c.claim(d, id, conformanceLease, plural.Claimed, rule)
	<-time.After(conformanceLease * 3 / 2)
	second := c.claim(d, id, time.Hour, plural.Claimed, rule)
	c.claimIsLost(d.Commit(context.Background(), id, first, time.Hour), rule+": Commit of the earlier claim")
	c.claimIsLost(d.Release(context.Background(), id, first), rule+": Release of the earlier claim")
	c.claim(d, id, time.Hour, plural.InProgress, rule+": the second claim is still valid")
	c.noError(d.Commit(context.Background(), id, second, time.Hour), rule)
	c.claim(d, id, time.Hour, plural.Done, rule)
}

func (c *deduperCheck) lateWorkerMayStillCommit() {
	const rule = "after a worker's lease has ended, Commit either succeeds or returns ErrClaimLost"
	d, id := c.make(), c.name()
	token := c.claim(d, id, conformanceLease, plural.Claimed, rule)
	<-time.After(conformanceLease * 3 / 2)
	if err := d.Commit(context.Background(), id, token, time.Hour); err != nil {
		c.claimIsLost(err, rule)
		c.claim(d, id, time.Hour, plural.Claimed, rule)
		return
	}
	c.claim(d, id, time.Hour, plural.Done, rule)
}

func (c *deduperCheck) tokensFence() {
	const rule = "only the token of the last claim can commit or release an event"
	d, id := c.make(), c.name()
	c.claimIsLost(d.Commit(context.Background(), id, "1", time.Hour), "Commit of an event that nobody claimed")
	c.claimIsLost(d.Release(context.Background(), id, "1"), "Release of an event that nobody claimed")
	token := c.claim(d, id, time.Hour, plural.Claimed, rule)
	for _, wrong := range []string{"", token + "0", "another"} {
		c.claimIsLost(d.Commit(context.Background(), id, wrong, time.Hour), rule)
		c.claimIsLost(d.Release(context.Background(), id, wrong), rule)
	}
	c.claim(d, id, time.Hour, plural.InProgress, rule)
	c.noError(d.Commit(context.Background(), id, token, time.Hour), rule)
}

func (c *deduperCheck) oneOfManyClaims() {
	const rule = "if many workers claim an event at the same time, exactly one claim succeeds"
	d, id := c.make(), c.name()
	var mu sync.Mutex
	var wg sync.WaitGroup
	states := map[plural.ClaimState]int{}
	for range 32 {
		wg.Go(func() {
			claim, err := d.Claim(context.Background(), id, time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				states[claim.State]++
			}
		})
	}
	wg.Wait()
	if states[plural.Claimed] != 1 || states[plural.InProgress] != 31 {
		c.t.Errorf("plural.Deduper: %s: %d of 32 claims succeeded, and %d got InProgress",
			rule, states[plural.Claimed], states[plural.InProgress])
	}
}

func (c *deduperCheck) namesAreApart() {
	const rule = "events with different names are independent"
	d, id := c.make(), c.name()
	for _, other := range []string{id, id + "_", "shop-a/" + id, "shop-A/" + id, "shop-b/" + id} {
		token := c.claim(d, other, time.Hour, plural.Claimed, rule)
		c.noError(d.Commit(context.Background(), other, token, time.Hour), rule)
	}
}

func (c *deduperCheck) endedContext() {
	const rule = "a claim that succeeds with an ended context can be released"
	d, id := c.make(), c.name()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if claim, err := d.Claim(ended, id, time.Hour); err == nil && claim.State == plural.Claimed {
		c.noError(d.Release(context.Background(), id, claim.Token), rule)
	} // a claim that returned an error may still hold the name, until its lease ends
}

func (c *deduperCheck) restart() {
	if !c.isShared {
		return
	}
	const rule = "other processes see a claim and its end, even after a restart"
	first, second, id := c.make(), c.make(), c.name()
	token := c.claim(first, id, time.Hour, plural.Claimed, rule)
	c.claim(second, id, time.Hour, plural.InProgress, rule)
	c.noError(second.Commit(context.Background(), id, token, time.Hour), rule)
	c.claim(c.make(), id, time.Hour, plural.Done, rule)
}
