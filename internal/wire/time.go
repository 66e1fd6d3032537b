package wire

import (
	"strings"
	"time"
)

// layouts are the forms of a time that Plural and what it is built with write:
// RFC 3339, and what Java's libraries make of it. One without a zone is in UTC.
//
//nolint:gochecknoglobals // a constant in all but name
var layouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04Z0700",
	"2006-01-02T15:04",
}

// ParseTime reads a time in any of the forms that Plural sends, to UTC: with or
// without fractions and seconds, "T", "t" or a space between date and time, and
// a zone with or without a colon. It is false for anything else, and for years
// that cannot be written again.
func ParseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	const date = len("2006-01-02")
	if len(text) <= date || len(text) > 64 {
		return time.Time{}, false
	}
	if c := text[date]; c == ' ' || c == 't' {
		text = text[:date] + "T" + strings.TrimLeft(text[date+1:], " ")
	}
	if last := len(text) - 1; text[last] == 'z' {
		text = text[:last] + "Z"
	}
	if before, zone, ok := strings.Cut(text, " "); ok && zone != "" && strings.ContainsRune("+-Z", rune(zone[0])) {
		text = before + zone
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return t, t.Year() >= 0 && t.Year() <= 9999
		}
	}
	return time.Time{}, false
}
