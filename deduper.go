package plural

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural/internal/foreign"
)

// The errors of a [Deduper].
var (
	// ErrClaimLost means that the caller does not hold the claim, or no longer
	// holds it. For example, the claim's lease ran out and another worker took
	// the event, or the claim was committed or released before.
	ErrClaimLost = foreign.Sentinel("plural: the claim on the webhook is lost")
	// ErrDeduperFull means that a [MemoryDeduper] has no room for another
	// event.
	ErrDeduperFull = foreign.Sentinel("plural: the memory for webhooks is full")
)

// ClaimState is the result of a claim.
type ClaimState int

// The states of a claim. The zero ClaimState is not one of these states, and
// gives no claim to the caller.
const (
	Claimed    ClaimState = iota + 1 // the caller has the event, until the lease ends
	InProgress                       // another worker has the event
	Done                             // the event was handled
)

// Claim is the result of [Deduper.Claim]. If its State is Claimed, pass its
// Token to Commit or Release. The Token shows the Deduper which claim the
// worker has. So the Deduper can refuse a worker that has lost the event to
// another worker.
type Claim struct {
	State ClaimState
	Token string // for Commit and Release; "" unless Claimed
}

// Deduper remembers webhook events by name, so each event is handled once. A
// worker claims an event, handles it, and commits the claim. A Deduper must be
// safe for concurrent use. A fleet of processes needs a shared Deduper that
// survives restarts. [MemoryDeduper] is for one process.
//
// The name of an event is its webhook-id. With [WithMerchant], the merchant's
// name and a "/" come first. A name has up to 257 characters. It consists of
// A-Z a-z 0-9 - _ / and the characters of the merchant's name.
type Deduper interface {
	// Claim takes the event for the length of the lease, unless the event was
	// handled already or a worker holds an unexpired claim on it.
	Claim(ctx context.Context, id string, lease time.Duration) (Claim, error)
	// Commit records that the event was handled, and keeps the record for the
	// given time. It fails with [ErrClaimLost] unless the token is that of the
	// event's last claim.
	Commit(ctx context.Context, id, token string, keep time.Duration) error
	// Release gives the event back for the next worker. It fails with
	// [ErrClaimLost] unless the token is that of the event's last claim.
	Release(ctx context.Context, id, token string) error
}

const defaultMemoryEvents = 1 << 18 // room for about one event a second, each kept for 72 hours

// MemoryDeduper is a [Deduper] in memory. When it is full, it refuses further
// events, and Plural delivers these events again later. To make room, the
// MemoryDeduper drops old events. It drops a claimed event only after the lease
// has ended, and a committed event only after the time that was given to
// Commit.
//
// The zero MemoryDeduper is ready for use and has the default size.
type MemoryDeduper struct {
	most int // 0 is the default

	mu      sync.Mutex
	events  map[string]memoryEvent
	claims  uint64    // the number of claims so far, which is also the token of the last claim
	sweepAt int       // the number of events at which the next sweep is due
	rested  time.Time // no sweep happens before this time
}

type memoryEvent struct {
	token string    // "" when done
	end   time.Time // when the lease ends or, after Commit, when the event may be forgotten
}

var _ Deduper = (*MemoryDeduper)(nil)

// NewMemoryDeduper makes a MemoryDeduper that holds up to the given number of
// events. Zero or less means 262,144 events, which take about 65 MB.
func NewMemoryDeduper(most int) *MemoryDeduper {
	return &MemoryDeduper{most: max(most, 0)}
}

// Claim takes the event for the length of the lease. It fails with
// [ErrDeduperFull] if there is no room for the event.
func (d *MemoryDeduper) Claim(_ context.Context, id string, lease time.Duration) (Claim, error) {
	if id == "" || lease <= 0 {
		return Claim{}, errors.New("plural: claim webhook: an id and a positive lease are needed")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	event, isKnown := d.events[id]
	switch {
	case !isKnown && !d.hasRoom(now):
		return Claim{}, ErrDeduperFull
	case !isKnown || !now.Before(event.end):
	case event.token == "":
		return Claim{State: Done}, nil
	default:
		return Claim{State: InProgress}, nil
	}
	d.claims++
	token := strconv.FormatUint(d.claims, 10)
	d.storeEvent(id, memoryEvent{token, now.Add(lease)})
	return Claim{State: Claimed, Token: token}, nil
}

// Commit records the event as handled. A worker can still commit in the hour
// after its lease ran out. But if somebody else has claimed the event, or if
// the memory has dropped the claim to make room, the worker cannot commit. Then
// the error is [ErrClaimLost].
func (d *MemoryDeduper) Commit(_ context.Context, id, token string, keep time.Duration) error {
	if keep <= 0 {
		return errors.New("plural: commit webhook: the time to keep the record must be positive")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if event := d.events[id]; event.token == "" || event.token != token || !now.Before(event.end.Add(commitGrace)) {
		return ErrClaimLost
	}
	d.storeEvent(id, memoryEvent{end: now.Add(keep)})
	return nil
}

// Release gives the event back. The error is [ErrClaimLost] if the claim was
// committed or released before, or if another worker has claimed the event
// since.
func (d *MemoryDeduper) Release(_ context.Context, id, token string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if event := d.events[id]; event.token == "" || event.token != token {
		return ErrClaimLost
	}
	delete(d.events, id)
	return nil
}

// storeEvent stores an event under a copy of the id. The id may be part of a
// request, and a server may use the request's memory again. The copy is also
// needed if the map already has this id, because Go then stores the new string
// in place of the old one.
func (d *MemoryDeduper) storeEvent(id string, event memoryEvent) {
	if d.events == nil {
		d.events = make(map[string]memoryEvent)
	}
	d.events[strings.Clone(id)] = event
}

// commitGrace is how long a claim is remembered after its lease ran out, so its
// worker can still commit.
const commitGrace = time.Hour

// hasRoom reports whether there is room for one more event. It first drops old
// entries in two cases:
//
//   - There are twice as many events as after the last sweep, and at least
//     1,024. Then hasRoom drops a claim if the claim's lease ended at least an
//     hour ago (commitGrace).
//   - There is no room. Then hasRoom drops a claim if the claim's lease has
//     ended. As soon as there is room again, hasRoom drops other claims as in
//     the first case.
//
// In both cases, hasRoom also drops a committed event if the time that was
// given to Commit is over.
//
// A sweep of 262,144 events takes 8 ms. Sweeps take at most a hundredth of the
// running time. To keep to this limit, hasRoom may delay a sweep.
func (d *MemoryDeduper) hasRoom(now time.Time) bool {
	const fewest = 1024
	most := cmp.Or(d.most, defaultMemoryEvents)
	if len(d.events) >= min(most, d.sweepAt) && !now.Before(d.rested) {
		for id, event := range d.events {
			if event.token != "" && len(d.events) < most {
				event.end = event.end.Add(commitGrace)
			}
			if !now.Before(event.end) {
				delete(d.events, id)
			}
		}
		d.sweepAt, d.rested = max(fewest, 2*len(d.events)), now.Add(100*time.Since(now))
	}
	return len(d.events) < most
}
