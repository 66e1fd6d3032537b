package reconcile_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// worldsToTry returns how many random worlds a test tries. A world is the data
// of a shop and of Plural: see the type world. The environment variable
// PLURAL_RECONCILE sets the number. If the variable is not set, worldsToTry
// returns the usual number.
func worldsToTry(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("PLURAL_RECONCILE")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "PLURAL_RECONCILE must be a number of worlds")
	return n
}

// firstSeed returns the seed for the random data of a test's first case. The
// environment variable PLURAL_SEED sets the seed. So a test that has failed can
// be repeated with the same data.
func firstSeed(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("PLURAL_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	return rand.Uint64N(1e12)
}

// Over three nights, each result is right or Unknown, and no payment and no
// line is lost or counted twice. The type world has the payments, the orders
// and the settlements. The type oracle derives the right results from this
// data, and checks the results of Run. The oracle shares no code with the
// package.
func TestNights(t *testing.T) {
	t.Parallel()
	var tried, unknown [2]int
	for i := range worldsToTry(t, 120) {
		seed := firstSeed(t) + uint64(i)
		rng := rand.New(rand.NewPCG(seed, 1))
		kind := int(seed % 4)
		odd, faults := kind > 0, []int{0, 0, 10, 30}[kind]
		w := newWorld(rng, odd)
		o := newOracle(t, w, fmt.Sprintf("PLURAL_SEED=%d PLURAL_RECONCILE=1", seed))
		all, none := o.run(faults)
		if kind < 2 {
			tried[kind] += all
			unknown[kind] += none
		}
	}
	t.Logf("unknown without faults: %d of %d, with every oddity: %d of %d", unknown[0], tried[0], unknown[1], tried[1])
	require.LessOrEqual(t, unknown[0]*100, tried[0]*3, "without oddities and faults, at most 3 %% are unknown")
}

// lineKey identifies a line of a settlement in the world. The field utr names
// the settlement. The field tid is the line's position in the settlement.
type lineKey struct{ utr, tid string }

type oracle struct {
	*testing.T
	*world

	name  string
	state reconcile.State

	explained   map[lineKey]bool // lines that were in a payment's result, and were not reported as unexplained before
	unexplained map[lineKey]bool // lines that were reported as unexplained
	wasWhole    map[string]bool  // settlements that were read completely at least once, by UTR
}

func newOracle(t *testing.T, w *world, name string) *oracle {
	t.Helper()
	return &oracle{
		T: t, world: w, name: name,
		explained: map[lineKey]bool{}, unexplained: map[lineKey]bool{}, wasWhole: map[string]bool{},
	}
}

// The method run calls reconcile.Run once for each night, and checks the
// results. It returns the number of all results and the number of Unknown
// results.
func (o *oracle) run(faults int) (all, unknown int) {
	for night := range nights {
		today := nightOf(night)
		d := plural.Days{First: today, Last: today}
		if o.state.Seen.First.IsZero() {
			d.First = today.AddDate(0, 0, -9)
		}
		books, err := reconcile.New(o.paymentsOn(night))
		require.NoError(o, err, o.name)
		rd, rep := newReader(o.world, night, faults), &recorder{}
		var opts []reconcile.Option
		if o.IntN(4) == 0 {
			opts = append(opts, reconcile.WithParallel(3))
		}
		if o.IntN(4) == 0 {
			opts = append(opts, reconcile.WithEveryOrder())
		}
		o.state, err = reconcile.Run(o.Context(), rd, books, d, o.state, rep, opts...)
		require.NoError(o, err, o.name)
		require.Equal(o, 1, rep.closed)

		text, err := json.Marshal(o.state)
		require.NoError(o, err)
		require.NotContains(o, string(text), "00011122233344", "no account number is kept")
		o.state = reconcile.State{}
		require.NoError(o, json.Unmarshal(text, &o.state))

		n := o.judge(night, rd, rep)
		all, unknown = all+len(rep.results), unknown+n
	}
	return all, unknown
}

func (o *oracle) judge(night int, rd *reader, rep *recorder) (unknown int) {
	say := func(r *row, res reconcile.Result) string {
		return fmt.Sprintf("%s, night %d: %+v of %+v\n%s %q\nlines %v",
			o.name, night, r.Payment, *r.order, res.Outcome, res.Reasons, res.Lines)
	}
	var rows []*row
	sumCaptured, sumRefunded := map[*order]int64{}, map[*order]int64{}
	for _, r := range o.rows {
		if r.startNight <= night && night <= r.endNight {
			rows = append(rows, r)
			sumCaptured[r.order] += r.Captured.Value
			sumRefunded[r.order] += r.Refunded.Value
		}
	}
	require.Len(o, rep.results, len(rows), o.name)

	calm := !rd.listFailed && len(rd.failed) == 0 && !rd.failedHints
	visible := map[lineKey]plural.SettlementLine{}
	for _, s := range o.settlements {
		if s.day.After(nightOf(night)) {
			continue
		}
		lines := s.on(night)
		for _, l := range lines {
			visible[lineKey{s.utr, l.TID}] = l
		}
		o.wasWhole[s.utr] = o.wasWhole[s.utr] || rd.whole[s.utr]
		isUnread := s.isOdd() || !o.wasWhole[s.utr] || rd.failedToRead(s.utr)
		calm = calm && (len(lines) == 0 || !isUnread)
	}

	counted := map[lineKey]bool{}
	for i, res := range rep.results {
		r := rows[i]
		require.Equal(o, r.Payment, res.Payment, o.name)
		for _, l := range res.Lines {
			key := lineKey{l.UTRNumber, l.TID}
			truth, isThere := visible[key]
			require.True(o, isThere && !counted[key], "a line does not exist, or is counted twice: %s", say(r, res))
			counted[key] = true
			require.Equal(o, truth.TransactionAmount, l.TransactionAmount)
			of, isRefund := o.ofOrder(l.TransactionID)
			require.True(o, of == r.order && (isRefund || r.PaymentID == "" || r.PaymentID == l.TransactionID), say(r, res))
		}
		o.judgeOne(night, rd, r, res, calm, sumCaptured[r.order], sumRefunded[r.order], say(r, res))
		if res.Outcome == reconcile.Unknown {
			unknown++
		}
	}
	for _, l := range rep.unexplained {
		utr := l.UTRNumber
		key := lineKey{utr, l.TID}
		_, isThere := visible[key]
		require.True(o, isThere && !counted[key],
			"%s, night %d: an unexplained line does not exist, or is counted twice: %+v", o.name, night, l)
		require.False(o, o.explained[key], "%s, night %d: the line was explained before: %+v", o.name, night, l)
		counted[key] = true
		require.False(o, o.unexplained[key], "%s, night %d: the line was reported before: %+v", o.name, night, l)
		o.unexplained[key] = true
		of, isRefund := o.ofOrder(l.TransactionID)
		for _, r := range rows {
			isKnown := r.PaymentID == l.TransactionID || r.PaymentID == "" && rd.orders[of]
			require.False(o, r.order == of && !isRefund && isKnown,
				"%s, night %d: a payment explains the line: %+v", o.name, night, l)
			isKnown = !of.isOrphan() && calm
			require.False(o, r.order == of && isRefund && isKnown,
				"%s, night %d: a refund explains the line: %+v", o.name, night, l)
		}
	}
	for key := range visible { // no line is lost
		if !rd.whole[key.utr] {
			continue
		}
		isCounted := counted[key] || o.explained[key] || o.unexplained[key]
		require.True(o, isCounted, "%s, night %d: the line is lost: %+v", o.name, night, visible[key])
	}
	for key := range counted {
		if !o.unexplained[key] {
			o.explained[key] = true
		}
	}
	return unknown
}

func (o *order) isOrphan() bool { return o == nil || o.orphans }

// judgeOne compares a result with the truth.
func (o *oracle) judgeOne(
	night int, rd *reader, r *row, res reconcile.Result, calm bool, captured, returned int64, says string,
) {
	orderSays := rd.orders[r.order] && !rd.failed[r.order] &&
		(!r.order.silent && captured != r.order.captured() || returned != r.order.returned())
	isMine := func(id string) bool {
		of, isRefund := o.ofOrder(id)
		return of == r.order && !isRefund && (r.PaymentID == id || r.PaymentID == "")
	}
	var mine []plural.SettlementLine
	hasLineIn := func(d plural.Days) (found bool) {
		for _, s := range o.settlements {
			for _, l := range s.on(night) {
				isIn := !s.day.Before(d.First) && !s.day.After(d.Last)
				found = found || isIn && isMine(l.TransactionID)
			}
		}
		return found
	}
	for _, s := range o.settlements {
		for _, l := range s.on(night) {
			if !s.day.After(nightOf(night)) && isMine(l.TransactionID) {
				mine = append(mine, l)
			}
		}
	}
	truth := verdictOf(mine, r.Captured.Value)
	hasIDs := r.PaymentID != "" || rd.orders[r.order]
	switch res.Outcome {
	case reconcile.Unknown:
		isRefundOdd := false
		for _, l := range res.Lines {
			_, isRefund := o.ofOrder(l.TransactionID)
			isRefundOdd = isRefundOdd || isRefund && !l.PayoutStatus.IsSuccess()
		}
		mayBe := !calm || truth == reconcile.Unknown || isRefundOdd ||
			rd.orders[r.order] && r.order.silent && truth != reconcile.Settled
		require.True(o, mayBe, "the outcome could be known (%s): %s", truth, says)
		require.False(o, orderSays, says)
	case reconcile.Differs:
		require.True(o, orderSays || truth == reconcile.Differs && hasIDs, "truth %s: %s", truth, says)
		require.NotEmpty(o, res.Reasons)
	case reconcile.Settled:
		require.False(o, orderSays, says)
		var own []plural.SettlementLine
		for _, l := range res.Lines {
			if isMine(l.TransactionID) {
				own = append(own, l)
			}
		}
		require.Equal(o, reconcile.Settled, verdictOf(own, r.Captured.Value), says)
		require.True(o, truth == reconcile.Settled || !calm, "truth %s: %s", truth, says)
	case reconcile.NotSeen:
		require.True(o, hasIDs && !orderSays, says)
		require.Equal(o, rd.listed.String(), res.Seen.String(), says)
		require.False(o, res.Seen.Last.Before(res.Seen.First), says)
		require.False(o, hasLineIn(res.Seen), says)
	default:
		require.Fail(o, "no outcome", says)
	}
	if calm && (!r.order.silent || truth == reconcile.Settled) && !orderSays && res.Outcome != reconcile.Unknown {
		require.Equal(o, truth, res.Outcome, says)
	}
}

// verdictOf returns the outcome that the package promises for the lines of a
// payment. It calculates with exact fractions.
func verdictOf(lines []plural.SettlementLine, captured int64) reconcile.Outcome {
	total := new(big.Rat)
	for _, l := range lines {
		figure, ok := new(big.Rat).SetString(string(l.TransactionAmount))
		if !ok || strings.Contains(string(l.TransactionAmount), "e99") ||
			!strings.EqualFold(string(l.PayoutStatus), "success") {
			return reconcile.Unknown
		}
		total.Add(total, figure)
	}
	switch {
	case len(lines) == 0:
		return reconcile.NotSeen
	case total.Cmp(big.NewRat(captured, 100)) == 0:
		return reconcile.Settled
	}
	return reconcile.Differs
}

// recorder is a Report that keeps everything it gets.
type recorder struct {
	results     []reconcile.Result
	unexplained []plural.SettlementLine
	transfers   []reconcile.Transfer
	closed      int
}

func (r *recorder) Result(res reconcile.Result) error {
	r.results = append(r.results, res)
	return nil
}

func (r *recorder) Unexplained(l *plural.SettlementLine) error {
	r.unexplained = append(r.unexplained, *l)
	return nil
}

func (r *recorder) Transfer(t *reconcile.Transfer) error {
	r.transfers = append(r.transfers, *t)
	return nil
}

func (r *recorder) Close() error {
	r.closed++
	return nil
}
