package retry_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/retry"
)

// A wait is never negative and never longer than a year, unless a date says so; an HTTP date gives the time until then.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", " 7 ", "-1", "+7", "1.5", "1e3", "0x10", "99999999999999999999", "18446744073709551615", "soon",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT",
	} {
		f.Add(value)
	}
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		d := retry.After(http.Header{"Retry-After": {value}}, now)
		require.GreaterOrEqual(t, d, time.Duration(0))
		date, err := http.ParseTime(value)
		if err != nil {
			require.LessOrEqual(t, d, 365*24*time.Hour)
			require.Zero(t, d%time.Second)
			return
		}
		require.Equal(t, max(0, date.Sub(now)), d)
	})
}
