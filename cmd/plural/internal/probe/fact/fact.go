// Package fact has the facts that a report may add to an answer. The text of a
// fact is one of these:
//   - A status or a code.
//   - The names of headers or fields.
//   - A number or a duration.
//   - "yes" or "no".
//   - One of a few fixed words.
//
// Other packages make facts only with the functions of this package. These
// functions leave out every other text from Plural's answers.
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

// Fact is a detail that a report shows next to an answer. It has a name, such
// as "held for", and a text, such as "20s".
type Fact struct{ name, text string }

// Name returns the name of the fact, such as "held for".
func (f Fact) Name() string { return f.name }

// Text returns the text of the fact, such as "20s".
func (f Fact) Text() string { return f.text }

// The function Took makes a fact with the given name. The text of the fact is
// the duration d. The duration is rounded to milliseconds, or to seconds if it
// is 10 seconds or longer.
func Took(name string, d time.Duration) Fact {
	unit := time.Millisecond
	if d >= 10*time.Second {
		unit = time.Second
	}
	return Fact{name, d.Round(unit).String()}
}

// The function Count makes a fact with the given name. The text of the fact is
// the number n.
func Count(name string, n int) Fact { return Fact{name, strconv.Itoa(n)} }

// The function Holds makes a fact with the given name. The text of the fact is
// "yes" if the argument isSo is true. Otherwise the text is "no".
func Holds(name string, isSo bool) Fact {
	if isSo {
		return Fact{name, "yes"}
	}
	return Fact{name, "no"}
}

// The function Answered makes a fact with the given name. The text of the fact
// has the status of an answer, and the code from the body of the answer.
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

// The function Names makes a fact with the given name. The text of the fact
// lists names of headers or fields. If one of the given texts does not look
// like a name, it may be a secret value. The fact leaves such texts out, and
// only shows how many there are.
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

// The function OneOf makes a fact with the given name. If the word is one of
// the allowed words, the text of the fact is the word. Otherwise the text is
// "(another)".
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
