package plural

import (
	"container/heap"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a [Deduper] fails with.
var (
	// ErrClaimLost says that a claim is not the caller's (any more): its lease ran
	// out and another worker took over, or it was settled before.
	ErrClaimLost = sentinel("plural: the claim on the webhook is lost")
	// ErrDeduperFull says that a [MemoryDeduper] holds as many events as it may.
	ErrDeduperFull = sentinel("plural: the memory for webhooks is full")
)

// ClaimState says what became of a claim.
type ClaimState int

// The states of a claim. The zero ClaimState is not one of them, and is not a
// claim.
const (
	Claimed    ClaimState = iota + 1 // the event is the caller's, for the lease
	InProgress                       // another worker has it
	Done                             // it was handled
)

// Claim is the answer to [Deduper.Claim]. The Token of a Claimed event goes
// with its Commit or Release; it fences off a worker whose lease ran out.
type Claim struct {
	State ClaimState
	Token string // of the claim, for Commit and Release; "" unless Claimed
}

// Deduper remembers webhook events by name, so each is handled once: claim,
// handle, commit. It is used concurrently. A fleet of processes needs one that
// they share and that lasts; [MemoryDeduper] is for one process.
//
// A name is the webhook-id, with the merchant's name and a "/" before it where
// [WithMerchant] gives one: up to 257 of A-Z a-z 0-9 - _ / and what the
// merchant's name is made of.
type Deduper interface {
	// Claim takes the event for the lease, if it is neither handled nor claimed by
	// a worker whose lease runs.
	Claim(ctx context.Context, id string, lease time.Duration) (Claim, error)
	// Commit records that the event was handled, and keeps that for the given
	// time. It fails with [ErrClaimLost] unless the token is that of the event's
	// last claim.
	Commit(ctx context.Context, id, token string, keep time.Duration) error
	// Release gives the event up for the next worker. It fails with [ErrClaimLost]
	// unless the token is that of the event's last claim.
	Release(ctx context.Context, id, token string) error
}

const defaultMemoryEvents = 1 << 18 // about one event a second for the 72 hours that they are kept

// MemoryDeduper is a [Deduper] in memory. When it is full it refuses further
// events, which Plural then delivers again later; it forgets nothing that it
// still has to know.
//
// The zero MemoryDeduper is ready for use and has the default size.
type MemoryDeduper struct {
	most int // 0 is the default

	mu     sync.Mutex
	events map[string]*memoryEvent
	byEnd  memoryEvents
	claims uint64 // how many there were: the next token
}

type memoryEvent struct {
	id    string
	token string    // "" when done
	end   time.Time // of the lease, or of being kept
	index int       // in byEnd
}

var _ Deduper = (*MemoryDeduper)(nil)

// NewMemoryDeduper makes a MemoryDeduper for at most so many events; not
// positive means 262,144, about 65 MB when full.
func NewMemoryDeduper(most int) *MemoryDeduper {
	return &MemoryDeduper{most: max(most, 0)}
}

// Claim takes the event for the lease. It fails with [ErrDeduperFull] if there
// is no room for the event.
func (d *MemoryDeduper) Claim(_ context.Context, id string, lease time.Duration) (Claim, error) {
	if id == "" || lease <= 0 {
		return Claim{}, errors.New("plural: claim webhook: an id and a positive lease are needed")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.forget(now)

	event := d.events[id]
	switch {
	case event == nil:
		if !d.makeRoom(now) {
			return Claim{}, ErrDeduperFull
		}
		event = d.add(id)
	case !now.Before(event.end):
	case event.token == "":
		return Claim{State: Done}, nil
	default:
		return Claim{State: InProgress}, nil
	}
	d.claims++
	event.token = strconv.FormatUint(d.claims, 10)
	d.keepUntil(event, now.Add(lease))
	return Claim{State: Claimed, Token: event.token}, nil
}

// Commit keeps the event as handled. A worker whose lease ran out may still
// commit for an hour, if nobody else has claimed the event and its room was not
// needed. The error is [ErrClaimLost].
func (d *MemoryDeduper) Commit(_ context.Context, id, token string, keep time.Duration) error {
	if keep <= 0 {
		return errors.New("plural: commit webhook: a positive time to keep it is needed")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	event := d.events[id]
	if event == nil || event.token == "" || event.token != token {
		return ErrClaimLost
	}
	event.token = ""
	d.keepUntil(event, time.Now().Add(keep))
	return nil
}

// Release gives the event up. The error is [ErrClaimLost] where another worker
// has claimed it.
func (d *MemoryDeduper) Release(_ context.Context, id, token string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	event := d.events[id]
	if event == nil || event.token == "" || event.token != token {
		return ErrClaimLost
	}
	d.remove(event)
	return nil
}

// lapsedGrace is how long a claim whose lease ran out is remembered, for its
// worker to commit after all.
const lapsedGrace = time.Hour

// forget drops what ended long enough ago.
func (d *MemoryDeduper) forget(now time.Time) {
	for len(d.byEnd) > 0 {
		event := d.byEnd[0]
		end := event.end
		if event.token != "" {
			end = end.Add(lapsedGrace)
		}
		if now.Before(end) {
			return
		}
		d.remove(event)
	}
}

// makeRoom reports whether there is room for one more, after dropping one that
// ended if need be.
func (d *MemoryDeduper) makeRoom(now time.Time) bool {
	most := d.most
	if most == 0 {
		most = defaultMemoryEvents
	}
	if len(d.events) < most {
		return true
	}
	event := d.byEnd[0]
	if now.Before(event.end) {
		return false
	}
	d.remove(event)
	return true
}

func (d *MemoryDeduper) add(id string) *memoryEvent {
	id = strings.Clone(id) // it may be part of a request, whose memory a server uses again
	event := &memoryEvent{id: id}
	if d.events == nil {
		d.events = make(map[string]*memoryEvent)
	}
	d.events[id] = event
	heap.Push(&d.byEnd, event)
	return event
}

func (d *MemoryDeduper) keepUntil(event *memoryEvent, end time.Time) {
	event.end = end
	heap.Fix(&d.byEnd, event.index)
}

func (d *MemoryDeduper) remove(event *memoryEvent) {
	heap.Remove(&d.byEnd, event.index)
	delete(d.events, event.id)
}

// memoryEvents is a heap, the first to end on top.
type memoryEvents []*memoryEvent

func (s memoryEvents) Len() int           { return len(s) }
func (s memoryEvents) Less(i, j int) bool { return s[i].end.Before(s[j].end) }

func (s memoryEvents) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *memoryEvents) Push(x any) {
	event, ok := x.(*memoryEvent)
	if !ok {
		return
	}
	event.index = len(*s)
	*s = append(*s, event)
}

func (s *memoryEvents) Pop() any {
	last := len(*s) - 1
	event := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return event
}
