package reconcile_test

import (
	"errors"
	"fmt"
	"iter"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
	"github.com/plural-go/plural/reconcile"
)

func clientOf(t *testing.T, srv *pluraltest.Server, opts ...plural.Option) *plural.Client {
	t.Helper()
	opts = append([]plural.Option{
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(&http.Client{Transport: srv.Transport()}),
	}, opts...)
	c, err := plural.NewClient(plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, opts...)
	require.NoError(t, err)
	return c
}

// In each case of this test, the emulator has random payments. The test calls
// the function Run once on each of three nights. All orders and settlements
// come from the emulator. There are three kinds of cases:
//
//   - Nothing is wrong.
//   - Before each run, alterSettlement changes a settlement.
//   - Before each run, alterSettlement changes a settlement. Also, some reads
//     fail.
func TestNightsOverTheEmulator(t *testing.T) {
	t.Parallel()
	seed := firstSeed(t)
	tried, unknown := 0, 0
	for i := range max(15, worldsToTry(t, 120)/20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			e := newEmulated(t, rng, fmt.Sprintf("PLURAL_SEED=%d, case %d", seed, i))
			all, none := e.run(i%3 > 0, i%3 == 2)
			if i%3 == 0 {
				tried, unknown = tried+all, unknown+none
			}
		})
	}
	t.Logf("unknown without oddities and faults: %d of %d", unknown, tried)
	require.LessOrEqual(t, unknown*100, tried*3, "at most 3 %% of the results are unknown")
}

type emulated struct {
	*testing.T
	*rand.Rand

	name  string
	srv   *pluraltest.Server
	rows  []reconcile.Payment
	times []time.Time // the times of the captures
	state reconcile.State
}

func newEmulated(t *testing.T, rng *rand.Rand, name string) *emulated {
	t.Helper()
	srv := pluraltest.New(
		pluraltest.WithSettlementQuirks(pluraltest.SettlementQuirk(rng.UintN(1<<6))),
		pluraltest.WithSettlementDays(1+rng.IntN(2)),
	)
	t.Cleanup(srv.Close)
	return &emulated{T: t, Rand: rng, name: name, srv: srv}
}

func (e *emulated) run(odd, faults bool) (all, unknown int) {
	for day := range 7 {
		e.sell(day)
		time.Sleep(24 * time.Hour)
	}
	for night := range nights {
		if odd {
			e.alterSettlement()
		}
		if faults {
			e.srv.SetFaultPlan(pluraltest.RandomFaults(e.Uint64(), 0.3, readFaults()...))
		}
		n, none := e.night(odd, faults)
		all, unknown = all+n, unknown+none
		e.srv.SetFaultPlan(nil)
		e.sell(7 + night)
		time.Sleep(24 * time.Hour)
	}
	return all, unknown
}

// readFaults returns the faults of a read, except huge answers, hanging
// answers, and answers that show an older state.
func readFaults() []pluraltest.Fault {
	return slices.DeleteFunc(pluraltest.FaultsFor(pluraltest.OpOrdersGet), func(f pluraltest.Fault) bool {
		return f.Answer == pluraltest.AnswerHuge || f.Answer == pluraltest.AnswerHang || f.Answer == pluraltest.AnswerStale
	})
}

func (e *emulated) sell(day int) {
	for i := range e.IntN(6) {
		reference, whole := fmt.Sprintf("order-%d-%d", day, i), 1000+e.Int64N(1e6)
		id, err := e.srv.AddOrder(pluraltest.OrderSpec{
			Reference: reference, Amount: pluraltest.Amount{Value: whole, Currency: "INR"}, PreAuth: true,
		})
		require.NoError(e, err)
		decision := pluraltest.Approve
		if e.IntN(4) == 0 {
			decision = pluraltest.ApproveWithPoints(500)
		}
		_, err = e.srv.Pay(id, decision)
		require.NoError(e, err)
		taken := 600 + e.Int64N(whole-600)
		require.NoError(e, e.srv.Capture(id, "capture", pluraltest.Amount{Value: taken, Currency: "INR"}))
		row := reconcile.Payment{
			Reference: reference, OrderID: id, Captured: plural.INR(taken), Refunded: plural.INR(0),
		}
		if e.IntN(4) == 0 {
			row.Refunded.Value = 100 + e.Int64N(taken-100)
			back := pluraltest.Amount{Value: row.Refunded.Value, Currency: "INR"}
			_, err := e.srv.Refund(id, fmt.Sprint("refund-", reference), back)
			require.NoError(e, err)
		}
		o, _ := e.srv.Order(id)
		if len(o.Payments) == 1 && e.IntN(4) > 0 {
			row.PaymentID = o.Payments[0].ID
		}
		switch e.IntN(20) {
		case 0:
			row.Captured.Value++
		case 1:
			row.Refunded.Value++
		}
		e.rows, e.times = append(e.rows, row), append(e.times, time.Now())
	}
}

// alterSettlement changes a settlement. The emulator itself never makes such
// changes.
func (e *emulated) alterSettlement() {
	all := e.srv.Settlements()
	if len(all) == 0 {
		return
	}
	utr := all[e.IntN(len(all))].UTR
	oddity := e.IntN(7)
	// If a settlement was read before, this test only adds lines to it. A
	// changed line would not be noticed, because the settlement's row in the
	// list stays the same.
	if _, isRead := e.state.UTRs[utr]; isRead {
		oddity = []int{1, 4}[e.IntN(2)]
	}
	require.NoError(e, e.srv.ChangeSettlement(utr, func(s *pluraltest.Settlement) {
		switch n := e.IntN(len(s.Lines)); oddity {
		case 0:
			s.SaidLines = len(s.Lines) + 1
		case 1:
			s.Lines = append(s.Lines, s.Lines[n]) // two equal lines
		case 2:
			s.Lines[n].PayoutStatus = "Failed"
		case 3:
			s.SaidAmount = "0.01"
		case 4: // one more line, which looks like a chargeback
			s.Lines = append(s.Lines, pluraltest.SettlementLine{
				TransactionID: "v1-cb-1", Amount: "-12.005", Kind: pluraltest.LineChargeback, PaidAt: time.Now(),
			})
		case 5: // another amount
			s.Lines[n].Amount += "1"
		case 6:
			s.SaidLines = 0
		}
	}))
	e.srv.MoveSettlementRows(e.IntN(3) * e.IntN(2))
}

func (e *emulated) payments() iter.Seq2[reconcile.Payment, error] {
	return func(yield func(reconcile.Payment, error) bool) {
		for i, row := range e.rows {
			if time.Since(e.times[i]) < 10*24*time.Hour && !yield(row, nil) {
				return
			}
		}
	}
}

func (e *emulated) night(odd, faults bool) (all, unknown int) {
	books, err := reconcile.New(e.payments())
	require.NoError(e, err, e.name)
	now := time.Now().In(plural.India())
	rep := &recorder{}
	e.state, err = reconcile.Run(e.Context(), reconcile.FromClient(clientOf(e.T, e.srv)), books,
		plural.Days{First: now.AddDate(0, 0, -9), Last: now}, e.state, rep)
	require.NoError(e, err, e.name)
	counted := map[string]int{}
	for _, res := range rep.results {
		for _, l := range res.Lines {
			counted[l.UTRNumber+l.TransactionID+string(l.TransactionAmount)]++
		}
		if res.Outcome == reconcile.Unknown {
			unknown++
			require.True(e, odd || faults, "%s: %+v %q", e.name, res.Payment, res.Reasons)
			continue
		}
		e.checkResult(&res, faults)
	}
	for _, l := range rep.unexplained {
		counted[l.UTRNumber+l.TransactionID+string(l.TransactionAmount)]++
		require.NotContains(e, fmt.Sprint(e.rows), "PaymentID:"+l.TransactionID+" ", e.name)
	}
	for _, s := range e.srv.Settlements() {
		shown := map[string]int{}
		for _, l := range e.srv.SettlementLines(s.UTR) {
			shown[s.UTR+l.TransactionID+l.Amount]++
		}
		for key, n := range shown {
			require.LessOrEqual(e, counted[key], n, "%s: %s counted twice", e.name, key)
			delete(counted, key)
		}
	}
	require.Empty(e, counted, "%s: lines that the settlements do not have", e.name)
	return len(rep.results), unknown
}

// checkResult compares a result with the emulator's own books.
func (e *emulated) checkResult(res *reconcile.Result, faults bool) {
	o, _ := e.srv.Order(res.Payment.OrderID)
	var ids []string
	for _, p := range o.Payments {
		ids = append(ids, p.ID)
	}
	total, lines, seen := new(big.Rat), 0, false
	for _, s := range e.srv.Settlements() {
		for _, l := range e.srv.SettlementLines(s.UTR) {
			if !slices.Contains(ids, l.TransactionID) {
				continue
			}
			figure, _ := new(big.Rat).SetString(l.Amount)
			total.Add(total, figure)
			lines++
			day := s.SettledAt.In(plural.India()).Format(time.DateOnly)
			seen = seen || day >= res.Seen.First.Format(time.DateOnly) && day <= res.Seen.Last.Format(time.DateOnly)
		}
	}
	var captured, returned int64
	for _, c := range e.srv.Captures(o.ID) {
		captured += c.Amount.Value
	}
	for _, r := range e.srv.Refunds(o.ID) {
		returned += r.Amount.Value
	}
	agrees := captured == res.Payment.Captured.Value && returned == res.Payment.Refunded.Value
	isWhole := lines > 0 && total.Cmp(big.NewRat(res.Payment.Captured.Value, 100)) == 0
	says := fmt.Sprintf("%s: %+v %s %q, truly %s of %d in %d lines",
		e.name, res.Payment, res.Outcome, res.Reasons, total.FloatString(4), captured, lines)
	switch res.Outcome {
	case reconcile.Settled:
		// A late line may be in a settlement that could not be read tonight. A
		// run on a later night can read that line.
		own, _ := res.Settled().Paise()
		require.True(e, isWhole || faults && own == res.Payment.Captured.Value, says)
	case reconcile.Differs:
		isOrders := strings.Contains(strings.Join(res.Reasons, "\n"), "Plural's order says")
		require.True(e, isOrders && !agrees || lines > 0 && !isWhole, says)
	case reconcile.NotSeen:
		require.False(e, seen, says)
	default:
		require.Fail(e, "no outcome", says)
	}
}

// If a settlement has more lines than Settlements.Get keeps, the lines are read
// page by page, and the settlement's figures in a separate request.
func TestManyLines(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	s := pluraltest.Settlement{UTR: "633300000101", ProcessedAt: time.Now(), SettledAt: time.Now()}
	for i := range 25 {
		s.Lines = append(s.Lines, pluraltest.SettlementLine{TransactionID: idOf(i), Amount: "1.50", PaidAt: time.Now()})
	}
	require.NoError(t, srv.AddSettlement(s))
	from := reconcile.FromClient(clientOf(t, srv))
	for _, said := range []int{25, 10_001} {
		got := 0
		head, err := from.Lines(t.Context(), &plural.Settlement{UTRNumber: s.UTR, TotalTransactionsCount: said},
			func(l *plural.SettlementLine) error {
				require.Equal(t, plural.Rupees("1.50"), l.TransactionAmount)
				got++
				return nil
			})
		require.NoError(t, err)
		require.Equal(t, 25, got)
		require.Equal(t, plural.Rupees("37.5"), head.TotalTransactionAmount)
		require.Nil(t, head.Transactions)

		stop := errors.New("enough")
		_, err = from.Lines(t.Context(), &plural.Settlement{UTRNumber: s.UTR, TotalTransactionsCount: said},
			func(*plural.SettlementLine) error { return stop })
		require.ErrorIs(t, err, stop)
		_, err = from.Lines(t.Context(), &plural.Settlement{UTRNumber: "633300000999", TotalTransactionsCount: said}, nil)
		require.ErrorIs(t, err, plural.ErrNotFound)
	}
}

// This test checks how many requests a run with 1,000 payments sends.
func TestRequestsForAThousandPayments(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New(pluraltest.WithSettlementDays(-1))
	t.Cleanup(srv.Close)
	now := time.Now()
	s := pluraltest.Settlement{UTR: "633300000101", ProcessedAt: now, SettledAt: now}
	for i := range 1000 {
		s.Lines = append(s.Lines, pluraltest.SettlementLine{
			TransactionID: idOf(i), Amount: rupees(int64(100 + i)), PaidAt: now,
		})
	}
	require.NoError(t, srv.AddSettlement(s))
	today := now.In(plural.India())
	var state reconcile.State
	// On the first night, the client sends a request for a token, one for the
	// list, 100 for the pages of lines, and one for the first page again. On
	// the second night, the client sends only the requests for a token and for
	// the list.
	for night, most := range []int{105, 2} {
		before, start := len(srv.Requests()), time.Now()
		books, err := reconcile.New(manyPayments(1000))
		require.NoError(t, err)
		state, err = reconcile.Run(t.Context(), reconcile.FromClient(clientOf(t, srv)), books,
			plural.Days{First: today, Last: today}, state, &recorder{})
		require.NoError(t, err)
		made := len(srv.Requests()) - before
		t.Logf("night %d: 1,000 payments, %d requests, %s", night+1, made, time.Since(start).Round(time.Millisecond))
		require.LessOrEqual(t, made, most)
	}
}

// If a settlement's lines are read page by page, the settlement's figures are
// read in a separate request. If the answer to that request is about another
// settlement, no figures are reported.
func TestFiguresOfAnotherSettlement(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	for _, utr := range []string{"633300000101", "633300000102"} {
		require.NoError(t, srv.AddSettlement(pluraltest.Settlement{
			UTR: utr, ProcessedAt: time.Now(), SettledAt: time.Now(),
			Lines: []pluraltest.SettlementLine{{TransactionID: idOf(1), Amount: "1.50", PaidAt: time.Now()}},
		}))
	}
	swapped := plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.RawQuery == "" {
				r = r.Clone(r.Context())
				r.URL.Path = strings.Replace(r.URL.Path, "633300000101", "633300000102", 1)
			}
			return next.RoundTrip(r)
		})
	})
	from := reconcile.FromClient(clientOf(t, srv, swapped))
	head, err := from.Lines(t.Context(), &plural.Settlement{UTRNumber: "633300000101", TotalTransactionsCount: 10_001},
		func(*plural.SettlementLine) error { return nil })
	require.NoError(t, err)
	require.Nil(t, head)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
