package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/plural-go/plural"
)

// overlapDays is a number of days. The list of a run begins at least
// overlapDays days before the last day that earlier runs have listed. Run lists
// these days again, because late lines may be added to settlements that were
// listed before.
const overlapDays = 9

// State is the data that a run returns for the run on the next night. It can be
// stored as JSON. It has ids and figures, but no bank account. The first run
// gets the zero State.
type State struct {
	// Seen is the range of days whose settlements were listed.
	Seen plural.Days
	// UTRs is a map of settlements. The key is the settlement's UTR. The map
	// has the settlements of the days in Seen. It may also have older
	// settlements. An older settlement stays in the map as long as one of its
	// lines belongs to a payment on the shop's list.
	UTRs map[string]UTR
}

// UTR is the entry of one settlement in the [State]. It has the lines of the
// settlement. So if a payment is on the shop's list for ten nights, the
// payment's lines are in its result on each of the ten nights. If a payment
// gets a second line later, the two lines are added up.
type UTR struct {
	// Digest is the digest of the settlement's row in the list: figures, count
	// and times. If the row has the same digest on the next night, the
	// settlement is not read again. So if a line changes and the row does not,
	// the change is not noticed. Digest is "" if the settlement has to be read
	// again, for one of these reasons:
	//
	//   - Something could not be read.
	//   - The number of lines is not the number in the row.
	//   - A line is not paid out yet.
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

// daysToList returns the days whose settlements Run lists tonight. The last of
// these days is the last day of d. The first of these days is the earlier of
// two days: the first day of d, and the day that is overlapDays days before the
// last day that earlier runs have listed. So if the program did not run on some
// nights, the next run also lists the days of those nights.
func (s State) daysToList(d plural.Days) plural.Days {
	if again := s.Seen.Last.AddDate(0, 0, -overlapDays); !s.Seen.Last.IsZero() && day(again) < day(d.First) {
		d.First = again
	}
	return d
}

// newSeen returns the new value of the field Seen. The parameter d is the range
// of days that this run has listed completely. The result is one of these:
//
//   - If d is not valid, the result is the old value.
//   - If d ends before the old value begins, and at least one day lies between
//     d and the old value, the result is the old value.
//   - If the last day of the old value is after the last day of d, the result
//     has the first day of d, and the last day of the old value.
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

// newLine makes the Line that the State keeps for a line of a settlement. The
// parameter l is the line, and before is the line before it. The texts are
// copied, but the address and the acquirer are left out. If l has no UTR, the
// UTR of the Line is the parameter utr.
func newLine(l, before *plural.SettlementLine, utr string) Line {
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
