package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// makeBooks makes Books with one payment.
func makeBooks(t *testing.T) *reconcile.Books {
	t.Helper()
	b, err := reconcile.New(paymentList(paymentA()))
	require.NoError(t, err)
	return b
}

// settledWorld returns a world with one payment, which is settled on the first
// night.
func settledWorld() *world {
	s := &settlement{utr: "633300000101", day: nightOf(0)}
	l := &line{SettlementLine: *lineA("100")}
	for i := range l.statuses {
		l.statuses[i] = plural.PayoutStatusSuccess
	}
	s.lines = append(s.lines, l)
	return &world{
		Rand: rand.New(rand.NewPCG(1, 1)), settlements: []*settlement{s},
		orders: []*order{{
			id: orderA, reference: "order-1", paid: []paid{{payA, 10000}},
			refunds: []refunded{{"v1-261127010000-aa-Rf0Und", "v1-261127010000-aa-Rf0Und-cc-N", 4000}},
		}},
	}
}

// A settlement that was read completely is not read again on later nights. The
// state keeps its lines, so these lines are also in the later results.
func TestStateSparesReading(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	var state reconcile.State
	for night := range nights {
		rd, rep := newReader(w, night, 0), &recorder{}
		var stages []reconcile.Progress
		var err error
		state, err = reconcile.Run(t.Context(), rd, makeBooks(t), seen(), state, rep,
			reconcile.WithProgress(func(p reconcile.Progress) { stages = append(stages, p) }))
		require.NoError(t, err)
		require.Equal(t, reconcile.Settled, rep.results[0].Outcome)
		require.Empty(t, rep.unexplained)
		require.Len(t, rep.transfers, 1)
		require.Equal(t, 1, rep.transfers[0].Lines)
		require.Equal(t, night == 0, rep.transfers[0].Detail != nil)
		require.Equal(t, night == 0, rd.requests == 2, "the lines are read on the first night only: %d requests", rd.requests)
		require.Equal(t, []reconcile.Progress{{Stage: "settlements", Done: 1, Total: 1}}, stages)
		require.NotEmpty(t, state.UTRs["633300000101"].Digest)
		require.Empty(t, state.UTRs["633300000101"].Lines[0].StoreAddress)
	}
}

func TestRunMatchesTheBank(t *testing.T) {
	t.Parallel()
	statement, err := reconcile.NewStatement(credits(reconcile.Credit{UTR: "633300000101", Amount: plural.INR(1234)}))
	require.NoError(t, err)
	rep := &recorder{}
	_, err = reconcile.Run(t.Context(), newReader(settledWorld(), 0, 0), makeBooks(t), seen(), reconcile.State{}, rep,
		reconcile.WithStatement(statement))
	require.NoError(t, err)
	require.Equal(t, reconcile.Arrived, rep.transfers[0].Bank.Arrival)
}

// If a line belongs to a refund, Run reads the refunded order. In this test,
// the refunded amount in the order is not the amount on the shop's list.
func TestLineOfARefundAsksForItsOrder(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	w.orders[0].refunds[0].amount = 5000
	back := *w.settlements[0].lines[0]
	back.TransactionID, back.TransactionAmount, back.TID = "v1-261127010000-aa-Rf0Und-cc-N", "-50", "1"
	w.settlements[0].lines = append(w.settlements[0].lines, &back)
	var state reconcile.State
	for night := range 2 {
		rep := &recorder{}
		var err error
		state, err = reconcile.Run(t.Context(), newReader(w, night, 0), makeBooks(t), seen(), state, rep)
		require.NoError(t, err)
		require.Empty(t, rep.unexplained)
		require.Equal(t, reconcile.Differs, rep.results[0].Outcome)
		require.Contains(t, rep.results[0].Reasons[0], "INR 50.00 was refunded, the shop has INR 40.00")
		require.Len(t, rep.results[0].Lines, 2)
	}
}

// A run reads at most 1,000 orders that are not on the list. There is one
// exception: if an order explained a line on an earlier night, the run always
// reads this order. The limit still holds for the other orders that come after
// such an order.
func TestStrangersAreLimited(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	old := w.settlements[0]
	back := *old.lines[0]
	back.TransactionID, back.TransactionAmount = "v1-261127010000-aa-Rf0Und-cc-N", "-40"
	old.lines = append(old.lines, &back)
	add := func(utr string) {
		s := &settlement{utr: utr, day: nightOf(0)}
		for i := range 1000 {
			l := *old.lines[0]
			l.startNight, l.UTRNumber, l.TransactionID = 1, utr, fmt.Sprintf("v1-%s%d-aa-Other-cc-k", utr, i)
			s.lines = append(s.lines, &l)
		}
		w.settlements = append(w.settlements, s)
	}
	add("before")
	w.settlements[0], w.settlements[1] = w.settlements[1], old
	add("after")
	state, err := reconcile.Run(t.Context(), newReader(w, 0, 0), makeBooks(t), seen(), reconcile.State{}, &recorder{})
	require.NoError(t, err)
	require.NotEmpty(t, state.UTRs[old.utr].Lines[1].Order)
	reader := newReader(w, 1, 0)
	_, err = reconcile.Run(t.Context(), reader, makeBooks(t), seen(), state, &recorder{})
	require.NoError(t, err)
	require.InDelta(t, 1000, reader.requests, 50)
}

// customReader is a Reader with two functions that the test sets. If listFunc
// is not nil, the method List returns listFunc. The method Lines calls
// linesFunc.
type customReader struct {
	*reader

	listFunc  func(yield func(*plural.Settlement, error) bool)
	linesFunc func(give func(*plural.SettlementLine) error) error
}

func (f customReader) List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	if f.listFunc != nil {
		return f.listFunc
	}
	return f.reader.List(ctx, d)
}

func (f customReader) Lines(
	_ context.Context, _ *plural.Settlement, give func(*plural.SettlementLine) error,
) (*plural.SettlementDetail, error) {
	return nil, f.linesFunc(give)
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	last := reconcile.State{Seen: plural.Days{First: nightOf(-8), Last: nightOf(-1)}}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("the disk is full")
	for name, test := range map[string]struct {
		ctx    context.Context
		days   plural.Days
		list   func(yield func(*plural.Settlement, error) bool)
		report *failingReport
		opts   []reconcile.Option
		want   string
	}{
		"no days":        {days: plural.Days{}, want: "are not valid"},
		"days backwards": {days: plural.Days{First: nightOf(0), Last: nightOf(-1)}, want: "are not valid"},
		"a nil option":   {days: seen(), opts: []reconcile.Option{nil}, want: "option 1 is nil"},
		"no statement": {
			days: seen(), opts: []reconcile.Option{reconcile.WithParallel(2), reconcile.WithStatement(nil)},
			want: "option 2: the statement is nil",
		},
		"no function": {
			days: seen(), opts: []reconcile.Option{reconcile.WithProgress(nil)}, want: "option 1: the function is nil",
		},
		"cancelled": {ctx: cancelled, days: seen(), want: "canceled"},
		"refused": {days: seen(), want: "days", list: func(yield func(*plural.Settlement, error) bool) {
			yield(nil, &plural.ValidationError{
				Op: "list settlements", Fields: []plural.FieldError{{Field: "days", Rule: "x"}},
			})
		}},
		"a result":     {days: seen(), report: &failingReport{result: broken}, want: "disk"},
		"a settlement": {days: seen(), report: &failingReport{transfer: broken}, want: "disk"},
		"the end":      {days: seen(), report: &failingReport{end: broken}, want: "disk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, rep := test.ctx, test.report
			if ctx == nil {
				ctx = t.Context()
			}
			if rep == nil {
				rep = &failingReport{}
			}
			rd := newReader(settledWorld(), 0, 0)
			var from reconcile.Reader = rd
			if test.list != nil {
				from = customReader{reader: rd, listFunc: test.list}
			}
			got, err := reconcile.Run(ctx, from, makeBooks(t), test.days, last, rep, test.opts...)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, last, got, "Run returns the state that it was given")
			require.Equal(t, 1, rep.closed)
		})
	}
}

type failingReport struct {
	recorder

	result, transfer, end error
}

func (f *failingReport) Result(r reconcile.Result) error {
	return errors.Join(f.result, f.recorder.Result(r))
}

func (f *failingReport) Transfer(t *reconcile.Transfer) error {
	return errors.Join(f.transfer, f.recorder.Transfer(t))
}

func (f *failingReport) Close() error { return errors.Join(f.end, f.recorder.Close()) }

// A settlement was not read completely if fewer lines come than the list
// announces, or if a line belongs to another settlement.
func TestOddReadingsAreUnknown(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]func(give func(*plural.SettlementLine) error) error{
		"fewer lines than the list says": func(func(*plural.SettlementLine) error) error { return nil },
		"a line of another settlement": func(give func(*plural.SettlementLine) error) error {
			l := lineA("100")
			l.UTRNumber = "633300000999"
			return give(l)
		},
	} {
		rep := &recorder{}
		from := customReader{reader: newReader(settledWorld(), 0, 0), linesFunc: lines}
		state, err := reconcile.Run(t.Context(), from, makeBooks(t), seen(), reconcile.State{}, rep)
		require.NoError(t, err, name)
		require.Equal(t, reconcile.Unknown, rep.results[0].Outcome, name)
		require.Error(t, rep.transfers[0].Err, name)
		require.Empty(t, state.UTRs["633300000101"].Digest, name)
	}
}

// If Run was not called for some nights, Run also lists the days in between,
// and the last ten days that were listed before.
func TestRunCoversGaps(t *testing.T) {
	t.Parallel()
	var asked plural.Days
	rd := newReader(settledWorld(), 0, 0)
	from := listNoting{rd, &asked}
	last := reconcile.State{Seen: plural.Days{First: nightOf(-40), Last: nightOf(-20)}}
	today := plural.Days{First: nightOf(0), Last: nightOf(0)}
	state, err := reconcile.Run(t.Context(), from, makeBooks(t), today, last, &recorder{})
	require.NoError(t, err)
	require.Equal(t, "2026-10-22 to 2026-11-20", asked.String(),
		"no day between the nights is left out, and ten days are listed again")
	require.Equal(t, asked, state.Seen)
}

type listNoting struct {
	*reader

	asked *plural.Days
}

func (l listNoting) List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	*l.asked = d
	return l.reader.List(ctx, d)
}

// If a refund could not be read on one night, Run reads it on the next night.
func TestFailedHintIsReadAgain(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	w.orders[0].refunds[0].amount = 5000
	back := *w.settlements[0].lines[0]
	back.TransactionID, back.TransactionAmount, back.TID = "v1-261127010000-aa-Rf0Und-cc-N", "-50", "1"
	w.settlements[0].lines = append(w.settlements[0].lines, &back)
	for name, first := range map[string]reconcile.Reader{
		"a fault":       ordersAs{newReader(w, 0, 0), nil, errFault},
		"a page":        ordersAs{newReader(w, 0, 0), nil, &plural.Error{StatusCode: http.StatusNotFound}},
		"another order": ordersAs{newReader(w, 0, 0), &plural.Order{OrderID: "v1-other"}, nil},
		"nothing":       ordersAs{newReader(w, 0, 0), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := &recorder{}
			state, err := reconcile.Run(t.Context(), first, makeBooks(t), seen(), reconcile.State{}, rep)
			require.NoError(t, err)
			require.Equal(t, reconcile.Settled, rep.results[0].Outcome)
			require.Len(t, rep.unexplained, 1)

			rep = &recorder{}
			_, err = reconcile.Run(t.Context(), newReader(w, 1, 0), makeBooks(t), seen(), state, rep)
			require.NoError(t, err)
			require.Equal(t, reconcile.Differs, rep.results[0].Outcome)
			require.Empty(t, rep.unexplained)
		})
	}
}

// ordersAs gives the same answer about every order.
type ordersAs struct {
	*reader

	order *plural.Order
	err   error
}

func (r ordersAs) Order(context.Context, string, string) (*plural.Order, error) {
	return r.order, r.err
}

// Only some lines of a settlement were read on an earlier night, and the
// settlement is not listed tonight. The other lines may belong to the payment.
// So the payment is Unknown.
func TestPartOfAnEarlierNight(t *testing.T) {
	t.Parallel()
	state := reconcile.State{
		Seen: seen(),
		UTRs: map[string]reconcile.UTR{"633300000200": {
			IsPart: true, Lines: []reconcile.Line{{SettlementLine: *lineA("60")}},
		}},
	}
	rep := &recorder{}
	w := settledWorld()
	w.settlements = nil
	next, err := reconcile.Run(t.Context(), newReader(w, 0, 0), makeBooks(t), seen(), state, rep)
	require.NoError(t, err)
	require.Equal(t, reconcile.Unknown, rep.results[0].Outcome)
	require.Equal(t, state.UTRs, next.UTRs, "the settlement is kept for as long as the payment is on the list")
}

// The id in a line may have any length and any number of parts. If the id is
// much longer than Plural's ids, Run does not guess an order from the id, and
// sends no request for it.
func TestLongIDsAreNoHint(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	stranger := *w.settlements[0].lines[0]
	stranger.TransactionID, stranger.TID = strings.Repeat("-", 1<<20), "1"
	w.settlements[0].lines = append(w.settlements[0].lines, &stranger)
	rd, rep := newReader(w, 0, 0), &recorder{}
	_, err := reconcile.Run(t.Context(), rd, makeBooks(t), seen(), reconcile.State{}, rep)
	require.NoError(t, err)
	require.Equal(t, reconcile.Settled, rep.results[0].Outcome)
	require.Len(t, rep.unexplained, 1)
	require.Equal(t, 2, rd.requests, "the list and the lines")
}

// A settlement of the listed days may have no UTR yet. Then the lines of this
// settlement cannot be read, and each of them may belong to any payment. Run
// reports each such settlement, and keeps none of them in the state.
func TestSettlementWithoutUTR(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hasLine bool
		want    reconcile.Outcome
	}{
		"a payment without a line":     {false, reconcile.Unknown},
		"a payment with all its lines": {true, reconcile.Settled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := settledWorld()
			if !test.hasLine {
				w.settlements = nil
			}
			from := unnumbered{newReader(w, 0, 0)}
			var state reconcile.State
			for range 2 {
				rep := &recorder{}
				var err error
				state, err = reconcile.Run(t.Context(), from, makeBooks(t), seen(), state, rep)
				require.NoError(t, err)
				require.Equal(t, test.want, rep.results[0].Outcome)
				require.Equal(t, seen(), rep.results[0].Seen)
				require.Len(t, rep.transfers, 2+len(w.settlements))
				require.Error(t, rep.transfers[0].Err)
				require.Error(t, rep.transfers[1].Err)
				require.NotContains(t, state.UTRs, "")
			}
		})
	}
}

// unnumbered is a reader that lists two settlements without a UTR before all
// others.
type unnumbered struct{ *reader }

func (r unnumbered) List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	return func(yield func(*plural.Settlement, error) bool) {
		for _, amount := range []plural.Rupees{"1", "2"} {
			if !yield(&plural.Settlement{TotalAmount: amount, TotalTransactionsCount: 1}, nil) {
				return
			}
		}
		for row, err := range r.reader.List(ctx, d) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// A run adds the lines of settlements to the books. A second run with the same
// books would count these lines twice, so the second run returns an error.
func TestBooksAreForOneRun(t *testing.T) {
	t.Parallel()
	for name, rep := range map[string]*failingReport{
		"after a failure": {result: errors.New("the disk is full")},
		"after a success": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, rd := makeBooks(t), newReader(settledWorld(), 0, 0)
			state, err := reconcile.Run(t.Context(), rd, b, seen(), reconcile.State{}, rep)
			require.Equal(t, rep.result != nil, err != nil)
			again := &recorder{}
			got, err := reconcile.Run(t.Context(), rd, b, seen(), state, again)
			require.ErrorContains(t, err, "these books were in a run before")
			require.Equal(t, state, got)
			require.Empty(t, again.results)
			require.Equal(t, 1, again.closed)
		})
	}
}

// If several lines are equal, each of them is reported, but only on the first
// night.
func TestLinesThatAreAlike(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	for range 3 {
		stranger := *w.settlements[0].lines[0]
		stranger.TransactionID = "POS1"
		w.settlements[0].lines = append(w.settlements[0].lines, &stranger)
	}
	var state reconcile.State
	for night := range nights {
		rep := &recorder{}
		var err error
		state, err = reconcile.Run(t.Context(), newReader(w, night, 0), makeBooks(t), seen(), state, rep)
		require.NoError(t, err)
		require.Equal(t, night == 0, len(rep.unexplained) == 3, "night %d: %d", night, len(rep.unexplained))
		require.Equal(t, night > 0, len(rep.unexplained) == 0)
		require.Len(t, state.UTRs["633300000101"].Lines, 4)
	}
}

// Days are counted as calendar days, even if one of the nightly runs was made
// in another time zone.
func TestTenDaysInAnyZone(t *testing.T) {
	t.Parallel()
	newYork := time.FixedZone("EST", -5*60*60)
	for name, test := range map[string]struct{ last, first, today time.Time }{
		"from New York to India": {
			time.Date(2026, 11, 19, 23, 30, 0, 0, newYork), nightOf(-9), nightOf(0),
		},
		"from India to New York": {
			time.Date(2026, 11, 19, 0, 30, 0, 0, plural.India()),
			time.Date(2026, 11, 11, 23, 0, 0, 0, newYork), time.Date(2026, 11, 20, 23, 0, 0, 0, newYork),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked plural.Days
			from := listNoting{newReader(settledWorld(), 0, 0), &asked}
			last := reconcile.State{Seen: plural.Days{First: test.last.AddDate(0, 0, -9), Last: test.last}}
			days := plural.Days{First: test.first, Last: test.today}
			state, err := reconcile.Run(t.Context(), from, makeBooks(t), days, last, &recorder{})
			require.NoError(t, err)
			require.Equal(t, "2026-11-10 to 2026-11-20", asked.String(), "the ten days up to the 19th, and the 20th")
			require.Equal(t, "2026-11-10 to 2026-11-20", state.Seen.String())
		})
	}
}

// A run over earlier days does not remove later settlements from the state.
func TestRunOverEarlierDays(t *testing.T) {
	t.Parallel()
	w := settledWorld()
	w.settlements[0].lines[0].TransactionID = "POS1"
	earlier := plural.Days{First: nightOf(-40), Last: nightOf(-30)}
	var state reconcile.State
	reported := 0
	for _, d := range []plural.Days{seen(), earlier, seen()} {
		rep := &recorder{}
		var err error
		state, err = reconcile.Run(t.Context(), newReader(w, 0, 0), makeBooks(t), d, state, rep)
		require.NoError(t, err)
		reported += len(rep.unexplained)
		require.Contains(t, state.UTRs, "633300000101")
		require.Equal(t, seen().String(), state.Seen.String(), "the days between the two runs were not listed")
	}
	require.Equal(t, 1, reported, "a line is reported once")
	next := plural.Days{First: nightOf(-20), Last: nightOf(-10)}
	state, err := reconcile.Run(t.Context(), newReader(w, 0, 0), makeBooks(t), next, state, &recorder{})
	require.NoError(t, err)
	require.Equal(t, plural.Days{First: next.First, Last: seen().Last}.String(), state.Seen.String())
}

// If two orders at Plural list the same payment, the results for both orders
// are Unknown, whichever order is read first.
func TestPaymentOfTwoOrders(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"order-1", "order-2"} {
		for _, n := range []int{1, 2} {
			synctest.Test(t, func(t *testing.T) {
				b, err := reconcile.New(paymentList(
					reconcile.Payment{Reference: "order-1", Captured: plural.INR(10000)},
					reconcile.Payment{Reference: "order-2", Captured: plural.INR(10000)},
				))
				require.NoError(t, err)
				rep := &recorder{}
				from := sharedPayment{newReader(settledWorld(), 0, 0), slow}
				_, err = reconcile.Run(t.Context(), from, b, seen(), reconcile.State{}, rep, reconcile.WithParallel(n))
				require.NoError(t, err)
				for _, res := range rep.results {
					require.Equal(t, reconcile.Unknown, res.Outcome, "%s is slow, %d at a time", slow, n)
					require.Contains(t, res.Reasons[0], "belongs to")
				}
			})
		}
	}
}

// sharedPayment is a Reader that returns an order for each reference. All these
// orders have the same payment.
type sharedPayment struct {
	*reader

	slow string
}

func (r sharedPayment) Order(_ context.Context, _, reference string) (*plural.Order, error) {
	if reference == r.slow {
		time.Sleep(time.Second)
	}
	return (&order{id: "v1-" + reference, reference: reference, paid: []paid{{payA, 10000}}}).document(), nil
}
