package reconcile_test

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

func idOf(i int) string { return fmt.Sprintf("v1-261126%06d-aa-%06x-cc-k", i%1e6, i) }

// manyPayments makes n payments. Each payment gets strings of its own, like a
// payment that is read from a database.
func manyPayments(n int) iter.Seq2[reconcile.Payment, error] {
	return func(yield func(reconcile.Payment, error) bool) {
		for i := range n {
			id := idOf(i)
			p := reconcile.Payment{
				Reference: fmt.Sprint("order-", i), OrderID: id[:len(id)-5], PaymentID: id,
				Captured: plural.INR(int64(100 + i)),
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// manyLines makes a line for each of n payments.
func manyLines(n int) []plural.SettlementLine {
	lines := make([]plural.SettlementLine, n)
	for i := range lines {
		of := (i * 7919) % n // the lines come in another sequence than the payments
		lines[i] = plural.SettlementLine{
			TransactionID: idOf(of), System: "PG", ProcessedDate: "2026-11-27T07:00:00",
			TransactionDate: "2026-11-26T00:00:00", TransactionAmount: plural.Rupees(rupees(int64(100 + of))),
			ActualTransactionAmount: plural.Rupees(rupees(int64(100 + of))),
			TotalDeductionAmount:    plural.Rupees(fmt.Sprint("2.", i)),
			SettledAmount:           plural.Rupees(fmt.Sprint("97.", i)), StoreAddress: "Indiranagar", AcquirerName: "DEMO_FSS",
			TID: "DEMO000028500001", UTRNumber: fmt.Sprint("6333", i/10_000), Program: "CARD", PayoutStatus: "Success",
		}
	}
	return lines
}

// measureMatching makes Books with n payments, adds n lines, and computes the
// results. It returns the time for each line, and the memory for each payment.
func measureMatching(b *testing.B, n int) (perLine time.Duration, perPayment uint64) {
	b.Helper()
	lines := manyLines(n)
	before := heap()
	books, err := reconcile.New(manyPayments(n))
	require.NoError(b, err)
	start := time.Now()
	for i := range lines {
		if !books.Line(&lines[i]) {
			b.Fatal("a line was not explained")
		}
	}
	taken := time.Since(start)
	held := heap() - before
	runtime.KeepAlive(lines)
	start = time.Now()
	settled := 0
	for result := range books.Results(plural.Days{First: firstNight, Last: firstNight}) {
		if result.Outcome == reconcile.Settled {
			settled++
		}
	}
	taken += time.Since(start)
	require.Equal(b, n, settled)
	return taken / time.Duration(n), held / uint64(n)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMatcher measures the time that Books needs for one line, and the
// memory that Books needs for one payment. Each payment has one line. The
// measured time includes the time to compute the payment's result. The
// benchmark fails if a line takes more than five times as long in a list of
// 1,000,000 lines as in a list of 10,000 lines. The shorter list fits into the
// processor's cache, and the longer list does not. When last measured, the
// factor was three and a half.
func BenchmarkMatcher(b *testing.B) {
	const most = 5.0
	best := map[int]time.Duration{}
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var payment uint64
			for b.Loop() {
				var line time.Duration
				if line, payment = measureMatching(b, n); best[n] == 0 || line < best[n] {
					best[n] = line
				}
			}
			b.ReportMetric(float64(best[n]), "ns/line")
			b.ReportMetric(float64(payment), "B/payment")
			b.ReportMetric(0, "ns/op")
		})
	}
	if few, many := best[10_000], best[1_000_000]; few > 0 && float64(many)/float64(few) > most {
		b.Errorf("a line takes %s in a list of 10,000 lines, and %s in a list of 1,000,000", few, many)
	}
}

// Times depend on the machine, but the allocated memory does not. So this test
// compares the memory for a few and for many lines.
func TestMatcherGrowsNoFasterThanItsLines(t *testing.T) { //nolint:paralleltest // it measures memory
	cost := func(n int) (bytes, objects, kept float64) {
		lines := manyLines(n)
		payments := slices.Collect(func(yield func(reconcile.Payment) bool) {
			for p, err := range manyPayments(n) {
				if err != nil || !yield(p) {
					return
				}
			}
		})
		var start, end runtime.MemStats
		held := heap()
		runtime.ReadMemStats(&start)
		books, err := reconcile.New(paymentList(payments...))
		require.NoError(t, err)
		for i := range lines {
			require.True(t, books.Line(&lines[i]))
		}
		for result := range books.Results(seen()) {
			require.Equal(t, reconcile.Settled, result.Outcome)
		}
		runtime.ReadMemStats(&end)
		grown := heap() - held
		runtime.KeepAlive(books)
		runtime.KeepAlive(lines)
		runtime.KeepAlive(payments)
		of := float64(n)
		return float64(end.TotalAlloc-start.TotalAlloc) / of, float64(end.Mallocs-start.Mallocs) / of, float64(grown) / of
	}
	fewBytes, fewObjects, _ := cost(10_000)
	manyBytes, manyObjects, kept := cost(80_000)
	require.Less(t, manyBytes, 1.5*fewBytes)
	require.Less(t, manyObjects, 1.5*fewObjects)
	require.Less(t, kept, 1024.0, "an open payment keeps 1 KB at the most")
}
