package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/plural-go/plural"
)

// lookBack is how many days before the last one are listed again, because late
// lines come into existing settlements.
const lookBack = 9

// State is what one night passes to the next. It can be stored as JSON: it
// holds ids and figures, and no account. The first night has the zero State.
type State struct {
	// Seen are the days whose settlements were listed.
	Seen plural.Days
	// UTRs are the settlements of these days, by UTR. Older ones are there if they
	// have a line of a payment that is still on the shop's list.
	UTRs map[string]UTR
}

// UTR is a settlement that was read. Its lines are kept. A payment that is on
// the list for ten nights has its lines on each of them, and a second part that
// comes later is added to the first.
type UTR struct {
	// Digest is the digest of its row in the list: figures, count and times. A
	// settlement whose row has the same digest is not read again, so a line that
	// changes while its row does not is not noticed. It is "" if the settlement
	// has to be read again: not everything could be read, the row and the lines
	// disagree on the number of lines, or a line is not paid out yet.
	Digest string `json:"digest,omitzero"`
	// IsPart reports whether lines may be missing.
	IsPart bool `json:"is_part,omitzero"`
	// Lines are the lines that were read, without address and acquirer.
	Lines []Line `json:"lines,omitzero"`
}

// Line is a line of a settlement that was read.
type Line struct {
	plural.SettlementLine

	// Order is the id of the order, or the refund, that was read to explain the
	// line; "" if none was needed, or if nothing explains it.
	Order string `json:"order,omitzero"`

	hint string // the order's id that was cut out of the line's id
}

// span is the days to list tonight: the days asked for, and at least the last
// ten that were seen, so there is never a gap.
func (s State) span(d plural.Days) plural.Days {
	if again := s.Seen.Last.AddDate(0, 0, -lookBack); !s.Seen.Last.IsZero() && again.Before(d.First) {
		d.First = again
	}
	return d
}

// lineOf is a line in the state's form, with texts of its own.
func lineOf(l, before *plural.SettlementLine, utr string) Line {
	c := *l
	c.StoreAddress, c.AcquirerName = "", ""
	if c.UTRNumber == "" {
		c.UTRNumber = utr
	}
	copyTexts(&c, before, "")
	return Line{SettlementLine: c}
}

// name identifies the line without its status, because the status may change
// until the line is paid out.
func (l *Line) name() plural.SettlementLine {
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

// isValid reports whether days have a beginning, and do not end before it.
func isValid(d plural.Days) bool {
	return !d.First.IsZero() && !d.Last.IsZero() && d.First.Format(time.DateOnly) <= d.Last.Format(time.DateOnly)
}
