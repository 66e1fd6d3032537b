package plural_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestWhatWasSettledIsWhatIsRead settles random sales and refunds. Each case
// uses a random subset of six of the emulator's eight quirks. While a client
// reads the settlements, lines come late, rows move and requests fail. A
// reading without an error must give the settlements as they were before the
// reading, or as they are after it.
func TestWhatWasSettledIsWhatIsRead(t *testing.T) {
	t.Parallel()
	seed := soakSeed(t)
	cases := 25
	if isFullSoak() {
		cases = 3000
	}
	whole := 0
	for i := range cases {
		synctest.Test(t, func(t *testing.T) {
			whole += settledAndRead(t, rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
	require.Greater(t, whole, cases, "most readings are whole")
}

// bank is an emulator with settlements that change while a client reads them.
type bank struct {
	t      *testing.T
	srv    *pluraltest.Server
	r      *rand.Rand
	before map[string][]string // the lines of each UTR, as they were before the client's first read
}

func settledAndRead(t *testing.T, r *rand.Rand) (whole int) {
	quirks := pluraltest.SettlementQuirk(r.UintN(1 << 6))
	opts := []pluraltest.Option{pluraltest.WithSettlementQuirks(quirks), pluraltest.WithSettlementDays(r.IntN(3))}
	srv := pluraltest.New(opts...)
	defer srv.Close()
	b := &bank{t: t, srv: srv, r: r}
	for day := range 1 + r.IntN(30) {
		b.makeSales(day)
		pass(time.Duration(1+r.IntN(60)) * time.Hour)
	}
	pass(4 * 24 * time.Hour)
	b.alterSettlements()
	if r.IntN(3) == 0 {
		faults := slices.DeleteFunc(pluraltest.FaultsFor(pluraltest.OpSettlementsGet), func(f pluraltest.Fault) bool {
			return f.Answer == pluraltest.AnswerHuge || f.Answer == pluraltest.AnswerHang
		})
		srv.SetFaultPlan(pluraltest.RandomFaults(r.Uint64(), 0.3, faults...))
	}
	client := newClient(t, srv)

	b.begin()
	var got []string
	var err error
	for row, e := range client.Settlements.List(t.Context(), lastDays(85)) {
		if err = e; e == nil {
			got = append(got, row.UTRNumber)
			b.disturbReading()
		}
	}
	whole += b.checkReading("List", got, err, slices.Sorted(keys(b.before)), slices.Sorted(keys(b.linesByUTR())))
	for utr := range b.before {
		b.begin()
		got = nil
		for line, e := range client.Settlements.Lines(t.Context(), utr) {
			if err = e; e == nil {
				got = append(got, lineText(line))
				b.disturbReading()
			}
		}
		whole += b.checkReading("Lines", got, err, b.before[utr], b.linesByUTR()[utr])

		b.begin()
		detail, err := client.Settlements.Get(t.Context(), utr)
		if detail == nil {
			require.NotErrorIs(t, err, plural.ErrIncomplete)
			continue
		}
		got = nil
		for i := range detail.Transactions {
			got = append(got, lineText(&detail.Transactions[i]))
		}
		whole += b.checkReading("Get", got, err, b.before[utr], b.linesByUTR()[utr])
	}
	return whole
}

// lineText returns a line as a text that tests compare: the payment's id, its
// amount, and the amount that was settled.
func lineText(line *plural.SettlementLine) string {
	return fmt.Sprint(line.TransactionID, " ", line.TransactionAmount, " ", line.SettledAmount)
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// makeSales makes the orders and payments of one day.
func (b *bank) makeSales(day int) {
	d := &desk{t: b.t, srv: b.srv}
	for i := range b.r.IntN(8) {
		id := d.order(fmt.Sprintf("order-%d-%d", day, i), true)
		d.pay(id, []pluraltest.Decision{pluraltest.Approve, pluraltest.ApproveWithPoints(pointsAmount)}[b.r.IntN(2)])
		taken := int64(100 + b.r.IntN(wholeAmount-100))
		d.capture(id, "capture", taken)
		if b.r.IntN(4) == 0 {
			d.refund(id, fmt.Sprintf("refund-%d-%d", day, i), 100+b.r.Int64N(taken-99))
		}
	}
}

// alterSettlements changes settlements at random. The emulator does not make
// such odd settlements by itself.
func (b *bank) alterSettlements() {
	for _, s := range b.srv.Settlements() {
		require.NoError(b.t, b.srv.ChangeSettlement(s.UTR, func(s *pluraltest.Settlement) {
			for range b.r.IntN(20) * b.r.IntN(2) { // sometimes there are too many lines for one page
				line := s.Lines[b.r.IntN(len(s.Lines))]
				line.TransactionID += fmt.Sprint("-", b.r.IntN(100))
				s.Lines = append(s.Lines, line)
			}
			switch b.r.IntN(8) {
			case 0:
				s.SaidLines = len(s.Lines) + 1 + b.r.IntN(3)
			case 1:
				s.Lines = append(s.Lines, s.Lines[0]) // two equal lines
			case 2:
				s.Lines[0].PayoutStatus = "Failed"
			case 3:
				s.SaidAmount = "0.01"
			}
		}))
	}
}

// linesByUTR returns the lines of each settlement in the books. The keys of the
// map are the UTRs. Each line is a text in the same form as the texts that
// lineText returns.
func (b *bank) linesByUTR() map[string][]string {
	all := map[string][]string{}
	for _, s := range b.srv.Settlements() {
		all[s.UTR] = []string{}
		for _, line := range b.srv.SettlementLines(s.UTR) {
			all[s.UTR] = append(all[s.UTR], line.TransactionID+" "+line.Amount+" "+line.Settled())
		}
		slices.Sort(all[s.UTR])
	}
	return all
}

func (b *bank) begin() {
	b.srv.MoveSettlementRows(b.r.IntN(4) * b.r.IntN(2))
	b.before = b.linesByUTR()
}

// disturbReading runs after each row that the client reads. Sometimes it
// changes the settlements.
func (b *bank) disturbReading() {
	all := b.srv.Settlements()
	utr := all[b.r.IntN(len(all))].UTR
	switch b.r.IntN(60) {
	case 0:
		require.NoError(b.t, b.srv.AddSettlementLine(utr, pluraltest.SettlementLine{
			TransactionID: fmt.Sprint("late-", b.r.Uint32()), Amount: "-1.005", Kind: pluraltest.LineChargeback,
			PaidAt: time.Now(),
		}))
	case 1:
		b.srv.MoveSettlementRows(1)
	}
}

// checkReading compares the rows that the client read with two lists: the rows
// in the books before the reading, and the rows after it. The client's rows
// must be equal to one of the two lists. checkReading returns 1 if the reading
// was complete, and 0 if the reading ended with an error.
func (b *bank) checkReading(what string, got []string, err error, before, after []string) int {
	if err != nil {
		failure, isCall := errors.AsType[*plural.Error](err)
		require.True(b.t, errors.Is(err, plural.ErrIncomplete) || isCall && len(got) == 0, "%s: %v", what, failure)
		return 0
	}
	slices.Sort(got)
	if !slices.Equal(got, before) && !slices.Equal(got, after) {
		require.Equal(b.t, before, got, "%s: the lines read are neither these nor those after the reading: %v", what, after)
	}
	return 1
}

// TestMillionLines reads very many lines. The memory in use does not grow with
// the number of lines, because the SDK keeps only one page, and the
// fingerprints of the last lines.
func TestMillionLines(t *testing.T) { //nolint:paralleltest // it measures the heap
	lines := 1_000_000
	if !isFullSoak() {
		lines = 60_000 // more lines than the SDK remembers
	}
	client := newPeerClient(t, manyLines(lines))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, peak uint64
	n := 0
	for line, err := range client.Settlements.Lines(t.Context(), "4001") {
		require.NoError(t, err)
		if n++; n%(lines/20) == 0 {
			peak = max(peak, heap())
		}
		if n == 20_000 { // from here on, the SDK remembers no more lines than before
			early = heap()
		}
		_ = line
	}
	require.Equal(t, lines, n)
	t.Logf("%d lines: heap %d KiB after 20,000 lines, %d KiB at most", lines, early>>10, peak>>10)
	require.Less(t, peak, early+2<<20)
	require.Less(t, peak, uint64(24<<20))
}

// BenchmarkSettlementLines reads lines without a network.
func BenchmarkSettlementLines(b *testing.B) {
	client := newPeerClient(b, manyLines(b.N))
	b.ReportAllocs()
	for _, err := range client.Settlements.Lines(context.Background(), "4001") {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// In TestFarRepeat the same page comes twice, with many other pages in between.
// The test checks that the SDK notices this.
func TestFarRepeat(t *testing.T) {
	t.Parallel()
	pages := manyLines(15_000)
	client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("page") == "1100" {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "page=1100", "page=200", 1)
		}
		return pages(r)
	})
	lines, err := all(client.Settlements.Lines(t.Context(), "4001"))
	require.Equal(t, 15_000, incomplete(t, err).Want)
	require.Less(t, len(lines), 15_000)
}
