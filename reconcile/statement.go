package reconcile

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/plural-go/plural"
)

// Credit is a transfer on the bank's statement.
type Credit struct {
	UTR    string
	Amount plural.Amount // in INR
	Day    string        // as the bank writes it
}

// Statement is the bank's side: what has arrived, by UTR.
type Statement struct{ credits map[string]BankSide }

// NewStatement takes the credits of a bank statement. Credits with UTRs that
// are not Plural's are ignored. Several credits with one UTR are added up. It
// fails if a credit has no UTR, or an amount that is not in INR or not above
// zero. It also returns the error of credits.
func NewStatement(credits iter.Seq2[Credit, error]) (*Statement, error) {
	s := &Statement{credits: map[string]BankSide{}}
	n := 0
	for c, err := range credits {
		n++
		utr := strings.TrimSpace(c.UTR)
		switch {
		case err != nil:
		case utr == "":
			err = errors.New("it has no UTR")
		case c.Amount.Currency != plural.CurrencyINR || c.Amount.Value <= 0:
			err = fmt.Errorf("the amount is %s, not one of INR above zero", c.Amount)
		default:
			side := s.credits[utr]
			if side.Day == "" {
				side = BankSide{Amount: plural.INR(0), Day: c.Day}
			}
			side.Amount, err = side.Amount.Add(c.Amount)
			s.credits[strings.Clone(utr)] = side
		}
		if err != nil {
			return nil, fmt.Errorf("reconcile: credit %d of the statement: %w", n, err)
		}
	}
	return s, nil
}

// Arrival is what a bank's statement shows of a settlement.
type Arrival string

// The arrivals. It is "" if there is no statement.
const (
	// Arrived: the statement has the UTR, with the net amount to the paisa.
	Arrived Arrival = "arrived"
	// ArrivedOtherwise: the statement has the UTR with another amount.
	ArrivedOtherwise Arrival = "differs"
	// NotThereYet: the statement does not have the UTR.
	NotThereYet Arrival = "not there yet"
)

// BankSide is a settlement on the bank's statement.
type BankSide struct {
	Arrival Arrival
	Amount  plural.Amount // what arrived
	Day     string        // of the first credit, as the bank writes it
}

// Match is the statement's entry with a UTR, compared with the net amount as
// Plural sent it. A net amount that is not whole paise never matches: nothing
// is rounded.
func (s *Statement) Match(utr string, net plural.Rupees) BankSide {
	side, ok := s.credits[utr]
	if !ok {
		return BankSide{Arrival: NotThereYet}
	}
	side.Arrival = ArrivedOtherwise
	if paise, isWhole := net.Paise(); isWhole && paise == side.Amount.Value {
		side.Arrival = Arrived
	}
	return side
}
