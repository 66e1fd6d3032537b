// Package clean makes texts fit for people and logs.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine is the text of an error inside another one: joined errors on one
// line, and of a reasonable length.
func OneLine(text string) string {
	const most = 800
	return Shorten(strings.ReplaceAll(text, "\n", "; "), most)
}

// Shorten cuts s to a length of most bytes, and replaces everything that does
// not belong in a line of text: control, format and separator characters, and
// bytes that are not UTF-8.
func Shorten(s string, most int) string {
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

// Redacted stands where something is not shown.
const Redacted = "[redacted]"
