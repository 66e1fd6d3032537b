package reconcile_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

var update = flag.Bool("update", false, "rewrite golden files")

// writeReport calls each method of a report.
func writeReport(t *testing.T, r reconcile.Report) {
	t.Helper()
	p := paymentA()
	p.Reference = "=HYPERLINK(\"http://evil\")"
	odd := reconcile.Payment{Reference: "-2", OrderID: "@x", PaymentID: "+y", Captured: plural.INR(149950)}
	b, err := reconcile.New(paymentList(p, odd))
	require.NoError(t, err)
	b.Line(lineA("60"))
	require.NoError(t, r.Transfer(&reconcile.Transfer{
		Listed: &plural.Settlement{
			UTRNumber: "633300000101", TotalAmount: "978.02", ActualTransactionAmount: "998", TotalDeductionAmount: "39.92",
			SettledDate: "2026-11-27T10:59:46", LastProcessedDate: "2026-11-27T07:00:00", BankAccNumber: "00011122233344",
		},
		Detail: &plural.SettlementDetail{
			UTRNumber: "633300000101", TotalMDRAmount: "1875.0015", TotalGSTAmount: "337.50027", TotalRefund: "1999.99",
			TotalChargebackRecoveryAmount: "500.5", BankAccNumber: "00011122233344",
		},
		Lines: 2, Bank: reconcile.BankSide{Arrival: reconcile.Arrived, Amount: plural.INR(97802), Day: "28/11/2026"},
	}))
	stranger := lineA("-1999.99")
	stranger.TransactionID, stranger.StoreAddress, stranger.Program = "\t=1+1", "Indiranagar", "@SUM(A1)"
	require.NoError(t, r.Unexplained(stranger))
	require.NoError(t, r.Transfer(&reconcile.Transfer{
		Listed: &plural.Settlement{UTRNumber: "633300000102", TotalAmount: "9.8"}, Err: errors.New("a page:\n did not come"),
		Bank: reconcile.BankSide{Arrival: reconcile.NotThereYet},
	}))
	for result := range b.Results(seen()) {
		require.NoError(t, r.Result(result))
	}
	require.NoError(t, r.Close())
}

func TestReports(t *testing.T) {
	t.Parallel()
	for name, makes := range map[string]func(io.Writer) reconcile.Report{
		"report.csv": reconcile.NewCSV, "report.jsonl": reconcile.NewJSONLines,
	} {
		var got bytes.Buffer
		writeReport(t, makes(&got))
		require.NotContains(t, got.String(), "00011122233344")
		require.NotContains(t, got.String(), "Indiranagar")
		file := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(file, got.Bytes(), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got.String(), "go test -update rewrites the golden file")
		for line := range strings.Lines(got.String()) {
			require.True(t, strings.HasSuffix(name, "csv") || json.Valid([]byte(line)))
		}
	}
}

// No text in a report turns a cell into a formula.
func FuzzCells(f *testing.F) {
	for _, text := range []string{
		"=1+1", "+1", "-1", "@x", " =x", "\t-x", "-1999.99", "1e2", "-1+cmd|' /C calc'!A0", "order-1", "\r=x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		r := reconcile.NewCSV(&out)
		l := &plural.SettlementLine{TransactionID: text, TransactionAmount: plural.Rupees(text), Program: text}
		require.NoError(t, r.Unexplained(l))
		require.NoError(t, r.Close())
		rows, err := csv.NewReader(&out).ReadAll()
		require.NoError(t, err)
		for _, cell := range rows[1] {
			_, err := plural.Rupees(cell).Cmp("0")
			begins := strings.TrimSpace(cell)
			require.True(t, err == nil || begins == "" || !strings.ContainsAny(begins[:1], "=+-@"), "%q", cell)
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReportsFail(t *testing.T) {
	t.Parallel()
	for _, r := range []reconcile.Report{reconcile.NewCSV(brokenWriter{}), reconcile.NewJSONLines(brokenWriter{})} {
		for range 100 { // more text than the buffer holds
			_ = r.Unexplained(lineA("1"))
		}
		require.ErrorIs(t, r.Close(), io.ErrClosedPipe)
	}
}

// A line settles a payment if the line's figure equals the captured amount. The
// figure may be written in any way that [plural.Rupees] can read, such as 1.5
// or 01.50.
func FuzzFigures(f *testing.F) {
	for _, text := range []string{
		"1", "1.", ".5", "1.5", "01.50", "1.505", "-1", "1e2", "999999999999999.99", "1.2.3", "1..5", "",
		"9999999999999999999",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		figure := plural.Rupees(text)
		paise, isWhole := figure.Paise()
		p := paymentA()
		p.Captured.Value, p.Refunded.Value = max(paise, 0), 0
		b, err := reconcile.New(paymentList(p))
		require.NoError(t, err)
		b.Line(lineA(figure))
		got := one(t, b, seen())
		require.Equal(t, isWhole && paise >= 0, got.Outcome == reconcile.Settled, "%q: %s", text, got.Outcome)
		if _, err := figure.Cmp("0"); err != nil {
			require.Equal(t, reconcile.Unknown, got.Outcome, "%q", text)
		}
	})
}
