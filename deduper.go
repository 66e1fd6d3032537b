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

// The errors of a [Deduper].
var (
	// ErrClaimLost means that a claim does not belong to the caller (any more):
	// its lease ran out and another worker took over, or it was settled before.
	ErrClaimLost = sentinel("plural: the claim on the webhook is lost")
	// ErrDeduperFull means that a [MemoryDeduper] holds as many events as it may.
	ErrDeduperFull = sentinel("plural: the memory for webhooks is full")
)

// ClaimState is the result of a claim.
type ClaimState int

// The states of a claim. The zero ClaimState is not one of them, and is not a
// claim.
const (
	Claimed    ClaimState = iota + 1 // the caller has the event, for the lease
	InProgress                       // another worker has it
	Done                             // it was handled
)

// Claim is the answer to [Deduper.Claim]. Commit and Release need the Token of
// a Claimed event. The Token shuts out a worker whose lease ran out.
type Claim struct {
	State ClaimState
	Token string // for Commit and Release; "" unless Claimed
}

// Deduper remembers webhook events by name, so each is handled once: claim,
// handle, commit. It must be safe for concurrent use. A fleet of processes
// needs one that they share and that lasts; [MemoryDeduper] is for one process.
//
// A name is the webhook-id. If [WithMerchant] gives a merchant's name, that and
// a "/" come before it. A name has up to 257 characters: A-Z a-z 0-9 - _ / and
// those of the merchant's name.
type Deduper interface {
	// Claim takes the event for the lease, unless it was handled already or a
	// worker holds an unexpired claim.
	Claim(ctx context.Context, id string, lease time.Duration) (Claim, error)
	// Commit records that the event was handled, and keeps the record for the
	// given time. It fails with [ErrClaimLost] unless the token is that of the
	// event's last claim.
	Commit(ctx context.Context, id, token string, keep time.Duration) error
	// Release gives the event back for the next worker. It fails with
	// [ErrClaimLost] unless the token is that of the event's last claim.
	Release(ctx context.Context, id, token string) error
}

const defaultMemoryEvents = 1 << 18 // about one event a second for the 72 hours that they are kept

// MemoryDeduper is a [Deduper] in memory. When it is full it refuses further
// events, which Plural then delivers again later. It never forgets an event
// that it still has to know.
//
// The zero MemoryDeduper is ready for use and has the default size.
type MemoryDeduper struct {
	most int // 0 is the default

	mu     sync.Mutex
	events map[string]*memoryEvent
	byEnd  memoryEvents
	claims uint64 // the number of claims so far: the next token
}

type memoryEvent struct {
	id    string
	token string    // "" when done
	end   time.Time // end of the lease, or of the time to remember
	index int       // in byEnd
}

var _ Deduper = (*MemoryDeduper)(nil)

// NewMemoryDeduper makes a MemoryDeduper for at most that many events; zero or
// less means 262,144, about 65 MB when full.
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
// commit for an hour, if nobody else has claimed the event and the memory has
// not dropped its claim to make room. The error is [ErrClaimLost].
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

// Release gives the event back. The error is [ErrClaimLost] if another worker
// has claimed the event.
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

// lapsedGrace is how long a claim whose lease ran out is remembered, so its
// worker can still commit.
const lapsedGrace = time.Hour

// forget drops entries that ended long enough ago.
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

// makeRoom reports whether there is room for one more. If needed it drops an
// entry that has ended.
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
	id = strings.Clone(id) // the id may be part of a request, whose memory a server uses again
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

// memoryEvents is a heap; the first to end is on top.
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
