package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/plural-go/plural"
)

// lookBack is how many days before the last one are looked at again: late lines
// come into settlements that are there already.
const lookBack = 9

// State is what one night hands to the next. It is safe as JSON: it holds ids
// and figures, and no account. The zero State is that of the first night.
type State struct {
	// Seen are the days whose settlements were listed.
	Seen plural.Days
	// UTRs are the settlements of these days, by UTR, and older ones that have a
	// line of a payment which is still on the shop's list.
	UTRs map[string]UTR
}

// UTR is a settlement that was read. Its lines are kept: a payment that is on
// the list for ten nights has them on each, and a second part that comes later is
// added to the first.
type UTR struct {
	// Digest is that of its row in the list. A settlement whose row has the same
	// one is not read again. It is "" where it has to be: not everything could be
	// read, the row and the lines disagree on how many there are, or a line is
	// not paid out yet.
	Digest string `json:"digest,omitzero"`
	// IsPart reports whether lines may be missing.
	IsPart bool `json:"is_part,omitzero"`
	// Lines are those that were read, without address and acquirer.
	Lines []Line `json:"lines,omitzero"`
}

// Line is a line of a settlement that was read.
type Line struct {
	plural.SettlementLine

	// Order is the id of the order, or the refund, that had to be read to explain
	// it; "" where none had to, or where nothing explains it.
	Order string `json:"order,omitzero"`

	hint string // the id of an order that was cut out of the line's
}

// span is the days to list tonight: those asked for, and at least the last ten
// that were seen, so there is never a gap.
func (s State) span(d plural.Days) plural.Days {
	if again := s.Seen.Last.AddDate(0, 0, -lookBack); !s.Seen.Last.IsZero() && again.Before(d.First) {
		d.First = again
	}
	return d
}

// lineOf is a line as the state keeps it, with texts of its own.
func lineOf(l, before *plural.SettlementLine, utr string) Line {
	c := *l
	c.StoreAddress, c.AcquirerName = "", ""
	if c.UTRNumber == "" {
		c.UTRNumber = utr
	}
	copyTexts(&c, before)
	return Line{SettlementLine: c}
}

// name is the line, whatever its status: that may change until it is paid out.
func (l *Line) name() plural.SettlementLine {
	c := l.SettlementLine
	c.PayoutStatus = ""
	return c
}

// digestOf tells rows of the list of settlements apart.
func digestOf(row *plural.Settlement) (string, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("reconcile: UTR %s: %w", row.UTRNumber, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// isValid reports whether days begin, and do not end before that.
func isValid(d plural.Days) bool {
	return !d.First.IsZero() && !d.Last.IsZero() && d.First.Format(time.DateOnly) <= d.Last.Format(time.DateOnly)
}
