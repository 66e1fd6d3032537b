// Package clean makes texts safe to show to people and to write into logs.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine returns the text of an error for use inside another error's text. It
// puts joined errors on one line, and limits the length.
func OneLine(text string) string {
	const most = 800
	return Shorten(strings.ReplaceAll(text, "\n", "; "), most)
}

// Shorten returns the text s, but cuts s if it has more than maxBytes bytes. A
// text that was cut ends in "...". Shorten also replaces everything that does
// not belong in a line of text: control, format and separator characters, and
// bytes that are not UTF-8.
func Shorten(s string, maxBytes int) string {
	cut := len(s) > maxBytes
	if cut {
		for maxBytes > 0 && !utf8.RuneStart(s[maxBytes]) {
			maxBytes--
		}
		s = s[:maxBytes]
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

// Redacted is shown in place of a value that must not be shown.
const Redacted = "[redacted]"
