// Package fact has the facts that a report may add to an answer. A fact is a
// status, a code, the name of a header or a field, a number, or a duration.
// Other packages make facts only with the functions of this package. These
// functions put no other text from Plural's answers into a fact.
package fact

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fact is one thing that a report adds to an answer.
type Fact struct{ name, text string }

// Name returns the subject of the fact.
func (f Fact) Name() string { return f.name }

// Text returns the fact in words.
func (f Fact) Text() string { return f.text }

// The function Took returns a fact that shows a duration.
func Took(name string, d time.Duration) Fact {
	unit := time.Millisecond
	if d >= 10*time.Second {
		unit = time.Second
	}
	return Fact{name, d.Round(unit).String()}
}

// The function Count returns a fact that shows a number.
func Count(name string, n int) Fact { return Fact{name, strconv.Itoa(n)} }

// The function Holds returns a fact about a condition. If the argument isSo is
// true, the fact shows "yes". Otherwise the fact shows "no".
func Holds(name string, isSo bool) Fact {
	if isSo {
		return Fact{name, "yes"}
	}
	return Fact{name, "no"}
}

// The function Answered returns a fact that shows the status of an answer and
// the code in the body of the answer.
func Answered(name string, status int, code string) Fact {
	return Fact{name, strings.TrimSpace(strconv.Itoa(status) + " " + Code(code))}
}

var (
	codePattern = regexp.MustCompile(`^[A-Z][A-Z_]{2,39}$`)
	namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,39}$`)
)

// The function Code returns its argument if the argument is "" or looks like a
// code or a status word. Otherwise the function returns "(no code)".
func Code(code string) string {
	if code == "" || codePattern.MatchString(code) {
		return code
	}
	return "(no code)"
}

// The function Names returns a fact that shows names of headers or fields. If a
// text in the list does not look like a name, the text may be a secret value.
// The fact does not show such texts, and shows only the number of them.
func Names(name string, names []string) Fact {
	var shown []string
	hidden := 0
	for _, each := range slices.Sorted(slices.Values(names)) {
		if namePattern.MatchString(each) {
			shown = append(shown, each)
		} else {
			hidden++
		}
	}
	if hidden > 0 {
		shown = append(shown, fmt.Sprintf("(%d of another form)", hidden))
	}
	if len(shown) == 0 {
		shown = []string{"none"}
	}
	return Fact{name, strings.Join(shown, ", ")}
}

// The function OneOf returns a fact that shows a word. If the word is not one
// of the allowed words, the fact shows "(another)" instead.
func OneOf(name, word string, allowed ...string) Fact {
	if !slices.Contains(allowed, word) {
		word = "(another)"
	}
	return Fact{name, word}
}

// MarshalJSON writes a fact to the state file.
func (f Fact) MarshalJSON() ([]byte, error) { return json.Marshal([]string{f.name, f.text}) }

// UnmarshalJSON reads a fact from the state file.
func (f *Fact) UnmarshalJSON(data []byte) error {
	var pair [2]string
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	f.name, f.text = pair[0], pair[1]
	return nil
}
