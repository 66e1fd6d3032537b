package wire_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/wire"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	second := time.Date(2031, 4, 9, 16, 38, 44, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2031-04-09T16:38:44Z":              second,
		"2031-04-09T16:38:44.1Z":            second.Add(100 * time.Millisecond),
		"2031-04-09T16:38:44.123456Z":       second.Add(123456 * time.Microsecond),
		"2031-04-09T16:38:44.523516426Z":    second.Add(523516426),
		"2031-04-09T22:08:44+05:30":         second,
		"2031-04-09T22:08:44+0530":          second,
		"2031-04-09T22:08:44.000+0530":      second,
		"2031-04-09T16:38:44+0000":          second,
		"2031-04-09T16:38:44.000+0000":      second,
		"2031-04-09T21:38:44+05":            second,
		"2031-04-09T16:38:44":               second,
		"2031-04-09T16:38:44.5":             second.Add(500 * time.Millisecond),
		"2031-04-09 16:38:44":               second,
		"2031-04-09 16:38:44.000":           second,
		"2031-04-09 22:08:44+05:30":         second,
		"2031-04-09 22:08:44 +0530":         second,
		"2031-04-09 16:38:44Z":              second,
		"2031-04-09t16:38:44z":              second,
		" 2031-04-09T16:38:44Z ":            second,
		"2031-04-09T16:38Z":                 second.Add(-44 * time.Second),
		"2031-04-09T16:38":                  second.Add(-44 * time.Second),
		"2031-04-09T22:08+05:30":            second.Add(-44 * time.Second),
		"2031-04-09T22:08+0530":             second.Add(-44 * time.Second),
		"":                                  {},
		"2031-04-09":                        {},
		"2031-04-09T16:38:444Z":             {}, // Plural published this text, but it is not a time
		"09/04/2031 16:38:44":               {},
		"2031-04-09T16:38:44 ":              second,
		"2031-04-09T25:38:44Z":              {},
		"2031-02-30T16:38:44Z":              {},
		"1933512345":                        {},
		"9999-12-31T23:59:59-05:00":         {}, // the year 10000 in UTC
		"2031-04-09T16:38:44Zwhatever":      {},
		"2031-04-09T16:38:44+05:30[Asia/K]": {},
	} {
		got, ok := wire.ParseTime(text)
		require.Equal(t, !want.IsZero(), ok, text)
		if ok {
			require.Equal(t, want, got, text)
		}
	}
}
