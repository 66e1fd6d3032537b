package reconcile

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// csvColumns are the columns of a report. A row is about a settlement, an
// unexplained line or a payment. Columns that do not apply to the row are
// empty.
//
//nolint:gochecknoglobals // it never changes
var csvColumns = []string{
	"row", "outcome", "reference", "order_id", "payment_id", "captured", "refunded", "settled", "utrs", "reasons",
	"seen_first", "seen_last", "transaction_id", "transaction_amount", "payout_status", "program", "processed_date",
	"settled_date", "lines", "gross", "deductions", "mdr", "gst", "platform_fee", "convenience_fee", "other_deductions",
	"total_refund", "total_chargeback_recovery_amount", "net", "bank", "bank_amount", "bank_day",
}

// NewCSV makes a Report that writes one table with a header, for a spreadsheet.
// Amounts are in decimal rupees. Plural's amounts are written as Plural sent
// them. If a spreadsheet would read a cell as a formula, the cell gets an
// apostrophe in front. A plain number gets no apostrophe.
func NewCSV(w io.Writer) Report {
	r := &csvReport{w: csv.NewWriter(w)}
	r.err = r.w.Write(csvColumns)
	return r
}

type csvReport struct {
	w    *csv.Writer
	last *Transfer
	err  error
}

func (r *csvReport) Result(res Result) error {
	p := res.Payment
	return r.write(map[string]string{
		"row": "payment", "outcome": string(res.Outcome),
		"reference": p.Reference, "order_id": p.OrderID, "payment_id": p.PaymentID,
		"captured": decimalRupees(p.Captured), "refunded": decimalRupees(p.Refunded), "settled": string(res.Settled()),
		"utrs": strings.Join(res.UTRs(), " "), "reasons": strings.Join(res.Reasons, "; "),
		"seen_first": day(res.Seen.First), "seen_last": day(res.Seen.Last),
	})
}

func (r *csvReport) Unexplained(l *plural.SettlementLine) error {
	cells := map[string]string{
		"row": "unexplained line", "utrs": l.UTRNumber, "transaction_id": l.TransactionID,
		"transaction_amount": string(l.TransactionAmount), "deductions": string(l.TotalDeductionAmount),
		"payout_status": string(l.PayoutStatus), "program": l.Program, "processed_date": string(l.ProcessedDate),
	}
	if r.last != nil && r.last.Listed.UTRNumber == l.UTRNumber && r.last.Detail != nil {
		cells["total_refund"] = string(r.last.Detail.TotalRefund)
		cells["total_chargeback_recovery_amount"] = string(r.last.Detail.TotalChargebackRecoveryAmount)
	}
	return r.write(cells)
}

func (r *csvReport) Transfer(t *Transfer) error {
	r.last = t
	cells := map[string]string{
		"row": "settlement", "outcome": "read", "utrs": t.Listed.UTRNumber, "lines": strconv.Itoa(t.Lines),
		"settled_date": string(t.Listed.SettledDate), "processed_date": string(t.Listed.LastProcessedDate),
		"gross": string(t.Listed.ActualTransactionAmount), "deductions": string(t.Listed.TotalDeductionAmount),
		"net": string(t.Listed.TotalAmount), "bank": string(t.Bank.Arrival), "bank_day": t.Bank.Day,
	}
	if t.Err != nil {
		cells["outcome"], cells["reasons"] = "not read whole", oneLine(t.Err)
	}
	if t.Bank.Amount.Currency != "" {
		cells["bank_amount"] = decimalRupees(t.Bank.Amount)
	}
	if d := t.Detail; d != nil {
		cells["mdr"], cells["gst"] = string(d.TotalMDRAmount), string(d.TotalGSTAmount)
		cells["platform_fee"], cells["convenience_fee"] = string(d.TotalPlatformFee), string(d.TotalConvenienceFee)
		cells["other_deductions"], cells["total_refund"] = string(d.OtherDeductions), string(d.TotalRefund)
		cells["total_chargeback_recovery_amount"] = string(d.TotalChargebackRecoveryAmount)
	}
	return r.write(cells)
}

func (r *csvReport) Close() error {
	r.w.Flush()
	if r.err == nil {
		r.err = r.w.Error()
	}
	return r.err
}

func (r *csvReport) write(cells map[string]string) error {
	row := make([]string, len(csvColumns))
	for i, name := range csvColumns {
		row[i] = defuseCell(cells[name])
	}
	if r.err == nil {
		r.err = r.w.Write(row)
	}
	return r.err
}

// defuseCell puts an apostrophe in front of a cell that begins with =, +, - or
// @, so a spreadsheet reads the cell as text. It does the same if white space
// comes before this character, because some spreadsheets ignore white space at
// the beginning. It does not change a cell with a number.
func defuseCell(cell string) string {
	text := strings.TrimSpace(cell)
	if text == "" || !strings.ContainsRune("=+-@", rune(text[0])) {
		return cell
	}
	if _, err := plural.Rupees(cell).Cmp("0"); err == nil {
		return cell
	}
	return "'" + cell
}

// decimalRupees writes an amount in decimal rupees: "1499.50".
func decimalRupees(a plural.Amount) string {
	return strings.TrimPrefix(a.String(), string(a.Currency)+" ")
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
