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

// parseInt takes whole numbers only; "1200.00" is one, "1200.50" and "1e3" are
// not.
func parseInt(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if whole, fraction, ok := strings.Cut(text, "."); ok && fraction != "" && strings.Trim(fraction, "0") == "" {
		text = whole
	}
	n, err := strconv.ParseInt(text, 10, 64)
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
