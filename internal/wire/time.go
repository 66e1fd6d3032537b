package wire

import (
	"strings"
	"time"
)

// ParseTime reads a time in any of the forms that Plural sends, and returns it
// in UTC. Seconds and fractions may be missing. Between date and time there may
// be "T", "t" or a space. The zone may be written with or without a colon. It
// returns false for any other text, and for years that RFC 3339 cannot express.
func ParseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	const date = len("2006-01-02")
	if len(text) <= date || len(text) > 64 {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil { // nearly all times have this form
		return inUTC(t)
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
	t, err := time.Parse(layoutOf(text[date:]), text)
	if err != nil {
		return time.Time{}, false
	}
	return inUTC(t)
}

func inUTC(t time.Time) (time.Time, bool) {
	t = t.UTC()
	year := t.Year()
	return t, year >= 0 && year <= 9999
}

// layoutOf returns the layout for a time of day and its zone. It knows RFC 3339
// and the forms that Java's libraries write. A time without a zone is in UTC.
// Fractions of a second do not need a separate layout.
func layoutOf(clock string) string {
	at := strings.IndexAny(clock, "Z+-")
	if at < 0 {
		at = len(clock)
	}
	clock, zone := clock[:at], clock[at:]
	hasSeconds := strings.Count(clock, ":") != 1
	switch {
	case zone == "" && hasSeconds:
		return "2006-01-02T15:04:05"
	case zone == "":
		return "2006-01-02T15:04"
	case (zone == "Z" || strings.Contains(zone, ":")) && hasSeconds:
		return time.RFC3339
	case zone == "Z" || strings.Contains(zone, ":"):
		return "2006-01-02T15:04Z07:00"
	case len(zone) == len("+05") && hasSeconds:
		return "2006-01-02T15:04:05Z07"
	case len(zone) == len("+05"):
		return "2006-01-02T15:04Z07"
	case hasSeconds:
		return "2006-01-02T15:04:05Z0700"
	}
	return "2006-01-02T15:04Z0700"
}
