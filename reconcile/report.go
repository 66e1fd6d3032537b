package reconcile

import "github.com/plural-go/plural"

// Report receives the output of a run. It gets each settlement, followed by the
// lines of that settlement that no payment explains. After all settlements, it
// gets the results. [NewCSV] and [NewJSONLines] make a Report. [Run] never
// calls two methods of a Report at the same time. If a method returns an error,
// the run ends.
type Report interface {
	// Result receives the result of one payment. The results come in the
	// same sequence as the payments on the shop's list.
	Result(Result) error
	// Unexplained receives a line that no payment explains. Run calls
	// Unexplained right after it has called Transfer with the line's
	// settlement. The report may store the pointer, and use the line later. As
	// long as the [State] has the line's settlement, later runs do not pass the
	// line again.
	Unexplained(*plural.SettlementLine) error
	// Transfer receives a settlement that was listed.
	Transfer(*Transfer) error
	// Close ends the report. Run calls it once, after success and after failure.
	Close() error
}

// Transfer is a settlement that was listed. Its figures are as Plural sent
// them. They are compared only with the bank's statement.
type Transfer struct {
	Listed *plural.Settlement
	// Detail has gross, MDR, GST, fees and net, without lines. It is nil if it was
	// not read tonight, because it could not be read or was read on an earlier
	// night.
	Detail *plural.SettlementDetail
	Lines  int   // the number of lines that were read, tonight or before
	Err    error // why the settlement was not read completely
	// Bank is the settlement's entry on the bank's statement. Its amount was
	// compared with Listed.TotalAmount. See [WithStatement].
	Bank BankSide
}
