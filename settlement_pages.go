package plural

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

// IncompleteError means that a settlement, or the list of settlements, could
// not be read completely. Its fields show what is missing. The error does not
// mean that money is missing: the rows that were read are as Plural sent them.
// Read again later. The error is an [ErrIncomplete].
type IncompleteError struct {
	UTR  string // the settlement whose lines were read; "" for a list
	Days Days   // for a list: the first day that was not read completely, and the list's last day
	Page int    // the page that could not be read; 0 if no read of a page failed
	Want int    // the number of rows according to Plural's answers
	Got  int    // the number of rows that came, each counted once
	Err  error  // the cause, if a request failed or a limit was reached
}

// Error returns a text that describes what could not be read completely, and
// how many rows came.
func (e *IncompleteError) Error() string {
	text := subject(opGetSettlement.name, e.UTR)
	if e.UTR == "" {
		text = subject(opListSettlements.name, "") + " of " + e.Days.String()
	}
	text += fmt.Sprintf(": not read whole: %d of %d came", e.Got, e.Want)
	if e.Page > 0 {
		text += fmt.Sprintf(", and page %d did not", e.Page)
	}
	if e.Err == nil {
		text += "; rows are missing, moved or came twice: read them again later"
	}
	return text + causeText(e.Err)
}

// Is reports whether target is [ErrIncomplete].
func (e *IncompleteError) Is(target error) bool { return target == ErrIncomplete }

// Unwrap returns the cause, if a request failed or a limit was reached.
func (e *IncompleteError) Unwrap() error { return e.Err }

// MarshalJSON writes the parts of the error that are safe to log.
func (e IncompleteError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		UTR   string `json:"utr,omitzero"`
		Page  int    `json:"page,omitzero"`
		Want  int    `json:"want"`
		Got   int    `json:"got"`
		Error string `json:"error"`
	}{e.UTR, e.Page, e.Want, e.Got, e.Error()})
}

// errLeft is the error of a reading that ends early, because the caller needs
// no more rows.
var errLeft = errors.New("the caller left the loop")

// A sheet is one page of a list.
type sheet[R any] struct {
	rows  []R
	total int // the number of rows of all pages, or only of this page: Plural does not document which
	pages int // the number of pages; 0 if the page does not have it

	mark fingerprint // the fingerprint of the whole page
}

// A rowResult shows how one row of a list counts. readPages passes each row to
// the function takeRow, which returns the rowResult.
type rowResult int

const (
	rowIsNew   rowResult = iota // the row counts
	rowIsKnown                  // the row was read before, and does not count again
	rowIsOdd                    // the row does not count, and makes the reading incomplete
	rowIsLast                   // the caller needs no more rows
)

// readPages reads a list page by page, and passes each row to the function
// takeRow. If the first page cannot be read, readPages returns the error of
// that read. All other errors are an [IncompleteError] or errLeft.
func readPages[R any](read func(page int) (*sheet[R], error), takeRow func(row *R) rowResult) error {
	var first fingerprint
	want, got, pages := 0, 0, 0
	isOdd := false   // takeRow returned rowIsOdd for a row, or the first page has changed
	isOfAll := false // the total counts the rows of all pages
	isGone := false  // a page has no rows, although the number of pages includes this page
	for page := 1; ; page++ {
		s, err := read(page)
		switch {
		case err != nil && page == 1:
			return err
		case err != nil && got >= want && (isOfAll || page > pages && isOfPlural(err)) && errors.Is(err, ErrNotFound):
			s = &sheet[R]{} // all rows had come, and this page is past the end
		case err != nil:
			return &IncompleteError{Page: page, Want: want, Got: got, Err: err}
		case page == 1:
			first = s.mark
		}
		// A later page may come from a replica with an older state. So the
		// counts of the later page may be lower than those of an earlier page.
		want, pages = max(want, s.total), max(pages, s.pages)
		isOfAll = isOfAll || s.total > len(s.rows)
		isGone = isGone || page > 1 && page <= pages && len(s.rows) == 0
		had := got
		for i := range s.rows {
			switch takeRow(&s.rows[i]) {
			case rowIsNew:
				got++
			case rowIsOdd:
				isOdd = true
			case rowIsLast:
				return errLeft
			case rowIsKnown:
			}
		}
		// If the number of pages is not known, another page may follow a full
		// page in two cases. In the first case, the total counts only the rows
		// of one page. Then the total is not larger than the number of rows in
		// this page. In the second case, the total is too low. Then more rows
		// have come than the total.
		mayGoOn := pages == 0 && len(s.rows) >= perPage && (want <= len(s.rows) || got > want)
		if got > had && (page < pages || got < want || mayGoOn) {
			continue
		}
		if page > 1 { // if there is only one page, no row can have moved to another page
			again, err := read(1)
			if err != nil {
				return &IncompleteError{Page: 1, Want: want, Got: got, Err: err}
			}
			isOdd = isOdd || again.mark != first
		}
		if isOdd || got < want || isGone && !isOfAll {
			return &IncompleteError{Want: want, Got: got}
		}
		return nil
	}
}

// A fingerprint identifies a row or a page. So the row or the page itself need
// not be stored.
type fingerprint [16]byte

// fingerprintOf returns the fingerprint of a document.
func fingerprintOf(document any) (f fingerprint) {
	text, _ := json.Marshal(document) //nolint:errchkjson // the types in a document are this package's, and can be encoded
	sum := sha256.Sum256(text)
	copy(f[:], sum[:])
	return f
}

// isOfPlural reports whether err is an answer in JSON. Such an answer is from
// Plural. A server on the way to Plural may answer in place of Plural, with a
// page of HTML or an empty body.
func isOfPlural(err error) bool {
	answered, ok := errors.AsType[*Error](err)
	return ok && json.Valid(answered.Body)
}

// rowMemory remembers the fingerprints of the last rows. Once enough rows have
// come, it always has the last maxRecent fingerprints. It never has more than
// twice that number.
type rowMemory struct{ now, before map[fingerprint]struct{} }

const maxRecent = 10_000

// The method add remembers a fingerprint, and reports whether it is new.
func (r *rowMemory) add(f fingerprint) bool {
	_, isNow := r.now[f]
	_, isBefore := r.before[f]
	if isNow || isBefore {
		return false
	}
	if r.now == nil || len(r.now) >= maxRecent {
		r.now, r.before = map[fingerprint]struct{}{}, r.now
	}
	r.now[f] = struct{}{}
	return true
}
