package plural

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clip limits hostile input in an error text to a short piece on one line.
func clip(s string) string {
	const most = 40
	return shorten(s, most)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isWord reports whether s is made of A-Z a-z 0-9 _ and -, and is not empty. It
// looks at every byte, which is faster than stopping at the first wrong one.
func isWord(s string) bool {
	var kinds byte
	for i := range len(s) {
		kinds |= byteKinds[s[i]]
	}
	return kinds&otherByte == 0 && s != ""
}

// isNameByte reports whether c is one of A-Z a-z 0-9 _.
func isNameByte(c byte) bool { return byteKinds[c] == nameByte }

// The kinds of bytes.
const (
	nameByte  = 1 << iota // A-Z a-z 0-9 _, for names and words
	dashByte              // -, which words have
	otherByte             // any other
)

//nolint:gochecknoglobals // reading a table is twice as fast as comparing
var byteKinds = func() (kinds [256]byte) {
	for i := range kinds {
		switch c := byte(i); {
		case 'a' <= c && c <= 'z' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z':
			kinds[i] = nameByte
		case c == '-':
			kinds[i] = dashByte
		default:
			kinds[i] = otherByte
		}
	}
	return kinds
}()

// printable limits a server's message to one line and a reasonable length.
func printable(s string) string {
	const most = 200
	return shorten(s, most)
}

// oneLine is the text of an error inside another one: joined errors on one
// line, and of a reasonable length.
func oneLine(text string) string {
	const most = 800
	return shorten(strings.ReplaceAll(text, "\n", "; "), most)
}

// shorten cuts s to a length of most bytes, and replaces everything that does
// not belong in a line of text: control, format and separator characters, and
// bytes that are not UTF-8.
func shorten(s string, most int) string {
	cut := len(s) > most
	if cut {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "..."
	}
	return s
}

const redacted = "[redacted]"

// writeText is the fmt form of a value that is a text. Verbs for texts keep
// their flags.
func writeText(f fmt.State, verb rune, text string) {
	switch verb {
	case 's', 'q', 'x', 'X':
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	default:
		_, _ = io.WriteString(f, text)
	}
}

// summary is the text of a value that has a LogValue: its type and its safe
// attributes.
func summary(name string, v slog.LogValuer) string {
	var b strings.Builder
	b.WriteString(name + "{")
	for i, attr := range v.LogValue().Group() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%v", attr.Key, attr.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// isNil reports whether v is nil, or an interface with a nil value.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}
