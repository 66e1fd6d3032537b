package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/plural-go/plural"
)

// lookBack is a number of days. Run begins its list at least this many days
// before the last day that earlier runs have listed, because late lines may be
// added to existing settlements.
const lookBack = 9

// State is the data that one night passes to the next night. It can be stored
// as JSON. It has ids and figures, but no bank account. The first night starts
// with the zero State.
type State struct {
	// Seen is the range of days whose settlements were listed.
	Seen plural.Days
	// UTRs is a map of settlements. The key is the settlement's UTR. The
	// map has the settlements of these days. It also has an older
	// settlement if a payment that is still on the shop's list has a line
	// in that settlement.
	UTRs map[string]UTR
}

// UTR has what the state keeps about one settlement. The state keeps the lines.
// So if a payment is on the shop's list for ten nights, the result of each of
// these nights has the payment's lines. If a payment gets a second line later,
// the two lines are added up.
type UTR struct {
	// Digest is the digest of the settlement's row in the list: figures, count
	// and times. If the row has the same digest on the next night, the
	// settlement is not read again. So if a line changes and the row does not,
	// the change is not noticed. Digest is "" if the settlement has to be read
	// again. That is the case if something could not be read, if the number of
	// lines is not the number in the row, or if a line is not paid out yet.
	Digest string `json:"digest,omitzero"`
	// IsPart reports whether lines may be missing.
	IsPart bool `json:"is_part,omitzero"`
	// Lines are the lines that were read, without address and acquirer.
	Lines []Line `json:"lines,omitzero"`
}

// Line is a line of a settlement that was read.
type Line struct {
	plural.SettlementLine

	// Order is the id of the order or refund that was read to explain the line.
	// It is "" if no order was needed, or if nothing explains the line.
	Order string `json:"order,omitzero"`

	guessedOrder string // the order's id, guessed from the line's id
}

// daysToList returns the days to list tonight. They end with the last day of d.
// They begin with the first day of d, or lookBack days before the last day that
// earlier runs have listed, whichever is earlier. So if the program did not run
// on some nights, the next run also lists the days of those nights.
func (s State) daysToList(d plural.Days) plural.Days {
	if again := s.Seen.Last.AddDate(0, 0, -lookBack); !s.Seen.Last.IsZero() && day(again) < day(d.First) {
		d.First = again
	}
	return d
}

// newSeen returns the new value of the field Seen. The parameter d is the range
// of days that this run has listed completely. The result is one of these:
//
//   - If d is not valid, the result is the old value.
//   - If d ends before the old value begins, and at least one day lies between
//     them, the result is the old value.
//   - If the old value ends later than d, the result begins with the first day
//     of d, and ends with the last day of the old value.
//   - Otherwise the result is d.
func (s State) newSeen(d plural.Days) plural.Days {
	switch {
	case !isValid(d) || day(d.Last.AddDate(0, 0, 1)) < day(s.Seen.First):
		return s.Seen
	case day(d.Last) < day(s.Seen.Last):
		d.Last = s.Seen.Last
	}
	return d
}

// lineOf returns the Line that the state keeps for the line l. It copies the
// texts of l, and leaves out the address and the acquirer.
func lineOf(l, before *plural.SettlementLine, utr string) Line {
	c := *l
	c.StoreAddress, c.AcquirerName = "", ""
	if c.UTRNumber == "" {
		c.UTRNumber = utr
	}
	copyTexts(&c, before, "")
	return Line{SettlementLine: c}
}

// withoutStatus returns a copy of the line that has no payout status. On later
// nights, this copy identifies the line. The status is left out because it may
// change until the line is paid out.
func (l *Line) withoutStatus() plural.SettlementLine {
	c := l.SettlementLine
	c.PayoutStatus = ""
	return c
}

// digestOf identifies a row of the list of settlements.
func digestOf(row *plural.Settlement) (string, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("reconcile: UTR %s: %w", row.UTRNumber, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// isValid reports whether d has a first day and a last day, in this order.
func isValid(d plural.Days) bool {
	return !d.First.IsZero() && !d.Last.IsZero() && day(d.First) <= day(d.Last)
}
