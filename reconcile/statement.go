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

// Statement has the transfers that have arrived at the bank, by UTR.
type Statement struct{ credits map[string]BankSide }

// NewStatement makes a Statement from the credits of a bank statement. A credit
// whose UTR belongs to no settlement of Plural has no effect. Several credits
// with one UTR are added up. NewStatement returns one of these errors:
//
//   - an error that comes from the sequence of credits;
//   - an error if a credit has no UTR;
//   - an error if the amount of a credit is not in INR, or is not above zero;
//   - an error if the sum of the credits with one UTR is too large.
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
			err = fmt.Errorf("the amount is %s; it must be in INR and above zero", c.Amount)
		default:
			side, isKnown := s.credits[utr]
			if !isKnown {
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

// Arrival is what a bank's statement shows about a settlement.
type Arrival string

// The values of Arrival. Without a statement, Arrival is "".
const (
	// Arrived: the statement has the UTR, with exactly the net amount.
	Arrived Arrival = "arrived"
	// ArrivedOtherwise: the statement has the UTR with another amount.
	ArrivedOtherwise Arrival = "differs"
	// NotThereYet: the statement does not have the UTR.
	NotThereYet Arrival = "not there yet"
)

// BankSide is a settlement on the bank's statement.
type BankSide struct {
	Arrival Arrival
	Amount  plural.Amount // the amount that arrived
	Day     string        // the day of the first credit, as the bank writes it
}

// Match finds the statement's entry for a UTR, and compares its amount with the
// net amount that Plural sent. Match does not round, so a net amount that is
// not whole paise never matches.
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
