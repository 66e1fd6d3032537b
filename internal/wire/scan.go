package wire

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
)

// scanner walks a document that is known to be valid JSON.
type scanner struct {
	data []byte
	pos  int
	room int // what the lists may still take, in bytes
}

// peek returns the first byte of the next token, or 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// skip passes over one value and returns its text.
func (s *scanner) skip() []byte {
	c := s.peek()
	start := s.pos
	switch c {
	case '"':
		s.pos = stringEnd(s.data, s.pos)
	case '{', '[':
		level := 0
		for s.pos < len(s.data) {
			switch s.data[s.pos] {
			case '"':
				s.pos = stringEnd(s.data, s.pos)
				continue
			case '{', '[':
				level++
			case '}', ']':
				level--
			}
			s.pos++
			if level == 0 {
				break
			}
		}
	default:
		for s.pos < len(s.data) && !isDelimiter(s.data[s.pos]) {
			s.pos++
		}
	}
	return s.data[start:s.pos]
}

// scalar passes over one value and returns the text of a string, number or
// boolean; false for anything else.
func (s *scanner) scalar() (string, bool) {
	switch raw := s.skip(); raw[0] {
	case '"':
		return unquote(raw), true
	case '{', '[', 'n':
		return "", false
	default:
		return string(raw), true
	}
}

// integer passes over one value and reads it as a whole number.
func (s *scanner) integer() (int64, bool) {
	isText := s.peek() == '"'
	text, ok := s.scalar()
	switch {
	case !ok:
		return 0, false
	case isText:
		return parseIntText(text)
	}
	return parseInt(text)
}

// members yields the quoted keys of the object at hand; the loop body consumes
// each value.
func (s *scanner) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s.pos++ // {
		for {
			switch s.peek() {
			case '}', 0:
				s.pos++
				return
			case ',':
				s.pos++
				continue
			}
			key := s.skip()
			s.peek()
			s.pos++ // :
			if !yield(key) {
				return
			}
		}
	}
}

// elements yields the indexes of the array at hand; the loop body consumes each
// value.
func (s *scanner) elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		s.pos++ // [
		for i := 0; ; {
			switch s.peek() {
			case ']', 0:
				s.pos++
				return
			case ',':
				s.pos++
				continue
			}
			if !yield(i) {
				return
			}
			i++
		}
	}
}

// nothing says whether the next value is an empty string or an empty array,
// which stand for an absent object.
func (s *scanner) nothing() bool {
	s.peek()
	rest := s.data[s.pos:]
	if bytes.HasPrefix(rest, []byte(`""`)) {
		return true
	}
	return rest[0] == '[' && s.closesAt(']')
}

func (s *scanner) emptyObject() bool {
	return s.peek() == '{' && s.closesAt('}')
}

func (s *scanner) closesAt(c byte) bool {
	ahead := scanner{data: s.data, pos: s.pos + 1}
	return ahead.peek() == c
}

func stringEnd(data []byte, pos int) int {
	for i := pos + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ':', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return ""
			}
			return text
		}
	}
	return string(inner)
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// parseInt reads a JSON number that is whole, in any of its spellings: 1200,
// 1200.00, 12E+2. One with a fraction is not, and neither is one that does not
// fit.
func parseInt(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	digits, exponent, hasExponent := strings.Cut(strings.ToLower(text), "e")
	whole, fraction, _ := strings.Cut(digits, ".")
	shift := 0
	if hasExponent {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxExponent || n < -maxExponent {
			if strings.Trim(whole+fraction, "-0") == "" {
				return 0, whole != "" // nothing, however often
			}
			return 0, false
		}
		shift = n
	}
	// The number is all of the digits, with the point shift places further.
	all, point := whole+fraction, len(whole)+shift
	switch {
	case point > len(all):
		all += strings.Repeat("0", point-len(all))
	case point < len(all):
		cut := max(point, len(whole)-len(strings.TrimPrefix(whole, "-")))
		if strings.Trim(all[cut:], "0") != "" {
			return 0, false
		}
		all = all[:cut]
		if all == "" || all == "-" {
			all = "0"
		}
	}
	n, err := strconv.ParseInt(all, 10, 64)
	return n, err == nil
}

// maxExponent is more than any number that fits needs.
const maxExponent = 64

// parseIntText reads a number that came as a text. A fraction is refused, even
// of zeros: nobody can tell whether "100.00" is of paise or of rupees.
func parseIntText(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

func isNumber(text string) bool {
	if text == "" || text[0] != '-' && !isDigit(text[0]) || !isDigit(text[len(text)-1]) {
		return false
	}
	return json.Valid([]byte(text))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func depth(data []byte) int {
	deepest, level := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i) - 1
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}
