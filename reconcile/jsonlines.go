package reconcile

import (
	"bufio"
	"encoding/json"
	"io"

	"github.com/plural-go/plural"
)

// NewJSONLines makes a Report that writes JSON, one object on each line:
// {"settlement": ...}, {"unexplained": ...} or {"payment": ...}. Amounts are
// strings with decimal rupees. The bank account and the store's address are
// left out.
func NewJSONLines(w io.Writer) Report {
	buffered := bufio.NewWriter(w)
	return &jsonReport{w: buffered, to: json.NewEncoder(buffered)}
}

type jsonReport struct {
	w  *bufio.Writer
	to *json.Encoder
}

type jsonPayment struct {
	Outcome   Outcome    `json:"outcome"`
	Reference string     `json:"reference,omitzero"`
	OrderID   string     `json:"order_id,omitzero"`
	PaymentID string     `json:"payment_id,omitzero"`
	Captured  string     `json:"captured"`
	Refunded  string     `json:"refunded"`
	Lines     []jsonLine `json:"lines,omitzero"`
	Reasons   []string   `json:"reasons,omitzero"`
	SeenFirst string     `json:"seen_first,omitzero"`
	SeenLast  string     `json:"seen_last,omitzero"`
}

type jsonLine struct {
	UTR           string              `json:"utr"`
	TransactionID string              `json:"transaction_id"`
	Amount        plural.Rupees       `json:"transaction_amount"`
	Deduction     plural.Rupees       `json:"total_deduction_amount,omitzero"`
	Settled       plural.Rupees       `json:"settled_amount,omitzero"`
	PayoutStatus  plural.PayoutStatus `json:"payout_status"`
	Program       string              `json:"program,omitzero"`
	ProcessedDate plural.LocalTime    `json:"processed_date,omitzero"`
}

type jsonSettlement struct {
	UTR           string           `json:"utr"`
	SettledDate   plural.LocalTime `json:"settled_date,omitzero"`
	ProcessedDate plural.LocalTime `json:"processed_date,omitzero"`
	Lines         int              `json:"lines"`
	Error         string           `json:"error,omitzero"`
	Gross         plural.Rupees    `json:"gross"`
	Deductions    plural.Rupees    `json:"deductions"`
	Net           plural.Rupees    `json:"net"`
	Bank          Arrival          `json:"bank,omitzero"`
	BankAmount    string           `json:"bank_amount,omitzero"`
	BankDay       string           `json:"bank_day,omitzero"`

	Detail *plural.SettlementDetail `json:"detail,omitzero"`
}

func (r *jsonReport) Result(res Result) error {
	p := jsonPayment{
		Outcome: res.Outcome, Reference: res.Payment.Reference, OrderID: res.Payment.OrderID,
		PaymentID: res.Payment.PaymentID,
		Captured:  decimalRupees(res.Payment.Captured), Refunded: decimalRupees(res.Payment.Refunded),
		Reasons: res.Reasons, SeenFirst: day(res.Seen.First), SeenLast: day(res.Seen.Last),
	}
	for i := range res.Lines {
		p.Lines = append(p.Lines, jsonLineOf(&res.Lines[i]))
	}
	return r.write("payment", p)
}

func (r *jsonReport) Unexplained(l *plural.SettlementLine) error {
	return r.write("unexplained", jsonLineOf(l))
}

func (r *jsonReport) Transfer(t *Transfer) error {
	s := jsonSettlement{
		UTR: t.Listed.UTRNumber, SettledDate: t.Listed.SettledDate, ProcessedDate: t.Listed.LastProcessedDate,
		Lines: t.Lines, Gross: t.Listed.ActualTransactionAmount, Deductions: t.Listed.TotalDeductionAmount,
		Net: t.Listed.TotalAmount, Bank: t.Bank.Arrival, BankDay: t.Bank.Day,
	}
	if t.Err != nil {
		s.Error = oneLine(t.Err)
	}
	if t.Bank.Amount.Currency != "" {
		s.BankAmount = decimalRupees(t.Bank.Amount)
	}
	if t.Detail != nil {
		detail := *t.Detail
		detail.BankName, detail.BankAccNumber, detail.Transactions = "", "", []plural.SettlementLine{}
		s.Detail = &detail
	}
	return r.write("settlement", s)
}

func (r *jsonReport) Close() error { return r.w.Flush() }

func (r *jsonReport) write(name string, what any) error {
	return r.to.Encode(map[string]any{name: what})
}

func jsonLineOf(l *plural.SettlementLine) jsonLine {
	return jsonLine{
		UTR: l.UTRNumber, TransactionID: l.TransactionID,
		Amount: l.TransactionAmount, Deduction: l.TotalDeductionAmount,
		Settled: l.SettledAmount, PayoutStatus: l.PayoutStatus, Program: l.Program, ProcessedDate: l.ProcessedDate,
	}
}
