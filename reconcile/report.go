package reconcile

import "github.com/plural-go/plural"

// Report is the target of a run. It gets a settlement, then the lines of it
// that no payment explains, and so on for each settlement; then the results.
// [NewCSV] and [NewJSONLines] make one. Its methods are never called at the
// same time. An error ends the run.
type Report interface {
	// Result takes the result of a payment, in the shop's order.
	Result(Result) error
	// Unexplained takes a line that no payment explains, right after its
	// settlement. The line may be kept. Over all nights it is given once.
	Unexplained(*plural.SettlementLine) error
	// Transfer takes a settlement that was listed.
	Transfer(*Transfer) error
	// Close ends the report. Run calls it once, after success and after failure.
	Close() error
}

// Transfer is a settlement that was listed. Its figures are as Plural sent
// them, and are only compared with the bank's statement.
type Transfer struct {
	Listed *plural.Settlement
	// Detail has gross, MDR, GST, fees and net, without lines. It is nil if it was
	// not read tonight, because it could not be read or was read on an earlier
	// night.
	Detail *plural.SettlementDetail
	Lines  int   // lines that were read, tonight or before
	Err    error // why it was not read completely
	// Bank is the entry on the statement, for comparison with Listed.TotalAmount;
	// see [WithStatement].
	Bank BankSide
}
