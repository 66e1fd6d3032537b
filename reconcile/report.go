package reconcile

import "github.com/plural-go/plural"

// Report is where a run writes: a settlement, the lines of it that no payment
// explains, and so on; then the results. [NewCSV] and [NewJSONLines] make one.
// It is never called from two places at once. An error ends the run.
type Report interface {
	// Result takes what became of a payment, in the shop's order.
	Result(Result) error
	// Unexplained takes a line that no payment explains, right after its
	// settlement. It may be kept. Over the nights it is given once.
	Unexplained(*plural.SettlementLine) error
	// Transfer takes a settlement that was listed.
	Transfer(*Transfer) error
	// Close ends the report. Run calls it once, whether it has failed or not.
	Close() error
}

// Transfer is a settlement that was listed. Its figures are as Plural sent
// them, and compared with nothing but the bank's statement.
type Transfer struct {
	Listed *plural.Settlement
	// Detail has gross, MDR, GST, fees and net, without lines; nil where it was
	// not read tonight: it could not be, or it was read on an earlier night.
	Detail *plural.SettlementDetail
	Lines  int   // that were read, tonight or before
	Err    error // why it was not read whole
	// Bank is what the statement has, beside Listed.TotalAmount; see
	// [WithStatement].
	Bank BankSide
}
