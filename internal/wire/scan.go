package wire

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads a document from start to end, and checks on the way that the
// document is JSON. If hasFailed is true, the results of the scanner's methods
// mean nothing.
type scanner struct {
	text      string
	pos       int
	level     int               // how deep the current value is nested
	items     [MaxDepth + 1]int // on each level, how many elements the current list has
	total     int               // the number of elements of all lists
	room      int               // how many more bytes of memory the values may take
	plain     bool              // the last string has no escapes, and is ASCII only
	hasFailed bool
	limit     *DecodeError // the limit that the document exceeds, or nil

	uncounted bool // lists may be of any length
}

// The method peek returns the first byte of the next token, or 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) && s.text[s.pos] > ' ' {
		return s.text[s.pos]
	}
	return s.pastSpace()
}

// pastSpace goes to the next token, and returns its first byte.
func (s *scanner) pastSpace() byte {
	for i := s.pos; i < len(s.text); i++ {
		switch c := s.text[i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			s.pos = i
			return c
		}
	}
	s.pos = len(s.text)
	return 0
}

// A savedState makes it possible to read a value twice. It has the position
// where the value begins, and the numbers that the scanner has counted up to
// this position. The method rewind goes back to the position, and restores the
// numbers. So the elements of the value count only once towards the limits on
// lists. But the memory of both reads counts towards the limit on memory,
// because the method rewind does not change scanner.room.
type savedState struct{ pos, level, total int }

func (s *scanner) saveState() savedState { return savedState{s.pos, s.level, s.total} }

// The method rewind goes back to the saved state. If the scanner has failed,
// the method does nothing, so the document still counts as not JSON.
func (s *scanner) rewind(m savedState) {
	if !s.hasFailed {
		s.pos, s.level, s.total = m.pos, m.level, m.total
	}
}

// The method grow counts the memory that a value is going to take. It returns
// an error if the values would take too much memory.
func (s *scanner) grow(size int) *DecodeError {
	if s.room -= size; s.room < 0 {
		return &DecodeError{Rule: "would take too much memory", Limit: true}
	}
	return nil
}

// setFailed goes to the end of the document, so nothing more is read. From then
// on the document counts as not JSON.
func (s *scanner) setFailed() {
	s.hasFailed = true
	s.pos = len(s.text)
}

// setLimitExceeded is for a document that exceeds a limit. It records the
// limit, unless the scanner has already failed, and calls setFailed.
func (s *scanner) setLimitExceeded(rule string, limit int) {
	if !s.hasFailed {
		s.limit = &DecodeError{Rule: fmt.Sprintf(rule, limit), Limit: true}
	}
	s.setFailed()
}

// The method skip goes past the next value, and returns the JSON of that value.
func (s *scanner) skip() string {
	c := s.peek()
	start := s.pos
	switch c {
	case '"':
		s.passString()
	case '{':
		s.openBracket()
		for first := true; s.nextElement(first, '}'); first = false {
			s.memberName()
			s.skip()
		}
	case '[':
		s.openBracket()
		for first := true; s.nextElement(first, ']'); first = false {
			s.skip()
		}
	case 't':
		s.passWord("true")
	case 'f':
		s.passWord("false")
	case 'n':
		s.passWord("null")
	default:
		s.passNumber()
	}
	if s.hasFailed {
		return ""
	}
	return s.text[start:s.pos]
}

// openBracket goes past the opening bracket of an object or an array, and
// counts the first element.
func (s *scanner) openBracket() {
	s.pos++
	if s.level == MaxDepth {
		s.setLimitExceeded("nests deeper than %d levels", MaxDepth)
		return
	}
	s.level++
	s.items[s.level] = 0
	s.countElement()
}

// countElement counts an element of the current list, or a member of the
// current object. An empty list counts as one element.
func (s *scanner) countElement() {
	s.items[s.level]++
	s.total++
	switch {
	case s.uncounted:
	case s.items[s.level] > MaxItems:
		s.setLimitExceeded("has a list of more than %d elements", MaxItems)
	case s.total > MaxItemsInAll:
		s.setLimitExceeded("has more than %d elements in all", MaxItemsInAll)
	}
}

// nextElement goes to the next element of the current list, or to the next
// member of the current object. At the end of the list or object, it goes past
// the closing bracket and returns false.
func (s *scanner) nextElement(isFirst bool, closing byte) bool {
	switch c := s.peek(); {
	case s.hasFailed:
		return false
	case c == closing:
		s.pos++
		s.level--
		return false
	case isFirst:
		return true
	case c == ',':
		s.pos++
		s.countElement()
		if s.peek() == closing {
			s.setFailed() // something must follow the comma
		}
		return !s.hasFailed
	}
	s.setFailed()
	return false
}

// memberName reads the name of a member and the colon after the name. It
// returns the name in quotes.
func (s *scanner) memberName() string {
	if s.peek() != '"' {
		s.setFailed()
		return `""`
	}
	start := s.pos
	s.passString()
	end := s.pos
	if s.peek() != ':' || s.hasFailed {
		s.setFailed()
		return `""`
	}
	s.pos++
	return s.text[start:end]
}

// If the member at this position has the given name, passName goes past the
// name and the colon, and returns true. It finds the name only if the document
// has no escapes in the name, and no space before the colon.
func (s *scanner) passName(name string) bool {
	rest := s.text[s.pos:]
	end := len(name) + len(`"":`)
	if len(rest) < end || rest[0] != '"' || rest[1:end-2] != name || rest[end-2:end] != `":` {
		return false
	}
	s.pos += end
	return true
}

// passString skips a string.
func (s *scanner) passString() {
	s.plain = true
	for i := s.pos + 1; ; {
		if i += plainPrefix(s.text[i:]); i == len(s.text) {
			break
		}
		switch c := s.text[i]; {
		case c == '"':
			s.pos = i + 1
			return
		case c >= utf8.RuneSelf:
			s.plain = false
			i++
		case c == '\\':
			s.plain = false
			n := escapeLength(s.text[i:])
			if n == 0 {
				s.setFailed()
				return
			}
			i += n
		default: // a control character
			s.setFailed()
			return
		}
	}
	s.setFailed()
}

// plainPrefix returns the number of plain bytes at the start of text. A plain
// byte is an ASCII character, but not a quote, a backslash or a control
// character. Inside a string, plain bytes need no further check. plainPrefix
// looks at eight bytes at a time.
func plainPrefix(text string) int {
	const ones = 0x0101010101010101
	n := 0
	for ; len(text) >= 8; text, n = text[8:], n+8 {
		w := uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
		// For each byte of w, checkBits has one byte at the same place. If the
		// byte of w needs a check, the highest bit of the byte in checkBits is
		// set. A subtraction may borrow from higher bytes, so this bit may also
		// be set in a higher byte that needs no check. That does not matter,
		// because only the lowest set bit is used.
		checkBits := ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | (w - ones*' ') | w
		if checkBits &= ones << 7; checkBits != 0 {
			return n + bits.TrailingZeros64(checkBits)/8
		}
	}
	for ; len(text) > 0 && text[0] >= ' ' && text[0] < utf8.RuneSelf && text[0] != '"' && text[0] != '\\'; n++ {
		text = text[1:]
	}
	return n
}

// escapeLength returns the length of the escape at the start of text. It
// returns 0 if text does not start with a valid escape.
func escapeLength(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, c := range []byte(text[2:6]) {
			if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) passWord(word string) {
	if !strings.HasPrefix(s.text[s.pos:], word) {
		s.setFailed()
		return
	}
	s.pos += len(word)
}

func (s *scanner) passNumber() {
	i := s.pos
	if i < len(s.text) && s.text[i] == '-' {
		i++
	}
	whole := pastDigits(s.text, i)
	if whole == i || s.text[i] == '0' && whole > i+1 {
		s.setFailed()
		return
	}
	i = whole
	if i < len(s.text) && s.text[i] == '.' {
		fraction := pastDigits(s.text, i+1)
		if fraction == i+1 {
			s.setFailed()
			return
		}
		i = fraction
	}
	if i < len(s.text) && (s.text[i] == 'e' || s.text[i] == 'E') {
		i++
		if i < len(s.text) && (s.text[i] == '+' || s.text[i] == '-') {
			i++
		}
		exponent := pastDigits(s.text, i)
		if exponent == i {
			s.setFailed()
			return
		}
		i = exponent
	}
	s.pos = i
}

// pastDigits goes past the digits that begin at position i, and returns the
// position after them. If there is no digit at position i, pastDigits returns
// i.
func pastDigits(text string, i int) int {
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	return i
}

// readScalar goes past the next value. If the value is a string, a number or a
// boolean, readScalar returns its text. For any other value it returns false.
func (s *scanner) readScalar() (string, bool) {
	raw := s.skip()
	if raw == "" {
		return "", false
	}
	switch raw[0] {
	case '"':
		if s.plain {
			return raw[1 : len(raw)-1], true
		}
		return unquote(raw), true
	case '{', '[', 'n':
		return "", false
	}
	return raw, true
}

// readInt goes past the next value, and reads the value as a whole number.
func (s *scanner) readInt() (int64, bool) {
	isText := s.peek() == '"'
	text, ok := s.readScalar()
	switch {
	case !ok:
		return 0, false
	case isText:
		return parseIntText(text)
	}
	return parseInt(text)
}

// isEmptyValue reports whether the next value is an empty string or an empty
// array. Plural sends these in place of an absent object.
func (s *scanner) isEmptyValue() bool {
	return s.isEmptyString() || s.peek() == '[' && s.closesAt(']')
}

func (s *scanner) isEmptyString() bool {
	return s.peek() == '"' && strings.HasPrefix(s.text[s.pos:], `""`)
}

func (s *scanner) emptyObject() bool {
	return s.peek() == '{' && s.closesAt('}')
}

func (s *scanner) closesAt(c byte) bool {
	ahead := scanner{text: s.text, pos: s.pos + 1}
	return ahead.peek() == c
}

// unquote returns the text of a valid JSON string, as encoding/json reads it.
// If the string has no escapes and is valid UTF-8, the text is a part of the
// document.
func unquote(raw string) string {
	text := raw[1 : len(raw)-1]
	at := strings.IndexByte(text, '\\')
	if at < 0 {
		return toValidUTF8(text)
	}
	var b strings.Builder
	b.Grow(validSize(text)) // an escape is longer than its character
	for ; at >= 0; at = strings.IndexByte(text, '\\') {
		writeValid(&b, text[:at])
		r, size := unescape(text[at:])
		b.WriteRune(r)
		text = text[at+size:]
	}
	writeValid(&b, text)
	return b.String()
}

// toValidUTF8 replaces each byte that is not UTF-8 by one character.
// [strings.ToValidUTF8] is different: it replaces several such bytes in a row
// by one character.
func toValidUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	b.Grow(validSize(text))
	writeValid(&b, text)
	return b.String()
}

// validSize returns the length of the text that writeValid writes.
func validSize(text string) int {
	size := 0
	for _, r := range text {
		size += utf8.RuneLen(r)
	}
	return size
}

func writeValid(b *strings.Builder, text string) {
	for _, r := range text {
		b.WriteRune(r)
	}
}

// unescape reads the valid escape at the start of a text. It returns the
// character and the length of the escape.
func unescape(text string) (r rune, size int) {
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		const length = len(`\u0000`)
		r := hexRune(text[2:length])
		if !utf16.IsSurrogate(r) {
			return r, length
		}
		if rest := text[length:]; strings.HasPrefix(rest, `\u`) {
			if pair := utf16.DecodeRune(r, hexRune(rest[2:length])); pair != utf8.RuneError {
				return pair, 2 * length
			}
		}
		return utf8.RuneError, length
	}
	return rune(text[1]), 2
}

func hexRune(digits string) rune {
	n, _ := strconv.ParseUint(digits, 16, 16) // escapeLength has checked the four digits
	return rune(n)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
