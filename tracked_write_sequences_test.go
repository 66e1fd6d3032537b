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

// TestEveryFaultSequence tests each write from each starting state of the
// order, with every sequence of faults: each request may get any fault. After
// the sequence there are no more faults. The SDK's result has to agree with the
// emulator's books. The test compares the result with the books right after the
// call. It compares them again after everything that was under way has ended.
// If the outcome is open, a second call with the same reference has to settle
// it.
//
// By default a sequence has at most one fault. Most outcomes can be reached
// from the starting states whose field reachesMost is true. So a sequence from
// these states may have two faults, but not under the race detector.
//
// With PLURAL_EXHAUSTIVE=full (`make exhaustive`) a sequence from any starting
// state may have three faults of any kind. But a sequence about a payment link
// then has at most two faults. Any two of the first five requests may get these
// two faults.
func TestEveryFaultSequence(t *testing.T) {
	t.Parallel()
	full := os.Getenv("PLURAL_EXHAUSTIVE") == "full"
	total, lock := tally{unknown: map[string]int{}}, sync.Mutex{}
	t.Cleanup(func() { total.report(t) })
	for _, mode := range []struct {
		name string
		opts []pluraltest.Option
	}{
		{"a duplicate gets the first result", nil},
		{"duplicates are rejected", []pluraltest.Option{
			pluraltest.WithDuplicateRefunds(pluraltest.DuplicateRejected),
			pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected),
			pluraltest.WithDuplicateLinks(pluraltest.DuplicateRejected),
			pluraltest.WithNotFound(pluraltest.NotFoundInquiry),
			pluraltest.WithQuirks(pluraltest.QuirkCaptureDataObject |
				pluraltest.QuirkPreAuthFalse | pluraltest.QuirkCancelledPaymentProcessed |
				pluraltest.QuirkHeldLinkInitiated | pluraltest.QuirkClickedLinkCancels),
		}},
	} {
		for _, w := range []write{
			{op: pluraltest.OpCapturesCreate},
			{op: pluraltest.OpCapturesCreate, amount: partAmount},
			{op: pluraltest.OpCancelsCreate},
			{op: pluraltest.OpRefundsCreate, amount: wholeAmount},
			{op: pluraltest.OpRefundsCreate, amount: partAmount},
			{op: pluraltest.OpPaymentLinksCreate, amount: wholeAmount},
			{op: pluraltest.OpPaymentLinksCancel},
		} {
			for _, from := range startingStates(w.op) {
				hasDuplicates := w.op == pluraltest.OpRefundsCreate || w.op == pluraltest.OpPaymentLinksCreate
				if mode.opts != nil && !hasDuplicates && !from.reachesMost {
					continue // the mode makes no difference to these writes
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

// A tally counts the outcomes of the sequences.
type tally struct {
	sequences, applied, ruledOut int
	unknown                      map[string]int // counted by cause
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

// An explorer runs all sequences of faults for one write. The sequences form a
// tree, and the explorer walks through this tree depth first. The code under
// test decides which request comes next, a write or a settling read. So the
// explorer does not know the tree's branches beforehand. It learns them during
// the runs.
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
	about  write // the write of this run
	path   []step
	at     int
	active bool
}

// A step is one request of a run. Its field choices has all faults that the
// request can get. In this run the request gets choices[chosen].
type step struct {
	op      string
	choices []pluraltest.Fault
	chosen  int
}

// runsPerServer is the number of runs after which the explorer starts a new
// server.
const runsPerServer = 200

func (e *explorer) explore() {
	e.t.Cleanup(e.close)
	for more := true; more; {
		if e.runs%runsPerServer == 0 {
			e.open()
		}
		e.runs++
		e.run()
		if more = e.nextSequence(); !more || e.runs%runsPerServer == 0 {
			e.must(strings.Join(e.desk.srv.Doubles(), "; "))
		}
	}
}

func (e *explorer) open() {
	e.close()
	srv := pluraltest.New(append([]pluraltest.Option{pluraltest.WithSeed(uint64(e.runs))}, e.opts...)...)
	srv.SetFaultPlan(e.chooseFault)
	e.desk = &desk{t: e.t, srv: srv}
	e.client = newClient(e.t, srv)
	require.NoError(e.t, e.client.Warm(e.t.Context()))
}

func (e *explorer) close() {
	if e.desk != nil {
		e.desk.srv.Close()
	}
}

// chooseFault chooses the fault of the next request.
func (e *explorer) chooseFault(r pluraltest.Request) pluraltest.Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.active || r.Op == pluraltest.OpToken {
		return pluraltest.NoFault
	}
	depth := e.at
	e.at++
	if depth == len(e.path) {
		e.path = append(e.path, step{op: r.Op, choices: e.possibleFaults(r.Op, depth)})
	}
	s := &e.path[depth]
	if s.op != r.Op {
		return pluraltest.NoFault // by chance, for example through jitter, this run has a different request here
	}
	e.playEvent(s.choices[s.chosen].Name)
	return s.choices[s.chosen]
}

// possibleFaults returns the faults that a request can get. The parameter op is
// the request's operation. The parameter depth is the number of earlier
// requests in the run. The first entry of the result is NoFault.
func (e *explorer) possibleFaults(op string, depth int) []pluraltest.Fault {
	none := []pluraltest.Fault{pluraltest.NoFault}
	if isOfLink(e.write.op) {
		return append(none, e.linkFaults(op, depth)...)
	}
	switch {
	case depth == 0 && e.from.reachesMost, e.full && depth < 3:
		return append(none, thoroughFaults(op)...)
	case depth == 0:
		return append(none, tellingFaults(op)...)
	case depth == 1 && e.from.reachesMost && !racetest.Enabled:
		if first := e.path[0]; first.chosen == 0 || slices.Contains(tellingFaults(first.op), first.choices[first.chosen]) {
			return append(none, tellingFaults(op)...)
		}
	}
	return none
}

// nextSequence chooses the sequence of faults for the next run. It returns
// false if every sequence has been run.
func (e *explorer) nextSequence() bool {
	e.path = e.path[:min(e.at, len(e.path))]
	for len(e.path) > 0 {
		last := &e.path[len(e.path)-1]
		if last.chosen++; last.chosen < len(last.choices) {
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}

func (e *explorer) sequence() string {
	var b strings.Builder
	for _, s := range e.path {
		fmt.Fprintf(&b, " %s: %v;", s.op, s.choices[s.chosen])
	}
	return b.String()
}

func (e *explorer) run() {
	srv := e.desk.srv
	w := e.write
	w.orderID, w.reference = e.desk.makeSubject(w.op, e.runs, !e.from.sale)
	e.about = w
	e.from.prep(e.desk, w)
	e.begin()
	o := outcome{write: w}
	o.order, o.err = w.run(e.t.Context(), e.client)
	e.end()
	e.must(o.contradicts(srv))
	srv.Flush()
	e.must(o.contradictsLater(srv))
	e.count(o)

	if !o.isOpen() && e.runs%8 != 0 {
		return // after a final outcome, there is a second call only in one of eight runs
	}
	time.Sleep(repeatAfter)
	again := outcome{write: w}
	again.order, again.err = w.run(e.t.Context(), e.client)
	e.must(again.contradictsLater(srv))
	switch {
	case o.err == nil && o.countEffects(srv) == 1 && again.err != nil:
		e.must(fmt.Sprintf("%v: a success, but the second call returned %v", w, again.err))
	case o.isOpen() && again.isOpen() && !e.mayStayUnknown(again):
		e.must(fmt.Sprintf("%v: calling again does not settle it: %v", w, again.err))
	}
}

// repeatAfter is how long a test waits before it calls again, as a shop's queue
// does. From the time of an entry in the books, the SDK recognises whether the
// entry is older than the second call. This works only if the entry is older by
// a few seconds. So a few seconds have to pass before the second call.
const repeatAfter = 10 * time.Second

// mayStayUnknown reports whether the outcome may stay unknown, even after
// another call without faults. There are two cases: the payer is still paying,
// or the error says that a person must look.
func (e *explorer) mayStayUnknown(o outcome) bool {
	order, _ := e.desk.srv.Order(e.desk.orderOf(o.write))
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
	case !o.isOpen():
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

// thoroughFaults returns all faults that a request of an operation can get. If
// a fault has a delay, the list has this fault more than once, with different
// delays.
func thoroughFaults(op string) []pluraltest.Fault {
	var list []pluraltest.Fault
	all := pluraltest.FaultsFor(op)
	if op == pluraltest.OpRefundsCreate {
		all = append(all, pluraltest.InsertLate, pluraltest.RefundEnds("REVERSED"))
	}
	for _, f := range all {
		if f.Answer == pluraltest.AnswerStreamReset {
			continue // over HTTP/1.1, which is used here, a stream reset is a closed connection
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

// tellingFaults returns a selection of the faults. Each of the selected faults
// decides what the books show about the write. These are their classes:
//
//   - The answer is lost, and the write has no effect.
//   - The answer is lost, and the write has an effect.
//   - Plural carries out the write late, after the request has ended.
//   - The result is pending at first. It succeeds or fails later.
//   - The books are stale, or leave data out.
//   - Plural captures the two payments of an order one after the other.
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
