package reconcile

import "github.com/plural-go/plural"

// Report receives the output of a run. For each settlement, [Run] first calls
// the method Transfer. Then it calls the method Unexplained for each new line
// of this settlement that is unexplained. After the last settlement, Run calls
// the method Result for each payment. [NewCSV] and [NewJSONLines] make a
// Report. Run never calls two methods of a Report at the same time. If a method
// returns an error, the run ends.
type Report interface {
	// Result receives the result of one payment. The results come in the
	// same sequence as the payments on the shop's list.
	Result(Result) error
	// Unexplained receives an unexplained line. A line is unexplained if Run
	// could not match it with a payment on the shop's list, or with a refund of
	// such a payment. The line belongs to the settlement that the method
	// Transfer has received last. The report may store the pointer, and use the
	// line later. As long as the line's settlement is in the [State], later
	// runs do not report the line again.
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
	// Detail has gross, MDR, GST, fees and net, without lines. Detail is nil if
	// the run did not read these figures. There are two possible reasons: an
	// earlier run has read them, or they could not be read.
	Detail *plural.SettlementDetail
	Lines  int   // the number of lines that were read, tonight or before
	Err    error // why the settlement was not read completely
	// Bank is the settlement's entry on the bank's statement. Its amount was
	// compared with Listed.TotalAmount. See [WithStatement].
	Bank BankSide
}
