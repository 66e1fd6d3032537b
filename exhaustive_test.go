package plural_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/racetest"
	"github.com/plural-go/plural/pluraltest"
)

// TestEveryFaultSequence sends each write from each starting state of the order
// through every sequence of faults, each kind on each request, and then without
// faults. The SDK's answer has to agree with the emulator's books, at once and
// after everything that was under way has ended. Calling again with the same
// reference has to settle what was left open.
//
// By default a sequence has one fault, and two from the starting states in
// which most can happen. With PLURAL_EXHAUSTIVE=full it is three of any kind
// everywhere: `make exhaustive`.
func TestEveryFaultSequence(t *testing.T) {
	t.Parallel()
	full := os.Getenv("PLURAL_EXHAUSTIVE") == "full"
	total, lock := tally{unknown: map[string]int{}}, sync.Mutex{}
	t.Cleanup(func() { total.report(t) })
	for _, mode := range []struct {
		name string
		opts []pluraltest.Option
	}{
		{"duplicates return the existing", nil},
		{"duplicates are rejected", []pluraltest.Option{
			pluraltest.WithDuplicateRefunds(pluraltest.DuplicateRejected),
			pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected),
			pluraltest.WithNotFound(pluraltest.NotFoundInquiry),
			pluraltest.WithQuirks(pluraltest.QuirkCaptureDataObject |
				pluraltest.QuirkPreAuthFalse | pluraltest.QuirkCancelledPaymentProcessed),
		}},
	} {
		for _, w := range []write{
			{op: pluraltest.OpCapturesCreate},
			{op: pluraltest.OpCapturesCreate, amount: partAmount},
			{op: pluraltest.OpCancelsCreate},
			{op: pluraltest.OpRefundsCreate, amount: wholeAmount},
			{op: pluraltest.OpRefundsCreate, amount: partAmount},
		} {
			for _, from := range startingStates(w.op) {
				if mode.opts != nil && w.op != pluraltest.OpRefundsCreate && !from.telling {
					continue // they have no duplicates
				}
				name := fmt.Sprintf("%s/%s %d/%s", mode.name, w.op, w.amount, from.name)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						e := &explorer{t: t, write: w, from: from, opts: mode.opts, full: full, tally: tally{unknown: map[string]int{}}}
						e.explore()
						t.Logf("%d sequences, %d unknown", e.tally.sequences, e.tally.sequences-e.tally.applied-e.tally.ruledOut)
						lock.Lock()
						defer lock.Unlock()
						total.add(e.tally, strings.TrimPrefix(name, mode.name+"/"))
					})
				})
			}
		}
	}
}

// tally counts what exploring found.
type tally struct {
	sequences, applied, ruledOut int
	unknown                      map[string]int // by cause
}

func (y *tally) add(other tally, about string) {
	y.sequences += other.sequences
	y.applied += other.applied
	y.ruledOut += other.ruledOut
	for cause, n := range other.unknown {
		y.unknown[about+": "+cause] += n
	}
}

func (y *tally) report(t *testing.T) {
	t.Helper()
	unknown := 0
	for _, cause := range slices.Sorted(maps.Keys(y.unknown)) {
		unknown += y.unknown[cause]
		t.Logf("unknown %6d: %s", y.unknown[cause], cause)
	}
	t.Logf("%d sequences: %d applied, %d ruled out, %d unknown", y.sequences, y.applied, y.ruledOut, unknown)
}

// explorer walks the tree of fault sequences depth first. The code under test
// decides which request a fault meets, a write or a settling read. So each run
// shows how the tree continues.
type explorer struct {
	t     *testing.T
	write write
	from  startingState
	opts  []pluraltest.Option
	full  bool

	desk   *desk
	client *plural.Client
	runs   int
	tally  tally

	mu     sync.Mutex
	path   []step
	at     int
	active bool
}

// step is a place in a sequence: the fault that is chosen there, of those that
// fit.
type step struct {
	op     string
	faults []pluraltest.Fault
	chosen int
}

// restart is how many runs share a server.
const restart = 200

func (e *explorer) explore() {
	e.t.Cleanup(e.close)
	for more := true; more; {
		if e.runs%restart == 0 {
			e.open()
		}
		e.runs++
		e.run()
		if more = e.advance(); !more || e.runs%restart == 0 {
			e.must(strings.Join(e.desk.srv.Doubles(), "; "))
		}
	}
}

func (e *explorer) open() {
	e.close()
	srv := pluraltest.New(append([]pluraltest.Option{pluraltest.WithSeed(uint64(e.runs))}, e.opts...)...)
	srv.SetFaultPlan(e.plan)
	e.desk = &desk{t: e.t, srv: srv}
	e.client = newClient(e.t, srv)
	require.NoError(e.t, e.client.Warm(e.t.Context()))
}

func (e *explorer) close() {
	if e.desk != nil {
		e.desk.srv.Close()
	}
}

// plan chooses the fault of the next request.
func (e *explorer) plan(r pluraltest.Request) pluraltest.Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.active || r.Op == pluraltest.OpToken {
		return pluraltest.NoFault
	}
	depth := e.at
	e.at++
	if depth == len(e.path) {
		e.path = append(e.path, step{op: r.Op, faults: e.faults(r.Op, depth)})
	}
	s := &e.path[depth]
	if s.op != r.Op {
		return pluraltest.NoFault // chance, such as a wait with jitter, took another way than before
	}
	return s.faults[s.chosen]
}

// faults lists the faults at one place of a sequence, none first.
func (e *explorer) faults(op string, depth int) []pluraltest.Fault {
	none := []pluraltest.Fault{pluraltest.NoFault}
	switch {
	case depth == 0 && e.from.telling, e.full && depth < 3:
		return append(none, thoroughFaults(op)...)
	case depth == 0:
		return append(none, tellingFaults(op)...)
	case depth == 1 && e.from.telling && !racetest.Enabled:
		if first := e.path[0]; first.chosen == 0 || slices.Contains(tellingFaults(first.op), first.faults[first.chosen]) {
			return append(none, tellingFaults(op)...)
		}
	}
	return none
}

// advance goes to the next sequence; false after the last.
func (e *explorer) advance() bool {
	e.path = e.path[:min(e.at, len(e.path))]
	for len(e.path) > 0 {
		last := &e.path[len(e.path)-1]
		if last.chosen++; last.chosen < len(last.faults) {
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}

func (e *explorer) sequence() string {
	var b strings.Builder
	for _, s := range e.path {
		fmt.Fprintf(&b, " %s: %v;", s.op, s.faults[s.chosen])
	}
	return b.String()
}

func (e *explorer) run() {
	srv := e.desk.srv
	w := e.write
	w.orderID = e.desk.order(fmt.Sprint("order-", e.runs), !e.from.sale)
	if w.op != pluraltest.OpCancelsCreate {
		w.reference = fmt.Sprint("write-", e.runs)
	}
	e.from.prep(e.desk, w)
	e.begin()
	o := outcome{write: w}
	o.order, o.err = w.run(e.t.Context(), e.client)
	e.end()
	e.must(o.contradicts(srv))
	srv.Flush()
	e.must(o.contradictsLater(srv))
	e.count(o)

	if !o.unknown() && e.runs%8 != 0 {
		return // it is known by now, and checked in one of eight runs
	}
	time.Sleep(repeatAfter)
	again := outcome{write: w}
	again.order, again.err = w.run(e.t.Context(), e.client)
	e.must(again.contradictsLater(srv))
	switch {
	case o.err == nil && o.effects(srv) == 1 && again.err != nil:
		e.must(fmt.Sprintf("%v: a success that turned into %v", w, again.err))
	case o.unknown() && again.unknown() && !e.mayStayUnknown(again):
		e.must(fmt.Sprintf("%v: calling again does not settle it: %v", w, again.err))
	}
}

// repeatAfter is how soon a queue calls again. Entries of an earlier call are
// recognised by their time, so a few seconds have to lie in between.
const repeatAfter = 10 * time.Second

// mayStayUnknown reports whether the outcome stays open even with a healthy
// server: the payer is paying, or the error says that a person must look.
func (e *explorer) mayStayUnknown(o outcome) bool {
	order, _ := e.desk.srv.Order(o.orderID)
	return order.Status == pluraltest.StatusPending || plural.NeedsReview(o.err)
}

func (e *explorer) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at, e.active = 0, true
}

func (e *explorer) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active = false
}

func (e *explorer) must(complaint string) {
	if complaint != "" {
		e.t.Fatalf("%s\nafter%s", complaint, e.sequence())
	}
}

func (e *explorer) count(o outcome) {
	e.tally.sequences++
	switch {
	case o.err == nil:
		e.tally.applied++
	case !o.unknown():
		e.tally.ruledOut++
	default:
		cause := "not sent or refused"
		if unknown := (*plural.OutcomeUnknownError)(nil); errors.As(o.err, &unknown) {
			cause = "last seen nothing"
			if unknown.Last != nil {
				cause = "last seen " + string(unknown.Last.Status)
			}
		}
		var failed *plural.Error
		if errors.As(o.err, &failed) && failed.Code != "" {
			cause += ", " + string(failed.Code)
		}
		e.tally.unknown[cause]++
	}
}

// thoroughFaults are all faults that fit an operation; those with a delay in
// several forms.
func thoroughFaults(op string) []pluraltest.Fault {
	var list []pluraltest.Fault
	all := pluraltest.FaultsFor(op)
	if op == pluraltest.OpRefundsCreate {
		all = append(all, pluraltest.InsertLate, pluraltest.RefundEnds("REVERSED"))
	}
	for _, f := range all {
		if f.Answer == pluraltest.AnswerStreamReset {
			continue // that is a closed connection here, where HTTP is 1.1
		}
		switch f.Effect {
		case pluraltest.ApplyLater:
			f.Name += " soon"
			list = append(list, f.After(100*time.Millisecond))
			f.Name = strings.TrimSuffix(f.Name, " soon") + " in the end"
			list = append(list, f.After(time.Hour))
			continue
		case pluraltest.ApplyPending:
			list = append(list, f.AfterReads(1))
		default:
		}
		if f.Answer == pluraltest.AnswerHuge {
			f.Size = 4<<20 + 1
		}
		list = append(list, f)
	}
	return list
}

// tellingFaults are one fault of each class that matters to the books: lost
// before and after the effect, late, pending, failed, stale.
func tellingFaults(op string) []pluraltest.Fault {
	telling := []string{
		pluraltest.ResetBeforeApply.Name,
		pluraltest.ResetAfterApply.Name,
		pluraltest.ApplyLateReset.Name + " in the end",
		pluraltest.PendingResult.Name,
		pluraltest.PendingThenFailed.Name,
		pluraltest.StaleRead.Name,
		pluraltest.LaggingRead.Name,
		pluraltest.PointsThenCard.Name,
		pluraltest.CardThenPoints.Name,
		pluraltest.CardThenPointsFails.Name,
		pluraltest.InsertLate.Name,
		pluraltest.CaptureDataAbsent.Name,
		pluraltest.ParentAbsent.Name,
	}
	return slices.DeleteFunc(
		thoroughFaults(op),
		func(f pluraltest.Fault) bool { return !slices.Contains(telling, f.Name) || f.Reads > 0 },
	)
}
